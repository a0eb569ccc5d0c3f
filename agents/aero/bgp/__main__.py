"""`python -m agents.aero.bgp SOCKET`, run by ExaBGP: its pipes on one side, an agent's socket on the other."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys

from agents.aero.bgp.helper import Helper, Quit, ToAgent, ToExabgp
from agents.plain import PlainError

RETRY = 0.1
"""Seconds between two looks for the agent."""
CHUNK = 1 << 18


class Program:
    """Both ends of one helper."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._helper = Helper()
        self._agent: asyncio.StreamWriter | None = None
        self._exabgp: asyncio.WriteTransport | None = None
        self._ended = asyncio.Event()

    async def run(self) -> None:
        """Serve until ExaBGP is gone."""
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        self._exabgp, _protocol = await loop.connect_write_pipe(asyncio.BaseProtocol, sys.stdout)
        tasks = [asyncio.create_task(self._hear(reader)), asyncio.create_task(self._attend())]
        await self._ended.wait()
        for task in tasks:
            task.cancel()

    async def _hear(self, reader: asyncio.StreamReader) -> None:
        while data := await reader.read(CHUNK):
            self._helper.from_exabgp(data)
            self._act()
        self._helper.exabgp_gone()
        self._act()

    async def _attend(self) -> None:
        """Be there for the agent, and for the next one."""
        while True:
            try:
                reader, self._agent = await asyncio.open_unix_connection(self._path, limit=CHUNK << 4)
            except OSError:
                await asyncio.sleep(RETRY)
                continue
            self._helper.agent_connected()
            self._act()
            with contextlib.suppress(OSError, ValueError):  # the agent died; a line without end is no agent's
                while line := await reader.readline():
                    try:
                        self._helper.from_agent(line)
                    except PlainError as error:
                        print(f"aero bgp: {error}", file=sys.stderr)
                    self._act()
            self._agent.close()
            self._agent = None
            self._helper.agent_gone()
            self._act()

    def _act(self) -> None:
        for action in self._helper.actions():
            match action:
                case ToExabgp() if self._exabgp:
                    self._exabgp.write(action.data)
                case ToAgent() if self._agent:
                    self._agent.write(json.dumps(action.message).encode() + b"\n")
                case Quit():
                    self._ended.set()


def end_exabgp_with_us() -> None:
    """See to it that ExaBGP ends when we die, however we die.

    Left alone it notices only when it has something to tell us, and its peers go on believing what nobody can take
    back any more (measured with 5.0.15, where exabgp.api.terminate changes nothing about that).
    """
    exabgp = os.pidfd_open(os.getppid())
    read, write = os.pipe()
    if os.fork():
        os.close(read)
        os.close(exabgp)
        return
    for fd in (write, sys.stdin.fileno(), sys.stdout.fileno()):
        os.close(fd)
    os.read(read, 1)  # returns when the last writer, our parent, is gone
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(exabgp, signal.SIGTERM)
    os._exit(0)


def main() -> None:
    """Run for one ExaBGP."""
    if len(sys.argv) != 2:
        print("aero bgp: usage: python -m agents.aero.bgp SOCKET", file=sys.stderr)
        raise SystemExit(2)
    end_exabgp_with_us()
    asyncio.run(Program(sys.argv[1]).run())
    os._exit(0)  # a broken pipe to ExaBGP must not keep the interpreter


if __name__ == "__main__":
    main()
