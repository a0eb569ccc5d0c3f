"""What long work says on the way: one line a step, with the time since it began, on stderr."""

from __future__ import annotations

import time

from rich.text import Text

from topologies.cli.options import screen


class Steps:
    """Callable that shows one step; also counts the time."""

    def __init__(self, label: str) -> None:
        self._label = label
        self._began = time.monotonic()
        self._screen = screen(to_stderr=True)

    def __call__(self, text: str) -> None:
        """Show one step."""
        self._screen.print(Text.assemble((f"{self.seconds:6.1f} s ", "dim"), (self._label, "bold"), f" {text}"))

    @property
    def seconds(self) -> float:
        """Since the work began."""
        return time.monotonic() - self._began
