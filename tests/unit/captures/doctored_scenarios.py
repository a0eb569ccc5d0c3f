"""Doctored runs for order, pace, modes, state dumps and replays; importing this module registers them."""

from dataclasses import replace
from unittest.mock import patch

import synthetic as syn
import synthetic_mh as mh
import synthetic_wire as wire
from doctoring import doctored, tweaked, without
from synthetic import ADDRESS, LMAC, MN, PREFIX, World

# -- order ---------------------------------------------------------------------------------------------


@doctored("order", "order.own.mn1.0", "RA 3.", mode="relay")
def advertised_before_registered(mode):
    return World(mode, lambda tag, fields: {**fields, "t": 1.001} if tag == "ra:dgw1:dgw1:0" else fields)


@doctored("order", "order.own.mn1.1", "without any PBA 0", mode="relay")
def advertised_without_registration(mode):
    return without(mode, "pba:cmd:dgw2")


@doctored("order", "order.own.mn1.1", "no RA with a prefix of dgw2", outcome=None, mode="relay")
def never_advertised(mode):
    return without(mode, "ra:dgw2:dgw2")


@doctored("order", "order.lookup.mn1.1", "without a look-up answered before it")
def told_without_asking(mode):
    world = World(mode)
    world.drop(lambda f: f.tag == "lookup" and 3 < f.t - syn.T0 < 4)
    return world


@doctored("order", "order.lookup.mn1.1", "without a look-up answered before it")
def lookup_not_answered(mode):
    world = World(mode)
    late = [f for f in world.frames if f.tag == "lookup" and 3.0011 < f.t - syn.T0 < 4]
    world.drop(lambda f: f in late)
    return world


@doctored("order", "order.lookup.mn1.0", "no look-up", outcome=None)
def never_asked_at_first(mode):
    world = World(mode)
    world.drop(lambda f: f.tag == "lookup" and f.t - syn.T0 < 2)
    return world


@doctored("order", "order.anchors.mn1.1", "RA for dgw1's prefix 2.2 ms before its PBA came")
def anchor_advertised_early(mode):
    return World(mode, lambda tag, fields: {**fields, "t": 3.007} if tag == "ra:dgw2:dgw1:0" else fields)


@doctored("order", "order.anchors.mn1.1", "RA for dgw1's prefix", mode="locator")
@doctored("order", "order.anchors.mn1.1", "RA for dgw1's prefix", mode="proxy")
def anchor_advertised_before_answer(mode):
    return World(mode, lambda tag, fields: {**fields, "t": 3.0065} if tag == "ra:dgw2:dgw1:0" else fields)


@doctored("order", "order.anchors.mn1.1", "uplink for dgw1's prefix", mode="relay")
def tunnelled_early(mode):
    world = World(mode)
    packet = wire.udp(MN["dgw1"], ADDRESS["cn1"], 5000, 7000, 9999)
    world.core("dgw2", "dgw1", 3.006, wire.tunnelled(ADDRESS["dgw2"], ADDRESS["dgw1"], packet), "bad")
    return world


@doctored("order", "order.anchors.mn1.1", "without any PBA for it")
def anchor_never_granted(mode):
    return without(mode, "pba:dgw1:dgw2")


@doctored("order", "order.turned.mn1.2", "dgw1 tunnels to dgw2")
def turned_late(mode):
    world = World(mode)
    packet = wire.udp(ADDRESS["cn1"], MN["dgw1"], 7000, 5000, 9999)
    world.core("dgw1", "dgw2", 5.1, wire.tunnelled(ADDRESS["dgw1"], ADDRESS["dgw2"], packet), "bad")
    return world


@doctored("order", "order.turned.mn1.1", "dgw1 delivers locally")
def delivered_locally_late(mode):
    world = World(mode)
    packet = wire.udp(ADDRESS["cn1"], MN["dgw1"], 7000, 5000, 9999)
    world.put("dgw1-phy", 3.1, wire.ether(LMAC["dgw1"], syn.MN_MAC, packet), "bad")
    return world


@doctored("order", "order.turned.mn1.1", "no anchor acknowledged", outcome=None)
def nobody_acknowledged(mode):
    return without(mode, "pba:dgw1:dgw2")


