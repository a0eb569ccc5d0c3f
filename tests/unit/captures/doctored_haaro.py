"""HAARO's runs, doctored: one thing wrong in each, and the result that must say so."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from ipaddress import IPv4Address

from aero_octets import echo
from haaro_wire import PINGED, Story, triangle
from haaro_wire import message as packet_of

from agents.haaro.compression import Owner
from agents.wire.mip4_extensions import RoReply
from topologies.haaro.plan import site

PAIRS = [["mrc", "mra"], ["mra", "mrc"]]
REGISTRATION, ADVERTISING, ROUTABILITY, TUNNELS, PATHS, PEERS, LEAVING, CHANGE, NONCES = ENTRIES = (
    {"check": "haaro-registration"},
    {"check": "haaro-advertising"},
    {"check": "haaro-routability"},
    {"check": "haaro-tunnels", "carrier": "udp"},
    {"check": "haaro-paths", "switch_ms": {"x-y": 100.0}},
    {"check": "haaro-peers", "expected": PAIRS},
    {"check": "haaro-leaving", "routers": ["mrc"]},
    {
        "check": "haaro-change",
        "router": "mrc",
        "interface": "isp2",
        "stream": "x-y",
        "bound_ms": 50.0,
        "failover_ms": 50.0,
    },
    {"check": "haaro-nonces", "expected": [["mrc", "mra", 203]]},
)
ELSEWHERE = IPv4Address("192.0.2.1")
HA, LAN = ("ha", "wan"), ("a", "eth0")
DOCTORED = {}
"""name -> (what makes the run, entry of lab.json's checks, id of the result, expected outcome, text in `measured`)."""


def wrong(entry, result, text, make, outcome=False, **parameters):
    """Register a run; `result` is an id behind the check's name, `parameters` change the entry."""
    name = f"{entry['check'].removeprefix('haaro-')} {result}: {text}"
    while name in DOCTORED:
        name += "'"
    DOCTORED[name] = (make, {**entry, **parameters}, f"{entry['check']}.{result}", outcome, text)


# -- right runs, and changes of them -------------------------------------------------------------------


def registered(*, solicit=True, optimised=True):
    """All three are registered, and C with A."""
    story = Story()
    for letter in "abc":
        story.register(letter)
    if optimised:
        story.optimise("c", "a", solicit=solicit)
    return story


def attempted(*unsent):
    """C asks A for a direct path and gets no answer; what of it was not sent."""
    story = Story(**dict.fromkeys(("peer-rrp c", *unsent), lambda _octets: None))
    for letter in "abc":
        story.register(letter)
    story.optimise("c", "a")
    return story


def left(**how):
    """C tells A and the home agent that it goes."""
    story = triangle()
    story.leave("c", "a", **how)
    return story


def changing(*, home=True, hoti=False, peer=True, early=False, direct=True, pause=0.0, how="cut"):
    """C comes to its second line, because the first one is `how`, while a and c ping each other."""
    story = Story()
    story.sites["c"] = site("c", isps=(1, 2))
    story.register("a")
    story.register("c")
    story.optimise("c", "a")
    story.keepalive("c", "a")
    story.announce("a", "c", 3, "")
    story.ping("a", "c", 1, direct=True)
    story.fails("mrc", "isp1", how)
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


def unheard():
    """A request that a silent line swallows, and a later one by a line that works again."""
    story = triangle()
    story.fails("mrc", "isp1", "silenced")
    story.register("c", lost=True)
    story.fails("mrc", "isp1", "healed")
    story.register("c")
    return story


def aged(*, pause=250.0, code=203, hoti=True, again=True, answer=0, signed=False):
    """C's tokens are too old when it renews its registration with A: it asks for new ones."""
    story = registered()
    story.time += pause
    story.refuse("c", "a", code, signed=signed)
    if again:
        story.optimise("c", "a", solicit=False, hoti=hoti, code=answer)
    return story


def declining():
    """A home agent that does not optimise B."""
    story = Story()
    story.sites["b"] = replace(story.sites["b"], served={"optimise": False})
    return story


def behind_one_nat(*, asker="c", port=434, inside="ac"):
    """Who is asked knocks at the NAT's outside first, in vain, since it knows no other address of the asker yet."""
    asked = "a" if asker == "c" else "c"
    story = Story()
    for letter in "ac":
        story.sites[letter] = site(letter, nat="restricted" if letter in inside else "", shared=inside == "ac")
        story.register(letter)
    story.optimise(asker, asked)
    ends = story.sites[asked].home_address, story.sites[asker].home_address
    story.straight(asked, asker, echo(*ends, 1, 1, 28), (434, port), to=story.line(asker).public)
    story.keepalive(asker, asked)
    story.keepalive(asked, asker)
    return story


def leaving(last, until=0.0):
    """C leaves while a pings it: the second ping is seen in no other place than a's own after that, or `last` at c."""
    story = triangle()
    story.announce("a", "c", 2, "", identifier=77, name="leave")
    story.ping("a", "c", 1, direct=True, identifier=77)
    ends = story.sites["a"].host, story.sites["c"].host
    if last != "late":
        story.put(("a", "eth0"), echo(*ends, 77, 2, 28))
    story.leave("c", "a")
    story.events.append({"event": "left", "node": "mrc", "t": story.time})
    story.time += until
    if last == "late":
        story.put(("a", "eth0"), echo(*ends, 77, 2, 28))
    if last == "c":
        story.put(("c", "eth0"), echo(*ends[::-1], 77, 2, 28, reply=True))
    return story


def unprobed(sender="a", pause=0.0):
    """A has accepted C and sends to it directly at once, which comes to nothing before C has heard of it."""
    story = registered()
    story.announce(sender, "c" if sender == "a" else "a", 1, "", identifier=88, name="early")
    ends = [story.sites[letter].host for letter in ("ac" if sender == "a" else "ca")]
    story.events.append(
        {"event": "correspondent-registered", "node": "mrc", "peer": story.sites["a"].home_address, "t": story.time}
    )
    story.time += pause
    story.put((sender, "eth0"), echo(*ends, 88, 1, 28))
    story.straight(sender, "c" if sender == "a" else "a", echo(*ends, 88, 1, 28, ttl=63))
    return story


RIGHT = [
    (unprobed, {"check": "haaro-paths", "unprobed_ms": {"early": 20.0}}),
    (partial(leaving, "c"), {"check": "haaro-paths", "leaving": {"leave": "mrc"}}),
    (partial(leaving, "late", 0.004), {"check": "haaro-paths", "leaving": {"leave": "mrc"}}),
    (behind_one_nat, TUNNELS),
    (partial(behind_one_nat, asker="a"), TUNNELS),
    *((triangle, entry) for entry in (REGISTRATION, ADVERTISING, ROUTABILITY, TUNNELS, PATHS, PEERS)),
    (left, LEAVING),
    (changing, CHANGE),
    (partial(changing, how="silenced"), CHANGE),
    (partial(changing, how="silenced"), REGISTRATION),
    (unheard, REGISTRATION),
    (aged, NONCES),
]


def sent(**changes):
    """A triangle in which messages are different."""
    return partial(triangle, **{name.replace("peer_", "peer-"): change for name, change in changes.items()})


def flip(at):
    """Change one bit of an octet."""
    return lambda octets: octets[:at] + bytes((octets[at] ^ 1,)) + octets[at:][1:]


def then(add, make=triangle):
    """A run in which something more happened."""

    def run():
        story = make()
        add(story)
        return story

    return run


def met(place, kind, change, nth=0, make=triangle):
    """A run in which a message of a kind is seen otherwise at a place, a router's letter or the home agent's."""

    def run():
        story = make()
        frames = story.captures[story.at(place) if isinstance(place, str) else place]
        at = [number for number, one in enumerate(frames) if one.kind == kind][nth]
        changed = change(frames[at])
        frames[at : at + 1] = [changed] if changed else []
        return story

    return run


def gone(_frame):
    """It never passed here."""


def message(**fields):
    """Fields of the message changed; callables get the message."""

    def change(frame):
        new = {name: one(frame.message) if callable(one) else one for name, one in fields.items()}
        return replace(frame, message=replace(frame.message, **new))

    return change


def ports(source, destination):
    """Other ports of the innermost packet."""
    return lambda frame: replace(frame, ports=(source, destination))


def source(layer):
    """Another source of an IP header."""

    def change(frame):
        layers = list(frame.layers)
        layers[layer] = replace(layers[layer], source=ELSEWHERE)
        return replace(frame, layers=tuple(layers))

    return change


def tunnelled(frame):
    """Inside another packet of the same ends."""
    return replace(frame, layers=(*frame.layers, frame.outer))


def straight(change, *, sender="c"):
    """A run in which the first packet in the direct tunnel is different."""

    def run():
        story = triangle()
        frames, peer = story.captures[story.at(sender)], story.line("a").address
        at = next(number for number, one in enumerate(frames) if str(one.outer.destination) == peer)
        frames[at] = change(frames[at])
        return story

    return run


# -- registrations with the home agent -----------------------------------------------------------------

REQUEST, REPLY = partial(wrong, REGISTRATION, "request"), partial(wrong, REGISTRATION, "reply")
REQUEST("MHAE is wrong", sent(rrq_b=flip(30)))
REQUEST("flags 0x20", sent(rrq_b=lambda o: o[:1] + b"\x20" + o[2:]))
REQUEST("care-of address 1.2.3.4", sent(rrq_b=lambda o: o[:12] + b"\1\2\3\4" + o[16:]))
REQUEST("extensions", sent(rrq_b=lambda o: o + b"\x94\x02\x09\x00"))
REQUEST("lists set()", met("c", "RRQ", message(requested=())))
REQUEST("mrc to the home agent goes to", met("c", "RRQ", ports(434, 435)))
REQUEST("mrc to the home agent goes to", met("c", "RRQ", tunnelled))
REQUEST(f"at {ELSEWHERE}", met("c", "RRQ", message(home_agent=ELSEWHERE)))
REPLY("MHAE of the reply is wrong", sent(rrp_b=flip(25)))
REPLY("no reply", sent(rrp_b=lambda _octets: None))
REPLY("no reply", then(lambda story: story.fails("mra", "isp1", "cut"), sent(rrp_b=lambda _octets: None)))
REPLY(" ms", triangle, bound_ms=0.01)
REPLY("mrc to the home agent: ('cut off',)", met("c", "RRP", message(faults=("cut off",))))
REPLY("answered to", met("c", "RRP", ports(434, 999)))
REPLY("Identification", met("c", "RRP", message(identification=lambda one: one.identification ^ 1 << 40)))
REPLY("500 s granted", met("c", "RRP", message(lifetime=500)))
REPLY("networks set() answered", met("c", "RRP", message(acknowledged=())))
REPLY(
    "no network accepted",
    met("c", "RRP", message(acknowledged=lambda one: tuple(replace(each, code=1) for each in one.acknowledged))),
)
REPLY("without capability", met("c", "RRQ", message(capability=None)))
REPLY("no RO Reply", met("c", "RRP", message(ro_reply=None)))
REPLY("O, S, N are (False, False, True)", lambda: then(lambda s: s.register("a", bits=RoReply(nat=True)), Story)())
REPLY("RO Reply code 0", then(lambda story: story.register("b"), declining))
REPLY(
    "UDP Tunnel Reply unasked or missing",
    met("c", "RRP", message(order=lambda one: tuple(each for each in one.order if each[0] != 44))),
)


def without_haaro():
    """The home agent should know nothing of route optimisation."""
    story = Story()
    story.home = {"haaro": False}
    story.register("a")
    story.register("b")
    return story


REPLY("without HAARO", without_haaro)
wrong(REGISTRATION, "unasked", "without a request", then(lambda story: story.answer("a", story.base("a"))))
wrong(REGISTRATION, "unasked", "no reply left the home agent", Story, outcome=None)

# -- advertisements ------------------------------------------------------------------------------------

TELLS = partial(wrong, ADVERTISING, "content")


def telling(letter, owners, before=""):
    """B or C registers and is told of these owners."""

    def run():
        story = Story()
        for one in before:
            story.register(one)
        story.register(letter, owners=owners(story))
        return story

    return run


TELLS("mrb is told", telling("b", lambda _story: [], "a"))
TELLS("mrb is told", telling("b", lambda _story: [Owner(IPv4Address("203.0.113.99"))], "a"))
TELLS("mrc is told", telling("c", lambda story: [story.registered["a"]], "ab"))
TELLS("in another order", telling("c", lambda story: [story.registered["b"], story.registered["a"]], "ab"))
TELLS("mrb is told", then(lambda story: (story.register("a"), story.register("b")), declining))
TELLS("mrb is told", without_haaro)
wrong(
    ADVERTISING,
    "readable",
    "advertisement at octet 9",
    met(HA, "RRP", message(faults=("advertisement at octet 9: cut off",)), 1),
)

# -- return routability --------------------------------------------------------------------------------

HOME, CAREOF, ANSWER = (partial(wrong, ROUTABILITY, name) for name in ("home", "careof", "answer"))
HOME("HoTI from", sent(hoti_c="plain"))
HOME("HoT from", sent(hot_c="plain"))
HOME("HoTI of mrc to mra or its answer did not pass mra", met("a", "HoTI", gone))
HOME(f"inner {ELSEWHERE} to", met("a", "HoTI", source(-1)))
CAREOF("leaves in a tunnel", sent(coti_c="tunnel"))
CAREOF("is not in the tunnel of mra", sent(cot_c="plain"))
CAREOF("CoTI of mrc to mra or its answer did not pass mra", met("a", "CoTI", gone))
CAREOF("CoTI of mrc to mra or its answer did not pass mra", met("a", "CoT", gone))
CAREOF(f"{ELSEWHERE} at mra", met("a", "CoTI", source(-1)))
CAREOF("the answer came in a tunnel", met("c", "CoT", tunnelled))
CAREOF("answered by another", met("c", "CoT", source(0)))
ANSWER("index 0", sent(cot_c=lambda o: o[:2] + b"\0\0" + o[4:]))
ANSWER("999", met("a", "HoT", ports(434, 999)))
ANSWER("999", met("a", "HoT", ports(999, 434)))
wrong(
    ROUTABILITY,
    "cookies",
    "used before",
    sent(**dict.fromkeys(("hoti_c", "coti_c"), lambda o: o[:2] + (1).to_bytes(8, "big"))),
)

# -- registrations between routers ---------------------------------------------------------------------

ASKS, KEY, ANSWERS, EXPECTED = (partial(wrong, PEERS, name) for name in ("request", "key", "reply", "expected"))
ASKS("before its tests were answered", sent(hot_c=lambda _octets: None))
ASKS("leaves in a tunnel", sent(peer_rrq_c="tunnel"))
ASKS("at 203.0.113.0", sent(peer_rrq_c=flip(11)))
ASKS(f"mrc to mra: {ELSEWHERE}", met("c", "RRQ", message(careof_address=ELSEWHERE), 1))
ASKS("flags 0x00", met("c", "RRQ", message(flags=0), 1))
ASKS("mrc to mra: extensions", met("c", "RRQ", message(order=lambda one: one.order[:-1]), 1))
ASKS("2 authenticators", met("c", "RRQ", message(auths=lambda one: one.auths * 2), 1))
ASKS("no UDP Tunnel Request with F", met("c", "RRQ", message(udp_request=None), 1))
KEY("not made of the tokens", sent(peer_rrq_c=flip(-1)))
KEY("the reply's MCAE", sent(peer_rrp_c=flip(-1)))
KEY("201 with an authenticator", met("c", "RRP", message(code=201), 1))
KEY(
    "other indexes",
    met("c", "RRP", message(auths=lambda one: tuple(replace(each, home_index=77) for each in one.auths)), 1),
)
ANSWERS("the answer leaves mra", sent(peer_rrp_c="plain"))
ANSWERS("s granted", sent(peer_rrp_c=flip(2)))
ANSWERS("care-of addresses", sent(peer_rrp_c=lambda o: o[:42] + b"\1\2\3\4" + o[46:]))
ANSWERS("mrc to mra: from", met("c", "RRP", ports(435, 434), 1))
ANSWERS("mra did not send it", met("c", "RRP", message(code=1), 1))
ANSWERS("networks answered ()", met("c", "RRP", message(acknowledged=()), 1))
ANSWERS("UDP Tunnel Reply None", met("c", "RRP", message(udp_reply=None), 1))
EXPECTED("mrc is not registered with mra", sent(peer_rrq_c=lambda _octets: None))
EXPECTED("mrc is not registered with mra", partial(registered, optimised=False))
EXPECTED("mra registered with mrc", triangle, expected=PAIRS[:1])
EXPECTED("CoTI of mrc to mra, who have nothing", attempted, expected=[])
EXPECTED("a packet of mrb to mrc", then(lambda story: story.keepalive("b", "c")), expected=PAIRS)
EXPECTED("a request of mrc to mra", partial(attempted, "hoti c", "coti c", "hot c", "cot c"), expected=[])
wrong(PEERS, "solicitation", "mra had not been told", partial(registered, solicit=False))

# -- direct tunnels ------------------------------------------------------------------------------------

FORM, KEEPALIVE = partial(wrong, TUNNELS, "form"), partial(wrong, TUNNELS, "keepalive")


def in_the_clear(story):
    story.put(story.at("c"), echo(story.line("c").address, story.line("a").address, 1, 1, 28))


def probed_late(story):
    story.ping("c", "a", 1, direct=True)
    story.keepalive("c", "a")


def replied_first(story):
    ends = story.sites["c"].home_address, story.sites["a"].home_address
    story.straight("c", "a", echo(*ends, 1, 1, 28, reply=True))


def answered_unprobed(story):
    story.keepalive("c", "a")
    story.ping("c", "a", 1, direct=True)
    story.keepalive("a", "c")


HELLO = echo("10.10.1.2", "10.10.3.2", 1, 1, 28)
PORTS = partial(wrong, TUNNELS, "ports")


def signals(story):
    story.straight("c", "a", packet_of("203.0.113.13", "203.0.113.11", b"\x18\0" + bytes(8)))


FORM("10.10.2.2 to 10.10.1.2", then(lambda s: s.straight("c", "a", echo("10.10.2.2", "10.10.1.2", 1, 1, 28))))
FORM("in the clear", then(in_the_clear))
FORM("next header 41", straight(lambda frame: replace(frame, next_header=41)))
KEEPALIVE("no keepalive", then(lambda story: story.ping("c", "a", 1, direct=True), registered))
KEEPALIVE("traffic of mrc before the first reply", then(probed_late, registered))
KEEPALIVE("only mrc keeps probing", then(lambda story: story.keepalive("c", "a"), registered))
KEEPALIVE("traffic of mra before the first reply", then(answered_unprobed, registered))
PORTS("mra sends from port 435", then(lambda story: story.straight("a", "c", HELLO, (435, 434))))
PORTS("mra sends to port 435", then(lambda story: story.straight("a", "c", HELLO, (434, 435))))
PORTS("mrc: {434} and {434}", triangle, translated=["mrc"])
KEEPALIVE("mra probes before mrc", then(lambda story: story.keepalive("a", "c"), registered))
KEEPALIVE("mra-mrc begins otherwise", then(replied_first, registered))
KEEPALIVE("mra probes before mrc", partial(behind_one_nat, inside="c"))
PORTS("mra sends to port 435, not to [434]", partial(behind_one_nat, port=435))
PORTS("mra sends to port 434, not to []", partial(behind_one_nat, inside="c"))
wrong(TUNNELS, "signalling", "HoTI in a direct tunnel", then(signals))
wrong(TUNNELS, "pace", "too many", then(lambda story: [story.keepalive("c", "a") for _ in range(6)]))

# -- paths ---------------------------------------------------------------------------------------------

SERIES = partial(wrong, {"check": "haaro-paths"})


def pinged(via, *direct, unanswered=0, expect="reply"):
    """Pings of a to c, each directly or by the home agent."""

    def run():
        story = Story()
        story.announce("a", "c", len(direct) + unanswered, via, expect=expect)
        for sequence, way in enumerate((*direct, *[False] * unanswered), 1):
            story.ping("a", "c", sequence, direct=way, answered=sequence <= len(direct))
        return story

    return run


for via, ways, text in (
    ("direct", [False, True], "packets through the home agent"),
    ("direct", [False, False], "none went directly"),
    ("ha", [False, True], "went directly"),
    ("mixed", [True, False], "back through the home agent at the end"),
    ("mixed", [True, True], "none came by the home agent"),
    ("mixed", [False, False], "none went directly"),
):
    SERIES("x-y", text, pinged(via, *ways))
SERIES("x-y", "none came by the home agent", then(lambda story: story.captures.pop(HA), pinged("ha", False)))
SERIES("x-y", "1 of 2 are missing", pinged("ha", False, unanswered=1))
SERIES("x-y", "1 reply came back", pinged("", False, expect="none"))
SERIES("volume", "x-y: 4 packets", pinged("direct", False, True))
wrong(PATHS, "switch-x-y", "requests after", triangle, switch_ms={"x-y": 0.1})
wrong(PATHS, "early", "1 of 1 are missing", partial(unprobed, pause=0.05), unprobed_ms={"early": 20.0})
wrong(PATHS, "early", "1 of 1 are missing", partial(unprobed, "c"), unprobed_ms={"early": 20.0})
wrong(PATHS, "early", "1 of 1 are missing", unprobed)
wrong(PATHS, "leave", "1 of 2 are missing", partial(leaving, "a"), leaving={"leave": "mrc"})
wrong(PATHS, "leave", "1 of 2 are missing", partial(leaving, "late", 1.0), leaving={"leave": "mrc"})
wrong(PATHS, "leave", "1 of 2 are missing", partial(leaving, "c"), leaving={"leave": "mra"})
wrong(PATHS, "switch-x-y", "no request went directly", pinged("ha", False))
wrong(PATHS, "switch-other", "no such series", triangle, outcome=None, switch_ms={"other": 1.0})

# -- leaving -------------------------------------------------------------------------------------------

ENDS, SILENCE = partial(wrong, LEAVING, "order"), partial(wrong, LEAVING, "silence")


def later(source, target, *, direct):
    """A host's ping a while after C left."""

    def add(story):
        story.time += 0.1
        story.ping(source, target, 9, direct=direct)

    return then(add, left)


ENDS("did not tell mra", then(lambda story: story.leave("c")))
ENDS("answered None", partial(left, silent="a"))
ENDS("mrb did not leave", left, routers=["mrc", "mrb"])
ENDS("after the home agent was left", then(lambda story: (story.leave("c"), story.leave("c", "a"))))
SILENCE("a packet to 10.10.3.2 after the end", later("a", "c", direct=True))
SILENCE("mrc to the home agent: a packet", later("b", "c", direct=False))

# -- a change of lines ---------------------------------------------------------------------------------

MOVES, OUTAGE = partial(wrong, CHANGE, "order"), partial(wrong, CHANGE, "outage")
FAILOVER = partial(wrong, CHANGE, "failover")


def unanswered(story):
    story.captures[LAN] = [one for one in story.captures[LAN] if one.echo[0] == "request"]


MOVES("a HoTI to mra", partial(changing, hoti=True))
MOVES("no peer accepted", partial(changing, peer=False))
MOVES("mra was told before the home agent", partial(changing, early=True))
MOVES("direct packets to mra before", partial(changing, direct=False))
MOVES("no CoTI to mra from", met("c", "CoTI", gone, make=changing))
MOVES("no accepted registration by isp2", partial(changing, home=False, peer=False), outcome=None)
OUTAGE("did not go directly", partial(changing, direct=False))
OUTAGE("silent for", partial(changing, pause=1.0))
OUTAGE("nothing came back", then(unanswered, changing))


def forgotten(story):
    story.events = [one for one in story.events if one["event"] != "line-cut"]


FAILOVER("no ping sent after it was answered by isp2", then(unanswered, changing))
FAILOVER("after ", changing, failover_ms=0.1)
FAILOVER("no line failed", then(forgotten, changing), outcome=None)
FAILOVER("no pings", changing, outcome=None, stream="other")

# -- what a tunnel puts in front -----------------------------------------------------------------------

OUTER = partial(wrong, TUNNELS, "outer")


def headed(layer, **fields):
    """The first packet in the direct tunnel, with another header."""

    def run():
        story = triangle()
        frames = story.captures[story.at("c")]
        ends = [IPv4Address(story.line(letter).address) for letter in "ca"]
        at = next(n for n, one in enumerate(frames) if [one.outer.source, one.outer.destination] == ends)
        layers = list(frames[at].layers)
        layers[layer] = replace(layers[layer], **fields)
        frames[at] = replace(frames[at], layers=tuple(layers))
        return story

    return run


OUTER("protocol 17", triangle, carrier="ipip")
OUTER("TOS 0x04", headed(0, traffic_class=4))
OUTER("outer TTL 63", headed(0, ttl=63))
OUTER("inner TTL 62", headed(-1, ttl=62))
# -- the way by a gateway ------------------------------------------------------------------------------

PATH = partial(wrong, {"check": "haaro-paths"}, "x-y")


def egress(*, asked="direct", answered="ha"):
    """c pings somebody on the Internet, who is pinged by way of A; the answer comes by the home agent."""
    story = registered()
    ends = story.sites["c"].host, story.sites["a"].host
    story.announce("c", "a", 1, "gateway")
    for reply, way in ((False, asked), (True, answered)):
        inner = echo(*(ends[::-1] if reply else ends), PINGED, 1, 28, reply=reply)
        if not reply:
            story.put(("c", "eth0"), inner)
        if way == "direct":
            story.straight("a" if reply else "c", "c" if reply else "a", inner)
        else:
            story.put(HA, inner)
        if reply:
            story.put(("c", "eth0"), inner)
    return story


PATH("1 request through the home agent", partial(egress, asked="ha"))
PATH("no request went to a peer", partial(egress, asked="ha"))
PATH("no reply came by the home agent", partial(egress, answered="direct"))

# -- old nonces ----------------------------------------------------------------------------------------

EXPIRED, AGAIN = partial(wrong, NONCES, "refused"), partial(wrong, NONCES, "again")


def late():
    """A accepts C's tokens, which are too old."""
    story = registered()
    request, answer = (
        next(one for one in story.captures[story.at("c")] if one.kind == kind and one.message.to_peer)
        for kind in ("RRQ", "RRP")
    )
    frames = story.captures[story.at("c")]
    for one in (request, answer):
        frames.remove(one)
        frames.append(replace(one, time=one.time + 241.0))
    return story


EXPIRED("mrc to mra: 203, expired is []", partial(aged, pause=1.0))
EXPIRED("mrc to mra: 201, expired is ['CoTI', 'HoTI']", partial(aged, code=201), expected=[])
EXPIRED("mrc to mra: 203 with an authenticator", partial(aged, signed=True))
EXPIRED("mrc got no 201 from mra", aged, expected=[["mrc", "mra", 201]])
wrong(NONCES, "accepted", "mrc to mra: accepted at 241", late)
AGAIN("no request was answered after 203", partial(aged, again=False))
AGAIN("['CoTI'] after 203", partial(aged, hoti=False))
AGAIN("mrc to mra: 129 after 203", partial(aged, answer=129))
