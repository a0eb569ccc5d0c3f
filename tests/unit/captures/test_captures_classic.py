"""Checks on runs of classic Proxy Mobile IPv6: a right walk passes, every wrong one fails for its reason."""

from dataclasses import replace
from ipaddress import IPv6Address, IPv6Network

import pytest
from record_world import ADDRESS, LMAC, classic_walk

from captures.checks import call
from captures.verdict import judge

OTHER_HOME = IPv6Network("2001:db8:100:2::/64")
CHECKS = ("signalling", "tunnel", "ra", "identity", "prefixes")


def judged(world, tmp_path, check):
    return {one.id: one for one in call(world.run(tmp_path), {"check": check})}


@pytest.mark.requirement("SC-IETF87")
@pytest.mark.parametrize("check", CHECKS)
def test_a_right_walk_passes(tmp_path, check):
    for one in judged(classic_walk(), tmp_path, check).values():
        assert one.passed is True, f"{one.id}: {one.measured}"
        assert one.evidence


def edited(kind, where, when, **changes):
    """A right walk with the first record of that kind after `when` changed."""
    world = classic_walk()
    for capture in [world.captures[name] for name in where]:
        records = getattr(capture, kind)
        index = next(n for n, one in enumerate(records) if when(one))
        records[index] = replace(records[index], **changes)
    return world


def stray(**ends):
    world = classic_walk()
    world.packet("dgw2-wan", 4.0, **ends)
    return world


def plain_leak():
    world = classic_walk()
    world.packet("dgw2-wan", 4.0, ("2001:db8:100:1:0:ff:fe00:11", ADDRESS["cn1"]))
    return world


def gateway_to_gateway():
    world = classic_walk()
    inner = ("2001:db8:100:1:0:ff:fe00:11", ADDRESS["cn1"])
    world.packet("dgw2-wan", 4.0, (ADDRESS["dgw2"], ADDRESS["dgw1"]), inner)
    return world


def second_prefix():
    return classic_walk(answer={"prefixes": (OTHER_HOME,)})


def other_router_advertised():
    world = classic_walk()
    world.advertise(4.0, "dgw2", mac="02:d6:00:00:00:02")
    return world


def other_prefix_advertised():
    world = classic_walk()
    world.advertise(4.0, "dgw2", prefix=str(OTHER_HOME))
    return world


def deprecated():
    world = classic_walk()
    world.advertise(4.0, "dgw2", preferred=0)
    return world


def low():
    world = classic_walk()
    world.advertise(4.0, "dgw2", preference="low")
    return world


def router_at_the_old_gateway():
    world = classic_walk()
    world.packet("dgw1-phy", 5.0, ("fe80::1", "ff02::1"), source_mac=LMAC)
    return world


def no_advertisement():
    world = classic_walk()
    for name in ("dgw2-phy", "mn1-eth0"):
        found = world.captures[name].advertisements
        world.captures[name].advertisements = [one for one in found if one.time < found[0].time + 1]
    return world


def asks_another_gateway():
    world = classic_walk()
    world.message(4.0, "dgw2", "dgw1", "PBU", prefixes=(IPv6Network("::/0"),), timestamp=None)
    return world


def without_tunnel_down():
    world = classic_walk()
    lma = IPv6Address(ADDRESS["lma"])
    wan = world.captures["dgw2-wan"]
    wan.packets = [one for one in wan.packets if one.outer.source != lma]
    return world