# -- modes ---------------------------------------------------------------------------------------------


@doctored("modes", "modes.mn1.1", "PBU dgw2→dgw1 2 times, 1 expected")
def said_twice(mode):
    world = World(mode)
    fields = world.sent["pbu:dgw2:dgw1"]
    again = {key: fields[key] for key in ("hnp", "hi", "att", "mn_id")}
    world.message("again", 3.5, "dgw2", "dgw1", "PBU", seq=fields["seq"] + 9, ts=fields["ts"] + 0.5, **again)
    return world


@doctored("modes", "modes.mn1.1", "no PBA dgw1→dgw2")
@doctored("modes", "modes.mn1.1", "no PBA dgw1→dgw2", mode="locator")
def answer_missing(mode):
    return without(mode, "pba:dgw1:dgw2")


@doctored("modes", "modes.mn1.1", "no PBU or PBA about the node", outcome=None)
def nothing_said(mode):
    return without(mode, ("pbu:dgw2:dgw1", "pba:dgw1:dgw2"))


@doctored("modes", "modes.mn1.1", "PBA cmd→dgw2 before PBA dgw1→cmd", mode="relay")
def relay_answers_first(mode):
    return tweaked(mode, "pba:cmd:dgw2", t=lambda f: f["t"] - 0.0015)


@doctored("modes", "modes.mn1.1", "PBU cmd→dgw1 before PBU dgw2→cmd", mode="proxy")
@doctored("modes", "modes.mn1.1", "PBU cmd→dgw1 before PBU dgw2→cmd", mode="locator")
def anchor_told_first(mode):
    return tweaked(mode, "pbu:cmd:dgw1:dgw2", t=lambda f: f["t"] - 0.001)


@doctored("modes", "modes.mn1.1", "PBA dgw1→cmd before PBA cmd→dgw2", mode="proxy")
def proxy_waits(mode):
    return tweaked(mode, "pba:cmd:dgw2", t=lambda f: f["t"] + 0.003)


@doctored("modes", "modes.mn1.2", "option 67 for dgw2 instead of dgw1, dgw2", mode="relay")
def answered_in_parts(mode):
    return tweaked(mode, "pba:cmd:dgw3", groups=lambda f: f["groups"][:1])


@doctored("modes", "modes.mn1.1", "option 67 in a PBA of dgw1")
def group_from_an_anchor(mode):
    return tweaked(mode, "pba:dgw1:dgw2", groups=[("dgw1", PREFIX["dgw1"], "fe80::1", LMAC["dgw1"])])


# -- pace ----------------------------------------------------------------------------------------------


def burst(world, count, t=4.0, step=0.2):
    """dgw2 repeats itself towards dgw1."""
    fields = {key: world.sent["pbu:dgw2:dgw1"][key] for key in ("hnp", "hi", "att", "mn_id")}
    for number in range(count):
        when = t + number * step
        world.message("burst", when, "dgw2", "dgw1", "PBU", seq=0x900 + number, ts=syn.T0 + when, **fields)
    return world


@doctored("pace", "pace.rate", "4 PBUs dgw2→dgw1 in 600.0 ms")
def too_fast(mode):
    return burst(World(mode), 4)


@doctored("pace", "pace.rate", "at most 3 in a second", outcome=True)
def just_slow_enough(mode):
    return burst(World(mode), 5, step=0.34)


@doctored("pace", "pace.rate", "no PBU captured", outcome=None)
def no_update_at_all(mode):
    return without(mode, "pbu")


@doctored("pace", "pace.spacing", "two PBUs of the CMD 0.0 ms apart", mode="relay")
def not_paced(mode):
    world = World(mode)
    next(one for one in world.checks if one["check"] == "pace")["spacing_ms"] = 10
    return world


@doctored("pace", "pace.complete", "mn1 at dgw2 complete after 69.2 ms")
def complete_late(mode):
    return tweaked(mode, "pba:dgw1:dgw2", t=lambda f: f["t"] + 0.065)


@doctored("pace", "pace.complete", "mn1 at dgw2: an anchor's answer never came")
def never_complete(mode):
    return tweaked(mode, "pba:dgw1:dgw2", status=153)


# -- state dumps ---------------------------------------------------------------------------------------


