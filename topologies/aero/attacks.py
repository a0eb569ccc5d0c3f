"""What an attacker sends on an AERO link, row by row of the sheet's table (spec §9): packets, and what they must cost.

Everything is composed for what the victim really is at that moment: only what makes it an attack is wrong.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_network
from typing import Any

from agents.aero.addresses import aero_address
from agents.aero.constants import ALL_DHCP_SERVERS
from agents.aero.dhcp_auth import sign
from agents.aero.inner_packets import pull_inner, push_discovery, push_inner, push_udp
from agents.aero.optimisation.messages import compose, header_between, push_mediation, read_mediation
from agents.wire.buffer import internet_checksum, ipv6_checksum
from agents.wire.dhcpv6 import Message, MessageType, RelayedMessage, push_dhcpv6
from agents.wire.dhcpv6_options import (
    ClientId,
    ClientLinkLayer,
    IaPd,
    IaPrefix,
    OptionRequest,
    RelayMessage,
    RelaySupplied,
    ServerId,
)
from agents.wire.nd import NeighborAdvertisement, NeighborSolicitation
from agents.wire.nd_auth import seal
from agents.wire.nd_options import LinkLayerOption, Nonce, Token
from agents.wire.redirects import Framing
from topologies.aero.members import Client, Server
from topologies.aero.relays import Relay

UDP, ICMP, ICMPV6 = 17, 1, 58
OUTSIDER = "203.0.113.21"
MARK = 666
"""ICMP identifier of all data that attackers send: no host may ever see it."""
WRONG_KEY = bytes(range(32))
ONE, TWO, EVIL = Client(1), Client(2), Client(3)
S1, S2, R1 = Server(1), Server(2), Relay(1)


def where(node: Client | Server | Relay) -> str:
    """Its link-layer address, at port 8060."""
    return node.underlay["ipv4"]


def prefix(client: Client) -> IPv6Network:
    """What is delegated to it."""
    return IPv6Network(client.prefixes["ipv6"])


def name_of(node: Client | Server | Relay) -> IPv6Address:
    """Its AERO address."""
    return aero_address(prefix(node)) if isinstance(node, Client) else IPv6Address(node.aero_address)


@dataclass(frozen=True)
class Attack:
    """Packets of one kind from one attacker to one victim."""

    row: str
    """Requirement: row of the table."""
    kind: str
    victim: str
    target: str
    """Underlay address of the victim."""
    counters: tuple[str, ...]
    """What the victim counts them as."""
    payloads: tuple[bytes, ...]
    by: str = "x"
    """Node that sends them."""
    source: str = OUTSIDER
    """In whose name."""
    protocol: int = UDP
    count: int | None = None
    """How many must be counted; None: all."""

    @property
    def packets(self) -> list[dict[str, Any]]:
        """As topologies.tools.aero_attacker wants them."""
        ends = {"source": self.source, "destination": self.target, "protocol": self.protocol}
        return [{**ends, "payload": payload.hex()} for payload in self.payloads]


def client(kind: str, row: str, victim: Client | Server | Relay, counter: str, *payloads: bytes, **more: Any) -> Attack:
    """By the attacker that is a Client itself, from where it is."""
    own = {"by": EVIL.name, "source": where(EVIL)}
    return Attack(row, f"{kind}, by a Client", victim.name, where(victim), (counter,), payloads, **{**own, **more})


def outsider(
    kind: str, row: str, victim: Client | Server | Relay, counter: str, *payloads: bytes, **more: Any
) -> Attack:
    """By the attacker that is nobody on the link."""
    return Attack(row, f"{kind}, by an outsider", victim.name, where(victim), (counter,), payloads, **more)


# --- route optimisation


TRAP = LinkLayerOption(True, 0, IPv6Address(f"::ffff:{OUTSIDER}"), 8060)
"""Where an attacker would like traffic to go."""
KEY = Token(7, b"known to attackers only"[:16])


def _mediation(
    *, predirect: bool, about: Client, source: Client, destination: Client, ends: tuple[IPv6Address, IPv6Address],
    framing: Framing = Framing.ND, token: Token | None = KEY,
) -> bytes:  # fmt: skip
    header = header_between(prefix(source), prefix(destination))
    message = compose(
        predirect=predirect, prefix=prefix(about), lifetime=300, lladdrs=(TRAP,), token=token, header=header
    )
    return push_mediation(message, framing, *ends)


def mediations() -> Iterator[Attack]:
    """Predirects and Redirects that no Server sent, and lies to a Server (rows 1 to 4)."""
    for make in (client, outsider):
        to_target = [
            _mediation(predirect=True, about=ONE, source=ONE, destination=TWO, ends=(sender, name_of(TWO)), framing=how)
            for how in Framing
            for sender in (name_of(S2), name_of(EVIL))
        ]
        yield make("forged Predirects", "SEC9-1", TWO, "origin_fail", *to_target)
        to_source = [
            _mediation(
                predirect=False, about=TWO, source=ONE, destination=TWO, ends=(sender, name_of(ONE)), framing=how
            )
            for how in Framing
            for sender in (name_of(S1), name_of(TWO))
        ]
        yield make("forged Redirects", "SEC9-2", ONE, "origin_fail", *to_source)
    lie = _mediation(
        predirect=False, about=EVIL, source=ONE, destination=EVIL, ends=(name_of(EVIL), name_of(S1)), token=None
    )
    stolen = _mediation(predirect=False, about=TWO, source=ONE, destination=TWO, ends=(name_of(EVIL), name_of(S1)))
    # Nobody counts the lie, which is rewritten: what is sent behind it tells that the Server is done with it.
    yield client("a lie about where it is", "SEC9-3", S1, "redirect_prefix", lie, stolen, count=1)
    yield client("another's prefix", "SEC9-4", S1, "redirect_prefix", stolen)
    passed = _mediation(predirect=False, about=TWO, source=ONE, destination=TWO, ends=(name_of(S1), name_of(R1)))
    yield outsider("another Server's prefix", "SEC9-4", R1, "redirect_prefix", passed, source=where(S1))


# --- Neighbor Discovery


def advertisements(now: float) -> Iterator[Attack]:
    """Unsolicited Neighbor Advertisements in the name of a correspondent (row 5)."""
    ends = name_of(TWO), name_of(ONE)
    told = NeighborAdvertisement(name_of(TWO), override=True, options=(TRAP,))
    sealed = seal(told, *ends, KEY.key_id, KEY.value, int(now * 65536))
    payloads = [push_discovery(each, *ends) for each in (told, sealed)]
    for make in (client, outsider):
        yield make("forged advertisements", "SEC9-5", ONE, "na_auth_fail", *payloads)


def replays(heard: Iterable[dict[str, str]], *, tokens: bool) -> Iterator[Attack]:
    """What Clients and Servers said to each other, again and from elsewhere (row 6).

    With tokens also from where it was said: without, only a path's own address proves anything (RFC 6706 §8).
    """
    said = [(one["source"], one["destination"], bytes.fromhex(one["payload"])) for one in heard]
    for kind, counter in ((NeighborSolicitation, "ns_auth_fail"), (NeighborAdvertisement, "na_auth_fail")):
        found = [data for sender, to, data in said if (sender, to) == (where(TWO), where(ONE)) and is_a(data, kind)]
        again = tuple(dict.fromkeys(found))[:8]
        name = "NS" if kind is NeighborSolicitation else "NA"
        yield outsider(f"replayed {name}", "SEC9-6", ONE, counter, *again)
        if tokens:
            spoofed = outsider(f"replayed {name} from the same address", "SEC9-6", ONE, counter, *again)
            yield replace(spoofed, source=where(TWO))
    again = tuple(data for sender, to, data in said if (sender, to) == (where(S2), where(TWO)) and mediates(data))
    yield outsider("replayed Predirects and Redirects", "SEC9-6", TWO, "origin_fail", *again[:8])


def is_a(payload: bytes, kind: type) -> bool:
    """Whether an inner packet is a message of Neighbor Discovery of this kind."""
    number = {NeighborSolicitation: 135, NeighborAdvertisement: 136}[kind]
    return len(payload) > 40 and payload[0] >> 4 == 6 and payload[6] == ICMPV6 and payload[40] == number


def mediates(payload: bytes) -> bool:
    """Whether an inner packet is a Predirect or Redirect."""
    control = len(payload) > 40 and payload[0] >> 4 == 6 and payload[8:10] == b"\xfe\x80"
    return control and read_mediation(pull_inner(payload)) is not None


# --- data


def echo(source: IPv6Address, destination: IPv6Address, number: int = 1, size: int = 56) -> bytes:
    """An echo request that can be told from all others."""
    body = struct.pack("!BBHHH", 128, 0, 0, MARK, number) + bytes(size)
    checksum = ipv6_checksum(source, destination, ICMPV6, body)
    return push_inner(source, destination, ICMPV6, body[:2] + checksum.to_bytes(2, "big") + body[4:], 64)


def data(h1: IPv6Address, h2: IPv6Address) -> Iterator[Attack]:
    """Data in others' names, directly without a pair, in bad parts, and to draw answers (rows 7 to 9, 15, 16)."""
    own = prefix(EVIL)[9]
    yield client("spoofed inner sources", "SEC9-7", S1, "origin_fail", *(echo(h1, h2, number) for number in range(8)))
    yield client("direct data without a pair", "SEC9-8", TWO, "origin_fail", echo(own, h2), echo(h1, h2))
    spoofed = outsider("others' data from a Client's address", "SEC9-9", S2, "origin_fail", echo(h1, h2), echo(own, h2))
    yield replace(spoofed, source=where(TWO))
    yield outsider("direct data of a pair from elsewhere", "SEC9-8", TWO, "origin_fail", echo(h1, h2))
    whole = echo(own, h2, size=1300)
    parts = [
        _part(0, 1, 1, whole[:1024]) + b"",
        _part(512, 0, 1, whole[512:1200]),  # overlaps
        _part(0, 1, 2, whole[:32]),  # too little of the packet to judge it by
        _part(9216, 0, 3, bytes(64)),  # beyond every cap
    ]
    wanted = ("fragment_overlap", "fragment_tiny", "fragment_beyond_cap")
    yield replace(client("bad fragments", "SEC9-15", S1, "", *parts, count=3), counters=wanted)
    flood = [_part(0, 1, 1000 + number, whole[:1024]) for number in range(200)]
    yield outsider("a flood of fragments", "SEC9-15", S1, "origin_fail", *flood)
    asking = push_discovery(NeighborSolicitation(name_of(S1), (Nonce(b"sixoct"),)), name_of(ONE), name_of(S1))
    small = [asking, asking + bytes(1200), echo(h1, h2), *(echo(h1, h2, number) for number in range(40))]
    yield outsider("questions that would be answered", "SEC9-16", S1, "origin_fail", *small)


