"""Bad messages, one row each of fact sheet §10: how to make it, who sends it to which role, what must come back.

The same rows are given to cores in the unit tests and sent to running agents by the lab `sc-badinput`.  A row
starts from an update that its receiver would accept and spoils one thing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from ipaddress import IPv6Address, IPv6Network

from agents.dgw.freshness import TICKS, ticks
from agents.dgw.messages import compose_update
from agents.wire.mobility import (
    BindingAck,
    BindingError,
    BindingRefreshRequest,
    BindingUpdate,
    MobilityMessage,
    push_mobility,
)
from agents.wire.mobility_codes import PBA_FLAGS, PBU_FLAGS, AckFlag, DFlagProfile, Handoff, UpdateFlag
from agents.wire.mobility_option_bases import KnownOption
from agents.wire.mobility_options import (
    AccessTechnology,
    AlternateCareOfAddress,
    AnchoredPrefix,
    HandoffIndicator,
    HomeNetworkPrefix,
    MalformedOption,
    MobileNodeIdentifier,
    Option,
    PreviousMaar,
    ServingMaar,
    Timestamp,
    UnknownOption,
)

DISTRIBUTED = frozenset({"gateway", "anchor", "cmd"})
"""Roles that speak with the D flag."""
BINDING = frozenset({"gateway", "anchor"})
"""Roles that have a prefix of the node: a serving gateway its own, an anchor that of a node elsewhere."""
ALL = DISTRIBUTED | {"lma"}
ACK, HOME, PROXY, D = (
    UpdateFlag.ACKNOWLEDGE,
    UpdateFlag.HOME_REGISTRATION,
    UpdateFlag.PROXY,
    UpdateFlag.DISTRIBUTED,
)
STRAY = IPv6Network("2001:db8:dead:1::/64")
"""A prefix of nobody."""


@dataclass(frozen=True)
class Ground:
    """Where a row is played: one role of a domain, and what an update that it would accept says."""

    role: str
    target: IPv6Address
    source: IPv6Address
    mn_id: str
    mac: str
    prefix: IPv6Network
    """The home network prefix of a good update."""
    disabled: str
    """MN-ID of a node whose service is off."""
    now: float
    sequence: int
    lifetime: int = 300
    profile: DFlagProfile = DFlagProfile.RFC8885
    """Where the receiver expects the sender's D flag."""

    def good(self) -> BindingUpdate:
        """An update that this receiver would accept from its peer."""
        return compose_update(
            mn_id=self.mn_id,
            mac=self.mac,
            prefixes=[self.prefix],
            handoff=Handoff.SAME_INTERFACE,
            sequence=self.sequence,
            timestamp=ticks(self.now),
            lifetime=self.lifetime,
            flags=PBU_FLAGS if self.role in DISTRIBUTED else ACK | PROXY,
        )


@dataclass(frozen=True)
class Reply:
    """What must come back."""

    kind: str
    """`ack` (PBA or BA), `error` (Binding Error) or `problem` (ICMPv6 Parameter Problem, code 0)."""
    status: int = 0
    flags: int = int(PBA_FLAGS)
    """Of an ack: P and D as RFC 8885 places them."""
    pointer: int = 0
    sequence: int | None = None
    """Of an ack: None for the request's."""


Change = Callable[[BindingUpdate, Ground], MobilityMessage]


@dataclass(frozen=True)
class Row:
    """One row of §10 and one way to meet it."""

    name: str
    roles: frozenset[str]
    reply: Reply | None
    """None: silence."""
    change: Change = lambda update, ground: update
    spoil: Callable[[bytes], bytes] = lambda octets: octets
    """Applied to the encoded message."""
    sender: str = "peer"
    """`peer` (a gateway that does not serve the node), `serving` (the one that does), `cmd`, or `outsider`."""
    counter: str | None = "rejected"
    """Which counter of the receiver tells of it; None: its kernel drops the message."""
    requirement: str = "SC-BADINPUT"
    good_checksum: bool = True

    def reply_at(self, role: str) -> Reply | None:
        """The reply of this role: one that is no distributed gateway never sets D."""
        if self.reply is None or role in DISTRIBUTED:
            return self.reply
        return replace(self.reply, flags=self.reply.flags & ~int(AckFlag.DISTRIBUTED))

    def octets(self, ground: Ground) -> bytes:
        """The message as it goes out."""
        message = self.change(ground.good(), ground)
        return self.spoil(push_mobility(message, ground.source, ground.target, profile=ground.profile))


