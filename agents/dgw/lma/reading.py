"""What a classic anchor reads in an update: that it is a legacy one, and the session it is about (RFC 5213 §5.4)."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv6Network

from agents.dgw.lma.state import Binding
from agents.dgw.validation import Ignored, Rejected
from agents.wire.mobility import BindingUpdate
from agents.wire.mobility_codes import Handoff, Status, UpdateFlag
from agents.wire.mobility_options import (
    AccessTechnology,
    HandoffIndicator,
    HomeNetworkPrefix,
    LinkLayerIdentifier,
    MobileNodeIdentifier,
)

MOVED = (Handoff.OTHER_INTERFACE, Handoff.SAME_INTERFACE, Handoff.REREGISTRATION)
"""The gateway knows that the node continues a session."""


class Undecided(Exception):
    """The node may have moved or may have attached a further interface: its former gateway will tell in time."""


def check_legacy_form(update: BindingUpdate) -> str:
    """The MN-ID of a classic update; one of a distributed gateway is refused as a whole (spec §10, RFC 8885 §4.1)."""
    if UpdateFlag.PROXY not in update.flags:
        if UpdateFlag.HOME_REGISTRATION in update.flags:
            raise Rejected(Status.HOME_REGISTRATION_NOT_SUPPORTED, "plain home registration")
        raise Ignored("Binding Update without P and H")
    if UpdateFlag.DISTRIBUTED in update.flags:
        raise Rejected(Status.ADMINISTRATIVELY_PROHIBITED, "D flag: there are no distributed gateways here")
    if update.duplicates:
        raise Rejected(Status.REASON_UNSPECIFIED, f"option {update.duplicates[0]} came twice")
    identifier = update.first(MobileNodeIdentifier)
    if identifier is None or not identifier.identifier:
        raise Rejected(Status.MISSING_MN_IDENTIFIER_OPTION, "no MN Identifier option")
    return identifier.text


def requested_prefixes(update: BindingUpdate) -> tuple[IPv6Network, ...]:
    """The prefixes of an update with the mandatory options (158, 161, 162, 155); none: "allocate one" (§5.3.2)."""
    prefixes = update.every(HomeNetworkPrefix)
    if not prefixes:
        raise Rejected(Status.MISSING_HOME_NETWORK_PREFIX_OPTION, "no Home Network Prefix option")
    if update.first(HandoffIndicator) is None:
        raise Rejected(Status.MISSING_HANDOFF_INDICATOR_OPTION, "no Handoff Indicator option")
    if update.first(AccessTechnology) is None:
        raise Rejected(Status.MISSING_ACCESS_TECH_TYPE_OPTION, "no Access Technology Type option")
    if all(prefix.is_all_zero for prefix in prefixes):
        return ()
    if update.bad_prefixes or any(prefix.is_all_zero for prefix in prefixes):
        raise Rejected(Status.NOT_AUTHORIZED_FOR_HOME_NETWORK_PREFIX, "a prefix that is no /64")
    return tuple(prefix.network for prefix in prefixes)


def access_of(update: BindingUpdate) -> tuple[int, str | None]:
    """Access technology and link-layer identifier: which interface of the node the update is about."""
    access, identifier = update.first(AccessTechnology), update.first(LinkLayerIdentifier)
    return access.value if access else 0, identifier.text if identifier else None


def find_session(update: BindingUpdate, prefixes: Sequence[IPv6Network], sessions: Sequence[Binding]) -> Binding | None:
    """The session of the node that an update is about, None for a new one; Undecided, 155 or 159 (§5.4.1)."""
    if prefixes:
        return _by_prefix(prefixes, sessions)
    access, mac = access_of(update)
    same = [one for one in sessions if mac is not None and (one.access, one.mac) == (access, mac)]
    if same:
        return same[0]
    handoff = update.first(HandoffIndicator)
    kind = handoff.value if handoff else Handoff.UNKNOWN
    if kind == Handoff.NEW_INTERFACE or len(sessions) != 1:
        return None
    if kind in MOVED or sessions[0].deleting:
        return sessions[0]
    raise Undecided


def _by_prefix(prefixes: Sequence[IPv6Network], sessions: Sequence[Binding]) -> Binding:
    """§5.4.1.1: the prefixes name the session."""
    mine = {session.prefix: session for session in sessions}
    if len(set(prefixes)) == 1 and prefixes[0] in mine:
        return mine[prefixes[0]]
    if mine.keys() & set(prefixes):
        raise Rejected(Status.BCE_PBU_PREFIX_SET_DO_NOT_MATCH, "prefix set differs from the session's")
    raise Rejected(Status.NOT_AUTHORIZED_FOR_HOME_NETWORK_PREFIX, f"{prefixes[0]} is not the node's")
