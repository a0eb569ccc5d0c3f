"""Proxy Binding Updates and Acknowledgements as the D-GW family composes them (spec §2, HO-8, RFC 5213 §5.3.6)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from ipaddress import IPv6Address, IPv6Network

from agents.dgw.freshness import CLOCKS
from agents.dgw.identity import Identity, complete_identity, mac_octets
from agents.dgw.records import AnchorRecord
from agents.wire.mobility import RECOMMENDED_OCTETS, BindingAck, BindingUpdate, encoded_length
from agents.wire.mobility_codes import PBU_FLAGS, AccessType, AckFlag, Handoff, Status, UpdateFlag
from agents.wire.mobility_lists import AnchorGroup, in_send_order, without_distributed
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
    LinkLocalAddress,
    LocalPrefix,
    MobileNodeIdentifier,
    Option,
    PreviousMaar,
    ServingMaar,
    Timestamp,
)

Announced = Callable[[IPv6Address, Iterable[IPv6Network]], tuple[IPv6Network, ...]]
"""Which of these networks the gateway with this P-CoA may announce."""
IDENTIFYING = (MobileNodeIdentifier, HandoffIndicator, AccessTechnology, LinkLayerIdentifier)
"""Options by which an acknowledgement is known to be about its update (spec §10)."""
ECHOED = (*IDENTIFYING, LinkLocalAddress)
"""Options an acknowledgement repeats from its update, besides the Timestamp (spec HO-8)."""


def identity_options(identity: Identity) -> tuple[Option, ...]:
    """Options 69 and 70."""
    return (DlifLinkLocal(identity.link_local), DlifLinkLayer(mac_octets(identity.mac)))


def group_identity(group: AnchorGroup) -> Identity | None:
    """The usable DLIF identity of an anchor group (spec DLIF-7)."""
    mac = group.link_layer.text if group.link_layer and group.link_layer.usable else None
    link_local = group.link_local.address if group.link_local and group.link_local.usable else None
    return complete_identity(mac, link_local)


def unusable_identity(group: AnchorGroup) -> str | None:
    """What of a group's options 69 and 70 cannot be used, for the log; None when nothing is wrong (spec §10)."""
    wrong = []
    if group.link_local and not group.link_local.usable:
        wrong.append(f"link-local address {group.link_local.address}")
    if group.link_layer and not group.link_layer.usable:
        wrong.append(f"link-layer address {group.link_layer.text}")
    return ", ".join(wrong) or None


def group_local_prefixes(group: AnchorGroup) -> tuple[IPv6Network, ...]:
    """The well-formed Local Prefix options of an anchor group."""
    return tuple(option.network for option in group.local if not option.bad_length)


def learned(record: AnchorRecord, ack: BindingAck, allowed: Announced) -> AnchorRecord:
    """The record of an anchor with what its acknowledgement says of its DLIF and local prefixes (spec HO-7, SEC-4)."""
    group = next((group for group in ack.groups if group.previous is None), None)
    if group is None:
        return record
    return replace(
        record,
        identity=group_identity(group) or record.identity,
        local_prefixes=allowed(record.address, group_local_prefixes(group)) or record.local_prefixes,
    )


