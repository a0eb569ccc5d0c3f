"""Checks of the Client models pass on a right run, fail on each of its rules broken, and see nothing in silence."""

from pathlib import Path

import pytest
from aero_models_world import CHECKS, LANS, ModelsWorld, at, prefix
from broken_rules import judge, never_broken

import captures.checks.aero
from captures.checks import call

SOURCES = Path(captures.checks.aero.__file__).parent
MODULES = ("models", "downstream", "withdrawal", "uniqueness", "switching")
ENTRIES = {entry["check"]: entry for entry in CHECKS}
DOCTORED = {}
"""name -> (what makes the run, entry of lab.json's checks, id of the result, text in `measured`)."""


def doctored(result, text):
    """Register a function that makes the doctored World; a result's id begins with its check's name."""

    def register(function):
        entry = ENTRIES[result.split(".")[0]]
        DOCTORED[function.__name__] = (function, entry, result, text)
        return function

    return register


def spoilt(*tags, **changes):
    """A run in which what has these tags is different."""
    return ModelsWorld(lambda tag, fields: {**fields, **changes} if tag in tags else fields)


def without(*tags):
    """A run in which nothing with these tags ever was."""
    return ModelsWorld(lambda tag, fields: None if tag in tags else fields)


def besides(add):
    """A run in which something more happened."""
    world = ModelsWorld()
    add(world)
    return world


# -- addresses -----------------------------------------------------------------------------------------


@doctored("aero-addresses.answer", "no request for 2001:db8:1000:a000::2 at c1")
def never_asked():
    return without("request:all2")


@doctored("aero-addresses.answer", "no reply from 2001:db8:1000:a000::2 at g")
def an_address_is_silent():
    return without("reply:all2")


@doctored("aero-addresses.answer", "2001:db8::bad is not of c1's prefixes")
def foreign_address():
    return spoilt("event:every-address", addresses=["2001:db8:1000:a000::1", "2001:db8::bad"])


@doctored("aero-addresses.answer", "1 addresses only")
def too_few_addresses():
    return spoilt("event:every-address", addresses=["2001:db8:1000:a000::1"])


@doctored("aero-addresses.no-dad", "c1 asks for")
def detection_in_the_tunnel():
    return spoilt("ns:tunnel", source="::")


@doctored("aero-unused.c1", "0 of 1 requests arrive")
def unused_never_tried():
    return without("request:unused")


@doctored("aero-unused.c1", "it goes back into the tunnel")
def loop_over_the_server():
    return besides(
        lambda w: w.carried("request:loop", "c1", 2.015, source="2001:db8:9::2", target=at("a0ff", "bad"), ident=51)
    )


@doctored("aero-unused.c1", "g is not told")
def nobody_is_told():
    return without("unreachable:unused")


@doctored("aero-unused.c1", "told from 2001:db8:f::7")
def told_from_the_underlay():
    return spoilt("unreachable:unused", source="2001:db8:f::7")


@doctored("aero-strong-host", "1 answer")
def weak_host():
    return besides(
        lambda w: w.put("reply:past", "c1-wan", 2.12, source=at("a000", "1"), target="2001:db8:e::6", ident=52)
    )


@doctored("aero-strong-host", "not for an address of the AERO interface")
def past_the_tunnel_to_another_address():
    return spoilt("request:past", target="2001:db8:e::7")


@doctored("aero-sources", "0 requests of c2")
def nothing_leaves():
    return without("request:any")


@doctored("aero-sources", "c2 sends from 2001:db8:f::7")
def source_of_the_underlay():
    return spoilt("request:any", source="2001:db8:f::7")


@doctored("aero-sources", "0 replies to c2")
def no_reply_comes_back():
    return without("reply:any")


# -- downstream ----------------------------------------------------------------------------------------


@doctored("aero-autoconfiguration.r2", "managed flag False")
def not_managed():
    return spoilt("ra:r2", managed=False)


@doctored("aero-autoconfiguration.r2", "it offers 2001:db8:1000:b002::/64 L=1 A=1")
def autoconfiguration_beside_dhcp():
    return spoilt("ra:r2", prefix=prefix("b002"), valid=200)


@doctored("aero-autoconfiguration.n2", "it offers 2001:db8:1000:b003::/64 L=1 A=1")
def off_link_is_on_link():
    return spoilt("ra:n2", on_link=True)


@doctored("aero-autoconfiguration.h2", "it offers no prefix")
def nothing_offered():
    return spoilt("ra:h2", prefix=None)


@doctored("aero-autoconfiguration.h2", "400 s outlive the lease")
def longer_than_the_lease():
    return spoilt("ra:h2", valid=400)


@doctored("aero-autoconfiguration.h3", "preferred 250 s, valid 200 s")
def preferred_longer_than_valid():
    return spoilt("ra:h3", preferred=250)


@doctored("aero-pseudo-delegation", "2001:db8:1000:b003::bad is taken for on-link")
def asked_before_sent():
    return spoilt("ns:away", time=2.9)


@doctored("aero-sub-delegation", "no prefix was delegated")
def no_prefix():
    return spoilt("lease:r2", prefix=None)


