"""Local networks behind gateways, on the kernel: the way there, the way back, and who is let in (spec §5.5)."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv6Address, IPv6Network

import pytest
from kernel_namespaces import Capture, Namespace, ipv6, send, udp, wait_until, wire
from two_gateways import (
    ANCHOR,
    CN,
    DLIF_A,
    DLIF_B,
    LOCALNET,
    MN,
    PREF_A,
    PREF_B,
    SERVING,
    SHARED,
    UPLINK,
    Lab,
    handed_over,
    restarted,
    tunnelled,
)

from agents.dgw.forwarding import (
    Item,
    LocalAccess,
    LocalBar,
    LocalGate,
    LocalReturn,
    ReturnPath,
    SourceGate,
    Tunnel,
    TunnelGate,
)

pytestmark = [pytest.mark.netns, pytest.mark.stock]

PRINTER, SAME = LOCALNET[0x99], SHARED[0x99]
"""The printer's addresses; the other gateway's printer has the second one too."""
MN_B = IPv6Address("2001:db8:b2:1::11")

AT_SERVING: list[Item] = [
    LocalGate(ANCHOR, LOCALNET, PREF_B),
    LocalGate(ANCHOR, SHARED, PREF_B),
    LocalAccess("mn1dgw1", LOCALNET, UPLINK.table),
    LocalAccess("mn1dgw1", SHARED, UPLINK.table),
    LocalAccess("mn1dgw1", SHARED, None),
    LocalAccess("mn1dgw2", SHARED, None),
    SourceGate("mn1dgw1", PREF_B),
    SourceGate("mn1dgw2", PREF_B),
]
AT_OWNER: list[Item] = [
    LocalGate(SERVING, PREF_B, LOCALNET),
    LocalGate(SERVING, PREF_B, SHARED),
    ReturnPath(SERVING, 2002),
    LocalReturn("loc", PREF_B, 2002),
]


@pytest.fixture
def printers(lab: Lab) -> Iterator[dict[str, Namespace]]:
    """A host behind each gateway; both use the shared prefix."""
    found = {}
    for gateway in (lab.anchor, lab.serving):
        printer = found[gateway.name] = Namespace(f"printer-{gateway.name}")
        wire(gateway, "loc", printer, "eth0")
        gateway.batch(f"addr add {SHARED[1]}/64 dev loc nodad")
        printer.batch(f"addr add {SAME}/64 dev eth0 nodad", f"route add default via {SHARED[1]} dev eth0")
    lab.anchor.batch(f"addr add {LOCALNET[1]}/64 dev loc nodad")
    found["anchor"].batch(f"addr add {PRINTER}/64 dev eth0 nodad")
    yield found
    for printer in found.values():
        printer.close()


@pytest.fixture
def away(lab: Lab, printers: dict[str, Namespace]) -> dict[str, Namespace]:
    """S2 with local networks: the node has a prefix of each gateway and hears of the anchor's networks."""
    handed_over(lab)
    lab.install(lab.serving, *AT_SERVING)
    lab.install(lab.anchor, *AT_OWNER)
    via_anchors = f"via {DLIF_A.link_local} dev eth0"
    lab.mn.batch(
        f"addr add {MN_B}/64 dev eth0 nodad",
        f"route add {LOCALNET} {via_anchors}",
        f"route add {SHARED} {via_anchors}",
        f"neigh replace {DLIF_A.link_local} lladdr {DLIF_A.mac} dev eth0",
        f"neigh replace {DLIF_B.link_local} lladdr {DLIF_B.mac} dev eth0",
    )
    return printers


def ping(namespace: Namespace, source: IPv6Address, target: IPv6Address) -> None:
    namespace.run("ping", "-6", "-c1", "-W5", "-I", str(source), str(target))


