"""What a check is: a function from a run and parameters to results, registered under a name."""

from __future__ import annotations

import difflib
import inspect
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from captures.pcapng import CaptureError
from captures.run import EVENTS, Run

FRAMES_SHOWN = 12
"""Frames named per capture and result: enough to look them up, not a second copy of the capture."""
PROBLEMS_SHOWN = 3


class Framed(Protocol):
    """Anything that came from a numbered frame of a capture file, or a numbered line of the event log."""

    @property
    def file(self) -> str: ...  # noqa: D102
    @property
    def number(self) -> int: ...  # noqa: D102


@dataclass(slots=True)
class Result:
    """One line of the verdict."""

    id: str
    requirement: str
    """Requirement of the fact sheet it proves: "HO-5", "RA-2, RA-5"."""
    title: str
    passed: bool | None
    """None: nothing was seen, `measured` says what was missing."""
    expected: str
    measured: str
    evidence: list[dict[str, Any]] = field(default_factory=list)
    optional: bool = False
    """The lab expects that there may be nothing to see."""

    @property
    def fine(self) -> bool:
        """A check that saw nothing fails the run unless the lab declared it optional."""
        return self.passed is True or (self.passed is None and self.optional)

    def as_json(self) -> dict[str, Any]:
        """The object written to verdict.json."""
        found = {
            "id": self.id,
            "requirement": self.requirement,
            "title": self.title,
            "passed": self.passed,
            "expected": self.expected,
            "measured": self.measured,
            "evidence": self.evidence,
        }
        return {**found, "optional": True} if self.optional else found


Check = Callable[..., list[Result]]
REGISTRY: dict[str, Check] = {}


def check(name: str) -> Callable[[Check], Check]:
    """Register a check under the name labs use in lab.json."""

    def register(function: Check) -> Check:
        REGISTRY[name] = function
        return function

    return register


def call(run: Run, entry: dict[str, Any]) -> list[Result]:
    """Run one entry of lab.json's "checks"; CaptureError names an unknown check or parameter."""
    parameters = dict(entry)
    name, optional = parameters.pop("check", None), bool(parameters.pop("optional", False))
    if name not in REGISTRY:
        raise CaptureError(f"unknown check {name!r}{_nearest(str(name), REGISTRY)}")
    known = list(inspect.signature(REGISTRY[name]).parameters)[1:]
    for key in parameters:
        if key not in known:
            raise CaptureError(f"check {name}: unknown parameter {key!r}{_nearest(key, known)}")
    results = REGISTRY[name](run, **parameters)
    for result in results:
        result.optional = result.optional or optional
    return results


def _nearest(word: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(word, list(known), 1)
    return f", did you mean {close[0]!r}?" if close else f" (known: {', '.join(sorted(known))})"


def required(run: Run, *requirements: str) -> str:
    """Requirements, and the scenario that the lab is: what a check proves of it, it proves there only."""
    return ", ".join(filter(None, [*requirements, run.scenario]))


def evidence(frames: Iterable[Framed], shown: int = FRAMES_SHOWN) -> list[dict[str, Any]]:
    """Group frames by capture: [{"pcap": file, "frames": [...], "more": n left out}]; lines of the event log: "log"."""
    grouped: dict[str, set[int]] = defaultdict(set)
    for frame in frames:
        grouped[frame.file].add(frame.number)
    found = []
    for file, numbers in grouped.items():
        first = sorted(numbers)[:shown]
        entry: dict[str, Any] = {"log": file, "lines": first} if file == EVENTS else {"pcap": file, "frames": first}
        if len(numbers) > shown:
            entry["more"] = len(numbers) - shown
        found.append(entry)
    return found


@dataclass(slots=True)
class Tally:
    """Collects what a check looked at and what was wrong with it, then makes the Result."""

    id: str
    requirement: str
    title: str
    expected: str
    seen: list[Framed] = field(default_factory=list)
    problems: list[tuple[str, Framed | None]] = field(default_factory=list)
    missing: str = ""
    """Why nothing could be judged."""

    def see(self, *frames: Framed) -> None:
        """Frames that support the result."""
        self.seen.extend(frames)

    def wrong(self, what: str, *frames: Framed) -> None:
        """One violation and the frames showing it."""
        self.problems.extend((what, frame) for frame in frames or (None,))

    def demand(self, holds: bool, what: str, *frames: Framed) -> None:
        """A violation unless the condition holds."""
        if not holds:
            self.wrong(what, *frames)

    def result(self, measured: str = "", nothing: str = "nothing of the kind in the captures") -> Result:
        """False with the first problems, None when nothing was seen, else True."""
        if self.problems:
            texts = list(dict.fromkeys(text for text, _ in self.problems))
            more = f" (and {len(texts) - PROBLEMS_SHOWN} more)" if len(texts) > PROBLEMS_SHOWN else ""
            frames = [frame for _, frame in self.problems if frame is not None]
            text = "; ".join(texts[:PROBLEMS_SHOWN]) + more
            return self._make(False, text, frames)
        if not self.seen:
            return self._make(None, self.missing or nothing, [])
        return self._make(True, measured or f"{len(self.seen)} frames conform", self.seen)

    def _make(self, passed: bool | None, measured: str, frames: Sequence[Framed]) -> Result:
        return Result(self.id, self.requirement, self.title, passed, self.expected, measured, evidence(frames))


def plural(count: int, noun: str) -> str:
    """ "1 frame", "2 frames"."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def milliseconds(seconds: float) -> str:
    """ "12.3 ms" from seconds."""
    return f"{seconds * 1000:.1f} ms" if seconds < 10 else f"{seconds:.1f} s"
