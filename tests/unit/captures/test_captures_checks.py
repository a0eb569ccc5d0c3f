"""Every check passes on a right run and fails on a doctored one, for the reason it was doctored."""

from dataclasses import replace

import doctored_cmd_modes
import doctored_scenarios
import pytest
import synthetic as syn
import synthetic_wire as wire
import test_captures_aero_doctored
import test_captures_aero_models
import test_captures_attacks
import test_captures_bad_input
import test_captures_content
import test_captures_failover
import test_captures_haaro_checks
import test_captures_interoperator
import test_captures_lifecycle
import test_captures_local
import test_captures_outages
import test_captures_protection
import test_captures_relays
from doctoring import DOCTORED, MODES, Prepared, doctored, tweaked, without
from synthetic import ADDRESS, LMAC, MN, PREFIX, World

from captures.checks import REGISTRY, call
from captures.pcapng import CaptureError

# -- signalling ----------------------------------------------------------------------------------------


@doctored("signalling", "signalling.wellformed", "bad checksum in a PBU")
def bad_checksum(mode):
    return tweaked(mode, "pbu:dgw2:dgw1", checksum=0x4711)


@doctored("signalling", "signalling.flags", "PBU flags 0x8200")
def pbu_without_d(mode):
    return tweaked(mode, "pbu:dgw2", flags=0x8200)


@doctored("signalling", "signalling.flags", "PBA flags 0x20", mode="relay")
def pba_without_d(mode):
    return tweaked(mode, "pba:cmd:dgw2", flags=0x20)


@doctored("signalling", "signalling.flags", "PBU flags 0x8310")
def draft_d_bit_too(mode):
    return tweaked(mode, "pbu:dgw3:dgw2", flags=0x8310)


@doctored("signalling", "signalling.wellformed", "unexpected BU")
def not_proxy(mode):
    return tweaked(mode, "pbu:dgw2", flags=0x8010)


@doctored("signalling", "signalling.options", "PBU without HI")
def no_handoff_indicator(mode):
    return tweaked(mode, "pbu:dgw2", hi=None)


@doctored("signalling", "signalling.options", "PBA without ATT")
def no_access_type(mode):
    return tweaked(mode, "pba:dgw1:dgw2", att=None)


@doctored("signalling", "signalling.options", "PBU without HNP")
def no_prefix(mode):
    return tweaked(mode, "pbu:dgw2", hnp=[])


@doctored("signalling", "signalling.options", "PBU without MN-ID")
def no_mn_id(mode):
    return tweaked(mode, "pbu:dgw2", mn_id="")


@doctored("signalling", "signalling.options", "PBU without Timestamp", mode="relay")
def no_timestamp(mode):
    return tweaked(mode, "pbu:dgw2:cmd", ts=None)


@doctored("signalling", "signalling.options", "option 23 twice in a PBU")
def handoff_indicator_twice(mode):
    return tweaked(mode, "pbu:dgw2", extra=[syn.mh.L.OctetOption(otype=23, value=3)])


@doctored("signalling", "signalling.echo", "PBA status 153")
def rejected(mode):
    return tweaked(mode, "pba:dgw1:dgw2", status=153)


@doctored("signalling", "signalling.echo", "PBA HI differs from the PBU's")
def handoff_not_echoed(mode):
    return tweaked(mode, "pba:dgw1:dgw2", hi=1)


@doctored("signalling", "signalling.echo", "PBA Timestamp differs from the PBU's")
def timestamp_not_echoed(mode):
    return tweaked(mode, "pba:dgw1:dgw2", ts=lambda f: f["ts"] + 1)


@doctored("signalling", "signalling.echo", "answers no PBU")
def sequence_not_echoed(mode):
    return tweaked(mode, "pba:dgw1:dgw2", seq=lambda f: f["seq"] + 7)


@doctored("signalling", "signalling.echo", "was never answered")
def not_answered(mode):
    return without(mode, "pba:dgw1:dgw3")


