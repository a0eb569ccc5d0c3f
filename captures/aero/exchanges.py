"""DHCPv6 conversations of Clients, put together from what Client, relay and Kea each said."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from captures.aero.link import AeroLink, Client, Server
from captures.aero.records import Dhcp, Frame

RELAY_FORWARD, RELAY_REPLY = 12, 13
CLOCK = 0.001
SOLICIT, REQUEST, RENEW, REBIND, REPLY, RELEASE = 1, 3, 5, 6, 7, 8


@dataclass(frozen=True, slots=True)
class Exchange:
    """One client message and what became of it; None where the captures show nothing."""

    client: Client
    asked: Frame
    """At the Client's interface."""
    server: Server | None = None
    arrived: Frame | None = None
    """At the Server's interface."""
    forwarded: Frame | None = None
    """Relay-forward on the Server's loopback."""
    answered: Frame | None = None
    """Relay-reply there."""
    delivered: Frame | None = None
    """The answer as it left the Server."""
    received: Frame | None = None
    """The answer at the Client's interface."""

    @property
    def message(self) -> Dhcp:
        """What the Client said."""
        assert self.asked.dhcp
        return self.asked.dhcp

    @property
    def reply(self) -> Dhcp | None:
        """What it was told."""
        return self.received.dhcp if self.received else None

    @property
    def title(self) -> str:
        """ "c1 Solicit"."""
        return f"{self.client.name} {self.message.name}"

    def frames(self) -> list[Frame]:
        """All frames of it."""
        steps = (self.asked, self.arrived, self.forwarded, self.answered, self.delivered, self.received)
        return [frame for frame in steps if frame]


def exchanges(link: AeroLink) -> Iterator[Exchange]:
    """Every client message, by Client and time."""
    for client in link.clients.values():
        for asked in link.conversing(client):
            if asked.outer.source in client.underlay:
                yield _follow(link, client, asked)


def _follow(link: AeroLink, client: Client, asked: Frame) -> Exchange:
    server = next((one for one in link.servers.values() if asked.outer.destination in one.underlay), None)
    message = asked.dhcp
    assert message
    if server is None:
        return Exchange(client, asked)
    loopback = link.frames(server.name, "lo")
    wan = link.conversing(server)
    arrived = _find(wan, asked.time, lambda one: one.dhcp is not None and one.dhcp.octets == message.octets)
    forwarded = _find(loopback, asked.time, lambda one: _holds(one, RELAY_FORWARD) and _inside(one) == message.octets)
    answered = delivered = received = None
    if forwarded:
        answered = _find(loopback, forwarded.time, lambda one: _holds(one, RELAY_REPLY) and _answers(one, message))
    if answered:
        octets = _inside(answered)
        delivered = _find(wan, answered.time, lambda one: one.dhcp is not None and one.dhcp.octets == octets)
    at_client = (one for one in link.conversing(client) if one.outer.destination in client.underlay)
    received = _find(at_client, asked.time, lambda one: one.dhcp is not None and _same(one.dhcp, message))
    return Exchange(client, asked, server, arrived, forwarded, answered, delivered, received)


def _find(frames: Iterable[Frame], after: float, holds: Callable[[Frame], bool]) -> Frame | None:
    """The first such frame; captures of two interfaces may order a frame's two records by some microseconds."""
    return next((frame for frame in frames if frame.time >= after - CLOCK and holds(frame)), None)


def _holds(frame: Frame, kind: int) -> bool:
    return frame.dhcp is not None and frame.dhcp.type == kind


def _inside(frame: Frame) -> bytes:
    return frame.dhcp.carried.octets if frame.dhcp and frame.dhcp.carried else b""


def _answers(frame: Frame, message: Dhcp) -> bool:
    return frame.dhcp is not None and frame.dhcp.carried is not None and _same(frame.dhcp.carried, message)


def _same(answer: Dhcp, message: Dhcp) -> bool:
    return answer.transaction == message.transaction and answer.client == message.client
