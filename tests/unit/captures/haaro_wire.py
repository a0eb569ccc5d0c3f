"""The triangle made of octets: three routers register, C optimises toward A and A toward C; any message can be changed.

A change is a function on a message's UDP payload, by tag ("rrq a", "hoti c", "peer-rrp c", ...); None: it was not sent.
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from functools import cache
from ipaddress import IPv4Address
from types import SimpleNamespace

from aero_octets import UDP, echo, ip, udp
from synthetic_wire import ether

from agents.haaro import keys
from agents.haaro.compression import Network, Owner, encode_advertisement
from agents.haaro.nonces import Nonces
from agents.wire.mip4 import TUNNEL_IP, encode
from agents.wire.mip4_extensions import (
    CareofAddresses,
    MobileNetworkAck,
    MobileNetworkRequest,
    PrefixAdvertisement,
    RoCapability,
    RoReply,
    UdpTunnelReply,
    UdpTunnelRequest,
)
from agents.wire.mip4_messages import (
    CareofTest,
    CareofTestInit,
    HomeTest,
    HomeTestInit,
    RegistrationReply,
    RegistrationRequest,
)
from captures.haaro.decode import read_frame
from captures.haaro.operator import Operator
from topologies.haaro.plan import HOME_AGENT, HaaroPlan, Site, site

HA = IPv4Address(HOME_AGENT)
PINGED, IPIP = 4242, 4


def networks_of(one: Site):
    from ipaddress import IPv4Network

    return (IPv4Network(one.network),)


@cache
def _decoded(octets):
    """The frame of these octets anywhere: most are the same in most stories, and at each place they pass."""
    return read_frame(octets, "", 0, 0.0, "", "")


class Story:
    """Frames by capture."""

    def __init__(self, **changes):
        """`changes`: tag, with _ for a blank -> function on octets, or "tunnel"/"plain" for its way out."""
        self.changes = {name.replace("_", " "): change for name, change in changes.items()}
        self.sites = {letter: site(letter) for letter in "abc"}
        self.keys = {letter: bytes((number,)) * 16 for number, letter in enumerate("abc", 1)}
        self.nonces = {letter: Nonces() for letter in "abc"}
        self.captures = {}
        self.events = []
        self.time = 100.0
        self._ids = itertools.count(0xE8000000_00000001)
        self._cookies = itertools.count(1)
        self._numbers = itertools.count(1)
        self.registered = {}
        self.home = {}
        self.used = {}

    def run(self):
        """What a check is given."""
        plan = HaaroPlan(tuple(self.sites.values()), self.home)
        secrets = [
            {"home_address": one.home_address, "key": self.keys[one.letter].hex()} for one in self.sites.values()
        ]
        operator = Operator({"domain": plan.domain()}, self.events, {"ha": {"routers": secrets}}, None)
        operator.__dict__["captures"] = self.captures
        return SimpleNamespace(haaro=operator, slowness=1.0)

    # --- packets

    def put(self, place, packet):
        """One frame, a tenth of a millisecond after the one before."""
        self.time += 0.0001
        octets = ether("02:00:00:00:00:01", "02:00:00:00:00:02", packet, 0x0800)
        facts = {"file": "-".join(place), "number": next(self._numbers), "time": self.time}
        frame = replace(_decoded(octets), **facts, node=place[0], interface=place[1])
        self.captures.setdefault(place, []).append(frame)

    def at(self, letter):
        return (f"mr{letter}", self.line(letter).interface)

    def line(self, letter):
        """The line a router uses: its first, until it moves."""
        return self.sites[letter].lines[self.used.get(letter, 0)]

    def around(self, letter, packet, *, to):
        """In the tunnel between a router and the home agent."""
        careof = self.line(letter).address
        ends = (careof, HOME_AGENT) if to else (HOME_AGENT, careof)
        return ip(*ends, IPIP, packet)

    def changed(self, tag, octets):
        change = self.changes.get(tag)
        return change(octets) if callable(change) else octets

    def from_home_address(self, x, y, tag, octets, ports=(434, 434), to=None):
        """From a home address through both tunnels, or plainly to a care-of address behind the first."""
        octets = self.changed(tag, octets)
        if octets is None:
            return False
        source, target = self.sites[x].home_address, to or self.sites[y].home_address
        packet = ip(source, target, UDP, udp(*ports, octets))
        way = packet if self.changes.get(tag) == "plain" else self.around(x, packet, to=True)
        self.put(self.at(x), way)
        self.put(("ha", "wan"), way)
        last = packet if to else self.around(y, packet, to=False)
        self.put(("ha", "wan"), last)
        self.put(self.at(y), last)
        return True

    def from_careof(self, x, y, tag, octets):
        """From a care-of address to a peer's home address: plainly to the home agent, then in the peer's tunnel."""
        octets = self.changed(tag, octets)
        if octets is None:
            return False
        packet = message(self.line(x).address, self.sites[y].home_address, octets)
        way = self.around(x, packet, to=True) if self.changes.get(tag) == "tunnel" else packet
        self.put(self.at(x), way)
        self.put(("ha", "wan"), way)
        self.put(("ha", "wan"), self.around(y, packet, to=False))
        self.put(self.at(y), self.around(y, packet, to=False))
        return True

    # --- dialogues

    def base(self, x, **more):
        one = self.sites[x]
        fixed = {"home_address": IPv4Address(one.home_address), "home_agent": HA, "lifetime": 120}
        return fixed | {"identification": next(self._ids)} | more

    def fails(self, router, interface, how):
        """What the script logs of a line that is "cut" or "silenced", or "healed" again."""
        self.events.append({"t": self.time, "node": router, "event": f"line-{how}", "interface": interface})

    def register(self, x, solicited=None, *, lost=False, **reply_changes):
        """A request to the home agent and its answer; or, `lost`, a request that comes nowhere."""
        one, careof = self.sites[x], self.line(x).address
        base = self.base(x)
        wanted = IPv4Address(self.sites[solicited].home_address) if solicited else None
        extensions = (
            RoCapability(advertise=True, receive=True, solicited=wanted),
            *(MobileNetworkRequest.of(network) for network in networks_of(one)),
            UdpTunnelRequest(),
        )
        request = RegistrationRequest(**base, careof_address=IPv4Address(careof), extensions=extensions)
        octets = self.changed(f"rrq {x}", encode(keys.sign_home(request, 256, self.keys[x])))
        if octets is None:
            return
        packet = message(careof, HOME_AGENT, octets)
        self.put(self.at(x), packet)
        if lost:
            return
        self.put(("ha", "wan"), packet)
        self.answer(x, base, solicited, **reply_changes)

    def answer(self, x, base, solicited=None, owners=None, bits=None):
        """The home agent's reply."""
        told = [solicited] if solicited else [letter for letter in self.registered if letter != x]
        if owners is None:
            owners = [self.registered[letter] for letter in told if letter in self.registered]
        one = self.sites[x]
        extensions = [
            *(MobileNetworkAck(network.network_address, network.prefixlen) for network in networks_of(one)),
            UdpTunnelReply(64),
            bits or RoReply(solicited=solicited is not None),
        ]
        if owners:
            extensions.append(PrefixAdvertisement(encode_advertisement(owners)))
        reply = RegistrationReply(**base, code=0, extensions=tuple(extensions))
        octets = self.changed(f"rrp {x}", encode(keys.sign_home(reply, 256, self.keys[x])))
        if octets is not None:
            packet = message(HOME_AGENT, self.line(x).address, octets)
            self.put(("ha", "wan"), packet)
            self.put(self.at(x), packet)
        realms = tuple(Network(network, one.realm) for network in networks_of(one))
        self.registered[x] = Owner(IPv4Address(one.home_address), realms)

    def optimise(self, x, y, *, solicit=True, hoti=True, code=0):
        """Return routability of x with y (without `hoti`, with the home token it has) and its registration there."""
        home, careof = (next(self._cookies).to_bytes(8, "big") for _ in range(2))
        ring, one = self.nonces[y], self.sites[x]
        own, address = IPv4Address(one.home_address), IPv4Address(self.line(x).address)
        home_index, home_token = ring.home_test(own, self.time)
        careof_index, careof_token = ring.careof_test(address, self.time)
        self.from_careof(x, y, f"coti {x}", encode(CareofTestInit(careof)))
        if hoti:
            self.from_home_address(x, y, f"hoti {x}", encode(HomeTestInit(home)))
        self.from_home_address(
            y, x, f"cot {x}", encode(CareofTest(careof_index, careof, careof_token)), to=str(address)
        )
        if hoti:
            self.from_home_address(y, x, f"hot {x}", encode(HomeTest(home_index, home, home_token)))
        key = keys.correspondent_key(home_token, careof_token)
        base = self.base(x)
        extensions = (*(MobileNetworkRequest.of(n) for n in networks_of(one)), UdpTunnelRequest(force=True))
        request = RegistrationRequest(**base, careof_address=address, extensions=extensions)
        signed = keys.sign_correspondent(request, home_index, careof_index, key)
        if not self.from_careof(x, y, f"peer-rrq {x}", encode(signed)):
            return
        if solicit:
            self.register(y, solicited=x)
        acks = tuple(MobileNetworkAck(n.network_address, n.prefixlen) for n in networks_of(one))
        its = IPv4Address(self.line(y).address)
        extensions = (*acks, UdpTunnelReply(0, forced=True), CareofAddresses((its,)))
        reply = RegistrationReply(**base, code=code, extensions=extensions)
        signed = keys.sign_correspondent(reply, home_index, careof_index, key)
        self.from_home_address(y, x, f"peer-rrp {x}", encode(signed), to=str(address))

    def refuse(self, x, y, code, *, lifetime=120, signed=False):
        """A request of x that names y's last nonce for both tokens, and the answer that this is too old."""
        ring, address = self.nonces[y], IPv4Address(self.line(x).address)
        index, key = ring.last, keys.correspondent_key(b"")
        base = self.base(x, lifetime=lifetime)
        request = RegistrationRequest(**base, careof_address=address, extensions=(UdpTunnelRequest(force=True),))
        self.from_careof(x, y, f"old {x}", encode(keys.sign_correspondent(request, index, index, key)))
        reply = RegistrationReply(**base | {"lifetime": 0}, code=code)
        reply = keys.sign_correspondent(reply, index, index, key) if signed else reply
        self.from_home_address(y, x, f"refused {x}", encode(reply), to=str(address))

    def leave(self, x, peers="", *, silent=""):
        """Lifetime 0 to peers (`silent` ones do not answer), then to the home agent."""
        one = self.sites[x]
        address = IPv4Address(self.line(x).address)
        for y in peers:
            index, token = self.nonces[y].home_test(IPv4Address(one.home_address), self.time)
            base = self.base(x, lifetime=0)
            key = keys.correspondent_key(token)
            request = RegistrationRequest(**base, careof_address=address)
            self.from_careof(x, y, f"end {x}", encode(keys.sign_correspondent(request, index, 0, key)))
            if y not in silent:
                reply = keys.sign_correspondent(RegistrationReply(**base, code=0), index, 0, key)
                self.from_home_address(y, x, f"ended {x}", encode(reply), to=str(address))
        base = self.base(x, lifetime=0)
        for kind, source, target in (
            (RegistrationRequest(**base, careof_address=address), str(address), HOME_AGENT),
            (RegistrationReply(**base, code=0), HOME_AGENT, str(address)),
        ):
            octets = encode(keys.sign_home(kind, 256, self.keys[x]))
            packet = message(source, target, octets)
            for place in (self.at(x), ("ha", "wan")) if source != HOME_AGENT else (("ha", "wan"), self.at(x)):
                self.put(place, packet)

    def keepalive(self, x, y):
        """An echo request and its reply between home addresses, in the direct tunnel."""
        one, other = self.sites[x].home_address, self.sites[y].home_address
        self.straight(x, y, echo(one, other, 1, 1, 28))
        self.straight(y, x, echo(other, one, 1, 1, 28, reply=True))

    def straight(self, x, y, inner, ports=(434, 434), to=None):
        """In the direct tunnel, or to another address of the other end."""
        ends = self.line(x).address, to or self.line(y).address
        packet = ip(*ends, UDP, udp(*ports, TUNNEL_IP + inner))
        self.put(self.at(x), packet)
        self.put(self.at(y), packet)

    def ping(self, x, y, sequence, *, direct, identifier=PINGED, answered=True):
        """A host's echo request and its reply."""
        for one, other in ((x, y), (y, x)) if answered else ((x, y),):
            ends = self.sites[one].host, self.sites[other].host
            self.put((one, "eth0"), echo(*ends, identifier, sequence, 28, reply=one == y))
            inner = echo(*ends, identifier, sequence, 28, reply=one == y, ttl=63)
            if direct:
                self.straight(one, other, inner)
            else:
                for place, packet in (
                    (self.at(one), self.around(one, inner, to=True)),
                    (("ha", "wan"), self.around(one, inner, to=True)),
                    (("ha", "wan"), self.around(other, inner, to=False)),
                    (self.at(other), self.around(other, inner, to=False)),
                ):
                    self.put(place, packet)
            self.put((other, "eth0"), inner)

    def announce(self, x, y, count, via, *, identifier=PINGED, name="x-y", expect="reply"):
        """What the lab's script logs."""
        ends = {"source": self.sites[x].host, "destination": self.sites[y].host}
        more = {"t": 0.0, "end": 999.0, "count": count, "size": 84, "via": via, "expect": expect}
        self.events.append(
            {"event": "pings", "name": name, "node": x, "peer": y, "icmp_id": identifier, **ends, **more}
        )


def message(source, target, octets):
    """A UDP packet of port 434."""
    return ip(source, target, UDP, udp(434, 434, octets))


def triangle(**changes):
    """Scenarios S1 and S2 of the sheet."""
    story = Story(**changes)
    for letter in "abc":
        story.register(letter)
    story.announce("a", "c", 3, "mixed")
    story.ping("a", "c", 1, direct=False)
    story.optimise("c", "a")
    story.keepalive("c", "a")
    story.keepalive("a", "c")
    story.optimise("a", "c", solicit=False)
    story.ping("a", "c", 2, direct=True)
    story.ping("a", "c", 3, direct=True)
    return story