@doctored("signalling", "signalling.echo", "PBA grants more than requested")
def grants_too_much(mode):
    return tweaked(mode, "pba:dgw1:dgw2", lifetime=76)


@doctored("signalling", "signalling.sequence", "sent twice unchanged")
def duplicate_pbu(mode):
    world = World(mode)
    again = [f for f in world.frames if f.tag == "pbu:dgw2:dgw1"]
    world.frames += [replace(frame, t=frame.t + 0.3) for frame in again]
    return world


@doctored("signalling", "signalling.mn1.0", "before any move")
def pbu_at_first_attachment(mode):
    world = World(mode)
    world.message("early", 1.5, "dgw1", "cmd", "PBU", **world.fields(1.5, [PREFIX["dgw1"]], 1))
    return world


@doctored("signalling", "signalling.mn1.0", "holds no frame of that time", outcome=None)
def silence_without_recorder(mode):
    world = World(mode)
    world.drop(lambda frame: frame.capture == "dgw1-wan" and frame.t < syn.T0 + 3)
    return world


@doctored("signalling", "signalling.mn1.1", "is not the prefix dgw1 gave mn1")
def wrong_anchor_prefix(mode):
    return tweaked(mode, "pbu:dgw2:dgw1", hnp=["2001:db8:a1:2::/64"])


@doctored("signalling", "signalling.mn1.1", "HI 1")
def handover_called_new(mode):
    return tweaked(mode, "pbu:dgw2:dgw1", hi=1)


@doctored("signalling", "signalling.mn1.2", "no PBU to dgw1")
def forgotten_anchor(mode):
    return without(mode, "pbu:dgw3:dgw1")


@doctored("signalling", "signalling.mn1.1", "without the anchor's DLIF identity")
def no_dlif_in_pba(mode):
    return tweaked(mode, "pba:dgw1:dgw2", dlif=None)


@doctored("signalling", "signalling.mn1.0", "PBA lists a previous gateway", mode="relay")
def first_pba_with_67(mode):
    group = ("dgw2", PREFIX["dgw2"], "fe80::1", LMAC["dgw2"])
    return tweaked(mode, "pba:cmd:dgw1", groups=[group])


@doctored("signalling", "signalling.mn1.0", "is not from dgw1's pool", mode="relay")
def foreign_prefix_registered(mode):
    return tweaked(mode, "pbu:dgw1:cmd", hnp=[PREFIX["dgw2"]])


@doctored("signalling", "signalling.mn1.0", "HI 3 at the first attachment", mode="relay")
def first_called_handover(mode):
    return tweaked(mode, "pbu:dgw1:cmd", hi=3)


@doctored("signalling", "signalling.mn1.1", "no option 67 for dgw1", mode="relay")
def no_67(mode):
    return tweaked(mode, "pba:cmd:dgw2", groups=[])


@doctored("signalling", "signalling.mn1.2", "no option 67 for dgw1", mode="relay")
def one_67_missing(mode):
    return tweaked(mode, "pba:cmd:dgw3", groups=lambda f: f["groups"][:1])


@doctored("signalling", "signalling.mn1.1", "the serving gateway is listed as an anchor", mode="relay")
def serving_listed(mode):
    own = ("dgw2", PREFIX["dgw2"], "fe80::1", LMAC["dgw2"])
    return tweaked(mode, "pba:cmd:dgw2", groups=lambda f: [*f["groups"], own])


@doctored("signalling", "signalling.mn1.1", "no PBU from the CMD to dgw1", mode="relay")
def no_68(mode):
    return tweaked(mode, "pbu:cmd:dgw1:dgw2", serving=None)


@doctored("signalling", "signalling.mn1.1", "option 65 is not the new prefix", mode="relay")
def no_65(mode):
    return tweaked(mode, "pbu:cmd:dgw1:dgw2", anchored=[])


