"""Waiting for a condition, never for a time; a wait that fails says what was seen last."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from testbed.validation import LabError

T = TypeVar("T")


class NotYet(Exception):
    """Raised by a predicate to say what it saw instead of what is waited for."""


class WaitTimeout(LabError):
    """What was waited for did not come; last holds the last observation."""

    def __init__(self, what: str, timeout: float, last: str) -> None:
        self.last = last
        super().__init__(f"{what}: not after {timeout:g} s; last seen: {last}")


def wait_until(what: str, predicate: Callable[[], T], *, timeout: float = 10.0, interval: float = 0.01) -> T:
    """Return predicate()'s value as soon as it is true; ask every interval seconds, for timeout seconds.

    A false value, or NotYet("what was seen"), means not yet and is reported by WaitTimeout.
    """
    deadline = time.monotonic() + timeout
    while True:
        try:
            value = predicate()
            if value:
                return value
            last = repr(value)
        except NotYet as seen:
            last = str(seen)
        remaining = deadline - time.monotonic()
        if remaining <= 0:
            raise WaitTimeout(what, timeout, last)
        time.sleep(min(interval, remaining))