def without(message: BindingUpdate, *kinds: type[KnownOption]) -> BindingUpdate:
    """The message without options of these classes."""
    return replace(message, options=tuple(o for o in message.options if not isinstance(o, kinds)))


def plus(message: BindingUpdate, *options: Option) -> BindingUpdate:
    """The message with further options."""
    return replace(message, options=(*message.options, *options))


def instead(message: BindingUpdate, *options: KnownOption) -> BindingUpdate:
    """The message with these options in the place of its own of their classes."""
    return plus(without(message, *{type(option) for option in options}), *options)


def _flags(flags: UpdateFlag) -> Change:
    return lambda update, _: replace(update, flags=flags)


def _less(kind: type[KnownOption]) -> Change:
    return lambda update, _: without(update, kind)


def _more(*options: Option) -> Change:
    return lambda update, _: plus(update, *options)


def _torn(kind: type[KnownOption], data: bytes) -> Change:
    """An option of this kind with a Length that its kind does not have."""
    return lambda update, _: plus(without(update, kind), MalformedOption(kind.type, data))


def _prefix(address: IPv6Address, length: int) -> Change:
    return lambda update, _: instead(update, HomeNetworkPrefix(address, length))


def _own_prefix(length: int) -> Change:
    return lambda update, ground: instead(update, HomeNetworkPrefix(ground.prefix.network_address, length))


def _stamp(seconds: float) -> Change:
    return lambda update, ground: instead(update, Timestamp(ticks(ground.now) + int(seconds * TICKS)))


def _ack(*options: Option) -> Change:
    """An acknowledgement that answers nothing."""
    return lambda update, _: BindingAck(
        status=0, flags=PBA_FLAGS, sequence=update.sequence, lifetime_units=75, options=options or update.options
    )


def _exchange_d(octets: bytes) -> bytes:
    """RFC 8885's D flag where the draft had it, and the other way round (spec AMB-5)."""
    word = int.from_bytes(octets[8:10], "big")
    word = word & ~0x0110 | (word & 0x0100) >> 4 | (word & 0x0010) << 4
    return octets[:8] + word.to_bytes(2, "big") + octets[10:]


def _neighbour(update: BindingUpdate, ground: Ground) -> BindingUpdate:
    """One prefix more, out of the same pool."""
    following = IPv6Network((int(ground.prefix.network_address) + (0x77 << 64), 64))
    return plus(update, HomeNetworkPrefix.of(following))


HEADER = (
    Row("bad checksum", ALL, None, counter=None, good_checksum=False),
    Row("six octets", ALL, None, spoil=lambda o: o[:6], counter="truncated"),
    Row("unknown MH type", ALL, Reply("error", 2), spoil=lambda o: o[:2] + b"\x40" + o[3:], counter="unknown-type"),
    Row(
        "Payload Proto 6",
        ALL,
        Reply("problem", pointer=40),
        spoil=lambda o: b"\x06" + o[1:],
        counter="payload-proto",
    ),
    Row(
        "Header Len below the minimum",
        ALL,
        Reply("problem", pointer=41),
        spoil=lambda o: o[:1] + b"\x00" + o[2:],
        counter="header-too-short",
    ),
    Row(
        "Header Len beyond the datagram",
        ALL,
        None,
        spoil=lambda o: o[:1] + b"\xf0" + o[2:],
        counter="header-beyond-datagram",
    ),
    Row("option beyond the end", ALL, None, spoil=lambda o: o[:13] + b"\xff" + o[14:], counter="option-overrun"),
)

FLAGS = (
    Row("Mobile IPv6 registration", ALL, Reply("ack", 131, 0), _flags(ACK | HOME)),
    Row("neither P nor H", ALL, None, _flags(ACK), counter="ignored"),
    Row("no D flag", DISTRIBUTED, Reply("ack", 129, 0x20), _flags(ACK | PROXY), requirement="SC-BADINPUT, AMB-6"),
    Row(
        "D flag in its other place",
        DISTRIBUTED,
        Reply("ack", 129, 0x20),
        spoil=_exchange_d,
        requirement="SC-BADINPUT, AMB-5",
    ),
    Row(
        "D flag at a plain LMA",
        frozenset({"lma"}),
        Reply("ack", 129, 0x20),
        _flags(ACK | PROXY | D),
        requirement="SC-BADINPUT, AMB-6",
    ),
)

