"""The CMD towards serving gateways: sessions, and the PBUs that create, move, refresh and end them (spec CMD-*)."""

from __future__ import annotations

from functools import partial
from ipaddress import IPv6Address, IPv6Network

from agents.dgw.cmd.answering import Answering
from agents.dgw.cmd.base import CmdBase
from agents.dgw.cmd.informing import Informing
from agents.dgw.cmd.state import Session
from agents.dgw.freshness import Freshness
from agents.dgw.messages import care_of_address, compose_ack, group_identity, group_local_prefixes
from agents.dgw.records import AnchorRecord
from agents.dgw.validation import (
    Ignored,
    Rejected,
    check_flags,
    check_freshness,
    check_identifier,
    check_options,
    check_relay,
    check_sender,
    check_service,
)
from agents.wire.mobility import BindingUpdate
from agents.wire.mobility_codes import Status
from agents.wire.mobility_options import HomeNetworkPrefix, LinkLayerIdentifier, Timestamp

UNIT = 4
"""Seconds in which lifetimes are counted (spec §2.1)."""


class Registrar:
    """Keeps the sessions."""

    def __init__(self, base: CmdBase, informing: Informing, answering: Answering) -> None:
        self._base = base
        self._informing = informing
        self._answering = answering

    def on_update(self, update: BindingUpdate, source: IPv6Address, now: float) -> None:
        """Take a PBU: register and relay, refresh, de-register, reject or ignore (spec §10)."""
        base = self._base
        try:
            update = check_flags(update, base.support)
            mn_id, prefix = self._check(update, source, now)
        except Ignored as ignored:
            base.reception.drop(str(ignored), source)
            return
        except Rejected as rejected:
            base.send(base.reception.reject(update, rejected, source, now), source)
            return
        if update.distributed:
            base.state.legacy_peers.discard(source)
        if update.lifetime_units:
            self._register(mn_id, prefix, update, source, now)
            return
        session = base.state.sessions[mn_id]
        if prefix == session.serving.prefix:
            self._deregister(session, update, source, now)
        elif source == session.serving.address:
            self._release(session, update, source, now)
        else:
            self._prolong(session, prefix, update, source, now)

    def _check(self, update: BindingUpdate, source: IPv6Address, now: float) -> tuple[str, IPv6Network]:
        base = self._base
        mn_id = check_identifier(update)
        check_sender(source, base.gateways)
        check_relay(update, source, ())
        base.authority.check_serving(source, mn_id)
        session = base.state.sessions.get(mn_id)
        if session is None and not update.lifetime_units:
            raise Ignored(f"de-registration of {mn_id}, which has no session")
        check_service(mn_id, base.profiles)
        freshness = session.freshness if session else Freshness()
        check_freshness(update, freshness, now, base.config.timing.timestamp_window)
        prefixes = check_options(update)
        if session and not update.lifetime_units and self._is_about_anchors(session, source, prefixes):
            return mn_id, prefixes[0]
        if any(not prefix.subnet_of(base.gateways[source].pool) for prefix in prefixes):
            raise Rejected(Status.NOT_AUTHORIZED_FOR_HOME_NETWORK_PREFIX, f"prefix outside the pool of {source}")
        if care_of_address(update, source) != source:  # gateways are authorised by address (spec SEC-4)
            raise Rejected(Status.INVALID_CARE_OF_ADDRESS, f"care-of address other than the sender's, {source}")
        same = session is not None and session.serving.address == source
        if same and session and set(prefixes) != {session.serving.prefix}:
            raise Rejected(Status.BCE_PBU_PREFIX_SET_DO_NOT_MATCH, "prefix set differs from the registered one")
        base.authority.check_anchored(update, source)
        if not update.lifetime_units and not same:
            raise Ignored("de-registration from a gateway that does not serve the node")
        return mn_id, prefixes[0]

    def _is_about_anchors(self, session: Session, source: IPv6Address, prefixes: tuple[IPv6Network, ...]) -> bool:
        """A serving gateway may release anchors (spec DEREG-11), an anchor ask whether it still is one (DEREG-5)."""
        anchored = {record.prefix: record.address for record in (*session.anchors, *session.released)}
        if any(prefix not in anchored for prefix in prefixes):
            return False
        mine = all(anchored[prefix] == source for prefix in prefixes)
        return source == session.serving.address or (mine and self._base.config.anchor_timers == "run")

    def _register(
        self, mn_id: str, prefix: IPv6Network, update: BindingUpdate, source: IPv6Address, now: float
    ) -> None:
        base = self._base
        own = self._record(update, source, prefix)
        session = base.state.sessions.get(mn_id)
        moved = session is None or session.serving.address != source
        if session:
            self._informing.reclaim(session, source)
            session.prolong(now + base.granted(update), promised=base.config.mode == "proxy")
        if session is None:
            session = base.state.sessions[mn_id] = Session(mn_id, own)
            base.outbox.say("session-created", mn_id=mn_id, serving=source, prefix=prefix)
        elif moved:
            base.outbox.say("session-moved", mn_id=mn_id, serving=source, previous=session.serving.address)
            self._move(session, source)
        session.serving = own
        self._note(session, update, now)
        base.reconcile(partial(self._go_on, session, update, source, now, moved=moved))

    def _move(self, session: Session, source: IPv6Address) -> None:
        """The node is at another gateway: whom to tell.  An anchor that tunnels to us goes on doing so (INTER-9)."""
        others = [record for record in session.anchors if record.address != source]
        session.anchors = others if session.ended else [session.serving, *others]
        addresses = {record.address for record in session.anchors}
        session.relayed &= {address for address in addresses if self._base.operators.crosses(address, source)}
        session.untold = addresses - session.relayed
        session.taken_back = []

    def _go_on(self, session: Session, update: BindingUpdate, source: IPv6Address, now: float, *, moved: bool) -> None:
        running = self._informing.running(session.mn_id)
        if moved or (session.untold and not running):  # the latter after a restart in the middle of a handover
            self._informing.begin(session, update, source, now)
        elif running and not running.answered:
            running.update = update  # a repetition: the answer to come echoes it (spec RETX-11)
        else:
            self._answering.refreshed(session, update, source)

    def _record(self, update: BindingUpdate, source: IPv6Address, prefix: IPv6Network) -> AnchorRecord:
        """What a registration says of its sender's own prefix (options 66, 69, 70)."""
        groups = [group for group in update.groups if group.previous is None]
        if not groups:
            return AnchorRecord(source, prefix)
        local = self._base.authority.local_prefixes(source, group_local_prefixes(groups[0]))
        return AnchorRecord(source, prefix, group_identity(groups[0]), local)

    def _note(self, session: Session, update: BindingUpdate, now: float) -> None:
        base = self._base
        timestamp = update.first(Timestamp)
        session.freshness.accept(timestamp.raw if timestamp else None, update.sequence)
        identifier = update.first(LinkLayerIdentifier)
        session.mac = identifier.text if identifier else session.mac
        session.deleting = False
        # The serving gateway ends a binding (spec DEREG-2): its word must come before our own timer.
        session.expires = now + base.granted(update) + base.config.timing.hold
        base.timers.set(("expire", session.mn_id), session.expires)

    def _release(self, session: Session, update: BindingUpdate, source: IPv6Address, now: float) -> None:
        """The node stays, some of its prefixes go (spec DEREG-11)."""
        timestamp = update.first(Timestamp)
        session.freshness.accept(timestamp.raw if timestamp else None, update.sequence)
        prefixes = [option.network for option in update.every(HomeNetworkPrefix)]
        self._base.send(compose_ack(update, lifetime=0, prefixes=prefixes), source)
        self._informing.release(session, [r for r in session.anchors if r.prefix in prefixes], now)

    def _prolong(
        self, session: Session, prefix: IPv6Network, update: BindingUpdate, source: IPv6Address, now: float
    ) -> None:
        """An anchor whose timer ran out asks: as long as there is a session it goes on (spec DEREG-5)."""
        kept = any(record.prefix == prefix for record in session.anchors)
        left = max(session.expires - now, UNIT) if kept and session.expires is not None else 0
        lifetime = int(min(left, self._base.config.timing.lifetime)) // UNIT * UNIT
        self._base.send(compose_ack(update, lifetime=lifetime, prefixes=[prefix]), source)
        self._base.outbox.say("anchor-prolonged", mn_id=session.mn_id, anchor=source, prefix=prefix, lifetime=lifetime)

    def _deregister(self, session: Session, update: BindingUpdate, source: IPv6Address, now: float) -> None:
        self._note(session, update, now)
        session.deleting = True
        session.expires = now + self._base.config.timing.hold
        self._base.timers.set(("expire", session.mn_id), session.expires)
        self._base.send(compose_ack(update, lifetime=0, prefixes=[session.serving.prefix]), source)
        self._base.reconcile()
        self._base.outbox.say("session-deregistered", mn_id=session.mn_id, serving=source)

    def expire(self, session: Session, now: float) -> None:
        """Hold time or lifetime is over: tell every anchor, then forget (spec DEREG-7)."""
        self._base.outbox.say("session-expired", mn_id=session.mn_id)
        session.deleting, session.expires = True, None
        self._base.reconcile()
        self._informing.end(session, now)
        if not session.released:
            del self._base.state.sessions[session.mn_id]
