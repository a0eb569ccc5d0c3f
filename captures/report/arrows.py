"""What a message sequence chart is made of, whatever the protocol."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Arrow:
    """One arrow of the chart."""

    time: float
    source: str
    destination: str
    head: str
    detail: str
    css: str
    tip: str


@dataclass(frozen=True, slots=True)
class Step:
    """A step of the lab's script, drawn as a band."""

    time: float
    title: str
