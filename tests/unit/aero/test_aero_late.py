"""A node that stood still for a while (a paused machine, a busy one) still lets its neighbors answer."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from itertools import pairwise

import pytest
from aero_domain import RELAY, Link, permanent

from agents.aero.config import DataPlaneConfig
from agents.aero.discovery.base import LATE, Solicitations
from agents.aero.lladdr import Encapsulation, LinkLayerAddress
from agents.aero.neighbors import Neighbor, NeighborCache, NeighborType, Path
from agents.core import Outbox

SERVER = LinkLayerAddress(Encapsulation.UDP, ip_address("203.0.113.1"), 8060)


@dataclass
class Host:
    address: IPv6Address
    router: bool = False

    def lladdrs(self, toward, *, target):
        return ()


def asked(pause: float, at: float) -> tuple[list[float], float]:
    """When a Server that never answers is asked, and given up, by a node that stands still at a moment."""
    outbox = Outbox()
    solicitations = Solicitations(NeighborCache(), outbox, Host(IPv6Address("fe80::9")))
    server = Neighbor(IPv6Address("fe80::1"), NeighborType.STATIC, router=True, paths=[Path(SERVER)])
    times, lost, now = [], [], 0.0
    solicitations.send(server, SERVER, now, answered=lambda *_: None, lost=lambda _each, when: lost.append(when))
    while True:
        times += [now for _sent in outbox.actions()]
        due = solicitations.next_timer()
        if due is None:
            return times, lost[0]
        now = max(now, due)
        if at <= now < at + pause:
            now = at + pause
        solicitations.handle_timer(now)


@pytest.mark.requirement("CLI-9")
def test_a_little_late_is_no_later_in_the_end():
    times, lost = asked(LATE / 2, 1.0)
    assert times == [0.0, pytest.approx(1.0 + LATE / 2), pytest.approx(2.0)]
    assert lost == pytest.approx(3.0)


@pytest.mark.requirement("CLI-9")
@pytest.mark.parametrize("pause", [0.2, 0.9, 2.0, 30.0])
@pytest.mark.parametrize("at", [0.5, 1.0, 2.0, 3.0])
def test_what_was_due_meanwhile_is_not_sent_at_once(at, pause):
    times, lost = asked(pause, at)
    assert len(times) == 3
    assert min(later - earlier for earlier, later in pairwise([*times, lost])) >= 1.0 - LATE - 1e-9


@pytest.mark.requirement("ENC-9", "ENC-10")
def test_a_server_that_starts_late_is_still_reached_by_the_preferred_encapsulation():
    """The Relay has asked in vain, and would ask again after ten minutes; the Server asks as soon as it is there."""
    link, plane = Link(), DataPlaneConfig(encapsulation="minimal")
    server = link.add_server(1, relays=(permanent("r1", *RELAY),), dataplane=plane)
    server.up = False
    relay = link.add_relay([server], dataplane=plane)
    link.run(10)
    server.up = True
    link.start(server)
    link.run(20)
    for node, other in ((relay, server.core.address), (server, RELAY[0])):
        path = node.core.cache.get(other).path
        assert path.lladdr.encapsulation is Encapsulation.MINIMAL
        assert path.fragments
