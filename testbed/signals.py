"""Signals: what we were started to ignore, and passing on what we are sent to a program we stand for."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

Handler = Callable[[int, FrameType | None], object]


def interruptible() -> None:
    """Let SIGINT and SIGQUIT end us and what we start, although a shell's background job begins with both ignored.

    SIGTERM is the same orderly end as SIGINT: nothing temporary stays. For a command line, first thing on its main
    thread. SIGHUP stays ignored for those who said `nohup`.
    """
    signal.signal(signal.SIGTERM, _terminated)
    for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGQUIT, signal.SIG_DFL)):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, handler)


def afresh() -> None:
    """Begin what we start with no signal ignored; for a program that starts others in nodes, on its main thread.

    What is ignored stays ignored in everything we execute: `nohup` would make radvd deaf to our SIGHUP. A handler is
    not handed on. So `nohup` holds for us, and for all that dies with us, without their knowing of it.
    """
    interruptible()
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, _outlive)


@contextmanager
def handled(numbers: Iterable[int], handler: Handler) -> Iterator[None]:
    """Call `handler` for these signals during the body, but for those that we were started to ignore."""
    ignoring = (signal.SIG_IGN, _outlive)
    before = {each: signal.signal(each, handler) for each in numbers if signal.getsignal(each) not in ignoring}
    try:
        yield
    finally:
        for number, former in before.items():
            signal.signal(number, former)


def _terminated(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _outlive(number: int, frame: FrameType | None) -> None:
    pass
