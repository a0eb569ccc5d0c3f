"""What passes between an agent and the program that ExaBGP runs for it: JSON objects, one a line (spec §8).

agent -> program     {"policy": Policy}               first, and once: everything else is as if it had just begun
                     {"announce": [Route, ...]}       each is confirmed
                     {"withdraw": [Route, ...]}
program -> agent     {"peers": {address: up}}
                     {"routes": [[prefix, [AERO address, ...]], ...]}     whom to use, the best first; none: unreachable
                     {"confirmed": [prefix, ...]}     ExaBGP took the announcement
                     {"refused": [prefix, ...]}       it did not
                     {"counters": {name: number}}
"""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any

from agents.aero.addresses import Prefix
from agents.aero.bgp.exabgp import Underlay
from agents.plain import PlainError


@dataclass(frozen=True)
class BgpConnected:
    """The program of an ExaBGP is there: it knows nothing yet."""


@dataclass(frozen=True)
class BgpGone:
    """It is not there any more, and with it all sessions and routes."""


@dataclass(frozen=True)
class BgpNews:
    """What it says."""

    peers: dict[Underlay, bool] = field(default_factory=dict)
    routes: list[tuple[Prefix, list[IPv6Address]]] = field(default_factory=list)
    confirmed: list[Prefix] = field(default_factory=list)
    refused: list[Prefix] = field(default_factory=list)
    counters: dict[str, int] = field(default_factory=dict)


BgpNotice = BgpConnected | BgpGone | BgpNews


@dataclass(frozen=True)
class ToBgp:
    """Tell it something."""

    message: dict[str, Any]


def read_news(message: Any) -> BgpNews:
    """A message of the program; PlainError for anything else."""
    try:
        return BgpNews(
            {ip_address(peer): bool(up) for peer, up in message.get("peers", {}).items()},
            [(ip_network(p), [IPv6Address(one) for one in whom]) for p, whom in message.get("routes", [])],
            [ip_network(prefix) for prefix in message.get("confirmed", [])],
            [ip_network(prefix) for prefix in message.get("refused", [])],
            {str(name): int(number) for name, number in message.get("counters", {}).items()},
        )
    except (AttributeError, TypeError, ValueError) as error:
        raise PlainError(f"no news of a BGP speaker: {error}") from error
