"""What a message of a DHCPv6 server gives one association, and what is held of it (RFC 8415 §21.21; CLI-8, §11)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from agents.aero.addresses import Prefix, unmapped
from agents.wire.dhcpv6 import Message
from agents.wire.dhcpv6_options import ClientLinkLayer, IaPd, IaPrefix, StatusCode

SUCCESS, NO_BINDING, USE_MULTICAST = 0, 3, 5


@dataclass
class Lease:
    """What the association holds."""

    prefixes: dict[Prefix, float] = field(default_factory=dict)
    """Each with the Unix time at which it ends."""
    server: bytes = b""
    """DUID of the DHCPv6 server."""
    t1: float = 0.0
    t2: float = 0.0
    seen: ClientLinkLayer | None = None
    """Our link-layer address as the Server sees it; None where the Reply did not tell (spec CLI-6)."""

    @property
    def ends(self) -> float:
        """When the last prefix ends."""
        return max(self.prefixes.values(), default=0.0)


@dataclass(frozen=True)
class Granted:
    """Prefixes that a message gives."""

    prefixes: dict[Prefix, float]
    """Each with the Unix time at which it ends."""
    t1: int
    """Seconds from now."""
    t2: int


def read_grant(message: Message, iaid: int, now: float, usable: Callable[[Prefix], bool]) -> Granted | None:
    """Prefixes that can be used, with their times; None when there is none (spec CLI-8, §11)."""
    for association in _associations(message, iaid):
        given = {unmapped(each.prefix): each for each in association.prefixes if each.valid}
        given = {prefix: each for prefix, each in given.items() if usable(prefix)}
        if not given or (association.t1 > association.t2 > 0):
            continue
        shortest = min(each.valid for each in given.values())
        t2 = association.t2 or int(0.8 * min(each.preferred or each.valid for each in given.values()))
        t2 = min(t2, shortest - 1) or 1
        t1 = min(association.t1 or t2 * 5 // 8, t2) or 1
        return Granted({prefix: now + each.valid for prefix, each in given.items()}, t1, t2)
    return None


def prefixes_in(message: Message, iaid: int) -> list[IaPrefix]:
    """All prefixes that a message names for an association, those taken back with valid lifetime 0."""
    return [prefix for association in _associations(message, iaid) for prefix in association.prefixes]


def status_in(message: Message, iaid: int) -> int:
    """What is wrong, with the whole message or with the association; SUCCESS when nothing is."""
    whole = message.first(StatusCode)
    codes = [whole.code if whole else SUCCESS, *(each.status for each in _associations(message, iaid))]
    return next((code for code in codes if code not in (SUCCESS, USE_MULTICAST)), SUCCESS)


def _associations(message: Message, iaid: int) -> list[IaPd]:
    return [each for each in message.every(IaPd) if each.iaid == iaid]
