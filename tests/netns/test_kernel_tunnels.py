"""Both tunnel back ends between two gateways over a core router, and the gates in front of them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from kernel_namespaces import Capture, ipv6, send, udp, wait_until, wire
from two_gateways import (
    ANCHOR,
    ANCHORED,
    CN,
    DLIF_A,
    DLIF_B,
    MN,
    POOL,
    PREF_A,
    PREF_B,
    SERVING,
    UPLINK,
    Lab,
    handed_over,
    restarted,
    tunnelled,
)

from agents.dgw.forwarding import Item, SourceGate, Tunnel, TunnelGate
from agents.kernel.netlink import KernelError

pytestmark = pytest.mark.netns


def test_both_directions_are_plain_ipv6_in_ipv6_between_the_gateways_addresses(lab: Lab) -> None:
    handed_over(lab)
    near_anchor, near_serving = Capture(lab.core, "dgw1"), Capture(lab.core, "dgw2")
    lab.mn.run("ping", "-6", "-c1", "-W5", "-I", str(MN), str(CN))
    near_serving.until("tunnelled uplink", tunnelled((SERVING, ANCHOR), (MN, CN)))
    near_anchor.until("tunnelled downlink", tunnelled((ANCHOR, SERVING), (CN, MN)))
    for capture in (near_anchor, near_serving):
        routing = [frame for frame in capture.frames if frame[12:14] == b"\x86\xdd" and frame[20] in (43, 60)]
        assert not routing, "a routing or options header on the wire"
        capture.close()
    assert not any(lab.dropped(lab.serving).values())
    assert not any(lab.dropped(lab.anchor).values())


def test_largest_inner_packet_passes(lab: Lab) -> None:
    handed_over(lab)
    assert lab.executors["serving"].tunnel_mtu == 1560
    lab.mn.run("ping", "-6", "-c1", "-W5", "-s", "1452", "-M", "do", "-I", str(MN), str(CN))


def test_replies_of_the_gateway_itself_do_not_loop_through_the_tunnel(lab: Lab) -> None:
    """Direct routes in the uplink table, installed before the DLIF they name existed (spec §7)."""
    handed_over(lab)
    capture = Capture(lab.core, "dgw2")
    lab.mn.run("ping", "-6", "-c1", "-W5", "-I", str(MN), str(DLIF_A.address))
    lab.mn.run("ping", "-6", "-c1", "-W5", "-I", str(MN), str(CN))
    capture.until("tunnelled uplink", tunnelled((SERVING, ANCHOR), (MN, CN)))
    inner = [frame[78:94] for frame in capture.frames if frame[20] == 41]
    assert DLIF_A.address.packed not in inner
    capture.close()


@pytest.mark.requirement("SC-BADINPUT", "HO-6")
@pytest.mark.parametrize(
    ("reason", "packet"),
    [
        ("unknown_peer", ipv6("2001:db8:f::2", str(ANCHOR), 41, udp(str(MN), str(CN)))),
        ("outside_binding", ipv6(str(SERVING), str(ANCHOR), 41, udp("2001:db8:a1:2::11", str(CN)))),
        ("outside_binding", ipv6(str(SERVING), str(ANCHOR), 41, udp(str(CN), str(MN)))),
        ("nested", ipv6(str(SERVING), str(ANCHOR), 41, ipv6(str(MN), str(ANCHOR), 41, udp(str(CN), str(CN))))),
        # A Destination Options header in front is no way around: PadN of 4 octets, next header 41.
        ("outside_binding", ipv6(str(SERVING), str(ANCHOR), 60, b"\x29\0\1\4\0\0\0\0" + udp(str(CN), str(MN)))),
        ("fragment", ipv6(str(SERVING), str(ANCHOR), 44, b"\x29\0\0\1\0\0\0\7" + udp(str(MN), str(CN)))),
    ],
    ids=["stranger", "foreign-inner-source", "inner-source-missing", "tunnel-in-tunnel", "options", "fragment"],
)
def test_tunnel_gate_drops_and_counts(lab: Lab, reason: str, packet: bytes) -> None:
    handed_over(lab)
    capture = Capture(lab.core, "dgw1")
    before = lab.dropped(lab.anchor)
    send(lab.core, packet)
    after = wait_until("the drop counter", lambda: (d := lab.dropped(lab.anchor))[reason] > before[reason] and d)
    assert after == {**before, reason: before[reason] + 1}
    # A good packet after it, to know when to stop looking: nothing of the bad one came back out.
    send(lab.core, ipv6(str(SERVING), str(ANCHOR), 41, udp(str(MN), str(CN), b"good")))
    capture.until("the good packet", lambda frame: frame[20] == 17 and frame.endswith(b"good"))
    assert not [frame for frame in capture.frames if frame[20] == 17 and not frame.endswith(b"good")]
    capture.close()


@pytest.mark.requirement("ATT-13")
def test_source_gate_drops_foreign_sources_until_the_permission(lab: Lab) -> None:
    handed_over(lab)
    with lab.serving.entered():
        lab.executors["serving"].remove(SourceGate("mn1dgw2", PREF_A))
    lab.mn.batch(f"neigh replace {DLIF_B.link_local} lladdr {DLIF_B.mac} dev eth0")
    send(lab.mn, udp(str(MN), str(CN), b"leak"))
    dropped = wait_until("the leak", lambda: lab.dropped(lab.serving)["foreign_source"])
    assert dropped == 1
    lab.install(lab.serving, SourceGate("mn1dgw2", PREF_A))
    capture = Capture(lab.core, "dgw2")
    send(lab.mn, udp(str(MN), str(CN), b"fine"))
    capture.until("tunnelled uplink", tunnelled((SERVING, ANCHOR), (MN, CN)))
    assert lab.dropped(lab.serving)["foreign_source"] == 1
    capture.close()


@pytest.mark.requirement("HO-5")
def test_anchor_route_wins_over_the_connected_route_and_falls_back_to_it(lab: Lab) -> None:
    handed_over(lab)
    lab.install(lab.anchor, DLIF_A)
    shown = lab.anchor.run("ip", "-6", "route", "get", str(MN))
    assert ("mn1dgw1" in shown) is False
    with lab.anchor.entered():
        lab.executors["anchor"].remove(ANCHORED)
    assert "dev mn1dgw1" in lab.anchor.run("ip", "-6", "route", "get", str(MN))


def serving_items() -> list[Item]:
    gates = [SourceGate(dlif.name, prefix) for dlif in (DLIF_A, DLIF_B) for prefix in (PREF_A, PREF_B)]
    return [Tunnel(ANCHOR), TunnelGate(ANCHOR, PREF_A, "destination"), UPLINK, DLIF_A, DLIF_B, *gates]


def test_restart_with_the_same_items_touches_no_route_and_no_rule(lab: Lab) -> None:
    lab.install(lab.serving, *serving_items())
    handed_over(lab)
    assert restarted(lab, lab.serving, serving_items()) == []
    assert restarted(lab, lab.anchor, [Tunnel(SERVING), TunnelGate(SERVING, PREF_A, "source"), ANCHORED]) == []
    lab.mn.run("ping", "-6", "-c1", "-W5", "-I", str(MN), str(CN))
    assert not any(lab.dropped(lab.serving).values())


def test_restart_with_other_items_replaces_and_sweeps(lab: Lab) -> None:
    lab.install(lab.serving, *serving_items())
    handed_over(lab)
    assert restarted(lab, lab.serving, [Tunnel(ANCHOR), replace(UPLINK, table=1002, direct=())])
    rules = lab.serving.run("ip", "-6", "rule", "show", "pref", "1000")
    assert rules.split() == ["1000:", "from", str(PREF_A), "lookup", "1002", "proto", "183"]
    routes = lab.serving.run("ip", "-6", "route", "show", "table", "all")
    assert "table 1001" not in routes
    assert "default" in lab.serving.run("ip", "-6", "route", "show", "table", "1002")
    assert "mn1dgw" not in lab.serving.run("ip", "link", "show")
    assert restarted(lab, lab.serving, [])
    assert lab.serving.run("ip", "-6", "link", "show", "type", "ip6tnl", "group", "183") == ""
    assert "lookup 1002" not in lab.serving.run("ip", "-6", "rule", "show")


def test_handover_back_and_forth_turns_the_traffic_each_time(lab: Lab) -> None:
    """The anchor's route, tunnel and gate come and go; the far end stays as it is."""
    handed_over(lab)
    with lab.anchor.entered():
        anchor = lab.executors["anchor"]
        for _turn in range(3):
            for item in (ANCHORED, TunnelGate(SERVING, PREF_A, "source"), Tunnel(SERVING)):
                anchor.remove(item)
            anchor.install(DLIF_A)
            assert "dev mn1dgw1" in lab.anchor.run("ip", "-6", "route", "get", str(MN))
            for item in (Tunnel(SERVING), TunnelGate(SERVING, PREF_A, "source"), ANCHORED):
                anchor.install(item)
            anchor.remove(DLIF_A)
            lab.mn.run("ping", "-6", "-c1", "-W5", "-I", str(MN), str(CN))


