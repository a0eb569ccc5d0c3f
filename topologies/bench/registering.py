"""Simulated HAARO routers that register with a home agent's core in this process, without sockets and kernel.

All requests are signed before the clock starts.
"""

from __future__ import annotations

import gc
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from agents.haaro.compression import Advertised, Network, Owner, decode_advertisement
from agents.haaro.config import HaConfig, OwnedPrefix, Router
from agents.haaro.ha.core import HaCore
from agents.haaro.identification import timestamp
from agents.haaro.keys import genuine_home, sign_home
from agents.haaro.notices import Datagram, Send
from agents.wire.mip4 import decode, encode
from agents.wire.mip4_extensions import MobileNetworkRequest, PrefixAdvertisement, RoCapability
from agents.wire.mip4_messages import RegistrationReply, RegistrationRequest
from testbed.validation import LabError

HOME_AGENT = IPv4Address("203.0.113.1")
FIRST_HOME, FIRST_CAREOF, FIRST_NETWORK = (int(IPv4Address(text)) for text in ("172.16.0.0", "10.64.0.0", "10.0.0.0"))
PORT = 434
LIFETIME = 600
HEADER_ROOM = 1024
"""Octets of a datagram that a home agent leaves to everything but the prefix advertisement."""
BEGIN = 1_760_000_000.0
OPERATORS = 4
OPTIMISE = RoCapability(advertise=True, receive=True)
"""A and R."""


@dataclass(frozen=True)
class Site:
    """A simulated mobile router."""

    router: Router
    careof: IPv4Address

    def request(self, capability: RoCapability | None, now: float) -> Datagram:
        """A signed request with all its prefixes, as it arrives at the home agent."""
        networks = [MobileNetworkRequest.of(owned.prefix) for owned in self.router.prefixes]
        request = RegistrationRequest(
            lifetime=LIFETIME,
            home_address=self.router.home_address,
            home_agent=HOME_AGENT,
            careof_address=self.careof,
            identification=timestamp(now),
            extensions=(*([capability] if capability else []), *networks),
        )
        octets = encode(sign_home(request, self.router.spi, self.router.key))
        return Datagram(octets, self.careof, PORT, HOME_AGENT)


def sites(count: int, prefixes: int = 1, *, realms: int = 1) -> list[Site]:
    """Neighbouring /24s; so many sites after each other have a realm in common, below that of one of few operators."""
    return [_site(number, prefixes, number // realms) for number in range(count)]


def _site(number: int, prefixes: int, customer: int) -> Site:
    realm = f"customer{customer}.op{customer % OPERATORS}.example.com"
    first = FIRST_NETWORK + (number * prefixes << 8)
    owned = tuple(OwnedPrefix(IPv4Network((first + (each << 8), 24)), realm) for each in range(prefixes))
    home_address = IPv4Address(FIRST_HOME + number)
    key = number.to_bytes(16, "big")
    return Site(Router(f"mr{number}", home_address, key, prefixes=owned), IPv4Address(FIRST_CAREOF + number))


class Crowd:
    """Simulated routers and the core that serves them."""

    def __init__(self, members: Sequence[Site], capability: RoCapability | None, *, compress: bool = True) -> None:
        routers = tuple(site.router for site in members)
        self.core = HaCore(HaConfig("ha", "ha", HOME_AGENT, routers, "control", compress=compress))
        self._members = members
        self._capability = capability
        self._now = BEGIN

    def register(self) -> float:
        """Register everyone once, in any order; seconds of processor time (LabError unless all are accepted)."""
        self._now += 1
        requests = [site.request(self._capability, self._now) for site in self._members]
        random.Random(self._now).shuffle(requests)
        accepted = 0
        gc.collect()
        gc.freeze()  # the requests are no load of a home agent
        begin = time.process_time()
        for request in requests:
            self.core.receive(request, None, self._now)
            accepted += sum(isinstance(each, Send) and not each.data[1] for each in self.core.actions())
            for _event in self.core.events():
                pass
        taken = time.process_time() - begin
        gc.unfreeze()
        if accepted != len(self._members):
            raise LabError(f"{accepted} of {len(self._members)} registrations were accepted")
        return taken

    def reply_to(self, site: Site) -> bytes:
        """The datagram that answers one more request of this router (LabError unless it is genuine)."""
        self._now += 1
        self.core.receive(site.request(self._capability, self._now), None, self._now)
        sent = [each.data for each in self.core.actions() if isinstance(each, Send)]
        reply = decode(sent[0])
        if not isinstance(reply, RegistrationReply) or not genuine_home(reply, site.router.key):
            raise LabError("the home agent's reply is not genuine")
        return sent[0]


def owner_of(site: Site) -> Owner:
    """What others should be told about a router."""
    networks = tuple(Network(each.prefix, each.realm) for each in site.router.prefixes)
    return Owner(site.router.home_address, networks)


def advertised(octets: bytes) -> Advertised:
    """Content of a reply's prefix advertisement (LabError when there is none)."""
    reply = decode(octets)
    extension = reply.first(PrefixAdvertisement) if isinstance(reply, RegistrationReply) else None
    if extension is None:
        raise LabError("a reply without a prefix advertisement")
    return decode_advertisement(extension.data)