@pytest.mark.requirement("LIPA-2", "LIPA-4", "LIPA-6")
@pytest.mark.parametrize("source", [MN, MN_B], ids=["anchored-source", "new-source"])
def test_local_network_of_the_anchor_is_reached_through_its_tunnel_from_any_prefix(
    lab: Lab, away: dict[str, Namespace], source: IPv6Address
) -> None:
    capture = Capture(lab.core, "dgw2")
    ping(lab.mn, source, PRINTER)
    capture.until("request in the tunnel", tunnelled((SERVING, ANCHOR), (source, PRINTER)))
    capture.until("reply in the tunnel", tunnelled((ANCHOR, SERVING), (PRINTER, source)))
    assert not [frame for frame in capture.frames if frame[20] == 58 and PRINTER.packed in frame], "sent natively"
    capture.close()
    assert not any(lab.dropped(lab.anchor).values())
    assert not any(lab.dropped(lab.serving).values())


@pytest.mark.requirement("LIPA-4")
def test_equal_local_prefixes_are_told_apart_by_the_dlif_a_packet_enters(lab: Lab, away: dict[str, Namespace]) -> None:
    at_anchor, at_serving = (Capture(away[name], "eth0") for name in ("anchor", "serving"))

    def request(frame: bytes) -> bool:
        return frame[20] == 17 and frame[22:54] == MN_B.packed + SAME.packed

    send(lab.mn, udp(str(MN_B), str(SAME)))
    at_anchor.until("datagram for the anchor's printer", request)
    lab.mn.batch(f"route replace {SHARED} via {DLIF_B.link_local} dev eth0")
    send(lab.mn, udp(str(MN_B), str(SAME)))
    at_serving.until("datagram for the serving gateway's printer", request)
    assert not [frame for frame in at_serving.frames[:-1] if request(frame)]
    at_anchor.close()
    at_serving.close()


@pytest.mark.requirement("LIPA-1")
def test_own_local_network_is_reached_plainly_also_from_an_anchors_prefix(lab: Lab, away: dict[str, Namespace]) -> None:
    """A session begun at the anchor's DLIF comes home: it must not go round by the anchor."""
    capture = Capture(lab.core, "dgw2")
    lab.mn.batch(f"route replace {SHARED} via {DLIF_B.link_local} dev eth0")
    ping(lab.mn, MN, SAME)
    assert not [frame for frame in capture.frames if SAME.packed in frame]
    capture.close()


@pytest.mark.requirement("LIPA-6")
def test_without_the_way_back_answers_leave_natively(lab: Lab, away: dict[str, Namespace]) -> None:
    with lab.anchor.entered():
        lab.executors["anchor"].remove(LocalReturn("loc", PREF_B, 2002))
    capture = Capture(lab.core, "dgw1")
    ping(lab.mn, MN_B, PRINTER)
    capture.until("the answer outside the tunnel", lambda frame: frame[22:54] == PRINTER.packed + MN_B.packed)
    capture.close()


@pytest.mark.requirement("LIPA-8")
@pytest.mark.parametrize("source", [CN, MN, MN_B], ids=["correspondent", "posing-as-node", "posing-as-node-elsewhere"])
def test_nobody_gets_in_from_the_core(lab: Lab, away: dict[str, Namespace], source: IPv6Address) -> None:
    """Whatever source a stranger writes: only decapsulated packets pass, and they do not come by this way."""
    at_printer = Capture(away["anchor"], "eth0")
    send(lab.core, udp(str(source), str(PRINTER), b"knock"))
    wait_until("the drop", lambda: lab.dropped(lab.anchor)["local_network"] == 1)
    ping(lab.mn, MN_B, PRINTER)
    assert not [frame for frame in at_printer.frames if frame.endswith(b"knock")]
    at_printer.close()


@pytest.mark.requirement("LIPA-8")
def test_peer_tunnels_only_this_nodes_prefixes_and_only_to_local_networks(lab: Lab, away: dict[str, Namespace]) -> None:
    for inner in (udp("2001:db8:b2:2::11", str(PRINTER)), udp(str(MN_B), str(CN)), udp(str(CN), str(PRINTER))):
        before = lab.dropped(lab.anchor)["outside_binding"]
        send(lab.core, ipv6(str(SERVING), str(ANCHOR), 41, inner))
        wait_until("the drop", lambda before=before: lab.dropped(lab.anchor)["outside_binding"] == before + 1)


