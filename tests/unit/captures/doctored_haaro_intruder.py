"""HAARO's runs at home, in two realms and under attack, doctored: one thing wrong in each."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from ipaddress import IPv4Address

from doctored_haaro import wrong
from haaro_wire import PINGED, Story, triangle
from scapy.layers.inet import ICMP, IP, UDP
from scapy.packet import Raw

from agents.haaro import keys
from agents.wire.mip4 import encode
from agents.wire.mip4_messages import CareofTest, CareofTestInit, RegistrationReply, RegistrationRequest
from topologies.haaro.plan import HOME_AGENT

HOME, REALMS, ATTACK = ENTRIES = (
    {"check": "haaro-home", "router": "mrc", "interface": "home", "grace": 3.0},
    {"check": "haaro-realms"},
    {"check": "haaro-attack", "rows": {"ha": 1, "mra": 3}, "flood": 6},
)


def coming_home(*, crossed=True, tunnelled=False, away=False, early=0.5, late=3.5, delivered=(True, False)):
    """C leaves, is pinged at home, and two packets come late in its old tunnel to A."""
    story = triangle()
    story.leave("c", "a")
    ended = story.time
    for number, (after, came) in enumerate(zip((early, late), delivered, strict=True), 71):
        story.time = ended + after
        inner = bytes(IP(src="10.10.3.2", dst="10.10.1.2") / ICMP(id=number, seq=1))
        story.straight("c", "a", inner)
        if came:
            story.put(("a", "eth0"), inner)
        more = {"node": "mrc", "peer": "mra", "host": "a", "icmp_id": number, "delivered": number == 71}
        story.events.append({"event": "late-packet", **more})
    story.announce("a", "c", 1, "ha", identifier=99, name="home")
    story.events[-1]["t"] = story.time
    for kind, source, target in ((8, "10.10.1.2", "10.10.3.2"), (0, "10.10.3.2", "10.10.1.2")):
        inner = bytes(IP(src=source, dst=target) / ICMP(type=kind, id=99, seq=1))
        story.put(("a", "eth0"), inner)
        if crossed:
            story.put(("mrc", "home"), story.around("c", inner, to=False) if tunnelled else inner)
        if away:
            story.put(story.at("c"), inner)
    return story


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
        story.put(("c", "eth0"), bytes(IP(src="10.10.1.2", dst="10.10.2.2") / ICMP(type=8, id=PINGED, seq=1)))
    if across:
        story.keepalive("a", "c")
    return story


def attacked(*, code=131, signed=True, low=0, hint_signed=False, answered=False, counted="bad_authenticator",
             after="1", flood=6, answers=5, at_once=False, sent=True, octets=None, target="mra",
             mute=False):  # fmt: skip
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
            story.put(story.at("c"), bytes(IP(src=careof, dst=address) / UDP(sport=port, dport=434) / Raw(wire)))
        if (wanted or answered) and not mute:
            got = code if mine else (wanted or 133)
            base["identification"] ^= low if mine else 0
            reply = RegistrationReply(**(base | {"lifetime": 0}), code=got)
            key = (256, story.keys["c"]) if node == "ha" else (1, 1, bytes(20))
            if (row == "old" and hint_signed) or (row != "old" and (signed or not mine)):
                reply = replies[node][1](reply, *key)
            packet = bytes(IP(src=address, dst=careof) / UDP(sport=434, dport=port) / Raw(encode(reply)))
            story.put(story.at("c"), packet)
        facts = {"node": "mrc", "interface": "isp1", "target": node, "row": row, "port": port, "code": wanted}
        more = {"octets": (octets or wire).hex(), "requirement": "ERR-28", "counter": "bad_authenticator"}
        state = {"counted": {counted: 1}, "same": True, "before": "1", "after": after}
        story.events.append({"event": "attack", **facts, **more, **state})
    port = next(ports)
    for number in range(flood):
        init = encode(CareofTestInit(number.to_bytes(8, "big")))
        story.put(story.at("c"), bytes(IP(src=careof, dst=peer) / UDP(sport=port, dport=434) / Raw(init)))
        if number < answers or at_once:
            test = encode(CareofTest(1, number.to_bytes(8, "big"), bytes(8)))
            story.put(story.at("c"), bytes(IP(src=peer, dst=careof) / UDP(sport=434, dport=port) / Raw(test)))
    facts = {"node": "mrc", "interface": "isp1", "target": "mra", "port": port, "count": flood, "dropped": 1}
    story.events.append({"event": "flood", **facts, "before": "1", "after": after})
    return story


def unsaid():
    """The second late packet is not spoken of."""
    story = coming_home()
    story.events.remove(next(one for one in story.events if one.get("icmp_id") == 72))
    return story


def unended():
    """Packets are late that C never sent."""
    story = coming_home()
    for one in story.events:
        one["icmp_id"] += 1000 * (one["event"] == "late-packet")
    return story


def quiet():
    """The flood is counted by nobody."""
    story = attacked()
    story.events[-1]["dropped"] = 0
    return story


RIGHT = [(coming_home, HOME), (realms, REALMS), (attacked, ATTACK)]

REACHED, GRACE = partial(wrong, HOME, "reached"), partial(wrong, HOME, "grace")
REACHED("home: 0 requests", partial(coming_home, crossed=False))
REACHED("in a tunnel on the home link", partial(coming_home, tunnelled=True))
REACHED("on an access line", partial(coming_home, away=True))
GRACE("lost", partial(coming_home, delivered=(False, False)))
GRACE("delivered", partial(coming_home, delivered=(True, True)))
GRACE("late packet after 3200.5 ms", partial(coming_home, early=3.2))
GRACE("late packet after", partial(coming_home, late=1.5))
GRACE("before the end", partial(coming_home, early=-0.001))
GRACE("cannot show both", unsaid)
GRACE("not in the captures", unended)

wrong(REALMS, "apart", "1 packet at c", partial(realms, straying=True))
wrong(REALMS, "apart", "0 requests", partial(realms, lost=True))
wrong(REALMS, "tunnels", "mra and mrc share no realm", partial(realms, across=True))

PEER, AGENT, FLOOD = (partial(wrong, ATTACK, name) for name in ("mra", "ha", "flood"))
PEER("wrong: code 0, not 131", partial(attacked, code=0))
AGENT("stale: code 0, not 133", partial(attacked, code=0, target="ha"))
PEER("wrong: authenticators ()", partial(attacked, signed=False))
AGENT("stale: authenticators ()", partial(attacked, signed=False, target="ha"))
PEER("old: authenticators", partial(attacked, hint_signed=True))
PEER("answers another request", partial(attacked, low=1))
PEER("cut: answered", partial(attacked, answered=True))
PEER("in no capture", partial(attacked, sent=False))
PEER("other octets", partial(attacked, octets=b"other"))
PEER("3 attacks, not 4", attacked, rows={"mra": 4})
PEER("wrong: 0 answers", partial(attacked, mute=True))
wrong(ATTACK, "state", "counted {'dropped_else': 1}", partial(attacked, counted="dropped_else"))
wrong(ATTACK, "state", "its state changed", partial(attacked, after="2"))
FLOOD("its state changed", partial(attacked, after="2"))
FLOOD("too fast", partial(attacked, at_once=True))
FLOOD("none was answered", partial(attacked, answers=0))
FLOOD("5 CoTIs sent", partial(attacked, flood=5))
FLOOD("none was counted", quiet)