def dumped(event, label, node):
    """Doctor one dump: the function gets it."""

    def wrap(function):
        def make(mode):
            world = World(mode)
            function(world.dumped(event, label, node))
            return world

        make.__name__ = function.__name__
        make.__module__ = function.__module__
        return make

    return wrap


def without_words(dump, key, word):
    """Take out what mentions a word; at least one thing must."""
    kept = [one for one in dump[key] if word not in str(one)]
    assert len(kept) < len(dump[key])
    dump[key] = kept


@doctored("leftovers", "leftovers.accounted", "DLIF mn9dgw9 belongs to nothing")
@dumped("kernel-dump", "at dgw3", "dgw3")
def orphan_dlif(dump):
    dump["links"].append(syn.dumps.link("mn9dgw9", "02:d6:00:09:00:09", "macvlan", "183"))


@doctored("leftovers", "leftovers.accounted", "mn9dgw9 retired and not deleted")
@dumped("kernel-dump", "at dgw3", "dgw3")
def undead_dlif(dump):
    dump["links"].append(syn.dumps.link("mn9dgw9", "02:d6:00:09:00:09", "macvlan", "184"))


@doctored("leftovers", "leftovers.accounted", "DLIF mn1dgw2 is missing")
@dumped("kernel-dump", "at dgw3", "dgw3")
def missing_dlif(dump):
    without_words(dump, "links", "mn1dgw2")


@doctored("leftovers", "leftovers.accounted", "table 1009 without a rule")
@dumped("kernel-dump", "at dgw3", "dgw3")
def orphan_table(dump):
    dump["routes"].append({"dst": "default", "dev": "wan", "table": "1009", "metric": 1024, "protocol": "183"})


@doctored("leftovers", "leftovers.accounted", "rule 1000 to the empty table 1009")
@dumped("kernel-dump", "at dgw3", "dgw3")
def rule_to_nowhere(dump):
    rule = next(one for one in dump["rules"] if one["priority"] == 1000)
    dump["rules"].append({**rule, "table": "1009"})


@doctored("leftovers", "leftovers.accounted", "uplink rule 2001:db8:b2:9::/64 belongs to nothing")
@dumped("kernel-dump", "at dgw3", "dgw3")
def orphan_rule(dump):
    rule = next(one for one in dump["rules"] if one["priority"] == 1000)
    dump["rules"].append({**rule, "src": "2001:db8:b2:9::"})


@doctored("leftovers", "leftovers.accounted", "rule for what arrives main is missing")
@dumped("kernel-dump", "at dgw3", "dgw3")
def what_comes_from_the_core_takes_an_uplink(dump):
    dump["rules"] = [rule for rule in dump["rules"] if rule["priority"] != 990]


@doctored("leftovers", "leftovers.accounted", "rule 990 for everything belongs to nothing")
@dumped("kernel-dump", "at dgw3", "dgw3")
def what_arrives_goes_to_a_table_of_its_own(dump):
    next(rule for rule in dump["rules"] if rule["priority"] == 990)["table"] = "7"


@doctored("leftovers", "leftovers.accounted", "rule 950 for 2001:db8:b2:9:: belongs to nothing")
@dumped("kernel-dump", "at dgw3", "dgw3")
def orphan_rule_of_another_kind(dump):
    rule = next(one for one in dump["rules"] if one["priority"] == 1000)
    dump["rules"].append({"priority": 950, "src": "all", "dst": "2001:db8:b2:9::", "dstlen": 64, **{
        key: rule[key] for key in ("table", "protocol")
    }})  # fmt: skip


@doctored("leftovers", "leftovers.accounted", "anchor route 2001:db8:b2:9::/64 belongs to nothing")
@dumped("kernel-dump", "at dgw3", "dgw1")
def orphan_anchor_route(dump):
    route = next(one for one in dump["routes"] if one["metric"] == 64)
    dump["routes"].append({**route, "dst": "2001:db8:b2:9::/64"})


@doctored("leftovers", "leftovers.accounted", "into a tunnel to 2001:db8:c:9::2 that is not there")
@dumped("kernel-dump", "at dgw3", "dgw1")
def route_into_no_tunnel(dump):
    next(one for one in dump["routes"] if one["metric"] == 64)["segs"] = [ADDRESS["cmd"]]