def _part(offset: int, more: int, identification: int, octets: bytes) -> bytes:
    return struct.pack("!BBHI", 41, 0, offset | more, identification) + octets


# --- DHCPv6


def _dhcp(message: Message | RelayedMessage, source: IPv6Address) -> bytes:
    return push_udp(source, IPv6Address(ALL_DHCP_SERVERS), 546, 547, push_dhcpv6(message))


def _asked(kind: MessageType, transaction: int = 0x666) -> Message:
    """As the second Client would ask for its prefix at its Server."""
    lease = IaPd(1, 0, 0, (IaPrefix(prefix(TWO), 200, 300),))
    server = (ServerId(bytes.fromhex(f"000300010200000000a{S2.index}")),)
    options = (ClientId(bytes.fromhex(TWO.duid)), lease, OptionRequest((79, 82)))
    return Message(kind, transaction, options if kind is MessageType.REBIND else (*options, *server))


def theft() -> Attack:
    """A Rebind in a Client's name from elsewhere; without authentication it succeeds (row 10)."""
    return outsider("a stolen DUID", "SEC9-10", S2, "auth_missing", _dhcp(_asked(MessageType.REBIND), name_of(TWO)))


def requests(heard: Iterable[dict[str, str]]) -> list[bytes]:
    """Overheard messages of DHCPv6 to the second Server."""
    said = [bytes.fromhex(one["payload"]) for one in heard if one["destination"] == where(S2)]
    return [one for one in said if one[24:40] == IPv6Address(ALL_DHCP_SERVERS).packed]


