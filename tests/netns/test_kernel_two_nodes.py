"""Two nodes with prefixes of one anchor, both at one other gateway: what they say goes round by the anchor, once."""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import IPv6Address, IPv6Network

import pytest
from kernel_namespaces import Capture, Namespace, wire
from two_gateways import (
    ANCHOR,
    DLIF_A,
    DLIF_B,
    MN,
    PREF_A,
    PREF_B,
    SERVING,
    Lab,
    handed_over,
    restarted,
    tunnelled,
)

from agents.dgw.forwarding import AnchorRoute, Dlif, Item, SourceGate, Tunnel, TunnelGate, Uplink

pytestmark = [pytest.mark.netns, pytest.mark.stock]

OTHER_A, OTHER_B = IPv6Network("2001:db8:a1:2::/64"), IPv6Network("2001:db8:b2:2::/64")
OTHER, OTHER_OWN, OWN = OTHER_A[0x12], OTHER_B[0x12], PREF_B[0x11]
"""The second node's address of the anchor's pool, of the serving gateway's, and the first node's of that one."""
OTHER_DLIFS = (
    Dlif("mn2dgw1", "phy2", "02:d6:00:01:00:02", IPv6Address("fe80::d6ff:fe01:2"), OTHER_A),
    Dlif("mn2dgw2", "phy2", "02:d6:00:02:00:02", IPv6Address("fe80::d6ff:fe02:2"), OTHER_B),
)
AT_SERVING: list[Item] = [
    Tunnel(ANCHOR),
    TunnelGate(ANCHOR, OTHER_A, "destination"),
    Uplink(OTHER_A, ANCHOR, 1002, ((OTHER_A, "mn2dgw1"), (OTHER_B, "mn2dgw2"))),
    *OTHER_DLIFS,
    *(SourceGate(dlif.name, prefix) for dlif in OTHER_DLIFS for prefix in (OTHER_A, OTHER_B)),
    *(SourceGate(dlif.name, PREF_B) for dlif in (DLIF_A, DLIF_B)),
]
AT_ANCHOR: list[Item] = [TunnelGate(SERVING, OTHER_A, "source"), AnchorRoute(OTHER_A, SERVING)]


@pytest.fixture
def other(lab: Lab) -> Iterator[Namespace]:
    """The second node, on a link of its own; both nodes have a prefix of each gateway."""
    node = Namespace("mn2")
    wire(lab.serving, "phy2", node, "eth0")
    handed_over(lab)
    lab.install(lab.serving, *AT_SERVING)
    lab.install(lab.anchor, *AT_ANCHOR)
    lab.mn.batch(f"addr add {OWN}/64 dev eth0 nodad")
    node.batch(
        f"addr add {OTHER}/64 dev eth0 nodad",
        f"addr add {OTHER_OWN}/64 dev eth0 nodad",
        f"route add default via {OTHER_DLIFS[1].link_local} dev eth0",
    )
    yield node
    node.close()


def hops_left(node: Namespace, source: IPv6Address, target: IPv6Address) -> int:
    """The hop limit that a ping's answer arrives with."""
    out = node.run("ping", "-6", "-n", "-c1", "-W5", "-I", str(source), str(target))
    found = re.search(r"ttl=(\d+)", out)
    assert found, out
    return int(found[1])


@pytest.mark.requirement("HO-6", "HO-9", "HO-10")
def test_what_comes_back_from_the_anchor_goes_to_the_node(lab: Lab, other: Namespace) -> None:
    """Its source has an uplink here, but it has been there: by destination now, else it would go round for ever"""
    capture = Capture(lab.core, "dgw2")
    for node, source, target in ((lab.mn, MN, OTHER), (other, OTHER, MN)):
        left = hops_left(node, source, target)
        assert left >= 61, "one hop into the tunnel, one at the anchor, one out of it"
        request = tunnelled((SERVING, ANCHOR), (source, target))
        back = tunnelled((ANCHOR, SERVING), (source, target))
        capture.until("answer out of the tunnel", tunnelled((ANCHOR, SERVING), (target, source)))
        assert [len(list(filter(test, capture.frames))) for test in (request, back)] == [1, 1], "once round"
        capture.frames.clear()
    capture.close()
    assert not any(lab.dropped(lab.serving).values())
    assert not any(lab.dropped(lab.anchor).values())


@pytest.mark.requirement("HO-10", "ATT-10")
def test_what_comes_back_natively_goes_to_the_node(lab: Lab, other: Namespace) -> None:
    """From an anchored prefix to one that the gateway anchors itself: into the tunnel, and back over the core"""
    capture = Capture(lab.core, "dgw2")
    assert hops_left(lab.mn, MN, OTHER_OWN) == 63, "the answer's prefix is on a link of the same gateway"
    assert len([frame for frame in capture.frames if tunnelled((SERVING, ANCHOR), (MN, OTHER_OWN))(frame)]) <= 1
    capture.close()
    hops_left(other, OTHER_OWN, MN)
    hops_left(lab.mn, OWN, OTHER)
    hops_left(other, OTHER, OWN)


@pytest.mark.requirement("HO-10")
def test_the_gateways_own_packets_from_a_prefix_take_its_uplink(lab: Lab, other: Namespace) -> None:
    """A DLIF's address belongs to the anchor's prefix: what is sent from it must not enter the core here"""
    capture = Capture(lab.core, "dgw2")
    lab.serving.run("ping", "-6", "-c1", "-W5", "-I", str(DLIF_A.address), "2001:db8:f::2")
    capture.until("tunnelled uplink", tunnelled((SERVING, ANCHOR), (DLIF_A.address, IPv6Address("2001:db8:f::2"))))
    capture.close()


def test_restart_keeps_it_so(lab: Lab, other: Namespace) -> None:
    uplink = Uplink(PREF_A, ANCHOR, 1001, ((PREF_A, "mn1dgw1"), (PREF_B, "mn1dgw2")))
    gates = [SourceGate(dlif.name, PREF_A) for dlif in (DLIF_A, DLIF_B)]
    first = [TunnelGate(ANCHOR, PREF_A, "destination"), uplink, DLIF_A, DLIF_B, *gates]
    assert restarted(lab, lab.serving, [*AT_SERVING, *first]) == []
    assert hops_left(lab.mn, MN, OTHER) >= 61


def test_nothing_stays_when_a_gateway_ends(lab: Lab, other: Namespace) -> None:
    with lab.serving.entered():
        lab.executors["serving"].clear()
    assert "proto 183" not in lab.serving.run("ip", "-6", "rule", "show")
    restarted(lab, lab.serving, [])
