"""Checks of a run with two operators: all pass on a right one, and each fails on one doctored for it."""

from dataclasses import replace

import pytest
import synthetic_wire as wire
from doctoring import MODES, Prepared
from doctoring import run_of as world_run
from synthetic import ADDRESS, CORE, LMAC, MN, PREFIX, WAN, World, eui64
from synthetic_operators import OperatorWorld

from captures.checks import call
from captures.flows import analyse
from captures.verdict import pbu_to_tunnel, tunnelled_bytes

DOCTORED = {}
"""name -> (mode, doctor, check, id of the result, text expected in `measured`)"""
CHAIN, AGAIN = "interoperator.chain.mn1.1.dgw1", "interoperator.chain.mn1.2.dgw1"
RELAY, DIRECT = "interoperator.relay.mn1.1.dgw1", "interoperator.direct.mn1.2.dgw2"
SECOND, THIRD = 3.005, 5.005


def doctored(result, text, modes=("relay",), check="interoperator"):
    """Register a function that makes the doctored world, for these modes."""

    def register(function):
        for mode in modes:
            DOCTORED[f"{function.__name__}-{mode}-{result}"] = (mode, function, check, result, text)
        return function

    return register


def tweaked(mode, prefix, **changes):
    def tweak(tag, fields):
        if not tag.startswith(prefix):
            return fields
        return {**fields, **{k: v(fields) if callable(v) else v for k, v in changes.items()}}

    return OperatorWorld(mode, tweak)


def without(mode, prefix):
    return OperatorWorld(mode, lambda tag, fields: None if tag.startswith(prefix) else fields)


# -- signalling ----------------------------------------------------------------------------------------


@doctored("interoperator.apart", "PBU dgw2→dgw1")
def update_between_operators(mode):
    world = OperatorWorld(mode)
    fields = world.fields(SECOND + 0.1, [PREFIX["dgw1"]], 3)
    world.message("wrong", SECOND + 0.1, "dgw2", "dgw1", "PBU", **fields)
    return world


@doctored(CHAIN, "no PBU from the LMA to dgw1", modes=MODES)
def anchor_not_asked(mode):
    return without(mode, "chain")


@doctored(CHAIN, "no PBU from the LMA to dgw1 with option 68 = LMA")
def serving_gateway_in_68(mode):
    return tweaked(mode, "chain", serving="dgw2")


@doctored(CHAIN, "dgw1 did not accept", modes=("direct", "proxy"))
def anchor_refuses(mode):
    return tweaked(mode, "chained", status=153)


@doctored(CHAIN, "is not dgw1's")
def other_prefix_asked(mode):
    return tweaked(mode, "chain", hnp=[PREFIX["dgw2"]])


@doctored(CHAIN, "is not dgw1's")
def no_prefix_asked(mode):
    return tweaked(mode, "chain", hnp=[])


@doctored(CHAIN, "passes on the gateway's timestamp", modes=("direct", "proxy"))
def timestamp_passed_on(mode):
    stamps = {}

    def tweak(tag, fields):
        if tag == "pbu:dgw2:cmd":
            stamps["ts"] = fields["ts"]
        return {**fields, "ts": stamps["ts"]} if tag.startswith("chain") else fields

    return OperatorWorld(mode, tweak)


@doctored(CHAIN, "answers before the anchor agreed", ("direct", "locator"))
def answered_too_early(mode):
    return tweaked(mode, "pba:cmd:dgw2", t=lambda f: f["t"] - 0.0026)


@doctored(CHAIN, "asks the anchor before it was asked")
def asked_too_early(mode):
    return tweaked(mode, "chain:cmd", t=lambda f: f["t"] - 0.001)


@doctored(CHAIN, "no PBA from the LMA to dgw2", modes=("direct", "proxy"))
def never_told(mode):
    return without(mode, "pba:cmd:dgw2")


def groups_with(**changes):
    """The groups of a PBA with another address, link-local or MAC for dgw1's prefix."""

    def changed(fields):
        rows = [dict(zip(("who", "prefix", "ll", "mac"), group, strict=True)) for group in fields.get("groups", [])]
        return [tuple({**row, **(changes if row["prefix"] == PREFIX["dgw1"] else {})}.values()) for row in rows]

    return changed