def overheard(heard: Iterable[dict[str, str]], kinds: Iterable[MessageType]) -> list[bytes]:
    """What the second Client asked its Server, by kind of message, the newest last."""
    own = [one for one in heard if one["source"] == where(TWO)]
    return [one for one in requests(own) if one[48] in tuple(kinds)]


def after_restart(heard: Iterable[dict[str, str]]) -> Iterator[Attack]:
    """What the second Client had said to its Server before that was killed (rows 10 and 11)."""
    said = list(heard)
    releases = overheard(said, (MessageType.RELEASE,))
    others = overheard(said, (MessageType.SOLICIT, MessageType.RENEW))
    for row, name, payloads in (("SEC9-11", "Release", releases[-1:]), ("SEC9-10", "requests", others[-6:])):
        attack = outsider(f"replayed {name} after a restart", row, S2, "auth_replayed", *payloads)
        yield attack
        yield replace(attack, kind=f"{attack.kind}, from the same address", source=where(TWO))


def leases(heard: Iterable[dict[str, str]], *, auth: bool) -> Iterator[Attack]:
    """Messages of DHCPv6 that are not their senders' to send (rows 10 to 13)."""
    release = _asked(MessageType.RELEASE)
    if auth:
        yield theft()
        made_up = [sign(_asked(kind), WRONG_KEY, 1 << 60) for kind in (MessageType.REBIND, MessageType.RENEW)]
        yield outsider(
            "a stolen DUID, another key", "SEC9-10", S2, "auth_wrong", *(_dhcp(one, name_of(TWO)) for one in made_up)
        )
        yield outsider("replayed requests", "SEC9-10", S2, "auth_replayed", *requests(heard)[:4])
    refused = "auth_missing" if auth else "release_origin"
    yield client("a forged Release", "SEC9-11", S2, refused, _dhcp(release, name_of(TWO)))
    yield outsider("a forged Release", "SEC9-11", S2, refused, _dhcp(release, name_of(TWO)))
    if auth:
        yield outsider(
            "a forged Release from the same address", "SEC9-11", S2, refused, _dhcp(release, name_of(TWO)),
            source=where(TWO),
        )  # fmt: skip
    lie = RelaySupplied((ClientLinkLayer(IPv6Address(f"::ffff:{OUTSIDER}"), 8060),))
    inside = RelayMessage(push_dhcpv6(_asked(MessageType.RENEW)))
    unspecified = IPv6Address("::")
    for kind, row, name in (
        (MessageType.RELAY_FORWARD, "SEC9-12", "a Relay-forward"),
        (MessageType.RELAY_REPLY, "SEC9-13", "a Relay-reply"),
    ):
        relayed = RelayedMessage(kind, 0, unspecified, name_of(TWO), (lie, inside))
        for make in (client, outsider):
            yield make(name, row, S2, "dhcp_type", _dhcp(relayed, name_of(EVIL)))