@doctored("leftovers", "leftovers.accounted", "tunnel device to 2001:db8:c:9::2 belongs to nothing")
@dumped("kernel-dump", "at dgw3", "dgw1")
def orphan_tunnel_device(dump):
    device = syn.dumps.link("t-cmd", None, "ip6tnl", "183")
    dump["links"].append({**device, "remote": ADDRESS["cmd"]})


@doctored("leftovers", "leftovers.accounted", "gate: peer 2001:db8:c:9::2 belongs to nothing")
@dumped("kernel-dump", "at dgw3", "dgw1")
def stranger_admitted(dump):
    dump["sets"]["peers"].append(ADDRESS["cmd"])


@doctored("leftovers", "leftovers.accounted", "gate: tunnel source")
@dumped("kernel-dump", "at dgw3", "dgw1")
def old_binding_admitted(dump):
    dump["sets"]["tunnel_source"].append({"concat": [ADDRESS["dgw2"], 7]})


@doctored("leftovers", "leftovers.accounted", "gate: barred 7 belongs to nothing")
@dumped("kernel-dump", "at dgw3", "dgw1")
def strange_bar(dump):
    dump["sets"]["barred"] = [7]


@doctored("leftovers", "leftovers.accounted", "gate: local 0 2001:db8:c:3::2 belongs to nothing")
@dumped("kernel-dump", "at dgw3", "dgw1")
def strange_local_access(dump):
    ends = [{"prefix": {"addr": prefix, "len": 64}} for prefix in ("2001:db8:c3:1::", "2001:db8:a1:ffff::")]
    dump["sets"]["tunnel_local"] = [{"elem": {"val": {"concat": [ADDRESS["dgw3"], *ends]}, "counter": {}}}]


@doctored("leftovers", "leftovers.accounted", "gate: source mn1dgw3")
@dumped("kernel-dump", "at dgw3", "dgw3")
def old_source_admitted(dump):
    dump["sets"]["sources"].append({"concat": ["mn1dgw3", 7]})


@doctored("leftovers", "leftovers.dlif", "dgw1 (at dgw2): mn1dgw1 02:d6:00:01:00:01, whose node is elsewhere")
@dumped("kernel-dump", "at dgw2", "dgw1")
def dlif_stays_behind(dump):
    dump["links"].append(syn.dumps.link("mn1dgw1", LMAC["dgw1"], "macvlan", "183"))
    dump["items"].append("dlif mn1dgw1")


@doctored("leftovers", "leftovers.dlif", "no DLIF 02:d6:00:01:00:01, mn1's of dgw1")
@dumped("kernel-dump", "at dgw3", "dgw3")
def dlif_never_made(dump):
    without_words(dump, "links", "mn1dgw1")
    without_words(dump, "items", "dlif mn1dgw1")


@doctored("leftovers", "leftovers.dlif", "mn1 never heard of dgw2's DLIF")
def dlif_without_ra(mode):
    return without(mode, ("ra:dgw2:dgw2", "ra:dgw3:dgw2"))


@doctored("leftovers", "leftovers.tunnel", "downlink of mn1's 2001:db8:a1:1::/64 still goes to dgw2")
@dumped("kernel-dump", "at dgw3", "dgw1")
def tunnel_to_the_old_gateway(dump):
    next(one for one in dump["routes"] if one["metric"] == 64)["segs"] = [ADDRESS["dgw2"]]


@doctored("leftovers", "leftovers.tunnel", "uplink of mn1's 2001:db8:a1:1::/64 does not go to dgw1")
@dumped("kernel-dump", "at dgw3", "dgw3")
def uplink_missing(dump):
    without_words(dump, "rules", "2001:db8:a1:1::")


@doctored("leftovers", "leftovers.tunnel", "uplink of mn1's 2001:db8:a1:1::/64 still goes to dgw1")
def tunnel_kept_by_a_left_gateway(mode):
    world = World(mode)
    before, after = (world.dumped("kernel-dump", label, "dgw2") for label in ("at dgw2", "at dgw3"))
    after["rules"] += [rule for rule in before["rules"] if rule["priority"] == 1000]
    after["routes"] += [route for route in before["routes"] if route.get("table") == "1001"]
    return world