OPTIONS = (
    Row("second MN-ID", ALL, Reply("ack", 128), _more(MobileNodeIdentifier.of("x@y"))),
    Row("second HI", ALL, Reply("ack", 128), _more(HandoffIndicator(1))),
    Row("second Timestamp", ALL, Reply("ack", 128), _more(Timestamp(5))),
    Row("no MN-ID", ALL, Reply("ack", 160), _less(MobileNodeIdentifier)),
    Row("MN-ID of Length 0", ALL, Reply("ack", 160), _torn(MobileNodeIdentifier, b"")),
    Row("empty MN-ID", ALL, Reply("ack", 160), lambda u, _: instead(u, MobileNodeIdentifier(b""))),
    Row("no HNP", ALL, Reply("ack", 158), _less(HomeNetworkPrefix)),
    Row("HNP of Length 17", ALL, Reply("ack", 158), _torn(HomeNetworkPrefix, bytes(17))),
    Row("no HI", ALL, Reply("ack", 161), _less(HandoffIndicator)),
    Row("HI of Length 1", ALL, Reply("ack", 161), _torn(HandoffIndicator, b"\3")),
    Row("no ATT", ALL, Reply("ack", 162), _less(AccessTechnology)),
    Row("ATT of Length 3", ALL, Reply("ack", 162), _torn(AccessTechnology, b"\0\3\0")),
)

WHO = (
    Row("sender that is no peer", ALL, Reply("ack", 154), sender="outsider", requirement="SC-BADINPUT, SEC-4"),
    Row(
        "option 68 from a gateway",
        DISTRIBUTED,
        Reply("ack", 154),
        lambda u, g: plus(u, ServingMaar(g.source)),
        requirement="SC-BADINPUT, SEC-4",
    ),
    Row("unknown MN", ALL, Reply("ack", 153), lambda u, _: instead(u, MobileNodeIdentifier.of("x@y"))),
    Row("MN-ID of another subtype", ALL, Reply("ack", 153), lambda u, g: _renamed(u, g.mn_id)),
    Row("service off", frozenset({"cmd", "lma"}), Reply("ack", 152), lambda u, g: _about(u, g.disabled)),
    Row("multicast option 68", BINDING, Reply("ack", 174), _more(ServingMaar(IPv6Address("ff02::1"))), sender="cmd"),
    Row("link-local option 68", BINDING, Reply("ack", 174), _more(ServingMaar(IPv6Address("fe80::1"))), sender="cmd"),
    Row("unspecified option 68", BINDING, Reply("ack", 174), _more(ServingMaar(IPv6Address("::"))), sender="cmd"),
    Row(
        "option 68 of no gateway",
        BINDING,
        Reply("ack", 174),
        _more(ServingMaar(IPv6Address("2001:db8:dead::1"))),
        sender="cmd",
    ),
    Row("multicast option 3", DISTRIBUTED, Reply("ack", 174), _more(AlternateCareOfAddress(IPv6Address("ff02::1")))),
)


def _renamed(update: BindingUpdate, mn_id: str) -> BindingUpdate:
    return instead(update, MobileNodeIdentifier(mn_id.encode(), 2))


def _about(update: BindingUpdate, mn_id: str) -> BindingUpdate:
    return instead(update, MobileNodeIdentifier.of(mn_id))


WHEN = (
    Row("old Timestamp", ALL, Reply("ack", 157), _stamp(-1e6), requirement="SC-BADINPUT, RETX-7"),
    Row("Timestamp of the future", ALL, Reply("ack", 156), _stamp(60), requirement="SC-BADINPUT, RETX-7"),
    Row(
        "de-registration from elsewhere",
        DISTRIBUTED,
        None,
        lambda u, _: replace(u, lifetime_units=0),
        counter="ignored",
        requirement="SC-BADINPUT, DEREG-3",
    ),
    Row(
        "de-registration of nobody",
        ALL,
        None,
        lambda u, _: _about(replace(u, lifetime_units=0), "x@y"),
        counter="ignored",
        requirement="SC-BADINPUT, DEREG-3",
    ),
)