@doctored(CHAIN, "is given to 2001:db8:c:1::2", ("relay", "proxy"))
def real_address_told(mode):
    return tweaked(mode, "pba:cmd:dgw2", groups=groups_with(who="dgw1"))


@doctored(CHAIN, "69, 70 differ", ("relay", "proxy"))
def identity_changed(mode):
    return tweaked(mode, "pba:cmd:dgw2", groups=groups_with(ll=str(eui64(LMAC["dgw3"])), mac=LMAC["dgw3"]))


@doctored(CHAIN, "69, 70 differ", ("direct",))
def identity_changed_directly(mode):
    return tweaked(mode, "pba:cmd:dgw2", dlif=(str(eui64(LMAC["dgw3"])), LMAC["dgw3"]))


@doctored("identity.signalled", "option 70 02:d6:00:03:00:01", check="identity", modes=MODES)
def identity_is_another(mode):
    other = (str(eui64(LMAC["dgw3"])), LMAC["dgw3"])
    both = {"groups": groups_with(ll=other[0], mac=other[1])} if mode != "direct" else {"dlif": other}
    return tweaked(mode, "pba:cmd:dgw2", **both)


@doctored(AGAIN, "which need not know", modes=("direct", "proxy"))
def anchor_told_again(mode):
    world = OperatorWorld(mode)
    world.chain("dgw3", "dgw1", THIRD + 0.002)
    return world


@doctored(AGAIN, "no PBA from the LMA to dgw3 with dgw1's prefix")
def not_told_again(mode):
    return without(mode, "pba:cmd:dgw3")


@doctored("signalling.mn1.2", "does not give cmd", ("relay", "proxy"), "signalling")
def real_address_told_later(mode):
    return tweaked(mode, "pba:cmd:dgw3", groups=groups_with(who="dgw1"))


@doctored("signalling.mn1.2", "no PBU from the CMD to dgw2", ("relay", "proxy"), "signalling")
def near_anchor_left_out(mode):
    return without(mode, "pbu:cmd:dgw2")


# -- user data -----------------------------------------------------------------------------------------


@doctored("interoperator.apart", "tunnelled packet dgw2→dgw1")
@doctored("tunnel.outer", "between operators", check="tunnel")
def tunnel_between_operators(mode):
    world = OperatorWorld(mode)
    packet = wire.udp(MN["dgw1"], ADDRESS["cn1"], 5000, 7000, 9000)
    world.core("dgw2", "dgw1", 4.0, wire.tunnelled(ADDRESS["dgw2"], ADDRESS["dgw1"], packet), "wrong")
    return world


@doctored(RELAY, "up did not leave the LMA")
def lost_at_the_lma(mode):
    world = OperatorWorld(mode)
    world.drop(lambda frame: frame.capture == "cmd-eth0" and frame.tag.startswith("probe:60:"))
    world.drop(lambda frame: frame.capture == "cmd-eth0" and frame.tag.startswith("probe:61:out"))
    return world


@doctored(DIRECT, "of dgw2's prefix at the LMA")
@doctored("tunnel.cmd", "no business of the LMA's", check="tunnel")
@doctored("cmd-interface.content", "tunnelled packet at the CMD", check="cmd-interface")
def detour_inside_one_operator(mode):
    world = OperatorWorld(mode)
    world.through("dgw3", "dgw2", 6.4, wire.udp(MN["dgw2"], ADDRESS["cn1"], 5001, 7000, 1), "detour")
    return world


@doctored("tunnel.cmd", "user data at the CMD", check="tunnel")
@doctored("cmd-interface.content", "UDP 5000→7000 at the CMD", check="cmd-interface")
def sent_natively_by_the_lma(mode):
    world = OperatorWorld(mode)
    packet = wire.udp(MN["dgw1"], ADDRESS["cn1"], 5000, 7000, 9000)
    world.put("cmd-eth0", 4.0, wire.ether(WAN["cmd"], CORE["cmd"], packet), "native")
    return world