@doctored("signalling", "signalling.mn1.1", "relayed before it was received", mode="relay")
def relayed_too_early(mode):
    return tweaked(mode, "pbu:cmd:dgw1:dgw2", t=lambda f: f["t"] - 0.002 + 0.001)


@doctored("signalling", "signalling.mn1.1", "named before it confirmed", mode="relay")
def answered_too_early(mode):
    return tweaked(mode, "pba:cmd:dgw2", t=lambda f: f["t"] - 0.0015)


@doctored("signalling", "signalling.mn1.1", "no PBU from the CMD to dgw1", mode="relay")
def not_relayed(mode):
    return without(mode, "pbu:cmd:dgw1:dgw2")


@doctored("signalling", "signalling.flags", "no PBU or PBA captured", outcome=None, mode="relay")
def no_signalling(mode):
    return World(mode, lambda tag, fields: fields if tag.startswith("ra") else None)


# -- tunnel and CMD ------------------------------------------------------------------------------------


def probe_packet():
    return wire.udp(MN["dgw1"], ADDRESS["cn1"], 5000, 7000, 9999)


@doctored("tunnel", "tunnel.outer", "are not two gateways")
def tunnel_to_cmd(mode):
    world = World(mode)
    world.core("dgw2", "cmd", 4.0, wire.tunnelled(ADDRESS["dgw2"], ADDRESS["cmd"], probe_packet()), "bad")
    return world


@doctored("tunnel", "tunnel.cmd", "tunnelled packet at the CMD")
def data_through_cmd(mode):
    world = World(mode)
    world.inject("cmd-eth0", 4.0, wire.tunnelled(ADDRESS["dgw2"], ADDRESS["dgw1"], probe_packet()))
    return world


@doctored("tunnel", "tunnel.cmd", "user data at the CMD")
def plain_data_through_cmd(mode):
    world = World(mode)
    world.inject("cmd-eth0", 4.0, probe_packet())
    return world


@doctored("tunnel", "tunnel.outer", "anchored at neither end")
def local_prefix_tunnelled(mode):
    world = World(mode)
    packet = wire.udp(MN["dgw2"], ADDRESS["cn1"], 5000, 7000, 9999)
    world.core("dgw2", "dgw1", 4.0, wire.tunnelled(ADDRESS["dgw2"], ADDRESS["dgw1"], packet), "bad")
    return world


@doctored("tunnel", "tunnel.serving", "tunnelled while mn1 is at dgw1")
def tunnelled_away_from_the_node(mode):
    world = World(mode)
    packet = wire.udp(ADDRESS["cn1"], MN["dgw1"], 7000, 5000, 9999)
    world.core("dgw1", "dgw2", 2.0, wire.tunnelled(ADDRESS["dgw1"], ADDRESS["dgw2"], packet), "bad")
    return world


@doctored("tunnel", "tunnel.serving", "tunnel ends at dgw2 while mn1 is at dgw3")
def stale_tunnel(mode):
    world = World(mode)
    packet = wire.udp(ADDRESS["cn1"], MN["dgw1"], 7000, 5000, 9999)
    world.core("dgw1", "dgw2", 6.5, wire.tunnelled(ADDRESS["dgw1"], ADDRESS["dgw2"], packet), "bad")
    return world


@doctored("tunnel", "tunnel.leak", "natively")
def native_leak(mode):
    world = World(mode)
    world.inject("dgw2-wan", 4.0, probe_packet(), source=syn.WAN["dgw2"])
    return world


@doctored("tunnel", "tunnel.local", "no packet of mn1's local prefix", outcome=None)
def no_local_traffic(mode):
    world = World(mode)
    world.drop(lambda f: f.capture == "dgw3-wan" and (":13:" in f.tag or f.tag.startswith("reach")))
    return world


