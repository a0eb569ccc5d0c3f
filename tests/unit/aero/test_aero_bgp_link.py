"""The agent's socket and the program at its other end, over real pipes and sockets (spec §8)."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from agents.aero.bgp.link import BgpLink
from agents.aero.bgp.notices import BgpConnected, BgpGone, BgpNews, ToBgp
from agents.kernel.netlink import KernelError

ROOT = Path(__file__).parents[3]
PATIENCE = 10.0


class Heard:
    """What the agent is told, and a way to wait for it."""

    def __init__(self):
        self.notices = []
        self._changed = asyncio.Event()

    def __call__(self, notice):
        self.notices.append(notice)
        self._changed.set()

    async def until(self, holds):
        while not holds(self.notices):
            self._changed.clear()
            await asyncio.wait_for(self._changed.wait(), PATIENCE)


def played(tmp_path, scenario):
    """Run a scenario with a link that is being listened to."""

    async def play():
        heard = Heard()
        link = BgpLink(str(tmp_path / "bgp"), heard, lambda: 0.0)
        asyncio.get_running_loop().add_reader(link.fileno(), link.accept)
        try:
            await scenario(link, heard)
        finally:
            await link.leave()

    asyncio.run(play())


async def connect(tmp_path):
    return await asyncio.open_unix_connection(tmp_path / "bgp")


def test_what_passes_between_agent_and_program(tmp_path):
    async def scenario(link, heard):
        link.tell(ToBgp({"nobody": "there"}))
        reader, writer = await connect(tmp_path)
        await heard.until(lambda notices: notices == [BgpConnected()])
        link.tell(ToBgp({"announce": []}))
        assert json.loads(await reader.readline()) == {"announce": []}
        writer.write(b'{"confirmed": ["2001:db8:1000')
        await writer.drain()
        writer.write(b':a000::/56"]}\n')
        await heard.until(lambda notices: len(notices) == 2)
        assert isinstance(heard.notices[1], BgpNews)
        writer.close()
        await heard.until(lambda notices: notices[-1] == BgpGone())

    played(tmp_path, scenario)


@pytest.mark.parametrize("garbage", [b"{half a line\n", b"\xff\n", b"x" * (1 << 20) + b"\n"])
def test_a_program_that_is_none_is_let_go_and_the_next_one_let_in(tmp_path, capsys, garbage):
    async def scenario(_link, heard):
        _reader, writer = await connect(tmp_path)
        writer.write(garbage)
        await heard.until(lambda notices: notices[-1:] == [BgpGone()])
        await connect(tmp_path)
        await heard.until(lambda notices: notices[-1] == BgpConnected())

    played(tmp_path, scenario)
    assert "bgp-speaker-unfit" in capsys.readouterr().out


def test_news_that_are_none_are_said_and_nothing_else(tmp_path, capsys):
    async def scenario(_link, heard):
        _reader, writer = await connect(tmp_path)
        writer.write(b'{"routes": 7}\n{"peers": {}}\n')
        await heard.until(lambda notices: len(notices) == 2)
        assert heard.notices[1] == BgpNews()

    played(tmp_path, scenario)
    assert "bgp-speaker-unfit" in capsys.readouterr().out


def test_a_new_program_takes_the_place_of_the_old_one(tmp_path):
    async def scenario(link, heard):
        old, _writer = await connect(tmp_path)
        await heard.until(lambda notices: len(notices) == 1)
        new, _other = await connect(tmp_path)
        await heard.until(lambda notices: notices == [BgpConnected(), BgpGone(), BgpConnected()])
        link.tell(ToBgp({"policy": {}}))
        assert await new.readline()
        assert not await old.readline()

    played(tmp_path, scenario)


def test_a_socket_that_cannot_be_had(tmp_path):
    with pytest.raises(KernelError, match="cannot listen"):
        BgpLink(str(tmp_path / ("long" * 40)), print, lambda: 0.0)


def test_the_program_itself_over_pipes(tmp_path):
    """It reads half lines, confirms, withdraws when the agent is gone, and ends when its input does.

    Whoever starts it is ended with it: that is a shell here, which has nothing else to do.
    """

    async def scenario(link, heard):
        program = await asyncio.create_subprocess_exec(
            "sh", "-c", f'{sys.executable} -m agents.aero.bgp "$0"; echo ended', str(tmp_path / "bgp"),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        await heard.until(lambda notices: notices == [BgpConnected()])
        route = {"prefix": "192.0.2.16/28", "next_hop": "203.0.113.1", "med": 7, "peers": []}
        link.tell(ToBgp({"policy": {"wants": "defaults", "sources": [], "aggregates": []}}))
        link.tell(ToBgp({"announce": [route]}))
        line = await asyncio.wait_for(program.stdout.readline(), PATIENCE)
        assert line == b"announce route 192.0.2.16/28 next-hop 203.0.113.1 med 7\n"
        program.stdin.write(b"do")
        await program.stdin.drain()
        program.stdin.write(b"ne\n")
        await heard.until(lambda notices: any(getattr(one, "confirmed", None) for one in notices))
        link._leave(link._writer)
        line = await asyncio.wait_for(program.stdout.readline(), PATIENCE)
        assert line == b"withdraw route 192.0.2.16/28 next-hop 203.0.113.1\n"
        program.stdin.close()
        await asyncio.wait_for(program.wait(), PATIENCE)

    played(tmp_path, scenario)