@doctored("leftovers", "leftovers.accounted", "unreachable aggregate 2001:db8:a1::/48 is missing")
@dumped("kernel-dump", "at dgw3", "dgw1")
def pool_may_loop(dump):
    without_words(dump, "routes", "unreachable")


@doctored("leftovers", "leftovers.accounted", "no kernel dump", outcome=None)
def nothing_dumped(mode):
    world = World(mode)
    world.events = [one for one in world.log() if one["event"] != "kernel-dump"]
    return world


@doctored("leftovers", "leftovers.cleared", "dgw2 still has macvlan mn1dgw2")
@dumped("kernel-dump", "after the end", "dgw2")
def dlif_left(dump):
    dump["links"].append(syn.dumps.link("mn1dgw2", LMAC["dgw2"], "macvlan", "183"))


@doctored("leftovers", "leftovers.cleared", "dgw2 still has rule 10 to table 41")
@dumped("kernel-dump", "after the end", "dgw2")
def rule_left(dump):
    dump["rules"].append({"priority": 10, "src": "all", "table": "41", "protocol": "183"})


@doctored("leftovers", "leftovers.cleared", "dgw2 still has a route to default")
@dumped("kernel-dump", "after the end", "dgw2")
def route_left(dump):
    dump["routes"].append({"dst": "default", "table": "1001", "metric": 1024, "protocol": "183"})


@doctored("leftovers", "leftovers.cleared", "dgw2 still has its gate")
@dumped("kernel-dump", "after the end", "dgw2")
def gate_left(dump):
    dump["sets"] = {}


@doctored("leftovers", "leftovers.cleared", "dgw3 was not dumped after its end")
def one_not_cleared(mode):
    world = World(mode)
    world.log().remove(world.dumped("kernel-dump", "after the end", "dgw3"))
    return world


MN1 = ("mobile-dump", "at dgw3", "mn1")


@doctored("mobile-view", "mobile-view.routers", "is medium, not low")
@dumped(*MN1)
def anchor_preferred_by_the_node(dump):
    next(one for one in dump["routes"] if one["pref"] == "low")["pref"] = "medium"


@doctored("mobile-view", "mobile-view.routers", "is none, not medium")
@dumped(*MN1)
def own_router_unknown(dump):
    without_words(dump, "routes", "medium")


@doctored("mobile-view", "mobile-view.routers", "router fe80::99 is low, not none")
@dumped(*MN1)
def strange_router(dump):
    dump["routes"].append({"dst": "default", "gateway": "fe80::99", "pref": "low"})


@doctored("mobile-view", "mobile-view.routers", "never heard an RA of dgw2's DLIF")
def router_without_ra(mode):
    return without(mode, ("ra:dgw2:dgw2", "ra:dgw3:dgw2"))


@doctored("mobile-view", "mobile-view.addresses", "address in 2001:db8:a1:1::/64 is preferred")
@dumped(*MN1)
def anchored_address_preferred(dump):
    next(one for one in dump["addresses"] if one["local"] == MN["dgw1"])["deprecated"] = False


@doctored("mobile-view", "mobile-view.addresses", "address in 2001:db8:c3:1::/64 is deprecated")
@dumped(*MN1)
def own_address_deprecated(dump):
    next(one for one in dump["addresses"] if one["local"] == MN["dgw3"])["deprecated"] = True


@doctored("mobile-view", "mobile-view.addresses", "no address in 2001:db8:b2:1::/64")
@dumped(*MN1)
def address_lost(dump):
    without_words(dump, "addresses", MN["dgw2"])


@doctored("mobile-view", "mobile-view.addresses", "address in 2001:db8:b2:7::/64")
@dumped(*MN1)
def foreign_address(dump):
    dump["addresses"].append({"local": "2001:db8:b2:7::11", "prefixlen": 64, "scope": "global"})


@doctored("mobile-view", "mobile-view.neighbours", "dgw1's DLIF at 02:00:00:00:00:99")
@dumped(*MN1)
def neighbour_elsewhere(dump):
    next(one for one in dump["neighbours"] if one["lladdr"] == LMAC["dgw1"])["lladdr"] = "02:00:00:00:00:99"