@doctored("tunnel", "tunnel.used.mn1.2.dgw2", "no packet of dgw2's prefix", outcome=None)
def tunnel_never_used(mode):
    world = World(mode)
    world.drop(lambda f: f.capture == "dgw3-wan" and (":12:" in f.tag or f.tag.startswith("reach")))
    return world


@doctored("tunnel", "tunnel.used.mn1.2.dgw2", "0 packets down")
def tunnel_one_way(mode):
    world = World(mode)
    away = ("pong:12", "reach:")
    world.drop(lambda f: f.capture == "dgw3-wan" and f.tag.startswith(away))
    return world


@doctored("tunnel", "tunnel.outer", "no tunnelled packet", outcome=None)
def empty_wan_captures(mode):
    world = World(mode)
    world.drop(lambda f: f.capture.endswith("-wan"))
    return world


@doctored("cmd-interface", "cmd-interface.content", "protocol 6 at the CMD")
def tcp_at_cmd(mode):
    world = World(mode)
    world.inject("cmd-eth0", 2.0, wire.tcp(ADDRESS["cn1"], ADDRESS["cmd"], 1, 2, 3, 4))
    return world


@doctored("cmd-interface", "cmd-interface.content", "UDP 40000→5213 at the CMD", mode="relay")
def lookup_in_relay_mode(mode):
    world = World(mode)
    world.lookup("dgw1", 2.0)
    return world


@doctored("cmd-interface", "cmd-interface.content", "EtherType 0x0806 at the CMD")
def arp_at_cmd(mode):
    world = World(mode)
    world.put("cmd-eth0", 2.0, wire.ether("02:00:00:00:00:99", "ff:ff:ff:ff:ff:ff", bytes(28), 0x0806), "arp")
    return world


@doctored("cmd-interface", "cmd-interface.content", "no look-up and no Mobility Header", outcome=None)
def empty_cmd_capture(mode):
    world = World(mode)
    world.drop(lambda f: f.capture == "cmd-eth0")
    return world


# -- RA, identity, prefixes ----------------------------------------------------------------------------


@doctored("ra", "ra.receiver", "multicast RA")
def ra_multicast(mode):
    return tweaked(mode, "ra:dgw2:dgw2:1", dst_mac="33:33:00:00:00:01", destination="ff02::1")


@doctored("ra", "ra.receiver", "RA to unknown node")
def ra_to_a_stranger(mode):
    return tweaked(mode, "ra:dgw2:dgw2:1", dst_mac="02:00:00:00:00:12")


@doctored("ra", "ra.source", "hop limit 64")
def ra_hop_limit(mode):
    return tweaked(mode, "ra:dgw2:dgw2:1", hop_limit=64)


@doctored("ra", "ra.source", "SLLA")
def ra_other_slla(mode):
    return tweaked(mode, "ra:dgw2:dgw1:1", sllao="02:d6:00:02:00:09")


@doctored("ra", "ra.source", "EUI-64 of the MAC is")
def ra_other_link_local(mode):
    return tweaked(mode, "ra:dgw2:dgw1:1", source="fe80::1")


@doctored("ra", "ra.profile", "has preferred 300 s")
def anchor_not_deprecated(mode):
    return tweaked(mode, "ra:dgw2:dgw1", prefixes=[(PREFIX["dgw1"], 300, 300)])


@doctored("ra", "ra.profile", "own prefix 2001:db8:b2:1::/64 deprecated")
def own_deprecated(mode):
    return tweaked(mode, "ra:dgw2:dgw2", prefixes=[(PREFIX["dgw2"], 300, 0)])


@doctored("ra", "ra.profile", "valid lifetime 0")
def anchor_withdrawn(mode):
    return tweaked(mode, "ra:dgw2:dgw1", prefixes=[(PREFIX["dgw1"], 0, 0)])


@doctored("ra", "ra.profile", "anchor DLIF has preference medium")
def anchor_preferred_router(mode):
    return tweaked(mode, "ra:dgw2:dgw1", preference="medium")


