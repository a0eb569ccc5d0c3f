"""Proxy Binding Updates and Acknowledgements as the D-GW family composes them (spec §2, HO-8, RFC 5213 §5.3.6)."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv6Address, IPv6Network

from agents.dgw.identity import Identity, complete_identity, mac_octets
from agents.dgw.records import AnchorRecord
from agents.wire.mobility import BindingAck, BindingUpdate
from agents.wire.mobility_codes import PBU_FLAGS, AccessType, AckFlag, Handoff, Status, UpdateFlag
from agents.wire.mobility_lists import AnchorGroup, in_send_order
from agents.wire.mobility_messages import lifetime_units
from agents.wire.mobility_options import (
    AccessTechnology,
    AlternateCareOfAddress,
    AnchoredPrefix,
    DlifLinkLayer,
    DlifLinkLocal,
    HandoffIndicator,
    HomeNetworkPrefix,
    LinkLayerIdentifier,
    LocalPrefix,
    MobileNodeIdentifier,
    Option,
    PreviousMaar,
    Timestamp,
)

ECHOED = (MobileNodeIdentifier, HandoffIndicator, AccessTechnology, LinkLayerIdentifier)
"""Options an acknowledgement repeats from its update, besides the Timestamp (spec HO-8)."""


def identity_options(identity: Identity) -> tuple[Option, ...]:
    """Options 69 and 70."""
    return (DlifLinkLocal(identity.link_local), DlifLinkLayer(mac_octets(identity.mac)))


def group_identity(group: AnchorGroup) -> Identity | None:
    """The usable DLIF identity of an anchor group (spec DLIF-7)."""
    mac = group.link_layer.text if group.link_layer and group.link_layer.usable else None
    link_local = group.link_local.address if group.link_local and group.link_local.usable else None
    return complete_identity(mac, link_local)


def group_local_prefixes(group: AnchorGroup) -> tuple[IPv6Network, ...]:
    """The well-formed Local Prefix options of an anchor group."""
    return tuple(option.network for option in group.local if not option.bad_length)


def compose_update(
    *,
    mn_id: str,
    mac: str | None,
    prefixes: Iterable[IPv6Network],
    handoff: Handoff,
    access: int = AccessType.ETHERNET,
    sequence: int,
    timestamp: int,
    lifetime: int,
    extra: Iterable[Option] = (),
) -> BindingUpdate:
    """A PBU with flags A, P, D; `lifetime` in seconds, `timestamp` in 1/65536 s, `extra` the options 65-70."""
    options: list[Option] = [MobileNodeIdentifier.of(mn_id)]
    options += [HomeNetworkPrefix.of(prefix) for prefix in prefixes]
    options += [HandoffIndicator(handoff), AccessTechnology(access)]
    if mac:
        options.append(LinkLayerIdentifier(mac_octets(mac)))
    options += [Timestamp(timestamp), *extra]
    return BindingUpdate(
        sequence=sequence,
        flags=PBU_FLAGS,
        lifetime_units=lifetime_units(lifetime),
        options=in_send_order(options),
    )


def compose_ack(
    update: BindingUpdate,
    *,
    lifetime: int,
    prefixes: Iterable[IPv6Network],
    extra: Iterable[Option] = (),
    sequence: int | None = None,
    timestamp: int | None = None,
) -> BindingAck:
    """The accepting answer to a PBU; sequence and timestamp are the PBU's unless given."""
    options = _echoed(update)
    options += [HomeNetworkPrefix.of(prefix) for prefix in prefixes]
    echoed = update.first(Timestamp)
    if echoed:
        options.append(echoed if timestamp is None else Timestamp(timestamp))
    return BindingAck(
        status=Status.ACCEPTED,
        flags=_ack_flags(update),
        sequence=update.sequence if sequence is None else sequence,
        lifetime_units=lifetime_units(lifetime),
        options=in_send_order([*options, *extra]),
    )


def compose_rejection(
    update: BindingUpdate, status: int, *, now_ticks: int, last_sequence: int | None = None
) -> BindingAck:
    """The rejecting answer: all prefixes of the request, or one all-zero one (spec HO-8, RETX-7, RETX-8)."""
    options = _echoed(update)
    if status == Status.MISSING_MN_IDENTIFIER_OPTION:
        options.append(MobileNodeIdentifier(b""))
    options += update.every(HomeNetworkPrefix) or (HomeNetworkPrefix.all_zero(),)
    sequence, timestamp = update.sequence, update.first(Timestamp)
    if status in (Status.TIMESTAMP_MISMATCH, Status.TIMESTAMP_LOWER_THAN_PREV_ACCEPTED):
        timestamp = Timestamp(now_ticks)
    if status == Status.SEQUENCE_NUMBER_OUT_OF_WINDOW and last_sequence is not None:
        sequence, timestamp = last_sequence, None
    if timestamp:
        options.append(timestamp)
    return BindingAck(
        status=status,
        flags=_ack_flags(update),
        sequence=sequence,
        lifetime_units=0,
        options=in_send_order(options),
    )


def anchor_options(record: AnchorRecord) -> tuple[Option, ...]:
    """One anchor group: 67 and what belongs to it (RFC 8885 §3.2, spec AMB-7)."""
    options: list[Option] = [PreviousMaar.of(record.address, record.prefix)]
    if record.identity:
        options += identity_options(record.identity)
    options += [LocalPrefix.of(prefix) for prefix in record.local_prefixes]
    return tuple(options)


def own_options(record: AnchorRecord, *, anchored: bool) -> tuple[Option, ...]:
    """What a gateway says of its own prefix: 66, 69, 70 and, where asked for, 65 (spec ATT-5, HO-7)."""
    options: list[Option] = [AnchoredPrefix.of(record.prefix)] if anchored else []
    options += [LocalPrefix.of(prefix) for prefix in record.local_prefixes]
    if record.identity:
        options += identity_options(record.identity)
    return tuple(options)


def same_request(update: BindingUpdate, ack: BindingAck) -> bool:
    """True when MN-ID, HI, ATT and link-layer identifier of the answer are the request's (spec §10)."""
    return all(update.first(kind) == ack.first(kind) for kind in ECHOED)


def care_of_address(update: BindingUpdate, source: IPv6Address) -> IPv6Address:
    """P-CoA of a direct PBU: option 3 when present, else the packet's source (RFC 6275 §6.2.5)."""
    option = update.first(AlternateCareOfAddress)
    return option.address if option else source


def _echoed(update: BindingUpdate) -> list[Option]:
    found = [update.first(kind) for kind in ECHOED]
    return [option for option in found if option is not None]


def _ack_flags(update: BindingUpdate) -> AckFlag:
    flags = AckFlag.PROXY if UpdateFlag.PROXY in update.flags else AckFlag(0)
    if UpdateFlag.DISTRIBUTED in update.flags:
        flags |= AckFlag.DISTRIBUTED
    return flags