@doctored("mobile-view", "mobile-view.constant", "was at 02:d6:00:01:00:01, is at 02:00:00:00:00:99")
@dumped(*MN1)
def neighbour_changed(dump):
    next(one for one in dump["neighbours"] if one["lladdr"] == LMAC["dgw1"])["lladdr"] = "02:00:00:00:00:99"


@doctored("mobile-view", "mobile-view.constant", "is no default router any more")
@dumped(*MN1)
def router_forgotten(dump):
    without_words(dump, "routes", "fe80::d6:ff:fe01:1")


@doctored("mobile-view", "mobile-view.constant", "no node was dumped twice", outcome=None)
def dumped_once(mode):
    world = World(mode)
    world.events = [one for one in world.log() if one["event"] != "mobile-dump" or one["label"] == "at dgw3"]
    return world


# -- replays and resources -----------------------------------------------------------------------------


@doctored("replay", "replay.stale.answer", "status 0")
def stale_update_accepted(mode):
    return tweaked(mode, "stale-answer", status=0, lifetime=75)


@doctored("replay", "replay.stale.answer", "status 156")
def rejected_for_another_reason(mode):
    return tweaked(mode, "stale-answer", status=156)


@doctored("replay", "replay.stale.answer", "without the receiver's current time")
def rejected_with_an_old_time(mode):
    return tweaked(mode, "stale-answer", ts=lambda f: f["ts"] - 3)


@doctored("replay", "replay.stale.answer", "never answered")
def replay_unanswered(mode):
    return without(mode, "stale-answer")


@doctored("replay", "replay.stale.answer", "the injected message is in no capture", outcome=None)
def replay_not_captured(mode):
    world = World(mode)
    world.drop(lambda f: f.tag == "stale")
    return world


@doctored("replay", "replay.deregistration.answer", "answered with status 0", mode="relay")
def deregistration_answered(mode):
    world = World(mode)
    fields = world.sent["deregistration"]
    keep = {key: fields[key] for key in ("hnp", "hi", "att", "seq", "mn_id", "ts")}
    world.message("answer", 6.8805, "cmd", "dgw2", "PBA", lifetime=0, **keep)
    return world


@doctored("replay", "replay.stale.state", "dgw1: nodes changed")
def state_changed(mode):
    world = World(mode)
    dumps = [e for e in world.events if (e["event"], e["node"], e.get("label")) == ("agent-dump", "dgw1", "stale")]
    dumps[-1]["state"]["nodes"] = {}
    return world


@doctored("replay", "replay.stale.state", "dgw1 was not dumped before and after")
def state_dumped_once(mode):
    world = World(mode)
    dumps = [e for e in world.events if (e["event"], e["node"], e.get("label")) == ("agent-dump", "dgw1", "stale")]
    world.events.remove(dumps[0])
    return world


@doctored("replay", "replay.stale.state", "the state of dgw1, which it was sent to, was not dumped")
def only_others_dumped(mode):
    world = World(mode)
    world.events = [
        e
        for e in world.log()
        if (e["event"], e["node"], e.get("label")) != ("agent-dump", "dgw1", "stale") or e.get("state") is None
    ]
    return world


@doctored("replay", "replay", "the script injected nothing", outcome=None)
def nothing_injected(mode):
    world = World(mode)
    world.events = [one for one in world.log() if one["event"] != "impostor"]
    return world


def measured(**fields):
    """A run that measured its memory so."""

    def make(mode):
        world = World(mode)
        next(one for one in world.log() if one["event"] == "resources").update(fields)
        return world

    make.__name__ = "measured_" + "_".join(fields)
    return make


doctored("resources", "resources.memory", "3000 MiB in 40 processes")(measured(memory_mb=3000))
doctored("resources", "resources.memory", "2 of 42 processes could not be measured")(measured(unread=2))


@doctored("resources", "resources.memory", "memory was not measured", outcome=None)
def not_measured(mode):
    world = World(mode)
    world.events = [one for one in world.log() if one["event"] != "resources"]
    return world


# -- what the older checks had no doctored run for -----------------------------------------------------