@doctored("ra", "ra.profile", "own DLIF has preference low")
def own_low(mode):
    return tweaked(mode, "ra:dgw3:dgw3", preference="low")


@doctored("ra", "ra.profile", "has preferred 0 s")
def lowpref_but_deprecated(mode):
    world = World(mode)
    world.profile = "lowpref"
    return world


@doctored("ra", "ra.profile", "no anchor's DLIF ever advertised")
def anchors_silent(mode):
    def tweak(tag, fields):
        foreign = tag.startswith("ra") and tag.split(":")[1] != tag.split(":")[2]
        return None if foreign else fields

    return World(mode, tweak)


@doctored("ra", "ra.same", "mtu 1460 and 1400")
def other_mtu(mode):
    return tweaked(mode, "ra:dgw2:dgw1", mtu=1400)


@doctored("ra", "ra.same", "current_hop_limit 64 and 32")
def other_hop_limit(mode):
    return tweaked(mode, "ra:dgw2:dgw1", current=32)


@doctored("ra", "ra.final", "dgw1 sent router lifetime 0")
def final_ra(mode):
    return tweaked(mode, "ra:dgw1:dgw1:3", lifetime=0)


def farewell(mode, count, **changes):
    """dgw1's prefix ends at dgw3, and its DLIF says so this many times."""
    last = {"lifetime": 0, "preference": "medium", "prefixes": [(PREFIX["dgw1"], 0, 0)], **changes}
    late = [f"ra:dgw3:dgw1:{number}" for number in range(4 - count, 4)]
    return World(mode, lambda tag, fields: {**fields, **last} if tag in late else fields)


@doctored("ra", "ra.final", "of them farewells", outcome=True)
def right_farewell(mode):
    return farewell(mode, 3)


@doctored("ra", "ra.final", "more than 3 farewells")
def endless_farewell(mode):
    return farewell(mode, 4)


@doctored("ra", "ra.final", "a prefix or route that lives on")
def farewell_that_keeps_its_prefix(mode):
    return farewell(mode, 2, prefixes=[(PREFIX["dgw1"], 300, 0)])


@doctored("ra", "ra.final", "router lifetime 0 with preference low")
def farewell_with_a_preference(mode):
    return farewell(mode, 2, preference="low")


@doctored("ra", "ra.final", "dgw2 took it back")
def farewell_of_a_node_that_left(mode):
    world = farewell(mode, 0)
    last = {"lifetime": 0, "prefixes": [(PREFIX["dgw2"], 0, 0)], "lmac": LMAC["dgw2"], "dst_mac": syn.MN_MAC}
    ends = {"source": str(syn.eui64(LMAC["dgw2"])), "destination": str(syn.eui64(syn.MN_MAC))}
    world.put("dgw2-phy", 5.001, wire.router_advertisement(**last, **ends), "late farewell")
    return world


@doctored("ra", "ra.routes", "two route options for one prefix")
def route_twice(mode):
    return tweaked(mode, "ra:dgw2:dgw1", routes=[("2001:db8:a1:ffff::/64", "high", 60)] * 2)


@doctored("ra", "ra.routes", "18 route options")
def too_many_routes(mode):
    return tweaked(mode, "ra:dgw2:dgw1", routes=[(f"2001:db8:a1:ff{n:02x}::/64", "high", 60) for n in range(18)])


@doctored("ra", "ra.soon.mn1.1", "RA of dgw2's DLIF after")
def late_ra(mode):
    return without(mode, "ra:dgw2:dgw2:0")


@doctored("ra", "ra.soon.mn1.2", "no RA of dgw1's DLIF")
def no_ra_of_anchor(mode):
    return without(mode, "ra:dgw3:dgw1")


@doctored("ra", "ra.source", "no Router Advertisement", outcome=None)
def no_ra(mode):
    return without(mode, "ra:")


