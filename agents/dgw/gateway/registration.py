"""How a serving gateway registers a node: with every anchor itself (direct), or through a CMD (all others).

A further signalling mode is a further class with these methods.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from ipaddress import IPv6Address, IPv6Network
from typing import Protocol

from agents.dgw.exchanges import Exchange
from agents.dgw.gateway.base import GatewayBase
from agents.dgw.gateway.state import AnchorBinding, MobileNode
from agents.dgw.messages import compose_update
from agents.wire.mobility import BindingAck
from agents.wire.mobility_codes import PBU_FLAGS, Handoff, UpdateFlag
from agents.wire.mobility_options import Option


class Registration(Protocol):
    """One signalling mode, seen from the serving gateway."""

    def attach(self, node: MobileNode, handoff: Handoff, now: float) -> None:
        """The node is here: confirm its own prefix and find its anchors."""

    def refresh(self, node: MobileNode, now: float) -> None:
        """Extend the registration of a node that is present (spec ATT-14)."""

    def leave(self, node: MobileNode) -> None:
        """The node left: stop what was under way (spec HO-15)."""

    def deregister(self, node: MobileNode, now: float) -> None:
        """The binding of an absent node ended (spec DEREG-2, DEREG-9)."""

    def release(self, node: MobileNode, anchor: AnchorBinding, now: float) -> None:
        """The node stays, this prefix goes: tell its anchor, itself or through the CMD (spec DEREG-11)."""

    def exchange_of(self, ack: BindingAck, source: IPv6Address, mn_id: str) -> Exchange | None:
        """The exchange that an answer belongs to although its update went to somebody else."""

    def acknowledged(
        self, node: MobileNode, exchange: Exchange, ack: BindingAck, source: IPv6Address, now: float
    ) -> None:
        """An accepting answer to one of our updates."""

    def requested(self, node: MobileNode, source: IPv6Address) -> bool:
        """Whether a Binding Refresh Request from this sender can be about the node: it registered there."""

    def rejected(self, node: MobileNode, exchange: Exchange, ack: BindingAck, now: float) -> None:
        """A rejecting answer that repeating cannot mend."""


def start_update(
    base: GatewayBase,
    node: MobileNode,
    peer: IPv6Address,
    purpose: str,
    handoff: Handoff,
    prefixes: Iterable[IPv6Network],
    now: float,
    *,
    lifetime: int | None = None,
    extra: Iterable[Option] = (),
    tries: int | None = None,
    unanswered: Callable[[int, float], None] | None = None,
    gave_up: Callable[[float], None] | None = None,
    flags: UpdateFlag = PBU_FLAGS,
) -> Exchange:
    """Send a PBU and repeat it with fresh sequence and timestamp until it is answered (spec RETX-4)."""
    prefixes, extra = tuple(prefixes), tuple(extra)

    def compose(at: float) -> tuple[int, bytes]:
        sequence = base.state.sequence = base.stamper.next_sequence()
        update = compose_update(
            mn_id=node.mn_id,
            mac=node.mac,
            prefixes=prefixes,
            handoff=handoff,
            sequence=sequence,
            timestamp=base.stamper.timestamp(at),
            lifetime=base.config.timing.lifetime if lifetime is None else lifetime,
            extra=extra,
            flags=flags if base.config.dgw_support else flags & ~UpdateFlag.DISTRIBUTED,
        )
        exchange.context = update
        return sequence, base.push(update, peer)

    exchange = Exchange(peer, node.mn_id, purpose, compose, tries=tries, unanswered=unanswered, gave_up=gave_up)
    base.exchanges.start(exchange, now)
    return exchange


def granted(exchange: Exchange, ack: BindingAck) -> int:
    """Lifetime in seconds that an answer grants: never more than was asked for (spec §2.1)."""
    asked: int = exchange.context.lifetime_seconds
    return min(ack.lifetime_seconds, asked)


def start_release(base: GatewayBase, node: MobileNode, peer: IPv6Address, anchor: AnchorBinding, now: float) -> None:
    """PBU with lifetime 0 for one anchored prefix only (spec DEREG-11)."""
    tries = base.config.timing.unreachable_after
    start_update(base, node, peer, "release", Handoff.UNKNOWN, [anchor.prefix], now, lifetime=0, tries=tries)


def extend(base: GatewayBase, node: MobileNode, lifetime: float, since: float) -> None:
    """The registration runs from `since` on: arrange for its refresh and its end."""
    node.expires = since + lifetime
    base.timers.set(("expire", node.mn_id), node.expires)
    base.timers.set(("refresh", node.mn_id), since + lifetime * base.config.timing.refresh_at)