@doctored("tunnel", "tunnel.outer", "tunnel inside a tunnel")
def tunnel_in_a_tunnel(mode):
    world = World(mode)
    packet = wire.udp(MN["dgw1"], ADDRESS["cn1"], 5000, 7000, 9999)
    inner = wire.tunnelled(ADDRESS["dgw2"], ADDRESS["dgw1"], packet)
    world.core("dgw2", "dgw1", 4.0, wire.tunnelled(ADDRESS["dgw2"], ADDRESS["dgw1"], inner), "bad")
    return world


@doctored("tunnel", "tunnel.serving", "was never given to a mobile node")
def tunnel_for_nobody(mode):
    world = World(mode)
    packet = wire.udp("2001:db8:a1:77::1", ADDRESS["cn1"], 5000, 7000, 9999)
    world.core("dgw2", "dgw1", 4.0, wire.tunnelled(ADDRESS["dgw2"], ADDRESS["dgw1"], packet), "bad")
    return world


@doctored("tunnel", "tunnel.local", "dgw1 tunnels its own prefix")
def own_prefix_tunnelled(mode):
    world = World(mode)
    packet = wire.udp(ADDRESS["cn1"], MN["dgw1"], 7000, 5000, 9999)
    world.core("dgw1", "dgw2", 2.0, wire.tunnelled(ADDRESS["dgw1"], ADDRESS["dgw2"], packet), "bad")
    return world


@doctored("cmd-interface", "cmd-interface.content", "tunnelled packet at the CMD")
def tunnelled_at_cmd(mode):
    world = World(mode)
    packet = wire.udp(MN["dgw1"], ADDRESS["cn1"], 5000, 7000, 9999)
    world.inject("cmd-eth0", 4.0, wire.tunnelled(ADDRESS["dgw2"], ADDRESS["dgw1"], packet))
    return world


@doctored("identity", "identity.constant", "no DLIF was ever seen at a second gateway")
def no_dlif_moves(mode):
    def tweak(tag, fields):
        foreign = tag.startswith("ra") and tag.split(":")[1] != tag.split(":")[2]
        return None if foreign else fields

    return World(mode, tweak)


@doctored("prefixes", "prefixes.mn1.1", "is not a /64")
def wide_prefix(mode):
    return tweaked(mode, "ra:dgw2:dgw2", prefixes=[("2001:db8:b2:1::/65", 300, 300)])


@doctored("prefixes", "prefixes.exclusive", "mn1: 4 prefixes of 3 anchors")
def one_prefix_too_many(mode):
    return tweaked(mode, "ra:dgw2:dgw2:2", prefixes=[("2001:db8:b2:9::/64", 300, 300)])


@doctored("ra", "ra.source", "RA without SLLA option")
def ra_without_slla(mode):
    return tweaked(mode, "ra:dgw2:dgw2:1", sllao=False)


@doctored("ra", "ra.receiver", "RA for fe80::99 in a frame to 02:00:00:00:00:11")
def ra_to_another_address(mode):
    return tweaked(mode, "ra:dgw2:dgw2:1", destination="fe80::99")


@doctored("ra", "ra.receiver", "mn1 saw a foreign RA")
def foreign_ra_heard(mode):
    world = World(mode)
    frame = next(f for f in world.frames if f.tag == "ra:dgw1:dgw1:1" and f.capture == "mn1-eth0")
    world.frames.append(replace(frame, data=bytes.fromhex("020000000012") + frame.data[6:]))
    return world


@doctored("ra", "ra.profile", "2 prefix options in an RA")
def two_prefix_options(mode):
    return tweaked(mode, "ra:dgw2:dgw2:1", prefixes=[(PREFIX["dgw2"], 300, 300), (PREFIX["dgw1"], 300, 0)])


@doctored("ra", "ra.profile", "2001:db8:ee:1::/64 is in no gateway's pool")
def prefix_of_nobody(mode):
    return tweaked(mode, "ra:dgw2:dgw2:1", prefixes=[("2001:db8:ee:1::/64", 300, 300)])


@doctored("ra", "ra.profile", "without L and A")
def prefix_not_on_link(mode):
    return tweaked(mode, "ra:dgw2:dgw2:1", on_link=0)


@doctored("ra", "ra.profile", "two route options for one prefix")
def route_twice(mode):
    return tweaked(mode, "ra:dgw2:dgw2:1", routes=[("2001:db8:a1:ffff::/64", "high", 60)] * 2)