PREFIXES = (
    Row("HNP of length 0", ALL, Reply("ack", 155), _own_prefix(0)),
    Row("HNP of length 48", ALL, Reply("ack", 155), _own_prefix(48)),
    Row("HNP of length 65", ALL, Reply("ack", 155), _own_prefix(65)),
    Row("HNP of length 200", ALL, Reply("ack", 155), _own_prefix(200)),
    Row("all-zero HNP", DISTRIBUTED, Reply("ack", 155), _prefix(IPv6Address("::"), 0)),
    Row("all-zero /64", DISTRIBUTED, Reply("ack", 155), _prefix(IPv6Address("::"), 64)),
    Row("foreign HNP", ALL, Reply("ack", 155), _prefix(STRAY.network_address, 64), requirement="SC-BADINPUT, SEC-4"),
    Row("option 65 of length 0", DISTRIBUTED, Reply("ack", 155), _more(AnchoredPrefix(STRAY.network_address, 0))),
    Row(
        "option 67 of length 63",
        DISTRIBUTED,
        Reply("ack", 155),
        _more(PreviousMaar(STRAY.network_address, 63, IPv6Address("2001:db8::1"))),
    ),
    Row("one HNP more", BINDING, Reply("ack", 159), _neighbour),
    Row("one HNP more", frozenset({"cmd"}), Reply("ack", 159), _neighbour, sender="serving"),
)

ANSWERS = (
    Row("PBA for no PBU", ALL - {"lma"}, None, _ack(), counter="ignored"),
    Row("PBA without MN-ID", ALL - {"lma"}, None, _ack(UnknownOption(200, b"?")), counter="ignored"),
    Row("Binding Error", ALL, None, lambda u, _: BindingError(status=1), counter="binding-error"),
    Row(
        "Binding Refresh Request for nobody",
        ALL,
        None,
        lambda u, _: BindingRefreshRequest(options=(MobileNodeIdentifier.of("x@y"),)),
        counter="refresh-request",
    ),
)

REFUSED: tuple[Row, ...] = (*HEADER, *FLAGS, *OPTIONS, *WHO, *WHEN, *PREFIXES, *ANSWERS)
"""Rows after which the receiver is as before."""


def _sequence(number: int) -> Change:
    return lambda update, _: replace(without(update, Timestamp), sequence=number)


def _reserved(octets: bytes) -> bytes:
    """All reserved bits of header and flags set."""
    return octets[:3] + b"\xff" + octets[4:9] + bytes((octets[9] | 0x0F,)) + octets[10:]


TOLERATED: tuple[Row, ...] = (
    Row("A flag not set", BINDING, Reply("ack", 0), _flags(PROXY | D), sender="serving", counter=None),
    Row("H flag beside P", BINDING, Reply("ack", 0), _flags(ACK | HOME | PROXY | D), sender="serving", counter=None),
    Row("unknown option", BINDING, Reply("ack", 0), _more(UnknownOption(200, b"?")), sender="serving", counter=None),
    Row("octets after the end", BINDING, Reply("ack", 0), spoil=lambda o: o + b"tail", sender="serving", counter=None),
    Row("reserved bits set", BINDING, Reply("ack", 0), spoil=_reserved, sender="serving", counter=None),
    Row(
        "sequence number for want of a Timestamp",
        BINDING,
        Reply("ack", 0),
        _sequence(30000),
        sender="serving",
        counter=None,
        requirement="SC-BADINPUT, RETX-8",
    ),
    Row(
        "the same sequence number again",
        BINDING,
        Reply("ack", 135, sequence=30000),
        _sequence(30000),
        sender="serving",
        requirement="SC-BADINPUT, RETX-8",
    ),
    Row(
        "a sequence number half-way round",
        BINDING,
        Reply("ack", 135, sequence=30000),
        _sequence((30000 + 32768) % 65536),
        sender="serving",
        requirement="SC-BADINPUT, RETX-8",
    ),
)
"""Rows that an anchor takes from the serving gateway, in this order: what is odd about them does not matter."""


def rows_for(role: str, rows: tuple[Row, ...] = REFUSED) -> list[Row]:
    """The rows for one role."""
    return [row for row in rows if role in row.roles]
