"""Messages that a home agent and a router must not be impressed by, octet by octet: what no codec of ours would write.

The intruder holds an account of its own with the home agent, so that some of them are authentic (spec §10, S7, S27).
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address

from agents.haaro.identification import timestamp

SPI, WRONG_SPI = 256, 999
FLAGS, WITHOUT_COLOCATED = 0x22, 0x02
LIFETIME = 120
ALL = b"\x99\x02\x01\xc0"
"""Capability A+R."""
UDP = b"\x90\x06\x00\x00\x80\x04\x00\x00"
OLD = 60.0
"""Seconds by which a stale identification is old: clocks may differ by 7."""
LONG_PAST = 4000
"""Nonce indexes from the one in use: none so old is kept (spec §3.4)."""

Maker = Callable[["Account", float], bytes]


@dataclass(frozen=True)
class Account:
    """Whose requests these are, and to whom; tokens only for a router."""

    home: IPv4Address
    agent: IPv4Address
    careof: IPv4Address
    key: bytes
    network: IPv4Address
    foreign: IPv4Address
    """Somebody else's network."""
    indexes: tuple[int, int] = (0, 0)
    correspondent_key: bytes = b""

    def fixed(self, now: float, **other: int | IPv4Address) -> bytes:
        """The fixed part of a request."""
        agent, careof = other.get("agent", self.agent), other.get("careof", self.careof)
        assert isinstance(agent, IPv4Address)
        assert isinstance(careof, IPv4Address)
        head = struct.pack("!BBH", 1, other.get("flags", FLAGS), LIFETIME)
        return head + self.home.packed + agent.packed + careof.packed + struct.pack("!Q", timestamp(now))

    def to_agent(self, octets: bytes, spi: int = SPI) -> bytes:
        """With the authenticator of this account."""
        covered = octets + struct.pack("!BBI", 32, 20, spi)
        return covered + hmac.digest(self.key, covered, hashlib.md5)

    def to_peer(self, octets: bytes, *, home: int = 0, careof: int = 0) -> bytes:
        """With the authenticator of the tokens; `home`, `careof`: how far off the indexes are."""
        indexes = struct.pack("!HH", *((x + by) & 0xFFFF for x, by in zip(self.indexes, (home, careof), strict=True)))
        made = hmac.digest(self.correspondent_key, octets + b"\x31\x16" + indexes, hashlib.sha1)[:16]
        return octets + b"\x31\x16\x02\x00" + indexes + made

    def request(self, now: float, extensions: bytes = b"", **other: int | IPv4Address) -> bytes:
        """A request that is in order, but for what is said."""
        return self.fixed(now, **other) + ALL + network(self.network) + extensions


def network(address: IPv4Address, length: int = 24) -> bytes:
    """Mobile Network Request."""
    return b"\x94\x06\x00" + bytes((length,)) + address.packed


def spoilt(octets: bytes) -> bytes:
    """The last octet of the authenticator is another."""
    return octets[:-1] + bytes((octets[-1] ^ 1,))


@dataclass(frozen=True)
class Attack:
    """One message and what must become of it."""

    name: str
    make: Maker
    requirement: str
    counter: str
    """Of the receiver; "" for a message in order."""
    code: int | None = None
    """Of the reply; None: silence."""
    kind: str = "RRP"


