"""Answers to pings that come when ping has ended: it waits for two round trips, or its interval, and no longer."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from testbed.waiting import NotYet, WaitTimeout, wait_until

if TYPE_CHECKING:
    from testbed.nodes import Host

COUNTERS = {4: "/proc/net/snmp", 6: "/proc/net/snmp6"}
INTERVAL = 0.05
"""Seconds between two looks, each a program."""


class Replies:
    """Echo replies that come to a node from the moment this is made, as its kernel counts them (RFC 4293)."""

    def __init__(self, node: Host, version: int = 4) -> None:
        self._node = node
        self._version = version
        self._before = self._total()

    def count(self) -> int:
        """How many have come."""
        return self._total() - self._before

    def wait(self, wanted: int, timeout: float) -> int:
        """Wait until so many have come, or no longer; how many have."""

        def come() -> bool:
            if (found := self.count()) < wanted:
                raise NotYet(f"{found} of {wanted}")
            return True

        with contextlib.suppress(WaitTimeout):
            wait_until(f"echo replies at {self._node.name}", come, timeout=timeout, interval=INTERVAL)
        return self.count()

    def _total(self) -> int:
        lines = self._node.run(["cat", COUNTERS[self._version]], check=True).out.splitlines()
        if self._version == 6:
            return int(dict(line.split() for line in lines)["Icmp6InEchoReplies"])
        names, values = (line.split() for line in lines if line.startswith("Icmp:"))
        return int(values[names.index("InEchoReps")])
