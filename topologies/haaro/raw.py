"""Whole IPv4 packets from a node, past its agent and past its kernel's idea of what may leave."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from testbed.validation import LabError

if TYPE_CHECKING:
    from topologies.runner import Run


class Raw:
    """A raw sender in a node."""

    def __init__(self, run: Run, node: str) -> None:
        self.node = node
        self._process = run.spawn(node, [sys.executable, "-m", "topologies.tools.raw_sender"], stdin=-1)
        self._expect("ready")

    def send(self, by: str, destination: str, packet: bytes) -> None:
        """Send a packet the way that packets from `by` take; it has left when this returns (LabError)."""
        order = {"by": by, "destination": destination, "packet": packet.hex()}
        assert self._process.stdin
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        self._process.stdin.flush()
        self._expect("sent")

    def _expect(self, word: str) -> None:
        assert self._process.stdout
        said = self._process.stdout.readline().decode().strip()
        if said != word:
            raise LabError(f"{self.node}: the raw sender said {said!r} instead of {word!r}")
