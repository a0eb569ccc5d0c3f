"""Relay mode, seen from the serving gateway: one PBU to the CMD, anchors come back in option 67 (RFC 8885 §3.2)."""

from __future__ import annotations

from agents.dgw.exchanges import Exchange
from agents.dgw.gateway.anchors import activate, expect_anchor
from agents.dgw.gateway.base import GatewayBase
from agents.dgw.gateway.registration import extend, start_update
from agents.dgw.gateway.state import BindingState, MobileNode
from agents.dgw.messages import group_identity, group_local_prefixes, own_options
from agents.dgw.records import AnchorRecord
from agents.wire.mobility import BindingAck
from agents.wire.mobility_codes import Handoff


class RelayRegistration:
    """The CMD knows the history and asks the anchors; the gateway learns them from its answers."""

    def __init__(self, base: GatewayBase) -> None:
        self._base = base

    def attach(self, node: MobileNode, handoff: Handoff, now: float) -> None:
        """Register the own prefix; it is advertised once the CMD agreed (spec ATT-8, AMB-4)."""
        record = self._base.own_record(node)
        start_update(
            self._base,
            node,
            self._base.config.cmd,
            "register",
            handoff,
            [record.prefix],
            now,
            extra=own_options(record, anchored=False),
        )

    def refresh(self, node: MobileNode, now: float) -> None:
        """Only the CMD hears refreshes; anchors stopped their timers (spec AMB-15)."""
        self.attach(node, Handoff.REREGISTRATION, now)

    def leave(self, node: MobileNode) -> None:
        """Stop registering."""
        self._base.exchanges.cancel(node.mn_id)

    def deregister(self, node: MobileNode, now: float) -> None:
        """Tell the CMD, which holds the session for a while and then tells the anchors (spec DEREG-2, DEREG-7)."""
        prefix = self._base.own_record(node).prefix
        start_update(
            self._base,
            node,
            self._base.config.cmd,
            "deregister",
            Handoff.UNKNOWN,
            [prefix],
            now,
            lifetime=0,
            tries=self._base.config.timing.unreachable_after,
        )

    def acknowledged(self, node: MobileNode, exchange: Exchange, ack: BindingAck, now: float) -> None:
        """Confirm the own prefix and take up the anchors of this answer; more answers may follow."""
        if exchange.purpose != "register":
            return
        base = self._base
        if node.own and node.own.state is BindingState.TEMP:
            node.own.state = BindingState.LOCAL
            base.outbox.say("registered", mn_id=node.mn_id, prefix=node.own.prefix)
        extend(base, node, ack.lifetime_seconds, now)
        for group in ack.groups:
            if group.previous is None or group.previous.bad_length:
                continue
            record = AnchorRecord(group.previous.maar, group.previous.network)
            anchor = expect_anchor(base, node, record)
            if anchor:
                activate(base, node, anchor, group_identity(group), group_local_prefixes(group))

    def rejected(self, node: MobileNode, exchange: Exchange, ack: BindingAck, now: float) -> None:
        """The CMD refuses the node: nothing of it is advertised or forwarded (spec ATT-9)."""
        if exchange.purpose == "register":
            node.serving = False
            node.anchors.clear()
