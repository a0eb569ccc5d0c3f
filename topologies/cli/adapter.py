"""A deployed run as the supervisor wants it (testbed.supervisor.Deployment)."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from typing import Any

from topologies.runner import Run

Message = dict[str, Any]


class DeployedRun:
    """Forwards the supervisor's requests to the run."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def inspect(self, node: str | None) -> Message:
        """State of the lab or one node."""
        return self._run.inspect(node)

    def move(self, node: str, cell: str) -> Message:
        """Hand over."""
        return self._run.move(node, cell)

    def spawn(
        self, node: str, argv: Sequence[str], files: Sequence[int], environment: dict[str, str], directory: str
    ) -> subprocess.Popen[Any]:
        """Start a process in a node."""
        stdin, stdout, stderr = files
        process: subprocess.Popen[Any] = self._run.net[node].popen(
            list(argv), stdin=stdin, stdout=stdout, stderr=stderr, env=environment, cwd=directory
        )
        return process

    def subscribe(self, callback: Callable[[Message], None]) -> Callable[[], None]:
        """Events from now on."""
        return self._run.events.subscribe(callback)

    def captures(self) -> list[Message]:
        """Captures with their state."""
        return self._run.captures()

    def stop_captures(self) -> None:
        """End recording."""
        self._run.stop_captures()

    def destroy(self) -> None:
        """Stop captures, then agents."""
        self._run.stop()
