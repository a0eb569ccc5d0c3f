"""What a classic anchor reads in an update: the prefixes asked for, and the session it is about (RFC 5213 §5.4)."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv6Network

from agents.dgw.lma.state import Binding
from agents.dgw.validation import Rejected, check_mandatory
from agents.wire.mobility import BindingUpdate
from agents.wire.mobility_codes import Handoff, Status
from agents.wire.mobility_options import (
    AccessTechnology,
    HandoffIndicator,
    LinkLayerIdentifier,
)

MOVED = (Handoff.OTHER_INTERFACE, Handoff.SAME_INTERFACE, Handoff.REREGISTRATION)
"""The gateway knows that the node continues a session."""


class Undecided(Exception):
    """The node may have moved or may have attached a further interface: its former gateway will tell in time."""


def requested_prefixes(update: BindingUpdate) -> tuple[IPv6Network, ...]:
    """The prefixes of an update with the mandatory options (158, 161, 162, 155); none: "allocate one" (§5.3.2)."""
    prefixes = check_mandatory(update)
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
