"""How slow this machine is: under emulation everything takes tens of times longer, and time bounds must say so."""

from __future__ import annotations

import time

REFERENCE = 0.010
"""CPU seconds that `_work` takes on an ordinary core of 2020 (measured: 7-11 ms)."""
TOLERATED = 4.0
"""A machine up to this many times slower than the reference has to meet the same bounds."""


def slowness() -> float:
    """1.0 for any real machine; how many times slower than the reference for an emulated one."""
    fastest = min(_timed() for _ in range(3))
    factor = fastest / REFERENCE
    return round(factor, 1) if factor > TOLERATED else 1.0


def _timed() -> float:
    start = time.process_time()
    _work()
    return time.process_time() - start


def _work() -> int:
    total = 0
    for number in range(200_000):
        total += number & 7
    return total