@doctored("ra", "ra.same", "RA without MTU option")
def no_mtu(mode):
    return tweaked(mode, "ra", mtu=None)


@doctored("ra", "ra.same", "MTU 1480, tunnels of dgw1 hold 1460")
def too_large_an_mtu(mode):
    return tweaked(mode, "ra", mtu=1480)


@doctored("ra", "ra.same", "MTU 1460, tunnels of dgw2 hold 1452")
def more_than_its_tunnels_hold(mode):
    world = World(mode)
    world.events.append({"t": syn.T0, "node": "dgw2", "agent": "gateway", "event": "tunnels", "mtu": 1452})
    return world


@doctored("ra", "ra.same", "CurHopLimit 255")
def another_hop_limit_everywhere(mode):
    return tweaked(mode, "ra", current=255)


@doctored("ra", "ra.same", "M or O set")
def managed(mode):
    return tweaked(mode, "ra:dgw2:dgw1", managed=1)


@doctored("ra", "ra.same", "retrans_timer 0 and 500")
def other_timer(mode):
    return tweaked(mode, "ra:dgw2:dgw1", retrans=500)


@doctored("flows", "flows.ping3.loss", "sent, none arrived")
def nothing_arrived(mode):
    world = World(mode)
    world.drop(lambda f: f.tag.startswith("pong:13") and f.capture == "mn1-eth0")
    return world


@doctored("flows", "flows.median", "median 80.0 ms")
def interrupted_for_long(mode):
    world = World(mode)
    next(one for one in world.checks if one["check"] == "flows")["max_median_gap_ms"] = 60
    return world


@doctored("signalling", "signalling.options", "ATT 4")
def other_access_type(mode):
    return tweaked(mode, "pbu:dgw2", att=4)


@doctored("signalling", "signalling.options", "HI 6")
def unknown_handoff(mode):
    return tweaked(mode, "pbu:dgw2:dgw1", hi=6)


@doctored("signalling", "signalling.options", "HNP of length 60")
def wide_hnp(mode):
    return tweaked(mode, "pbu:dgw2:dgw1", hnp=["2001:db8:a1::/60"])


@doctored("signalling", "signalling.sequence", "has an older Timestamp")
def time_runs_backwards(mode):
    world = World(mode)
    fields = {key: world.sent["pbu:dgw2:dgw1"][key] for key in ("hnp", "hi", "att", "mn_id")}
    world.message("older", 3.6, "dgw2", "dgw1", "PBU", seq=0x999, ts=syn.T0 + 2, **fields)
    return world


@doctored("signalling", "signalling.wellformed", "Payload Proto 6")
def other_payload(mode):
    return tweaked(mode, "pbu:dgw2:dgw1", payload_proto=6)


@doctored("signalling", "signalling.wellformed", "option 23 has length 3")
def option_of_wrong_length(mode):
    return tweaked(mode, "pbu:dgw2:dgw1", extra=[syn.mh.raw_option(23, b"\0\3\0")])


# -- octets that every receiver reads all the same -------------------------------------------------------


def laid_out(mode, **places):
    """A world whose senders put options elsewhere: {"22": (1, 0)} is anywhere."""
    with patch.dict(mh.ALIGN, {int(kind): place for kind, place in places.items()}):
        return World(mode)


@doctored("signalling", "signalling.wellformed", "option 22 at 30, not 8n+4")
def prefix_out_of_place(mode):
    return laid_out(mode, **{"22": (1, 0)})


@doctored("signalling", "signalling.wellformed", "option 27 at ")
def timestamp_out_of_place(mode):
    return laid_out(mode, **{"27": (8, 4)})


@doctored("signalling", "signalling.wellformed", "padding after padding")
def gaps_filled_with_single_octets(mode):
    with patch.object(mh, "pad", bytes):
        return World(mode)


@doctored("signalling", "signalling.wellformed", "is not 0")
def gaps_filled_with_something(mode):
    with patch.object(mh, "pad", lambda n: b"" if n == 0 else b"\0" if n == 1 else bytes([1, n - 2]) + b"\7" * (n - 2)):
        return World(mode)
