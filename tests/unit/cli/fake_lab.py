"""A lab at rest for the command line's tests: options of every kind, a topology of plain data."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import Any

from testbed.validation import LabError, one_of, unknown


@dataclass(frozen=True)
class Options:
    mode: str = field(default="direct", metadata={"help": "who tells whom", "choices": ("direct", "relay")})
    moves: int = field(default=3, metadata={"help": "handovers"})
    loss: float | None = field(default=None, metadata={"help": "percent"})
    camera: bool = field(default=True, metadata={"help": "stream"})


class FakeLab:
    name = "fake"
    title = "a lab for tests"
    summary = "nothing runs"
    options = Options

    def configure(self, **values: Any) -> Options:
        for key in values:
            if key not in [each.name for each in fields(Options)]:
                raise LabError(f"fake: {unknown('option', key, [each.name for each in fields(Options)])}")
        return replace(Options(), **values)

    def validate(self, options: Options) -> None:
        wrong = one_of("direct", "relay")(options.mode)
        if wrong:
            raise LabError(f"fake: mode must be {wrong}, not {options.mode!r}")
