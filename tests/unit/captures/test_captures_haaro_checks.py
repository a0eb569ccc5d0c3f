"""HAARO's checks pass on the triangle as the sheet tells it, fail on each thing wrong, and see nothing in nothing."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address

import pytest
from haaro_wire import PINGED, Story, triangle
from scapy.layers.inet import ICMP, IP, UDP
from scapy.packet import Raw

from agents.haaro import keys
from agents.haaro.compression import Owner
from agents.wire.mip4 import encode
from agents.wire.mip4_extensions import RoReply
from agents.wire.mip4_messages import CareofTest, CareofTestInit, RegistrationReply, RegistrationRequest
from captures.checks.haaro.advertising import haaro_advertising
from captures.checks.haaro.attack import haaro_attack
from captures.checks.haaro.change import haaro_change
from captures.checks.haaro.home import haaro_home
from captures.checks.haaro.leaving import haaro_leaving
from captures.checks.haaro.paths import haaro_paths
from captures.checks.haaro.peers import haaro_peers
from captures.checks.haaro.realms import haaro_realms
from captures.checks.haaro.registration import haaro_registration
from captures.checks.haaro.routability import haaro_routability
from captures.checks.haaro.tunnels import haaro_tunnels
from topologies.haaro.plan import HOME_AGENT, site

CHECKS = (haaro_registration, haaro_advertising, haaro_routability, haaro_tunnels, haaro_paths)
PAIRS = [["mrc", "mra"], ["mra", "mrc"]]


def judged(story, check, **parameters):
    """Results by the last part of their ids."""
    return {one.id.split(".", 1)[1]: one for one in check(story.run(), **parameters)}


def flip(at):
    """Change one bit of an octet."""
    return lambda octets: octets[:at] + bytes((octets[at] ^ 1,)) + octets[at:][1:]


def test_the_triangle_passes():
    story = triangle()
    for check in CHECKS:
        for one in judged(story, check).values():
            assert one.passed is True, (one.id, one.measured)
    for one in judged(story, haaro_peers, expected=PAIRS).values():
        assert one.passed is True, (one.id, one.measured)
    assert judged(story, haaro_paths, switch_ms={"x-y": 100.0})["switch-x-y"].passed


@pytest.mark.parametrize("check", [*CHECKS, haaro_peers, haaro_leaving, haaro_realms])
def test_nothing_seen_is_nothing_proven(check):
    for one in check(Story().run()):
        assert one.passed is None, one.id


def test_without_optimisation_nothing_direct_is_proven():
    story = Story()
    for letter in "abc":
        story.register(letter)
    for check in (haaro_routability, haaro_peers, haaro_tunnels):
        found = judged(story, check)
        nobody = found.pop("expected", None)
        assert nobody is None or nobody.passed is True
        assert {one.passed for one in found.values()} == {None}
    assert judged(story, haaro_peers, expected=PAIRS)["expected"].passed is False


@pytest.mark.parametrize(
    ("changes", "check", "name", "text"),
    [
        ({"rrq_b": flip(30)}, haaro_registration, "request", "MHAE is wrong"),
        ({"rrq_b": lambda o: o[:1] + b"\x20" + o[2:]}, haaro_registration, "request", "flags 0x20"),
        ({"rrq_b": lambda o: o[:12] + b"\1\2\3\4" + o[16:]}, haaro_registration, "request", "care-of address 1.2.3.4"),
        ({"rrq_b": lambda o: o + b"\x94\x02\x09\x00"}, haaro_registration, "request", "extensions"),
        ({"rrp_b": flip(25)}, haaro_registration, "reply", "MHAE of the reply is wrong"),
        ({"rrp_b": lambda o: None}, haaro_registration, "reply", "no reply"),
        ({"hoti_c": "plain"}, haaro_routability, "home", "HoTI from"),
        ({"hot_c": "plain"}, haaro_routability, "home", "HoT from"),
        ({"coti_c": "tunnel"}, haaro_routability, "careof", "leaves in a tunnel"),
        ({"cot_c": "plain"}, haaro_routability, "careof", "is not in the tunnel of mra"),
        ({"cot_c": lambda o: o[:2] + b"\0\0" + o[4:]}, haaro_routability, "answer", "index 0"),
        ({"hoti_c": lambda o: o[:2] + (1).to_bytes(8, "big"), "coti_c": lambda o: o[:2] + (1).to_bytes(8, "big")},
         haaro_routability, "cookies", "used before"),
        ({"hot_c": lambda o: None}, haaro_peers, "request", "before its tests were answered"),
        ({"peer-rrq_c": "tunnel"}, haaro_peers, "request", "leaves in a tunnel"),
        ({"peer-rrq_c": flip(11)}, haaro_peers, "request", "at 203.0.113.0"),
        ({"peer-rrq_c": flip(-1)}, haaro_peers, "key", "not made of the tokens"),
        ({"peer-rrp_c": flip(-1)}, haaro_peers, "key", "the reply's MCAE"),
        ({"peer-rrp_c": "plain"}, haaro_peers, "reply", "the answer leaves mra"),
        ({"peer-rrp_c": flip(2)}, haaro_peers, "reply", "s granted"),
        ({"peer-rrp_c": lambda o: o[:42] + b"\1\2\3\4" + o[46:]}, haaro_peers, "reply", "care-of addresses"),
        ({"peer-rrq_c": lambda o: None}, haaro_peers, "expected", "mrc is not registered with mra"),
    ],
)  # fmt: skip
def test_what_is_wrong_fails(changes, check, name, text):
    parameters = {"expected": PAIRS} if check is haaro_peers else {}
    found = judged(triangle(**changes), check, **parameters)[name]
    assert found.passed is False
    assert text in found.measured


def test_an_answer_that_takes_too_long():
    assert judged(triangle(), haaro_registration, bound_ms=0.01)["reply"].passed is False


def test_a_reply_nobody_asked_for():
    story = triangle()
    story.answer("a", story.base("a"))
    assert "without a request" in judged(story, haaro_registration)["unasked"].measured


def test_a_reply_with_a_wrong_bit():
    story = Story()
    story.register("a", bits=RoReply(nat=True))
    assert "O, S, N are (False, False, True)" in judged(story, haaro_registration)["reply"].measured


def test_advertisements_that_tell_too_much_or_too_little():
    for owners in ([], [Owner(IPv4Address("203.0.113.99"))]):
        story = Story()
        story.register("a")
        story.register("b", owners=owners)
        assert judged(story, haaro_advertising)["content"].passed is False
    story = Story()
    story.register("a")
    story.register("b")
    story.register("c", owners=[story.registered["a"]])
    assert "mrc is told" in judged(story, haaro_advertising)["content"].measured


def test_acceptance_without_asking_the_home_agent():
    story = Story()
    for letter in "abc":
        story.register(letter)
    story.optimise("c", "a", solicit=False)
    assert "mra had not been told" in judged(story, haaro_peers)["solicitation"].measured


def test_somebody_else_registers():
    assert "mra registered with mrc" in judged(triangle(), haaro_peers, expected=PAIRS[:1])["expected"].measured


def test_traffic_before_the_first_keepalive():
    story = Story()
    for letter in "abc":
        story.register(letter)
    story.optimise("c", "a")
    story.ping("c", "a", 1, direct=True)
    assert "no keepalive" in judged(story, haaro_tunnels)["keepalive"].measured
    story.keepalive("c", "a")
    assert judged(story, haaro_tunnels)["keepalive"].passed is False


def test_the_wrong_end_probes_first():
    story = Story()
    for letter in "abc":
        story.register(letter)
    story.optimise("c", "a")
    story.keepalive("a", "c")
    assert "mra probes before mrc" in judged(story, haaro_tunnels)["keepalive"].measured
    assert judged(story, haaro_tunnels, first={"mra-mrc": "mra"})["keepalive"].passed


def test_what_has_no_place_in_a_tunnel():
    story = triangle()
    story.straight("c", "a", IP(src="203.0.113.13", dst="203.0.113.11") / UDP(dport=434) / Raw(b"\x18\0" + bytes(8)))
    assert "HoTI in a direct tunnel" in judged(story, haaro_tunnels)["signalling"].measured
    story = triangle()
    story.straight("c", "a", IP(src="10.10.2.2", dst="10.10.1.2") / ICMP())
    assert "10.10.2.2 to 10.10.1.2" in judged(story, haaro_tunnels)["form"].measured


def test_too_many_keepalives():
    story = triangle()
    for _ in range(6):
        story.keepalive("c", "a")
    assert "too many" in judged(story, haaro_tunnels)["pace"].measured


@pytest.mark.parametrize(
    ("via", "direct", "passed"),
    [
        ("direct", [True, True], True),
        ("direct", [False, True], False),
        ("direct", [False, False], False),
        ("ha", [False, False], True),
        ("ha", [False, True], False),
        ("mixed", [False, True], True),
        ("mixed", [True, False], False),
        ("mixed", [True, True], False),
        ("mixed", [False, False], False),
    ],
)
def test_paths(via, direct, passed):
    story = Story()
    story.announce("a", "c", 2, via)
    for sequence, straight in enumerate(direct, 1):
        story.ping("a", "c", sequence, direct=straight)
    assert judged(story, haaro_paths)["x-y"].passed is passed


def test_lost_and_forbidden_pings():
    story = Story()
    story.announce("a", "c", 2, "ha")
    story.ping("a", "c", 1, direct=False)
    story.ping("a", "c", 2, direct=False, answered=False)
    assert "1 of 2 are missing" in judged(story, haaro_paths)["x-y"].measured
    assert judged(story, haaro_paths, max_lost={"x-y": 1})["x-y"].passed
    story.announce("a", "c", 1, "", name="forbidden", expect="none")
    assert judged(story, haaro_paths)["forbidden"].passed is False


def test_a_switch_that_takes_too_long():
    assert judged(triangle(), haaro_paths, switch_ms={"x-y": 0.1})["switch-x-y"].passed is False
    story = Story()
    story.announce("a", "c", 1, "ha", identifier=PINGED)
    story.ping("a", "c", 1, direct=False)
    assert "no request went directly" in judged(story, haaro_paths, switch_ms={"x-y": 100})["switch-x-y"].measured


def test_leaving():
    story = triangle()
    story.leave("c", "a")
    found = judged(story, haaro_leaving, routers=["mrc"])
    assert found["order"].passed
    assert found["silence"].passed
    assert judged(story, haaro_peers, expected=PAIRS)["key"].passed
    story.time += 0.1
    story.ping("a", "c", 9, direct=True)
    assert "a packet to 10.10.3.2 after the end" in judged(story, haaro_leaving)["silence"].measured
    story = triangle()
    story.leave("c", "a")
    story.time += 0.1
    story.ping("b", "c", 9, direct=False)
    assert "mrc to the home agent: a packet" in judged(story, haaro_leaving)["silence"].measured


@pytest.mark.parametrize(
    ("peers", "silent", "routers", "text"),
    [
        ("", "", ["mrc"], "did not tell mra"),
        ("a", "a", ["mrc"], "answered None"),
        ("a", "", ["mrc", "mrb"], "mrb did not leave"),
    ],
)
def test_leaving_wrongly(peers, silent, routers, text):
    story = triangle()
    story.leave("c", peers, silent=silent)
    assert text in judged(story, haaro_leaving, routers=routers)["order"].measured


def test_peers_that_left_before_need_not_be_told():
    story = triangle()
    story.leave("a", "c")
    story.leave("c")
    assert judged(story, haaro_leaving, routers=["mra", "mrc"])["order"].passed


def test_who_has_gone_need_not_answer():
    story = triangle()
    story.leave("a", "c")
    story.leave("c", "a", silent="a")
    assert judged(story, haaro_leaving, routers=["mra", "mrc"], scenario="SC-S11")["order"].passed


HOME = {"router": "mrc", "interface": "home", "grace": 3.0}


def coming_home(*, crossed=True, tunnelled=False, away=False, early=0.5, late=3.5, delivered=(True, False)):
    """C leaves, is pinged at home, and two packets come late in its old tunnel to A."""
    story = triangle()
    story.leave("c", "a")
    ended = story.time
    for number, (after, came) in enumerate(zip((early, late), delivered, strict=True), 71):
        story.time = ended + after
        inner = IP(src="10.10.3.2", dst="10.10.1.2") / ICMP(id=number, seq=1)
        story.straight("c", "a", inner)
        if came:
            story.put(("a", "eth0"), inner)
        more = {"node": "mrc", "peer": "mra", "host": "a", "icmp_id": number, "delivered": number == 71}
        story.events.append({"event": "late-packet", **more})
    story.announce("a", "c", 1, "ha", identifier=99, name="home")
    story.events[-1]["t"] = story.time
    for kind, source, target in ((8, "10.10.1.2", "10.10.3.2"), (0, "10.10.3.2", "10.10.1.2")):
        inner = IP(src=source, dst=target) / ICMP(type=kind, id=99, seq=1)
        story.put(("a", "eth0"), inner)
        if crossed:
            story.put(("mrc", "home"), story.around("c", inner, to=False) if tunnelled else inner)
        if away:
            story.put(story.at("c"), inner)
    return story


def test_life_at_home():
    found = judged(coming_home(), haaro_home, **HOME)
    assert found["reached"].passed, found["reached"].measured
    assert found["grace"].passed, found["grace"].measured


@pytest.mark.parametrize(
    ("how", "name", "text"),
    [
        ({"crossed": False}, "reached", "home: 0 requests"),
        ({"tunnelled": True}, "reached", "in a tunnel on the home link"),
        ({"away": True}, "reached", "on an access line"),
        ({"delivered": (False, False)}, "grace", "lost"),
        ({"delivered": (True, True)}, "grace", "delivered"),
        ({"early": 3.2}, "grace", "late packet after"),
        ({"late": 1.5}, "grace", "late packet after"),
    ],
)
def test_a_home_that_is_none(how, name, text):
    found = judged(coming_home(**how), haaro_home, **HOME)[name]
    assert found.passed is False
    assert text in found.measured


def test_nobody_at_home():
    assert {one.passed for one in judged(triangle(), haaro_home, **HOME).values()} == {None}


def realms(*, straying=False, across=False, lost=False):
    """B and C have the same addresses; a pings the one."""
    story = Story()
    for letter in "abc":
        realm = "two" if letter == "c" else "one"
        same = "b" if letter == "c" else ""
        story.sites[letter] = replace(story.sites[letter], realm=realm, same_as=same)
    story.announce("a", "b", 1, "direct")
    story.ping("a", "b", 1, direct=True)
    if lost:
        story.captures[("b", "eth0")] = []
    if straying:
        story.put(("c", "eth0"), IP(src="10.10.1.2", dst="10.10.2.2") / ICMP(type=8, id=PINGED, seq=1))
    if across:
        story.keepalive("a", "c")
    return story


def test_realms_that_stay_apart():
    for one in judged(realms(), haaro_realms, scenario="SC-S23").values():
        assert one.passed, one.measured
    story = Story()
    for letter, realm in (("a", "one"), ("b", "one"), ("c", "two")):
        story.sites[letter] = replace(story.sites[letter], realm=realm, same_as="b" if letter == "c" else "")
        story.register(letter)
    assert judged(story, haaro_advertising)["content"].passed
    story.registered["b"] = replace(story.registered["b"], networks=story.registered["c"].networks)
    story.register("a")
    assert judged(story, haaro_advertising)["content"].passed is False


@pytest.mark.parametrize(
    ("how", "name", "text"),
    [
        ({"straying": True}, "apart", "1 packet at c"),
        ({"lost": True}, "apart", "0 requests"),
        ({"across": True}, "tunnels", "mra and mrc share no realm"),
    ],
)
def test_realms_that_mix(how, name, text):
    found = judged(realms(**how), haaro_realms)[name]
    assert found.passed is False
    assert text in found.measured


ATTACKS = {"rows": {"ha": 1, "mra": 3}, "flood": 6}


def attacked(*, code=131, signed=True, low=0, hint_signed=False, answered=False, counted="bad_authenticator",
             after="1", flood=6, answers=5, at_once=False, sent=True, octets=None, target="mra"):  # fmt: skip
    """C's node attacks the home agent and A; what comes of it can be another."""
    story = Story()
    careof = story.line("c").address
    peer, agent = story.sites["a"].home_address, HOME_AGENT
    replies = {"mra": (131, keys.sign_correspondent), "ha": (133, keys.sign_home)}
    ports = iter(range(20000, 20100))
    for row, node, wanted in (("wrong", "mra", 131), ("old", "mra", 203), ("cut", "mra", None), ("stale", "ha", 133)):
        port, address, mine = next(ports), agent if node == "ha" else peer, row in ("wrong", "stale") and node == target
        base = story.base("c", lifetime=120)
        request = RegistrationRequest(**base, careof_address=IPv4Address(careof))
        wire = encode(keys.sign_home(request, 256, story.keys["c"]))
        wire = wire[:20] if row == "cut" else wire
        if sent:
            story.put(story.at("c"), IP(src=careof, dst=address) / UDP(sport=port, dport=434) / Raw(wire))
        if wanted or answered:
            got = code if mine else (wanted or 133)
            base["identification"] ^= low if mine else 0
            reply = RegistrationReply(**(base | {"lifetime": 0}), code=got)
            key = (256, story.keys["c"]) if node == "ha" else (1, 1, bytes(20))
            if (row == "old" and hint_signed) or (row != "old" and (signed or not mine)):
                reply = replies[node][1](reply, *key)
            packet = IP(src=address, dst=careof) / UDP(sport=434, dport=port) / Raw(encode(reply))
            story.put(story.at("c"), packet)
        facts = {"node": "mrc", "interface": "isp1", "target": node, "row": row, "port": port, "code": wanted}
        more = {"octets": (octets or wire).hex(), "requirement": "ERR-28", "counter": "bad_authenticator"}
        state = {"counted": {counted: 1}, "same": True, "before": "1", "after": after}
        story.events.append({"event": "attack", **facts, **more, **state})
    port = next(ports)
    for number in range(flood):
        init = encode(CareofTestInit(number.to_bytes(8, "big")))
        story.put(story.at("c"), IP(src=careof, dst=peer) / UDP(sport=port, dport=434) / Raw(init))
        if number < answers or at_once:
            test = encode(CareofTest(1, number.to_bytes(8, "big"), bytes(8)))
            story.put(story.at("c"), IP(src=peer, dst=careof) / UDP(sport=434, dport=port) / Raw(test))
    facts = {"node": "mrc", "interface": "isp1", "target": "mra", "port": port, "count": flood, "dropped": 1}
    story.events.append({"event": "flood", **facts, "before": "1", "after": after})
    return story


