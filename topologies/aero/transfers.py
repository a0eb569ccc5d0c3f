"""A file from host to host while things happen: real TCP, announced in the event log, judged from the captures."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import IO, TYPE_CHECKING, Any

from testbed.validation import LabError
from topologies.traffic import PATIENCE

if TYPE_CHECKING:
    from topologies.runner import Run

PORT = 8000
TOOL = "topologies.tools.file_transfer"


class Transfer:
    """One connection by which `node` fetches a file from `peer`."""

    def __init__(
        self, run: Run, name: str, node: str, source: str, peer: str, target: str, *, octets: int, rate: int
    ) -> None:
        """`rate`: octets a second at most."""
        self._run = run
        self._octets = octets
        ends = {"name": name, "peer": peer, "source": source, "destination": target, "port": PORT}
        self._event: dict[str, Any] = {"node": node, "agent": "lab", "event": "transfer", **ends, "rate": rate}
        self._sender = _program(run, peer, "send", str(PORT), str(octets), str(rate))
        if _line(self._sender) != b"listening":
            raise LabError(f"{peer}: nobody sends the file")
        self._begin = time.time()
        self._receiver = _program(run, node, "fetch", source, target, str(PORT))
        self._had = 0

    def reached(self, part: float) -> None:
        """Wait until this part of the file has arrived, 0 to 1 (LabError when it never does)."""
        while self._had < part * self._octets:
            line = _line(self._receiver)
            if not line.isdigit():
                raise LabError(f"{self._event['node']} has {self._had} of {self._octets} octets, and gets no more")
            self._had = int(line)

    def finish(self) -> None:
        """Wait for the end of both programs, and say what they found (LabError when one failed)."""
        told = {"fetched": _end(self._receiver), "sent": _end(self._sender)}
        self._run.events.append({"t": self._begin, "end": time.time(), **self._event, **told})


def _program(run: Run, node: str, *arguments: str) -> subprocess.Popen[bytes]:
    return run.spawn(node, [sys.executable, "-m", TOOL, *arguments])


def _out(process: subprocess.Popen[bytes]) -> IO[bytes]:
    assert process.stdout
    return process.stdout


def _line(process: subprocess.Popen[bytes]) -> bytes:
    return _out(process).readline().strip()


def _end(process: subprocess.Popen[bytes]) -> dict[str, Any]:
    """The last line of a program."""
    lines = _out(process).read().splitlines()
    if process.wait(PATIENCE) or not lines:
        raise LabError(f"the transfer broke off, exit {process.returncode}")
    found: dict[str, Any] = json.loads(lines[-1])
    return found