@pytest.mark.requirement("LIPA-8")
def test_barred_prefix_reaches_the_internet_and_no_local_network(lab: Lab, away: dict[str, Namespace]) -> None:
    lab.install(lab.anchor, LocalBar(PREF_A))
    lab.mn.run("sh", "-c", f"! ping -6 -c1 -W1 -I {MN} {PRINTER}")
    assert lab.dropped(lab.anchor)["barred"] == 1
    ping(lab.mn, MN, CN)
    with lab.anchor.entered():
        lab.executors["anchor"].remove(LocalBar(PREF_A))
    ping(lab.mn, MN, PRINTER)


def test_restart_touches_nothing_and_sweeps_what_ended(lab: Lab, away: dict[str, Namespace]) -> None:
    bound: list[Item] = [Tunnel(SERVING), TunnelGate(SERVING, PREF_A, "source"), *AT_OWNER]
    routes = restarted(lab, lab.anchor, bound)
    assert len(routes) == 1, "the anchor route, which is not among the items"
    assert restarted(lab, lab.anchor, bound) == []
    shown = lab.anchor.run("ip", "-6", "rule", "show", "pref", "950")
    assert shown.split() == ["950:", "from", "all", "to", str(PREF_B), "iif", "loc", "lookup", "2002", "proto", "183"]
    restarted(lab, lab.anchor, bound[:2])
    assert lab.anchor.run("ip", "-6", "rule", "show", "pref", "950") == ""
    assert "table 2002" not in lab.anchor.run("ip", "-6", "route", "show", "table", "all")
    assert lab.anchor.run("nft", "list", "set", "ip6", "roamlab", "tunnel_local").count("elements") == 0


def test_single_addresses_are_local_networks_too(lab: Lab, away: dict[str, Namespace]) -> None:
    one = IPv6Network(f"{PRINTER}/128")
    with lab.anchor.entered():
        lab.executors["anchor"].remove(LocalGate(SERVING, PREF_B, LOCALNET))
    lab.install(lab.anchor, LocalGate(SERVING, PREF_B, one))
    ping(lab.mn, MN_B, PRINTER)


@pytest.mark.requirement("ATT-13")
@pytest.mark.parametrize("source", ["fe80::ff:fe00:11", "::"])
@pytest.mark.parametrize("target", [PRINTER, CN], ids=["anchors-network", "correspondent"])
def test_a_source_of_the_link_goes_no_further(
    lab: Lab, away: dict[str, Namespace], source: str, target: IPv6Address
) -> None:
    """Not into a tunnel either: a packet that is encapsulated misses the kernel's own scope check"""
    capture = Capture(lab.core, "dgw2")
    before = lab.dropped(lab.serving)["foreign_source"]
    send(lab.mn, udp(source, str(target), b"scope"))
    send(lab.mn, udp(str(MN), str(PRINTER), b"good"))
    capture.until("the good packet", lambda frame: frame.endswith(b"good"))
    assert not [frame for frame in capture.frames if frame.endswith(b"scope")]
    capture.close()
    wait_until("the drop", lambda: lab.dropped(lab.serving)["foreign_source"] == before + 1)


@pytest.mark.requirement("ATT-13")
def test_a_source_of_the_link_reaches_the_router_itself(lab: Lab, away: dict[str, Namespace]) -> None:
    """On the link it is as good as any: the router's own address in the node's prefix answers"""
    lab.mn.batch("addr add fe80::ff:fe00:11/64 dev eth0 nodad")
    lab.mn.run("ping", "-6", "-c1", "-W5", "-I", "fe80::ff:fe00:11%eth0", str(DLIF_A.address))
    assert lab.dropped(lab.serving)["foreign_source"] == 0
