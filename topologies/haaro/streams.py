"""A series of echo requests that goes on while the script does something."""

from __future__ import annotations

import itertools
import subprocess
import time
from typing import TYPE_CHECKING, Any

from topologies.traffic import PATIENCE

if TYPE_CHECKING:
    from topologies.runner import Run

_identifiers = itertools.count(6000)
SIZE = 84


class Stream:
    """`count` echo requests, `interval` seconds apart, from the moment it is made."""

    def __init__(
        self, run: Run, name: str, node: str, source: str, peer: str, target: str, *, count: int, interval: float
    ) -> None:
        identifier = next(_identifiers)
        argv = ["ping", "-4", "-n", "-q", "-e", str(identifier), "-c", str(count), "-i", str(interval), "-W", "1"]
        self._run = run
        self._node = node
        self._fields: dict[str, Any] = {
            "name": name,
            "peer": peer,
            "source": source,
            "destination": target,
            "icmp_id": identifier,
            "count": count,
            "size": SIZE,
            "expect": "reply",
        }
        self._begin = time.time()
        self._process = run.spawn(node, [*argv, "-I", source, target], stdout=subprocess.DEVNULL)

    def end(self, **more: Any) -> None:
        """Wait for its end, and say in the event log what it sent."""
        self._process.wait(PATIENCE)
        fields = {"t": self._begin, "end": time.time(), "node": self._node, "agent": "lab", "event": "pings"}
        self._run.events.append({**fields, **self._fields, **more})
