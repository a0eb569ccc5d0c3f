"""HAARO's runs, doctored in what the home agent carries and in the headers of packets in tunnels."""

from __future__ import annotations

import struct
from functools import partial

from aero_octets import ICMP, UDP, echo, ip, udp
from doctored_haaro import then, wrong
from haaro_wire import PINGED, Story, triangle

from agents.wire.mip4 import TUNNEL_IP
from topologies.haaro.plan import HOME_AGENT

LOAD, HOPS = ENTRIES = ({"check": "haaro-load"}, {"check": "haaro-hops"})
IPIP, TOS, MORE = 4, 0xB8, 0x2000
HA, OTHER = ("ha", "wan"), 77


def unloaded(*, star=True, direct=True):
    """A ping goes by the home agent, and then a series directly."""
    story = triangle()
    story.captures[HA] = [one for one in story.captures[HA] if one.message or star]
    if direct:
        story.announce("a", "c", 2, "direct", identifier=OTHER, name="later")
        for sequence in (1, 2):
            story.ping("a", "c", sequence, direct=True, identifier=OTHER)
    return story


def carries(packet, *, announced=""):
    """The home agent has one more packet while the series runs."""

    def add(story):
        if announced:
            story.announce("b", "c", 1, announced, identifier=78, name="beside")
        story.put(HA, packet)
        story.ping("a", "c", 3, direct=True, identifier=OTHER)

    return then(add, unloaded)


BESIDE = ip("198.51.100.66", HOME_AGENT, IPIP, echo("10.10.2.2", "10.10.3.2", 78, 1, 84))
KNOCK = ip("198.51.100.66", HOME_AGENT, IPIP, echo("203.0.113.12", HOME_AGENT, 1, 1, 28))


def travelling(
    *, ages=(64, 63, 62, 62, 61), straight=(64, 63, 63, 62), tos=TOS, outer=TOS, direct=True, df=True, outside_df=True
):
    """A request of a to c by the home agent and one directly: TTL at each place it passes."""
    story = Story()
    story.announce("a", "c", 2, "mixed")
    one, other = story.line("a").address, story.line("c").address

    def inner(ttl, sequence):
        return echo(story.sites["a"].host, story.sites["c"].host, PINGED, sequence, 84, ttl=ttl, tos=tos, df=df)

    def within(source, target, ttl):
        return ip(source, target, IPIP, inner(ttl, 1), tos=outer, df=outside_df)

    for place, packet in (
        (("a", "eth0"), inner(ages[0], 1)),
        (story.at("a"), within(one, HOME_AGENT, ages[1])),
        (HA, within(one, HOME_AGENT, ages[1])),
        (HA, within(HOME_AGENT, other, ages[2])),
        (story.at("c"), within(HOME_AGENT, other, ages[3])),
        (("c", "eth0"), inner(ages[4], 1)),
    ):
        story.put(place, packet)
    if direct:
        outside = partial(ip, one, other, UDP, tos=outer, df=outside_df)
        story.put(("a", "eth0"), inner(straight[0], 2))
        story.put(story.at("a"), outside(udp(434, 434, TUNNEL_IP + inner(straight[1], 2))))
        story.put(story.at("c"), outside(udp(434, 434, TUNNEL_IP + inner(straight[2], 2))))
        story.put(("c", "eth0"), inner(straight[3], 2))
    return story


def too_big(*, size=1468, told=1468, cut=False, whole=True):
    """a sends what does not fit, in fragments and with a ban on them."""
    story = travelling()
    one, other = story.line("a").address, story.line("c").address
    ends = story.sites["a"].host, story.sites["c"].host
    if whole:
        fragment = ip(*ends, ICMP, bytes(size - 20), place=MORE)
        packet = ip(one, other, UDP, udp(434, 434, TUNNEL_IP + fragment))
        story.put(story.at("a"), packet)
    if cut:
        story.put(story.at("a"), ip(one, other, UDP, bytes(100), place=MORE))
    if told:
        quoted = echo(*ends, 1, 1, 84)
        story.put(("a", "eth0"), ip("10.10.1.1", ends[0], ICMP, struct.pack("!BBHHH", 3, 4, 0, 0, told) + quoted))
    story.events.append({"event": "oversize", "node": "a", "peer": "c", "size": 1472})
    return story


RIGHT = [(unloaded, LOAD), (carries(BESIDE, announced="ha"), LOAD), (carries(KNOCK), LOAD), (too_big, HOPS)]

CARRIES = partial(wrong, LOAD, "signalling")
CARRIES("a packet of 10.10.2.2 to 10.10.3.2", carries(BESIDE))
CARRIES("it carried no data before", partial(unloaded, star=False))
CARRIES("no series went directly", partial(unloaded, direct=False), outcome=None)

AGES, SERVICES, BANS, SIZES = (partial(wrong, HOPS, name) for name in ("ttl", "tos", "df", "size"))
AGES("TTL 64 at mra", partial(travelling, ages=(64, 64, 62, 62, 61)))
AGES("TTL 63 at ha", partial(travelling, ages=(64, 63, 63, 62, 61)))
AGES("TTL 61 at mrc", partial(travelling, ages=(64, 63, 62, 61, 61)))
AGES("TTL 62 at c", partial(travelling, ages=(64, 63, 62, 62, 62)))
AGES("TTL 62 at mrc", partial(travelling, straight=(64, 63, 62, 62)))
AGES("TTL 61 at c", partial(travelling, straight=(64, 63, 63, 61)))
SERVICES("0xb8 in 0x00", partial(travelling, outer=0))
SERVICES("every packet has type of service 0", partial(travelling, tos=0, outer=0))
BANS("may be divided at mra", partial(travelling, outside_df=False))
BANS("no series that must not be divided", partial(travelling, df=False), outcome=None)
SIZES("fragments of [1472] octets", partial(too_big, size=1472))
SIZES("1504 octets on a line", partial(too_big, size=1472))
SIZES("fragments of [] octets", partial(too_big, whole=False))
SIZES("a was told []", partial(too_big, told=0))
SIZES("a was told [(3, 4, 1500)]", partial(too_big, told=1500))
SIZES("a fragment of 198.51.100.10", partial(too_big, cut=True))
SIZES("nothing was too big", travelling, outcome=None)