WRONG = {
    "D flag": (lambda: classic_walk(update={"flags": 0x8210}), "signalling", "signalling.flags", "PBU flags 0x8210"),
    "D in answer": (lambda: classic_walk(answer={"flags": 0x22}), "signalling", "signalling.flags", "PBA flags 0x22"),
    "option 65": (
        lambda: classic_walk(update={"options": (8, 22, 23, 24, 25, 26, 27, 65)}),
        "signalling", "signalling.options", "option [65] in a PBU",
    ),
    "asks for a prefix": (
        lambda: classic_walk(update={"prefixes": (OTHER_HOME,)}), "signalling", "signalling.mn1.1", "asks for",
    ),
    "HI 1 at a move": (lambda: classic_walk(update={"handoff": 1}), "signalling", "signalling.mn1.1", "HI 1"),
    "another prefix": (second_prefix, "signalling", "signalling.mn1.1", "another prefix than before"),
    "foreign prefix": (
        lambda: classic_walk(answer={"prefixes": (IPv6Network("2001:db8:b2:1::/64"),)}),
        "signalling", "signalling.mn1.1", "not from the anchor's pool",
    ),
    "another router": (
        lambda: classic_walk(answer={"link_local": IPv6Address("fe80::9")}),
        "signalling", "signalling.mn1.1", "another home router",
    ),
    "refused": (
        lambda: classic_walk(answer={"status": 130, "lifetime": 0}), "signalling", "signalling.mn1.1", "did not accept",
    ),
    "not answered": (lambda: classic_walk(answer=False), "signalling", "signalling.echo", "never answered"),
    "another gateway asked": (asks_another_gateway, "signalling", "signalling.mn1.1", "not to the anchor"),
    "tunnel between gateways": (gateway_to_gateway, "tunnel", "tunnel.outer", "neither is the anchor"),
    "leak": (plain_leak, "tunnel", "tunnel.anchor", "outside a tunnel"),
    "one way only": (without_tunnel_down, "tunnel", "tunnel.used.mn1.1.lma", "0 packets down"),
    "router changes": (other_router_advertised, "identity", "identity.constant", "then 02:d6:00:00:00:02"),
    "router at two places": (router_at_the_old_gateway, "identity", "identity.one-place", "speaks at dgw1"),
    "router not the one signalled": (
        lambda: classic_walk(answer={"link_local": IPv6Address("fe80::9")}),
        "identity", "identity.signalled", "option 69 fe80::9",
    ),
    "home prefix deprecated": (deprecated, "ra", "ra.profile", "deprecated"),
    "home router not preferred": (low, "ra", "ra.profile", "preference low"),
    "no RA after the move": (no_advertisement, "ra", "ra.soon.mn1.1", "no RA of lma's DLIF"),
    "two prefixes": (other_prefix_advertised, "prefixes", "prefixes.mn1.1", "2 prefixes"),
    "a prefix too many": (other_prefix_advertised, "prefixes", "prefixes.exclusive", "2 prefixes of 1 anchors"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_walk_fails(tmp_path, name):
    make, check, result, text = WRONG[name]
    one = judged(make(), tmp_path, check)[result]
    assert one.passed is False
    assert text in one.measured


def test_a_gateway_that_says_nothing_at_a_move_is_missed(tmp_path):
    one = judged(classic_walk(farewell=False), tmp_path, "signalling")["signalling.mn1.1.left"]
    assert one.passed is None


@pytest.mark.parametrize("answer", [False, {"status": 157, "lifetime": 0}])
def test_a_deregistration_that_was_overtaken_may_go_unheard(tmp_path, answer):
    """RFC 5213 §5.3.5-1, §5.5: the node is elsewhere already."""
    world = classic_walk(farewell=False)
    world.exchange(
        3.0065, "dgw1", update={"lifetime": 0, "prefixes": (IPv6Network("2001:db8:100:1::/64"),)}, answer=answer
    )
    results = judged(world, tmp_path, "signalling")
    assert results["signalling.echo"].passed is True, results["signalling.echo"].measured
    assert results["signalling.mn1.1.left"].passed is True


def test_a_deregistration_in_time_must_be_accepted(tmp_path):
    world = classic_walk(farewell=False)
    gone = {"lifetime": 0, "prefixes": (IPv6Network("2001:db8:100:1::/64"),)}
    world.exchange(3.0005, "dgw1", update=gone, answer={"status": 157})
    one = judged(world, tmp_path, "signalling")["signalling.echo"]
    assert one.passed is False
    assert "status 157" in one.measured


def test_the_metrics_know_the_anchor(tmp_path):
    metrics = judge(classic_walk().run(tmp_path)).metrics
    assert set(metrics["tunnelled_bytes"]) == {"dgw1–lma", "dgw2–lma"}
    assert metrics["l2_to_ra_ms"] == {"mn1.1": pytest.approx(10, abs=0.01)}
    assert metrics["pbu_to_pba_ms"] == {"mn1.1": pytest.approx(1, abs=0.01)}
    assert "content" not in metrics