@doctored("identity", "identity.constant", "then 02:d6:00:01:00:99")
def other_mac_elsewhere(mode):
    new = "02:d6:00:01:00:99"
    return tweaked(mode, "ra:dgw2:dgw1", lmac=new, source=str(syn.eui64(new)))


@doctored("identity", "identity.unique", "dgw2's phy's own MAC")
def phy_mac(mode):
    mac = syn.PHY["dgw2"]
    return tweaked(mode, "ra:dgw2:dgw2", lmac=mac, source=str(syn.eui64(mac)))


@doctored("identity", "identity.unique", "serves dgw1 and dgw2")
def shared_mac(mode):
    mac = LMAC["dgw2"]
    return tweaked(mode, "ra:dgw2:dgw1", lmac=mac, source=str(syn.eui64(mac)))


@doctored("identity", "identity.one-place", "speaks at dgw1 after it spoke at dgw2")
def alive_twice(mode):
    world = World(mode)
    frame = next(f for f in world.frames if f.tag == "ra:dgw1:dgw1:0" and f.capture == "dgw1-phy")
    world.frames.append(replace(frame, t=syn.T0 + 3.5))
    return world


@doctored("identity", "identity.one-place", "speaks at dgw1 while mn1 is at dgw2")
def never_taken_down(mode):
    world = World(mode)
    frame = next(f for f in world.frames if f.tag == "ra:dgw1:dgw1:0" and f.capture == "dgw1-phy")
    world.frames.append(replace(frame, t=syn.T0 + 4.9))
    return world


@doctored("identity", "identity.signalled", "option 70 02:d6:00:01:00:77")
def other_mac_signalled(mode):
    return tweaked(mode, "pba:dgw1:dgw2", dlif=lambda f: (f["dlif"][0], "02:d6:00:01:00:77"))


@doctored("identity", "identity.signalled", "option 69 fe80::77", mode="relay")
def other_link_local_signalled(mode):
    return tweaked(mode, "pba:cmd:dgw2", groups=[("dgw1", PREFIX["dgw1"], "fe80::77", LMAC["dgw1"])])


@doctored("prefixes", "prefixes.mn1.1", "2 prefixes")
def two_prefixes(mode):
    return tweaked(mode, "ra:dgw2:dgw2:2", prefixes=[("2001:db8:b2:9::/64", 300, 300)])


@doctored("prefixes", "prefixes.mn1.1", "no RA with a prefix of dgw2", outcome=None)
def foreign_pool(mode):
    return tweaked(mode, "ra:dgw2:dgw2", prefixes=[("2001:db8:ee:1::/64", 300, 300)])


# -- flows and reachability ----------------------------------------------------------------------------


def cut(world, prefix, start, end, captures=("mn1-eth0", "cn1-eth0", "cn2-eth0")):
    """Lose packets of a flow on their way in a time span."""
    span = syn.T0 + start, syn.T0 + end
    world.drop(lambda f: f.tag.startswith(prefix) and f.capture in captures and span[0] < f.t < span[1])
    return world


@doctored("flows", "flows.ping1.gap", "→dgw2 ")
def long_gap(mode):
    return cut(World(mode), "pong:11", 2.98, 3.4)


@doctored("flows", "flows.camera.gap", "nothing arrived after the move to dgw3")
def stream_died(mode):
    return cut(World(mode), ("camera", "again"), 5.0, 7.5)


@doctored("flows", "flows.ping1.loss", "lost at the move to dgw2")
def too_much_loss(mode):
    return cut(World(mode), "pong:11", 2.98, 3.4)


@doctored("flows", "flows.probe.loss", "lost away from moves")
def loss_without_move(mode):
    return cut(World(mode), "probe", 2.0, 2.1, ("cn1-eth0",))


@doctored("flows", "flows.probe.loss", "1 duplicated")
def duplicated(mode):
    world = World(mode)
    frame = next(f for f in world.frames if f.tag == "probe:20" and f.capture == "cn1-eth0")
    world.frames.append(replace(frame, t=frame.t + 0.001))
    return world