def on_home_agent() -> Iterator[Attack]:
    """Section 10's rows of the home agent."""
    elsewhere = IPv4Address("203.0.113.254")

    def own(extensions: bytes = b"", **other: int | IPv4Address) -> Maker:
        return lambda a, now: a.to_agent(a.request(now, extensions, **other))

    def only(extensions: bytes) -> Maker:
        return lambda a, now: a.to_agent(a.fixed(now) + extensions)

    yield Attack("no association", lambda a, t: a.to_agent(a.request(t), WRONG_SPI), "ERR-4", "dropped_unauthenticated")
    yield Attack("no authenticator", lambda a, t: a.request(t), "ERR-4", "dropped_unauthenticated")
    wrong = Attack("wrong authenticator", lambda a, t: spoilt(a.to_agent(a.request(t))), "ERR-5", "bad_authenticator")
    yield _answered(wrong, 131)
    stale = Attack("stale", lambda a, t: a.to_agent(a.request(t - OLD)), "ERR-6", "bad_identification")
    yield _answered(stale, 133)
    yield Attack("other home agent", own(agent=elsewhere), "ERR-7", "refused_136", 136)
    yield Attack("source is not the care-of address", own(careof=elsewhere), "ERR-10", "refused_129", 129)
    yield Attack("UDP without D", own(UDP, flags=WITHOUT_COLOCATED), "ERR-11", "refused_134", 134)
    yield Attack("reserved octets", own(UDP[:6] + b"\0\1"), "ERR-11", "refused_134", 134)
    yield Attack("GRE in UDP", own(UDP[:5] + b"\x2f\0\0"), "ERR-11", "refused_142", 142)
    yield Attack(
        "foreign prefix", lambda a, t: a.to_agent(a.fixed(t) + network(a.foreign)), "ERR-13", "refused_147", 147
    )
    yield Attack("prefix of 33 bits", only(b"\x94\x06\x00\x21" + bytes(4)), "ERR-13", "refused_147", 147)
    yield Attack("S without an address", only(b"\x99\x02\x01\xe0"), "ERR-14", "refused_134", 134)
    yield Attack("for a peer", lambda a, t: a.to_peer(a.request(t)), "ERR-15", "dropped_unexpected")
    yield from _unreadable(lambda a, octets: a.to_agent(octets))
    yield Attack("unknown, skippable", own(b"\xc8\x02\1\2"), "ERR-2", "", 0)


def on_router() -> Iterator[Attack]:
    """Section 10's rows of a correspondent, and of a router that asked for nothing."""
    yield Attack("no MCAE", lambda a, t: a.to_agent(a.request(t)), "ERR-26", "dropped_request_not_for_us")
    twice = Attack("two MCAEs", lambda a, t: a.to_peer(a.to_peer(a.request(t))), "ERR-26", "dropped_request_not_for_us")
    yield twice
    wrong = Attack("wrong authenticator", lambda a, t: spoilt(a.to_peer(a.request(t))), "ERR-28", "bad_authenticator")
    yield _answered(wrong, 131)
    for code, off in ((201, (LONG_PAST, 0)), (202, (0, LONG_PAST)), (203, (LONG_PAST, LONG_PAST))):
        yield Attack(f"old nonces ({code})", _with_old(*off), "ERR-27", f"refused_{code}", code)
    yield _answered(Attack("stale", lambda a, t: a.to_peer(a.request(t - OLD)), "ERR-29", "bad_identification"), 133)
    claim = Attack(
        "foreign prefix", lambda a, t: a.to_peer(a.fixed(t) + network(a.foreign)), "ERR-30, SC-S7", "refused_147"
    )
    yield _answered(claim, 147)
    bad = Attack("reserved octets", lambda a, t: a.to_peer(a.request(t, UDP[:6] + b"\0\1")), "ERR-31", "refused_134")
    yield _answered(bad, 134)
    gre = Attack("GRE in UDP", lambda a, t: a.to_peer(a.request(t, UDP[:5] + b"\x2f\0\0")), "ERR-31", "refused_142")
    yield _answered(gre, 142)
    yield Attack(
        "reply to nothing", lambda a, t: b"\3\0" + a.request(t)[2:12] + bytes(8), "ERR-23", "dropped_reply_unexpected"
    )
    yield Attack("HoT to nothing", lambda _a, _t: b"\x1a\0\0\1" + bytes(16), "ERR-22", "dropped")
    yield Attack("CoT to nothing", lambda _a, _t: b"\x1b\0\0\1" + bytes(16), "ERR-22", "dropped")
    yield from _unreadable(lambda a, octets: a.to_peer(octets))


def _unreadable(sign: Callable[[Account, bytes], bytes]) -> Iterator[Attack]:
    yield Attack("cut in the fixed part", lambda a, t: sign(a, a.request(t))[:20], "ERR-3", "dropped")
    yield Attack("cut in an extension", lambda a, t: sign(a, a.request(t))[:-10], "ERR-3", "dropped")
    yield Attack("extension too long", lambda a, t: sign(a, a.request(t, b"\xc8\xff\1")), "ERR-3", "dropped")
    yield Attack("unknown, not skippable", lambda a, t: sign(a, a.request(t, b"\x64\x02\1\2")), "ERR-2", "dropped")
    yield Attack("of no known type", lambda _a, _t: b"\x63" + bytes(23), "ERR-2", "dropped")


def _with_old(home: int, careof: int) -> Maker:
    return lambda a, now: a.to_peer(a.request(now), home=home, careof=careof)


def _answered(attack: Attack, code: int) -> Attack:
    return Attack(attack.name, attack.make, attack.requirement, attack.counter, code)