def test_attacks_that_come_to_nothing():
    for one in judged(attacked(), haaro_attack, **ATTACKS).values():
        assert one.passed, (one.id, one.measured)
    assert {one.passed for one in judged(Story(), haaro_attack, **ATTACKS).values()} == {None}


@pytest.mark.parametrize(
    ("how", "name", "text"),
    [
        ({"code": 0}, "mra", "wrong: code 0, not 131"),
        ({"code": 0, "target": "ha"}, "ha", "stale: code 0, not 133"),
        ({"signed": False}, "mra", "wrong: authenticators ()"),
        ({"signed": False, "target": "ha"}, "ha", "stale: authenticators ()"),
        ({"hint_signed": True}, "mra", "old: authenticators"),
        ({"low": 1}, "mra", "answers another request"),
        ({"answered": True}, "mra", "cut: answered"),
        ({"sent": False}, "mra", "in no capture"),
        ({"octets": b"other"}, "mra", "other octets"),
        ({"counted": "dropped_else"}, "state", "counted {'dropped_else': 1}"),
        ({"after": "2"}, "state", "its state changed"),
        ({"after": "2"}, "flood", "its state changed"),
        ({"at_once": True}, "flood", "too fast"),
        ({"answers": 0}, "flood", "none was answered"),
        ({"flood": 5}, "flood", "5 CoTIs sent"),
    ],
)
def test_attacks_that_come_to_something(how, name, text):
    found = judged(attacked(**how), haaro_attack, **ATTACKS)[name]
    assert found.passed is False
    assert text in found.measured