@doctored("flows", "flows.camera.loss", "octets never arrived")
def hole_in_the_stream(mode):
    return cut(World(mode), ("camera", "again"), 4.0, 4.1, ("mn1-eth0",))


@doctored("flows", "flows.camera.loss", "connection reset")
def reset(mode):
    world = World(mode)
    packet = wire.tcp(ADDRESS["cn2"], MN["dgw1"], 8080, 40000, 1, 1, flags=0x04)
    world.inject("mn1-eth0", 4.0, packet)
    return world


@doctored("flows", "flows.probe.addresses", "same session between")
def source_changed(mode):
    world = World(mode)
    world.inject("mn1-eth0", 4.0, wire.udp("2001:db8:b2:1::99", ADDRESS["cn1"], 5000, 7000, 70))
    return world


@doctored("flows", "flows.probe.path", "at dgw2 1 local")
def native_path(mode):
    world = World(mode)
    world.inject("dgw2-wan", 4.0, probe_packet())
    return world


@doctored("flows", "flows.ping2.addresses", "no packet of the flow", outcome=None)
def flow_never_seen(mode):
    world = World(mode)
    world.drop(lambda f: ":12:" in f.tag)
    return world


@doctored("reachability", "reachability.mn1.cn2.dgw2", "requests, no reply")
def unreachable(mode):
    world = World(mode)
    world.drop(lambda f: f.tag.startswith("reached:112") and f.capture == "cn2-eth0")
    return world


@doctored("reachability", "reachability.mn1.cn2.dgw2", "after the first answer, no reply")
def reached_once(mode):
    world = World(mode)
    replies = [f for f in world.frames if f.tag.startswith("reached:112") and f.capture == "cn2-eth0"]
    world.drop(lambda f: f in replies[1:])
    return world


@doctored("reachability", "reachability.mn1.cn1.dgw3", "sent no echo request", outcome=None)
def never_asked(mode):
    world = World(mode)
    world.drop(lambda f: f.capture == "cn1-eth0" and f.tag.startswith(("reach:121", "reached:121")))
    return world


# -- the tests -----------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def prepared(tmp_path_factory):
    return Prepared(tmp_path_factory.mktemp("runs"), World, DOCTORED)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("check", sorted(entry["check"] for entry in syn.CHECKS))
def test_a_right_run_passes(prepared, mode, check):
    run = prepared.run(mode, mode)
    entry = next(entry for entry in run.lab["checks"] if entry["check"] == check)
    results = call(run, entry)
    assert results
    for result in results:
        assert result.passed is True, f"{result.id}: {result.measured}"
        assert result.measured
        assert result.requirement
        assert result.evidence
        assert all(n >= 1 for entry in result.evidence for n in entry.get("frames", entry.get("lines")))


@pytest.mark.parametrize("name", sorted(DOCTORED))
def test_a_doctored_run_fails(prepared, name):
    mode, _, check, wanted, outcome, text = DOCTORED[name]
    run = prepared.run(name, mode)
    entry = next(entry for entry in run.lab["checks"] if entry["check"] == check)
    result = {one.id: one for one in call(run, entry)}[wanted]
    assert result.passed is outcome, result.measured
    assert text in result.measured


