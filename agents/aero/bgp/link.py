"""The socket at which an agent waits for the program that ExaBGP runs."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agents.aero.bgp.notices import BgpConnected, BgpGone, BgpNotice, ToBgp, read_news
from agents.kernel.netlink import KernelError
from agents.plain import PlainError
from agents.runtime import announce

LONGEST_LINE = 1 << 20


class BgpLink:
    """One program at a time: a new one takes the place of one that is not known to be dead yet."""

    def __init__(self, path: str, feed: Callable[[BgpNotice], None], now: Callable[[], float]) -> None:
        self._path = Path(path)
        self._feed = feed
        self._now = now
        self._writer: asyncio.StreamWriter | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.unlink(missing_ok=True)
        self._listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            self._listening.bind(path)
            self._path.chmod(0o600)
            self._listening.listen(1)
        except OSError as error:
            self._listening.close()
            raise KernelError(f"cannot listen at {path}: {error.strerror}", error.errno or 0) from error

    def fileno(self) -> int:
        """Readable when a program wants to connect."""
        return self._listening.fileno()

    def accept(self) -> None:
        """Let it in."""
        try:
            connection, _address = self._listening.accept()
        except OSError:
            return  # it has gone away again
        task = asyncio.get_running_loop().create_task(self._serve(connection))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def tell(self, action: ToBgp) -> None:
        """Write a message; without anybody there it is not needed: who comes is told everything."""
        if self._writer:
            self._writer.write(json.dumps(action.message).encode() + b"\n")

    async def leave(self) -> None:
        """Stop waiting; the program withdraws everything when its connection ends."""
        if self._listening.fileno() >= 0:
            asyncio.get_running_loop().remove_reader(self._listening)
        self.close()
        if self._writer:
            self._writer.close()

    def close(self) -> None:
        """Stop waiting."""
        self._listening.close()
        self._path.unlink(missing_ok=True)

    async def _serve(self, connection: socket.socket) -> None:
        reader, writer = await asyncio.open_unix_connection(sock=connection, limit=LONGEST_LINE)
        if self._writer:
            self._leave(self._writer)
        self._writer = writer
        self._feed(BgpConnected())
        try:
            while line := await reader.readline():
                if self._writer is not writer:
                    return
                self._hear(json.loads(line))
        except (OSError, ValueError) as error:  # it died; or it is not what it should be
            announce("bgp-speaker-unfit", self._now(), reason=str(error))
        finally:
            if self._writer is writer:
                self._leave(writer)

    def _hear(self, message: Any) -> None:
        try:
            self._feed(read_news(message))
        except PlainError as error:
            announce("bgp-speaker-unfit", self._now(), reason=str(error))

    def _leave(self, writer: asyncio.StreamWriter) -> None:
        self._writer = None
        writer.close()
        self._feed(BgpGone())
