"""The receive chain of a Proxy Binding Update, in the order that RFC 5213 §5.3 insists on (spec §10)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Network

from agents.dgw.config import Profile
from agents.dgw.freshness import Freshness
from agents.wire.mobility import BindingUpdate
from agents.wire.mobility_codes import Status, UpdateFlag
from agents.wire.mobility_options import (
    AccessTechnology,
    HandoffIndicator,
    HomeNetworkPrefix,
    MobileNodeIdentifier,
    ServingMaar,
    Timestamp,
)


class Ignored(Exception):
    """The message has no effect and gets no answer; the text says why."""


class Rejected(Exception):
    """The update is answered with a status of 128 or more."""

    def __init__(self, status: Status, reason: str, last_sequence: int | None = None) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.last_sequence = last_sequence


@dataclass(frozen=True)
class Support:
    """Which kinds of Proxy Binding Update a node takes (spec §10, AMB-6)."""

    distributed: bool = True
    """D=1: from gateways and CMDs."""
    legacy: bool = False
    """D=0: plain RFC 5213, options 65-70 ignored."""


def check_flags(update: BindingUpdate, support: Support) -> BindingUpdate:
    """The update as its receiver may read it: P must be set, D as the node supports it (131, 129)."""
    if UpdateFlag.PROXY not in update.flags:
        if UpdateFlag.HOME_REGISTRATION in update.flags:
            raise Rejected(Status.HOME_REGISTRATION_NOT_SUPPORTED, "plain home registration")
        raise Ignored("Binding Update without P and H")
    if update.distributed:
        if not support.distributed:
            raise Rejected(Status.ADMINISTRATIVELY_PROHIBITED, "distributed-gateway support is switched off")
        return update
    if not support.legacy:
        raise Rejected(Status.ADMINISTRATIVELY_PROHIBITED, "D flag not set")
    return update.without_distributed()


def check_identifier(update: BindingUpdate) -> str:
    """The MN-ID of an update without repeated options (128, 160)."""
    if update.duplicates:
        raise Rejected(Status.REASON_UNSPECIFIED, f"option {update.duplicates[0]} came twice")
    identifier = update.first(MobileNodeIdentifier)
    if identifier is None or not identifier.identifier:
        raise Rejected(Status.MISSING_MN_IDENTIFIER_OPTION, "no MN Identifier option")
    return identifier.text


def check_sender(source: IPv6Address, allowed: Collection[IPv6Address]) -> None:
    """Only configured peers may send updates (spec SEC-4)."""
    if source not in allowed:
        raise Rejected(Status.MAG_NOT_AUTHORIZED_FOR_PROXY_REG, f"{source} is not a peer")


def check_relay(update: BindingUpdate, source: IPv6Address, relays: Collection[IPv6Address]) -> None:
    """Only CMDs and LMAs may send updates on behalf of another, in option 68 (spec SEC-4)."""
    if source not in relays and update.first(ServingMaar):
        raise Rejected(Status.MAG_NOT_AUTHORIZED_FOR_PROXY_REG, f"option 68 from {source}")


def check_service(mn_id: str, profiles: Mapping[str, Profile]) -> Profile:
    """The node's profile: 153 without one, 152 when the service is off for it."""
    profile = profiles.get(mn_id)
    if profile is None:
        raise Rejected(Status.NOT_LMA_FOR_THIS_MOBILE_NODE, f"{mn_id} is unknown")
    if not profile.enabled:
        raise Rejected(Status.PROXY_REG_NOT_ENABLED, f"service is off for {mn_id}")
    return profile


def check_freshness(update: BindingUpdate, freshness: Freshness, now: float, window: float) -> None:
    """Timestamp or sequence ordering (spec RETX-6..8)."""
    option = update.first(Timestamp)
    status = freshness.check(option.raw if option else None, update.sequence, now, window)
    if status is not None:
        raise Rejected(status, f"not newer than the last accepted ({status.name.lower()})", freshness.sequence)


def check_mandatory(update: BindingUpdate) -> tuple[HomeNetworkPrefix, ...]:
    """The Home Network Prefix options of an update that has the mandatory ones (158, 161, 162)."""
    prefixes = update.every(HomeNetworkPrefix)
    if not prefixes:
        raise Rejected(Status.MISSING_HOME_NETWORK_PREFIX_OPTION, "no Home Network Prefix option")
    if update.first(HandoffIndicator) is None:
        raise Rejected(Status.MISSING_HANDOFF_INDICATOR_OPTION, "no Handoff Indicator option")
    if update.first(AccessTechnology) is None:
        raise Rejected(Status.MISSING_ACCESS_TECH_TYPE_OPTION, "no Access Technology Type option")
    return prefixes


def check_options(update: BindingUpdate) -> tuple[IPv6Network, ...]:
    """The home network prefixes of an update that has the mandatory options (158, 161, 162, then 155)."""
    prefixes = check_mandatory(update)
    if update.bad_prefixes:
        bad = update.bad_prefixes[0]
        raise Rejected(Status.NOT_AUTHORIZED_FOR_HOME_NETWORK_PREFIX, f"prefix {bad.address}/{bad.length}")
    if any(prefix.is_all_zero for prefix in prefixes):
        raise Rejected(Status.NOT_AUTHORIZED_FOR_HOME_NETWORK_PREFIX, "gateways allocate prefixes themselves")
    return tuple(prefix.network for prefix in prefixes)
