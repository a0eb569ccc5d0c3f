"""Talks to a running lab from the outside: requests, and commands in its nodes with our own terminal."""

from __future__ import annotations

import fcntl
import os
import select
import signal
import socket
import sys
import termios
import tty
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

from testbed import signals
from testbed.labsocket import Channel, LabName, peer_uid, running
from testbed.validation import LabError

Message = dict[str, Any]

_FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, signal.SIGHUP, signal.SIGWINCH)


def find(lab: str | None) -> LabName:
    """The running lab of that name, or the only one; LabError says what runs otherwise."""
    names = running()
    wanted = [name for name in names if lab in (None, name.lab)]
    mine = [name for name in wanted if name.uid == os.geteuid()]
    for choice in (wanted, mine):
        if len(choice) == 1:
            return choice[0]
    if not wanted:
        what = f"lab {lab} is not running" if lab else "no lab is running"
        raise LabError(f"{what}: roamlab deploy {lab or 'LAB'}")
    raise LabError("several labs are running, name one with -t: " + ", ".join(name.lab for name in wanted))


@contextmanager
def connected(name: LabName) -> Iterator[Channel]:
    """A connection to a running lab."""
    channel = Channel(_connect(name))
    try:
        yield channel
    finally:
        channel.close()


def request(name: LabName, what: str, **fields: Any) -> Message:
    """One request and its answer; LabError when the lab refuses."""
    with connected(name) as channel:
        return ask(channel, {"request": what, **fields})


def ask(channel: Channel, message: Message, files: Sequence[int] = ()) -> Message:
    """Send one request over `channel` and return the answer; LabError when the lab refuses or ends."""
    with suppress(BrokenPipeError):  # it has said why before it closed
        channel.send(message, files)
    answer = channel.receive()
    if answer is None:
        raise LabError("the lab ended while it was asked: see supervisor.log in its run directory")
    if "error" in answer:
        raise LabError(answer["error"])
    return answer


def events(name: LabName) -> Iterator[Message]:
    """Events of a running lab from now on, until it ends."""
    with connected(name) as channel:
        ask(channel, {"request": "events"})
        while (message := channel.receive()) is not None:
            if "event" in message:
                yield message["event"]


def execute(name: LabName, node: str, argv: Sequence[str], stdin: int = 0) -> int:
    """Run argv in a node with our own standard streams; its exit code.

    With a terminal on both sides the process gets a terminal of its own (job control, window size,
    Ctrl-C as typed); otherwise it gets our descriptors themselves, and our signals.
    """
    with connected(name) as channel:
        message: Message = {
            "request": "exec",
            "node": node,
            "argv": list(argv),
            "environment": dict(os.environ),
            "directory": str(Path.cwd()),
        }
        sys.stdout.flush()
        if os.isatty(stdin) and os.isatty(1):
            return _with_terminal(channel, message, stdin)
        with _forwarding(channel):
            return int(ask(channel, message, [stdin, 1, 2])["exit"])


def _connect(name: LabName) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    root = os.geteuid() == 0 != name.uid
    if root:  # a lab in a user namespace cannot tell root from a stranger: come as its owner
        os.seteuid(name.uid)
    try:
        connection.connect(name.address)
    except ConnectionRefusedError:
        connection.close()
        raise LabError(f"lab {name.lab} is not running: roamlab deploy {name.lab}") from None
    finally:
        if root:
            os.seteuid(0)
    if peer_uid(connection) != name.uid:
        connection.close()
        raise LabError(f"the socket of lab {name.lab} is held by another user")
    return connection


def _forwarding(channel: Channel) -> AbstractContextManager[None]:
    def forward(number: int, frame: FrameType | None) -> None:
        with suppress(ConnectionError):
            channel.send({"signal": number})

    return signals.handled(_FORWARDED, forward)


def _with_terminal(channel: Channel, message: Message, stdin: int) -> int:
    ours, theirs = os.openpty()
    try:
        _copy_window_size(stdin, ours)
        termios.tcsetattr(theirs, termios.TCSANOW, termios.tcgetattr(stdin))
        try:
            channel.send({**message, "terminal": True}, [theirs] * 3)
        finally:
            os.close(theirs)
        following = signals.handled([signal.SIGWINCH], lambda number, frame: _copy_window_size(stdin, ours))
        with _raw(stdin), following:
            answer = _relay(channel, stdin, ours)
    finally:
        os.close(ours)
    if answer is None:
        raise LabError("the lab ended")
    if "error" in answer:
        raise LabError(answer["error"])
    return int(answer["exit"])


def _relay(channel: Channel, stdin: int, terminal: int) -> Message | None:
    """Carry bytes between the two terminals until the lab says how the process ended."""
    watched: list[Any] = [channel, stdin, terminal]
    while True:
        ready = select.select(watched, [], [])[0]
        if terminal in ready and not _copy(terminal, 1):
            watched.remove(terminal)  # every process has closed it; the exit code follows
        if stdin in ready and not _copy(stdin, terminal):
            watched.remove(stdin)
        if channel in ready and terminal not in ready:
            return channel.receive()


def _copy(source: int, target: int) -> bool:
    try:
        data = os.read(source, 65536)
        while data:
            data = data[os.write(target, data) :]
            if not data:
                return True
    except OSError:  # EIO: the other side of a pseudo-terminal has no reader or writer left
        pass
    return False


@contextmanager
def _raw(terminal: int) -> Iterator[None]:
    before = termios.tcgetattr(terminal)
    tty.setraw(terminal)
    try:
        yield
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)


def _copy_window_size(source: int, target: int) -> None:
    size = fcntl.ioctl(source, termios.TIOCGWINSZ, b"\0" * 8)
    fcntl.ioctl(target, termios.TIOCSWINSZ, size)