def test_tunnel_follows_the_core_to_another_interface(lab: Lab) -> None:
    """A route into a tunnel names no next hop: the outer packet is routed by its own destination."""
    handed_over(lab)
    lab.mn.run("ping", "-6", "-c1", "-W5", "-I", str(MN), str(CN))
    wire(lab.core, "dgw2b", lab.serving, "wan2", mtu=1600)
    lab.core.batch("addr add 2001:db8:c:22::1/64 dev dgw2b nodad")
    lab.serving.batch("addr add 2001:db8:c:22::2/64 dev wan2 nodad")
    wait_until("the second link", lambda: "state UP" in lab.serving.run("ip", "link", "show", "wan2"))
    lab.serving.batch("route replace default via 2001:db8:c:22::1 dev wan2")
    capture = Capture(lab.core, "dgw2b")
    lab.mn.run("ping", "-6", "-c1", "-W5", "-I", str(MN), str(CN))
    capture.until("tunnelled uplink", tunnelled((SERVING, ANCHOR), (MN, CN)))
    capture.close()


def test_routes_need_an_open_tunnel(lab: Lab) -> None:
    with pytest.raises(KernelError, match=f"no tunnel to {SERVING} is open"):
        lab.install(lab.anchor, ANCHORED)
    lab.install(lab.anchor, Tunnel(SERVING), ANCHORED)
    assert str(PREF_A) in lab.anchor.run("ip", "-6", "route", "show", "metric", "64")