@doctored("interoperator.entry", "a packet for dgw1's prefix enters at cmd")
def lma_attracts_traffic(mode):
    world = OperatorWorld(mode)
    packet = wire.udp(ADDRESS["cn1"], MN["dgw1"], 7000, 5000, 9000)
    world.put("cmd-eth0", 4.0, wire.ether(CORE["cmd"], WAN["cmd"], packet), "attracted")
    return world


@doctored("tunnel.serving", "tunnel ends at dgw2", check="tunnel")
@doctored("tunnel.cmd", "its node is elsewhere", check="tunnel")
def relayed_to_the_old_gateway(mode):
    world = OperatorWorld(mode)
    world.through("dgw1", "dgw2", 6.5, wire.udp(ADDRESS["cn1"], MN["dgw1"], 7000, 5000, 9000), "old")
    return world


@doctored("flows.probe.path", "at dgw2", check="flows")
def flow_past_the_lma(mode):
    world = OperatorWorld(mode)
    packet = wire.udp(MN["dgw1"], ADDRESS["cn1"], 5000, 7000, 9000)
    world.put("dgw2-wan", 4.0, wire.ether(WAN["dgw2"], CORE["dgw2"], packet), "wrong")
    return world


# -- the tests -----------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def prepared(tmp_path_factory):
    return Prepared(tmp_path_factory.mktemp("operators"), OperatorWorld, DOCTORED)


@pytest.mark.parametrize("mode", MODES)
def test_a_right_run_passes_every_check(prepared, mode):
    run = prepared.run(mode, mode)
    results = [result for entry in run.lab["checks"] for result in call(run, entry)]
    assert not [(result.id, result.measured) for result in results if result.passed is not True]
    assert {CHAIN, AGAIN, RELAY, DIRECT, "interoperator.apart", "interoperator.entry"} <= {one.id for one in results}
    assert all(result.evidence for result in results)


@pytest.mark.parametrize("name", sorted(DOCTORED))
def test_a_doctored_run_fails(prepared, name):
    mode, _, check, wanted, text = DOCTORED[name]
    result = {one.id: one for one in call(prepared.run(name, mode), {"check": check})}[wanted]
    assert result.passed is False, result.measured
    assert text in result.measured


@pytest.mark.parametrize("mode", MODES)
def test_times_and_volumes_know_the_lma(prepared, mode):
    run = prepared.run(mode, mode)
    expected = {"direct": (3.2, 3.2), "relay": (3.2, 3.2), "locator": (3.2, 1.3), "proxy": (0.6, 0.6)}[mode]
    assert tuple(pbu_to_tunnel(run).values()) == pytest.approx(expected, abs=0.05)
    assert set(tunnelled_bytes(run)) == {"dgw2–cmd", "dgw3–cmd", "dgw3–dgw2", "cmd–dgw1"}


def test_without_operators_nothing_is_proven(tmp_path):
    """One operator: the check says that it saw nothing, and does not pass."""
    run = world_run(World("relay"), tmp_path)
    results = call(run, {"check": "interoperator"})
    assert [result.passed for result in results if result.id == "interoperator.apart"] == [None]
    assert not [result for result in results if result.id.startswith("interoperator.chain")]


def test_a_silent_lma_has_not_passed(prepared):
    """No packet at the LMA: nothing to judge"""
    run = prepared.run("relay", "relay")
    capture = run.capture("cmd", "eth0")
    run.captures["cmd", "eth0"] = replace(capture, packets=[p for p in capture.packets if not p.tunnelled])
    result = next(one for one in call(run, {"check": "interoperator"}) if one.id == RELAY)
    assert result.passed is None


def test_after_a_return_only_downlink_may_still_use_the_old_tunnel(prepared):
    """HO-14: read as if the node had returned to dgw1; what it sends itself through a tunnel counts from then on."""
    run = prepared.run("relay", "relay")
    first, second, third = run.attachments["mn1"]
    run.attachments["mn1"] = [first, second, replace(third, gateway="dgw1", previous=("dgw2",))]
    probe = next(report for report in analyse(run) if report.flow.name == "probe")
    ours = [p for p in run.wan("dgw1").packets if p.tunnelled and 5000 in (p.source_port, p.destination_port)]
    assert dict(probe.paths[-1].counts)["cmd"] == len([p for p in ours if p.time >= third.start]) > 10