def test_every_check_has_its_right_run():
    """Checks of single scenarios have right runs of their own, in the module named here."""
    elsewhere = {"local-access": test_captures_local, "figure-four": test_captures_local}
    elsewhere |= {"bad-input": test_captures_bad_input, "interoperator": test_captures_interoperator}
    elsewhere |= {"content": test_captures_content}
    elsewhere |= dict.fromkeys(("protection", "intruder"), test_captures_protection)
    ends = ("deregistration", "revival", "anchor-timers", "release")
    faults = ("retransmission", "partial-answer", "no-retransmission", "recovery")
    elsewhere |= dict.fromkeys((*ends, *faults), test_captures_lifecycle)
    elsewhere |= dict.fromkeys(test_captures_aero_doctored.CHECKS, test_captures_aero_doctored)
    elsewhere |= dict.fromkeys(test_captures_aero_models.ENTRIES, test_captures_aero_models)
    elsewhere |= dict.fromkeys(test_captures_relays.CHECKS, test_captures_relays)
    elsewhere |= dict.fromkeys(test_captures_attacks.CHECKS, test_captures_attacks)
    elsewhere |= dict.fromkeys(test_captures_failover.CHECKS, test_captures_failover)
    elsewhere |= dict.fromkeys(test_captures_outages.CHECKS, test_captures_outages)
    elsewhere |= dict.fromkeys(test_captures_haaro_checks.CHECKS, test_captures_haaro_checks)
    assert set(REGISTRY) == {entry["check"] for entry in syn.CHECKS} | set(elsewhere)


def test_the_cmd_modes_have_negative_tests():
    modules = {function.__module__ for _, function, *_ in DOCTORED.values()}
    assert {doctored_cmd_modes.__name__, doctored_scenarios.__name__} <= modules
    for mode in ("locator", "proxy"):
        stays = {wanted for kind, _, _, wanted, outcome, _ in DOCTORED.values() if kind == mode and outcome is False}
        assert stays >= {"signalling.mn1.0", "signalling.mn1.1", "signalling.mn1.2"}


def test_every_result_kind_has_a_negative_test():
    """A result no doctored run can fail would be a check that proves nothing."""
    failing = {wanted.split(".mn1")[0] for _, _, _, wanted, outcome, _ in DOCTORED.values() if outcome is False}
    kinds = {kind.replace(".camera", "").replace(".ping1", "").replace(".probe", "") for kind in failing}
    assert kinds >= {
        *(f"signalling.{kind}" for kind in ("wellformed", "flags", "options", "echo", "sequence")),
        "signalling",
        *(f"tunnel.{kind}" for kind in ("outer", "serving", "local", "leak", "cmd", "used")),
        "cmd-interface.content",
        *(f"ra.{kind}" for kind in ("source", "receiver", "profile", "same", "final", "routes", "soon")),
        *(f"identity.{kind}" for kind in ("constant", "unique", "one-place", "signalled")),
        *(f"prefixes{kind}" for kind in ("", ".exclusive")),
        *(f"flows.{kind}" for kind in ("addresses", "path", "gap", "loss", "median")),
        "reachability",
        *(f"order.{kind}" for kind in ("lookup", "own", "anchors", "turned")),
        "modes",
        *(f"pace.{kind}" for kind in ("rate", "spacing", "complete")),
        *(f"leftovers.{kind}" for kind in ("accounted", "dlif", "tunnel", "cleared")),
        *(f"mobile-view.{kind}" for kind in ("routers", "addresses", "neighbours", "constant")),
        *(f"replay.{kind}" for kind in ("stale.answer", "stale.state", "deregistration.answer")),
        "resources.memory",
    }


def test_evidence_names_the_offending_frame(prepared):
    run = prepared.run("pbu_without_d-direct", "direct")
    result = next(one for one in call(run, {"check": "signalling"}) if one.id == "signalling.flags")
    (entry, *_) = result.evidence
    capture = run.capture("dgw2", "wan")
    numbers = {message.number for message in capture.mobility if message.flags == 0x8200}
    assert entry["pcap"] == "pcap/dgw2-wan.pcapng"
    assert set(entry["frames"]) <= numbers


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        ({"check": "signaling"}, "unknown check 'signaling', did you mean 'signalling'?"),
        ({"check": "ra", "bound": 3}, "check ra: unknown parameter 'bound', did you mean 'bound_ms'?"),
    ],
)
def test_unknown_names_are_refused(prepared, entry, text):
    with pytest.raises(CaptureError) as caught:
        call(prepared.run("direct", "direct"), entry)
    assert str(caught.value) == text
