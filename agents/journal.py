"""What an agent knows after its restart of many values, each of which changes often."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from agents.plain import PlainError

SPARE = 64
"""Lines of a journal that nobody needs any more, at least, before it is written anew."""


class Journal:
    """The last value of each of many keys: a line for each change, which costs the same however many keys there are.

    A line that a crash cut short is none.  When half of the lines are old, the file is written anew: it never has
    more than twice as many as there are keys, and some.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._new = path.with_suffix(path.suffix + ".new")
        self._values: dict[str, int] = {}
        self._lines = 0

    def load(self, wanted: Collection[str]) -> dict[str, int]:
        """The last values of the wanted keys; others are forgotten. PlainError when this is no such file."""
        try:
            text = self._path.read_text() if self._path.exists() else ""
            lines = [line.split() for line in text.splitlines(keepends=True) if line.endswith("\n")]
            self._values = {key: int(value) for key, value in lines if key in wanted}
        except ValueError as error:
            raise PlainError(f"saved values {self._path}: {error}; remove the file to start afresh") from error
        self._rewrite()
        return dict(self._values)

    def put(self, key: str, value: int) -> None:
        """Write a value down; it is the last one of its key."""
        self._values[key] = value
        if self._lines >= 2 * len(self._values) + SPARE:
            self._rewrite()
            return
        with self._path.open("a") as file:
            file.write(f"{key} {value}\n")
        self._lines += 1

    def _rewrite(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._new.write_text("".join(f"{key} {value}\n" for key, value in self._values.items()))
        self._new.replace(self._path)
        self._lines = len(self._values)