def compose_update(
    *,
    mn_id: str,
    mac: str | None,
    prefixes: Iterable[IPv6Network],
    handoff: int,
    access: int = AccessType.ETHERNET,
    sequence: int,
    timestamp: int,
    lifetime: int,
    extra: Iterable[Option] = (),
    flags: UpdateFlag = PBU_FLAGS,
) -> BindingUpdate:
    """A PBU, flags A, P, D unless told; `lifetime` in seconds, `timestamp` in 1/65536 s, `extra` further options.

    Without D it is a plain one of RFC 5213: options 65-70 are left out.
    """
    options: list[Option] = [MobileNodeIdentifier.of(mn_id)]
    options += [HomeNetworkPrefix.of(prefix) for prefix in prefixes]
    options += [HandoffIndicator(handoff), AccessTechnology(access)]
    if mac:
        options.append(LinkLayerIdentifier(mac_octets(mac)))
    options += [Timestamp(timestamp), *(extra if UpdateFlag.DISTRIBUTED in flags else without_distributed(extra))]
    return BindingUpdate(
        sequence=sequence,
        flags=flags,
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
    """The accepting answer to a PBU; sequence and timestamp are the PBU's unless given.

    A sender that did not set D is told nothing in options 65-70: it must not look at them (RFC 8885 §4.3, §4.4).
    """
    extra = tuple(extra)
    options = [one for one in _echoed(update) if type(one) not in map(type, extra)]
    options += [HomeNetworkPrefix.of(prefix) for prefix in prefixes]
    echoed = update.first(Timestamp)
    if echoed:
        options.append(echoed if timestamp is None else Timestamp(timestamp))
    return BindingAck(
        status=Status.ACCEPTED,
        flags=_ack_flags(update),
        sequence=update.sequence if sequence is None else sequence,
        lifetime_units=lifetime_units(lifetime),
        options=in_send_order([*options, *(extra if update.distributed else without_distributed(extra))]),
    )


def compose_rejection(
    update: BindingUpdate, status: int, *, now_ticks: int, last_sequence: int | None = None
) -> BindingAck:
    """The rejecting answer: all prefixes of the request, or one all-zero one (spec HO-8, RETX-7, RETX-8)."""
    options = _echoed(update)
    if status == Status.MISSING_MN_IDENTIFIER_OPTION:
        options = [MobileNodeIdentifier(b""), *(o for o in options if not isinstance(o, MobileNodeIdentifier))]
    prefixes = update.every(HomeNetworkPrefix) or (HomeNetworkPrefix.all_zero(),)
    sequence, timestamp = update.sequence, update.first(Timestamp)
    if status in CLOCKS:
        timestamp = Timestamp(now_ticks)
    if status == Status.SEQUENCE_NUMBER_OUT_OF_WINDOW and last_sequence is not None:
        sequence, timestamp = last_sequence, None
    if timestamp:
        options.append(timestamp)
    answer = BindingAck(
        status=status,
        flags=_ack_flags(update),
        sequence=sequence,
        lifetime_units=0,
        options=in_send_order([*options, *prefixes]),
    )
    # Aligned, the prefixes of a crammed request could exceed what a Mobility Header can hold: name some of them.
    while len(prefixes) > 1 and encoded_length(answer) > RECOMMENDED_OCTETS:
        prefixes = prefixes[: len(prefixes) // 2]
        answer = replace(answer, options=in_send_order([*options, *prefixes]))
    return answer


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
    return all(update.first(kind) == ack.first(kind) for kind in IDENTIFYING)


def is_late(ack: BindingAck, update: BindingUpdate, stamps: Collection[int]) -> bool:
    """Whether an answer is to an older update of the same sequence number: two gateways count each for itself.

    It names another serving gateway (68, AMB-9), or a Timestamp that is none of those sent (spec CMD-9).
    """
    told, serving = ack.first(ServingMaar), update.first(ServingMaar)
    if told and serving and told.address != serving.address:
        return True
    stamp = ack.first(Timestamp)
    own_clock = ack.status in CLOCKS
    return stamp is not None and not own_clock and stamp.raw not in stamps


def granted_prefixes(
    ack: BindingAck, group: AnchorGroup | None, named: Iterable[IPv6Network] = ()
) -> tuple[set[IPv6Network], bool]:
    """The prefixes an answer speaks of, and whether its two ways to say so differ (spec AMB-12).

    `named` (option 67) or else option 22 is authoritative, option 65 of the same anchor should say the same; the
    union counts.  Prefixes of a bad length are left out.
    """
    told = set(named) or {o.network for o in ack.every(HomeNetworkPrefix) if not o.bad_length}
    anchored = {o.network for o in group.anchored if not o.bad_length} if group else set()
    return told | anchored, bool(anchored) and anchored != told


def handoff_of(update: BindingUpdate) -> int:
    """The Handoff Indicator to pass on as it came, even if nobody defined it; unknown where there is none."""
    option = update.first(HandoffIndicator)
    return option.value if option else Handoff.UNKNOWN


def care_of_address(update: BindingUpdate, source: IPv6Address) -> IPv6Address:
    """P-CoA of a direct PBU: option 3 when present, else the packet's source (RFC 6275 §6.2.5)."""
    option = update.first(AlternateCareOfAddress)
    return option.address if option else source


def _echoed(update: BindingUpdate) -> list[Option]:
    found = [update.first(kind) for kind in ECHOED]
    return [option for option in found if option is not None]


def _ack_flags(update: BindingUpdate) -> AckFlag:
    flags = AckFlag.PROXY if UpdateFlag.PROXY in update.flags else AckFlag(0)
    if update.distributed:
        flags |= AckFlag.DISTRIBUTED
    return flags