# --- the underlay


def errors() -> Iterator[Attack]:
    """ICMP errors about packets of others, and a size below what IPv4 is cut to (row 17)."""
    quotes = [(OUTSIDER, where(TWO), 1300), (where(ONE), where(TWO), 40)]
    payloads = [_too_big(source, destination, mtu) for source, destination, mtu in quotes]
    yield outsider("forged Too Big", "SEC9-17", ONE, "icmp_refused", *payloads, protocol=ICMP)


def _too_big(source: str, destination: str, mtu: int) -> bytes:
    ends = IPv4Address(source).packed + IPv4Address(destination).packed
    quoted = b"\x45\0\x05\xdc\0\0\x40\0\x40\x11\0\0" + ends + struct.pack("!4H", 8060, 8060, 1480, 0)
    body = struct.pack("!BBHHH", 3, 4, 0, 0, mtu) + quoted
    return body[:2] + internet_checksum(body).to_bytes(2, "big") + body[4:]


def bgp() -> bytes:
    """A speaker that calls itself the first Server's, and announces the second Client's prefix (row 14)."""
    asn = 4200000000 + S1.index
    capabilities = b"\x02\x0c\x01\x04\0\2\0\1\x41\x04" + asn.to_bytes(4, "big")
    opening = b"\x04" + (23456).to_bytes(2, "big") + b"\0\x09" + IPv4Address(where(S1)).packed
    part = ip_network(prefix(TWO)).network_address.packed[:7]
    reach = b"\0\2\1\x10" + IPv6Address(S1.underlay["ipv6"]).packed + b"\0\x38" + part
    path = b"\x40\1\1\0\x40\2\6\2\1" + asn.to_bytes(4, "big") + b"\x80\4\4\0\0\0\0"
    attributes = path + b"\x80\x0e" + bytes((len(reach),)) + reach
    update = b"\0\0" + len(attributes).to_bytes(2, "big") + attributes
    messages = ((1, opening + bytes((len(capabilities),)) + capabilities), (4, b""), (2, update))
    return b"".join(b"\xff" * 16 + struct.pack("!HB", 19 + len(body), kind) + body for kind, body in messages)