@doctored("aero-sub-delegation", "2001:db8:2000::/60 for 300 s")
def foreign_prefix():
    return ModelsWorld(lambda tag, fields: {**fields, "prefix": "2001:db8:2000::/60"} if tag == "lease:r2" else fields)


@doctored("aero-sub-delegation", "nobody in 2001:db8:1000:b020::/60 answers")
def the_prefix_is_silent():
    return without("reply:r2")


# -- the end -------------------------------------------------------------------------------------------


@doctored("aero-withdrawal.router-h2", "it was none before")
def never_a_router():
    return spoilt("ra:h2", lifetime=0)


@doctored("aero-withdrawal.prefix-h3", "it is never said")
def not_a_word():
    return without("ra:h3-over")


@doctored("aero-withdrawal.prefix-h2", "it is never said")
def prefix_only_not_mentioned():
    return spoilt("ra:h2-over", prefix=None)


@doctored("aero-withdrawal.router-n2", "it is said after 300.0 ms")
def too_late():
    return spoilt("ra:n2-lost", time=8.8)


@doctored("aero-withdrawal.router-r2", "later it is taken back")
def a_router_again():
    return besides(lambda w: w.put("ra:again", "r2-eth0", 9.5, lifetime=60, managed=True))


# -- uniqueness ----------------------------------------------------------------------------------------


@doctored("aero-claims.detection-h2", "2001:db8:1000:b001::ff is used unasked")
def used_unasked():
    return without("ns:h22")


@doctored("aero-claims.detection-h3", "asked for: 2001:db8:1000:c000::33, which is not 2")
def the_client_does_not_ask():
    return without("ns:h31")


@doctored("aero-claims.detection-n2", "which is not 1")
def detection_for_an_address_of_the_client_off_link():
    return besides(lambda w: w.put("ns:more", "n2-eth0", 0.7, source="::", target=at("b003", "1")))


@doctored("aero-claims.1-h3", "0 answers")
def undefended():
    return without("na:claim-1-h3")


@doctored("aero-claims.1-h3", "not refused")
def taken_all_the_same():
    return spoilt("event:claim:1-h3", refused=False)


@doctored("aero-claims.2-h3", "refused")
def a_free_address_is_refused():
    return spoilt("event:claim:5ee-free-h3", refused=True)


@doctored("aero-claims.2-h3", "1 answers")
def a_free_address_is_defended():
    return besides(lambda w: w.put("na:free", "h3-eth0", 3.61, source="fe80::c3", target=at("c000", "5ee")))


# -- the switch ----------------------------------------------------------------------------------------


@doctored("aero-switch.connection", "no data before the switch")
def began_too_late():
    return without("tcp:before")


@doctored("aero-switch.connection", "no data after the switch")
def broken_by_the_switch():
    return without("tcp:after")


@doctored("aero-switch.connection", "port 40000 is opened again")
def opened_twice():
    return spoilt("tcp:after", flags="S")


@doctored("aero-switch.connection", "port 40000 does not end")
def never_closed():
    return without("tcp:close")


@doctored("aero-switch.connection", "port 40000 is reset")
def reset():
    return spoilt("tcp:answer", flags="R")


@doctored("aero-switch.router", "advertised while it was a host")
def a_host_that_advertises():
    return spoilt("ra:h1", time=4.0)


@doctored("aero-switch.router", "it never says that it is a router")
def a_hybrid_that_is_no_router():
    return spoilt("ra:h1", lifetime=0)


# -- the tests -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def judged():
    return judge(DOCTORED, SOURCES)


@pytest.mark.parametrize("name", ENTRIES)
def test_a_right_run_passes(name):
    results = call(ModelsWorld().run(), ENTRIES[name])
    assert results
    for result in results:
        assert result.passed is True, f"{result.id}: {result.measured}"
        assert result.evidence


@pytest.mark.parametrize("name", DOCTORED)
def test_a_doctored_run_fails(judged, name):
    _make, _entry, wanted, text = DOCTORED[name]
    result = judged[0][name][wanted]
    assert result.passed is False, result.measured
    assert text in result.measured


def test_every_rule_was_broken_once(judged):
    assert not never_broken([SOURCES / f"{name}.py" for name in MODULES], judged[1])


@pytest.mark.parametrize("name", ENTRIES)
def test_nothing_is_no_success(name):
    """Empty captures, whatever the script says it did; and no script at all."""
    silent = ModelsWorld(lambda tag, fields: fields if tag.startswith("event:") else None)
    empty = ModelsWorld(lambda _tag, _fields: None)
    for world in (silent, empty):
        results = call(world.run(), ENTRIES[name])
        assert results
        assert not [(one.id, one.measured) for one in results if one.passed is not None]


def test_nobody_downstream_is_not_judged():
    world = ModelsWorld()
    for client in world.lab["domain"]["clients"].values():
        client["downstream"] = []
    for name in ("aero-autoconfiguration", "aero-pseudo-delegation"):
        assert {one.passed for one in call(world.run(), ENTRIES[name])} == {None}
    assert call(world.run(), ENTRIES["aero-withdrawal"]) == []
    assert len(LANS) == 3