@pytest.mark.requirement("ATT-11")
def test_prefix_of_nobody_is_unreachable_at_its_gateway(lab: Lab) -> None:
    shown = lab.anchor.run("ip", "-6", "route", "show", "type", "unreachable", "proto", "183")
    assert f"unreachable {POOL} dev lo metric 4096" in shown


def test_seg6_routes_name_no_routing_header_and_the_policy_rules(lab: Lab) -> None:
    if lab.kind != "seg6":
        pytest.skip("about the seg6 routes")
    handed_over(lab)
    shown = lab.anchor.run("ip", "-6", "route", "show", str(PREF_A))
    assert "encap seg6 mode encap.red segs 1 [ 2001:db8:c:2::2 ]" in shown
    decapsulation = lab.anchor.run("ip", "-6", "route", "show", "table", "41")
    assert "action End.DT6 table" in decapsulation
    assert "vrftable" not in decapsulation


def test_ip6tnl_device_carries_the_names_and_no_encapsulation_limit(lab: Lab) -> None:
    if lab.kind != "ip6tnl":
        pytest.skip("about the ip6tnl device")
    handed_over(lab)
    shown = lab.anchor.run("ip", "-6", "-d", "link", "show", "type", "ip6tnl", "group", "183")
    for expected in ("ip6tnl ip6ip6", f"remote {SERVING}", f"local {ANCHOR}", "encaplimit none", "hoplimit 64"):
        assert expected in shown