def test_attacks_that_were_left_out():
    found = judged(attacked(), haaro_attack, rows={"mra": 4})["mra"]
    assert "3 attacks, not 4" in found.measured


def declining():
    """A home agent that does not optimise B."""
    story = Story()
    story.sites["b"] = replace(story.sites["b"], served={"optimise": False})
    return story


def test_a_router_that_is_declined():
    story = declining()
    story.register("a")
    story.register("b", owners=[], bits=RoReply(16))
    story.registered.pop("b")
    story.register("c")
    assert judged(story, haaro_registration)["reply"].passed
    assert judged(story, haaro_advertising)["content"].passed
    story = declining()
    story.register("a")
    story.register("b")
    assert "RO Reply code 0" in judged(story, haaro_registration)["reply"].measured
    assert "mrb is told" in judged(story, haaro_advertising)["content"].measured


def test_a_home_agent_that_should_know_nothing_of_it():
    story = Story()
    story.home = {"haaro": False}
    story.register("a")
    assert "without HAARO" in judged(story, haaro_registration)["reply"].measured
    story.register("b")
    assert judged(story, haaro_advertising)["content"].passed is False


CHANGE = {"router": "mrc", "interface": "isp2", "stream": "x-y", "bound_ms": 50.0}


def changing(*, home=True, hoti=False, peer=True, early=False, direct=True, pause=0.0):
    """C comes to its second line while a and c ping each other."""
    story = Story()
    story.sites["c"] = site("c", isps=(1, 2))
    story.register("a")
    story.register("c")
    story.optimise("c", "a")
    story.keepalive("c", "a")
    story.announce("a", "c", 3, "")
    story.ping("a", "c", 1, direct=True)
    story.used["c"] = 1
    if early:
        story.optimise("c", "a", solicit=False, hoti=hoti)
    if home:
        story.register("c")
    story.ping("a", "c", 2, direct=False)
    if peer and not early:
        story.optimise("c", "a", solicit=False, hoti=hoti)
    story.time += pause
    story.ping("a", "c", 3, direct=direct)
    return story


def test_a_change_of_lines():
    found = judged(changing(), haaro_change, **CHANGE)
    assert found["order"].passed, found["order"].measured
    assert found["outage"].passed, found["outage"].measured


@pytest.mark.parametrize(
    ("how", "name", "text"),
    [
        ({"hoti": True}, "order", "a HoTI to mra"),
        ({"peer": False}, "order", "no peer accepted"),
        ({"early": True}, "order", "mra was told before the home agent"),
        ({"direct": False}, "order", "direct packets to mra before"),
        ({"direct": False}, "outage", "did not go directly"),
        ({"pause": 1.0}, "outage", "silent for"),
    ],
)
def test_a_change_that_goes_wrong(how, name, text):
    found = judged(changing(**how), haaro_change, **CHANGE)[name]
    assert found.passed is False
    assert text in found.measured


def test_a_change_that_never_came():
    found = judged(changing(home=False, peer=False), haaro_change, **CHANGE)["order"]
    assert found.passed is None
    assert "no accepted registration by isp2" in found.measured
