"""Route optimisations of a run, put together from every hop's copy of their messages (spec §6.6, RO-*)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from captures.aero.link import AeroLink
from captures.aero.records import Frame, Mediation

Token = tuple[int, bytes]


@dataclass
class Optimisation:
    """All messages with one token, each as its sender put it on the underlay, in order."""

    token: Token
    predirects: list[Frame] = field(default_factory=list)
    redirects: list[Frame] = field(default_factory=list)

    @property
    def first(self) -> Frame:
        """The originator's Predirect, or the first message there is."""
        return (self.predirects or self.redirects)[0]

    @property
    def title(self) -> str:
        """Of whom to whom: "2001:db8::/56"."""
        said = said_in(self.first)
        return f"{said.prefix}" if said.prefix else said.name


def said_in(frame: Frame) -> Mediation:
    """The message of a frame that holds one."""
    assert frame.mediation
    return frame.mediation


def sent_mediations(link: AeroLink) -> list[Frame]:
    """Every Predirect and Redirect at its sender's interface, in order of time."""
    frames = [one for node in link.nodes for one in link.sent(node) if one.mediation]
    return sorted(frames, key=lambda one: one.time)


def optimisations(link: AeroLink) -> list[Optimisation]:
    """By token, the earliest first."""
    found: dict[Token, Optimisation] = {}
    for frame in sent_mediations(link):
        said = said_in(frame)
        if said.token is None:
            continue
        one = found.setdefault(said.token, Optimisation(said.token))
        (one.predirects if said.predirect else one.redirects).append(frame)
    return list(found.values())


def of_flow(link: AeroLink, source: Any, destination: Any) -> Iterator[Optimisation]:
    """Those that packets between two inner addresses started."""
    for one in optimisations(link):
        quoted = said_in(one.first).quoted
        if quoted and (quoted.source, quoted.destination) == (source, destination):
            yield one
