"""The CMD as PBU relay (RFC 8885 §3.2, spec CMD-*, CMD-RELAY-*)."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv6Address, IPv6Network

from agents.dgw.cmd.base import CmdBase
from agents.dgw.cmd.state import Session
from agents.dgw.cmd.transactions import Transaction, answers
from agents.dgw.exchanges import Exchange
from agents.dgw.freshness import Freshness, ticks
from agents.dgw.messages import (
    compose_ack,
    compose_rejection,
    compose_update,
    group_identity,
    group_local_prefixes,
    same_request,
)
from agents.dgw.records import AnchorRecord
from agents.dgw.validation import (
    Ignored,
    Rejected,
    check_form,
    check_freshness,
    check_options,
    check_sender,
    check_service,
)
from agents.wire.mobility import BindingAck, BindingUpdate
from agents.wire.mobility_codes import AccessType, AckFlag, Handoff, Status
from agents.wire.mobility_options import (
    AccessTechnology,
    AnchoredPrefix,
    HandoffIndicator,
    LinkLayerIdentifier,
    MobileNodeIdentifier,
    ServingMaar,
    Timestamp,
)


class Relay:
    """Keeps the sessions, passes registrations on to the anchors, answers with what they said."""

    def __init__(self, base: CmdBase) -> None:
        self._base = base
        self._transactions: dict[str, Transaction] = {}

    # --- registrations from serving gateways

    def on_update(self, update: BindingUpdate, source: IPv6Address, now: float) -> None:
        """Take a PBU: register and relay, refresh, de-register, reject or ignore (spec §10)."""
        base = self._base
        try:
            mn_id, prefix = self._check(update, source, now)
        except Ignored as ignored:
            base.reception.drop(str(ignored), source)
            return
        except Rejected as rejected:
            base.reception.counters["rejected"] = base.reception.counters.get("rejected", 0) + 1
            base.outbox.say("binding-rejected", status=int(rejected.status), reason=rejected.reason, peer=source)
            base.send(
                compose_rejection(update, rejected.status, now_ticks=ticks(now), last_sequence=rejected.last_sequence),
                source,
            )
            return
        if update.lifetime_units:
            self._register(mn_id, prefix, update, source, now)
        else:
            self._deregister(base.state.sessions[mn_id], update, source, now)

    def _check(self, update: BindingUpdate, source: IPv6Address, now: float) -> tuple[str, IPv6Network]:
        base = self._base
        mn_id = check_form(update)
        check_sender(source, set(base.gateways))
        session = base.state.sessions.get(mn_id)
        if session is None and not update.lifetime_units:
            raise Ignored(f"de-registration of {mn_id}, which has no session")
        check_service(mn_id, base.profiles)
        freshness = session.freshness if session else Freshness()
        check_freshness(update, freshness, now, base.config.timing.timestamp_window)
        prefixes = check_options(update)
        if any(not prefix.subnet_of(base.gateways[source].pool) for prefix in prefixes):
            raise Rejected(Status.NOT_AUTHORIZED_FOR_HOME_NETWORK_PREFIX, f"prefix outside the pool of {source}")
        if update.first(ServingMaar):
            raise Rejected(Status.MAG_NOT_AUTHORIZED_FOR_PROXY_REG, f"option 68 from gateway {source}")
        same = session is not None and session.serving.address == source
        if same and session and set(prefixes) != {session.serving.prefix}:
            raise Rejected(Status.BCE_PBU_PREFIX_SET_DO_NOT_MATCH, "prefix set differs from the registered one")
        if not update.lifetime_units and not same:
            raise Ignored("de-registration from a gateway that does not serve the node")
        return mn_id, prefixes[0]

    def _register(
        self, mn_id: str, prefix: IPv6Network, update: BindingUpdate, source: IPv6Address, now: float
    ) -> None:
        base = self._base
        own = _record(update, source, prefix)
        session = base.state.sessions.get(mn_id)
        moved = session is None or session.serving.address != source
        if session is None:
            session = base.state.sessions[mn_id] = Session(mn_id, own)
            base.outbox.say("session-created", mn_id=mn_id, serving=source, prefix=prefix)
        elif moved:
            others = [record for record in session.anchors if record.address != source]
            session.anchors = [session.serving, *others]
            session.untold = {record.address for record in session.anchors}
            base.outbox.say("session-moved", mn_id=mn_id, serving=source, previous=session.serving.address)
        session.serving = own
        self._note(session, update, now)
        running = self._transactions.get(mn_id)
        if moved or (session.untold and not running):  # the latter after a restart in the middle of a handover
            self._fan_out(session, update, source, now)
        elif running and not running.answered:
            running.update = update  # a repetition: the answer to come echoes it (spec RETX-11)
        else:
            for ack in answers(update, self._granted(update), own, session.agreed):
                base.send(ack, source)

    def _note(self, session: Session, update: BindingUpdate, now: float) -> None:
        timestamp = update.first(Timestamp)
        session.freshness.accept(timestamp.raw if timestamp else None, update.sequence)
        identifier = update.first(LinkLayerIdentifier)
        session.mac = identifier.text if identifier else session.mac
        session.deleting = False
        # The serving gateway ends a binding (spec DEREG-2): its word must come before our own timer.
        session.expires = now + self._granted(update) + self._base.config.timing.hold
        self._base.timers.set(("expire", session.mn_id), session.expires)

    def _fan_out(self, session: Session, update: BindingUpdate, source: IPv6Address, now: float) -> None:
        """PBUs to all anchors; the answer waits for theirs (spec CMD-RELAY-1, CMD-9)."""
        base = self._base
        base.exchanges.cancel(session.mn_id)
        transaction = Transaction(update, source, set(session.untold), session.agreed)
        self._transactions[session.mn_id] = transaction
        if not session.untold:
            self._answer(session, transaction)
            return
        base.timers.set(("aggregate", session.mn_id), now + base.config.timing.aggregation)
        for record in session.anchors:
            if record.address in session.untold:
                self._relay(session, transaction, record, now)

    def _relay(
        self,
        session: Session,
        transaction: Transaction,
        record: AnchorRecord,
        now: float,
        *,
        again: bool = False,
        due: float | None = None,
    ) -> None:
        """One PBU to one anchor: the gateway's timestamp first (unless `again`), then fresh ones (spec CMD-4, RETX-4).

        The sequence number stays the gateway's.
        """
        update = transaction.update
        original = None if again else update.first(Timestamp)
        technology = update.first(AccessTechnology)
        handoff = update.first(HandoffIndicator)
        extra = [AnchoredPrefix.of(session.serving.prefix), ServingMaar(session.serving.address)]

        def compose(at: float) -> tuple[int, bytes]:
            repeated = bool(exchange.sequences)
            stamp = original.raw if original and not repeated else self._base.stamper.timestamp(at)
            relayed = compose_update(
                mn_id=session.mn_id,
                mac=session.mac,
                prefixes=[record.prefix],
                handoff=Handoff(handoff.value) if handoff else Handoff.UNKNOWN,
                access=technology.value if technology else AccessType.ETHERNET,
                sequence=update.sequence,
                timestamp=stamp,
                lifetime=update.lifetime_seconds,
                extra=extra,
            )
            exchange.context = relayed
            return update.sequence, self._base.push(relayed, record.address)

        purpose = "relay-again" if again else "relay"
        exchange = Exchange(record.address, session.mn_id, purpose, compose)
        self._base.exchanges.start(exchange, now, due)

    # --- answers of anchors

    def on_ack(self, ack: BindingAck, source: IPv6Address, now: float) -> None:
        """An anchor's PBA: note what it said, answer the serving gateway when nobody is missing."""
        base = self._base
        identifier = ack.first(MobileNodeIdentifier)
        exchange = base.exchanges.match(source, ack.sequence, identifier.text) if identifier else None
        session = base.state.sessions.get(exchange.mn_id) if exchange else None
        if exchange is None or session is None:
            base.reception.drop("acknowledgement that matches no update", source)
            return
        base.exchanges.finish(exchange)
        if not same_request(exchange.context, ack):
            base.reception.drop("acknowledgement of something else than was asked", source, "mismatch")
        elif exchange.purpose == "delete":
            self._deleted(session, source)
        else:
            self._collect(session, exchange, ack, now)

    def _collect(self, session: Session, exchange: Exchange, ack: BindingAck, now: float) -> None:
        base, source = self._base, exchange.peer
        transaction = self._transactions.get(session.mn_id)
        record = session.anchor(source)
        if transaction is None or record is None:
            return
        transaction.waiting.discard(source)
        if ack.accepted and AckFlag.DISTRIBUTED in ack.flags:
            session.untold.discard(source)
            transaction.collected.append(self._learn(session, record, ack))
        else:
            base.outbox.say("anchor-refused", mn_id=session.mn_id, anchor=source, status=ack.status)
            gone = (Status.NOT_LMA_FOR_THIS_MOBILE_NODE, Status.NOT_AUTHORIZED_FOR_HOME_NETWORK_PREFIX)
            if ack.status in gone:
                session.anchors.remove(record)
                session.untold.discard(source)
            elif ack.status in (Status.TIMESTAMP_LOWER_THAN_PREV_ACCEPTED, Status.TIMESTAMP_MISMATCH):
                # Our own clock may do where the gateway's stamp grew old under way; if it was ours, wait.
                ours = exchange.purpose == "relay-again" and ack.status == Status.TIMESTAMP_MISMATCH
                due = now + base.config.timing.max_timeout if ours else now
                transaction.waiting.add(source)
                self._relay(session, transaction, record, now, again=True, due=due)
        if not transaction.waiting or transaction.answered:
            self._answer(session, transaction)

    def _learn(self, session: Session, record: AnchorRecord, ack: BindingAck) -> AnchorRecord:
        """The anchor's own word about its DLIF and local prefixes replaces what was known."""
        groups = [group for group in ack.groups if group.previous is None]
        if groups:
            known = replace(
                record,
                identity=group_identity(groups[0]) or record.identity,
                local_prefixes=group_local_prefixes(groups[0]) or record.local_prefixes,
            )
            session.anchors[session.anchors.index(record)] = known
            return known
        return record

    def _answer(self, session: Session, transaction: Transaction) -> None:
        """Tell the serving gateway of the anchors that agreed since the last answer (spec CMD-RELAY-3, -4)."""
        update = transaction.update
        for ack in answers(update, self._granted(update), session.serving, transaction.collected):
            self._base.send(ack, transaction.source)
        transaction.collected.clear()
        transaction.answered = True
        if not transaction.waiting:
            self._base.timers.cancel(("aggregate", session.mn_id))

    def aggregate(self, session: Session, now: float) -> None:
        """T_agg is over: answer with what there is (spec CMD-RELAY-4)."""
        transaction = self._transactions.get(session.mn_id)
        if transaction and not transaction.answered:
            missing = sorted(str(address) for address in transaction.waiting)
            self._base.outbox.say("partial-answer", mn_id=session.mn_id, missing=missing)
            self._answer(session, transaction)

    # --- the end of a session

    def _deregister(self, session: Session, update: BindingUpdate, source: IPv6Address, now: float) -> None:
        self._note(session, update, now)
        session.deleting = True
        session.expires = now + self._base.config.timing.hold
        self._base.timers.set(("expire", session.mn_id), session.expires)
        self._base.send(compose_ack(update, lifetime=0, prefixes=[session.serving.prefix]), source)
        self._base.outbox.say("session-deregistered", mn_id=session.mn_id, serving=source)

    def expire(self, session: Session, now: float) -> None:
        """Hold time or lifetime is over: tell every anchor, then forget (spec DEREG-7)."""
        base = self._base
        base.outbox.say("session-expired", mn_id=session.mn_id)
        self._transactions.pop(session.mn_id, None)
        base.timers.cancel(("aggregate", session.mn_id))
        base.exchanges.cancel(session.mn_id)
        session.deleting = True
        for record in list(session.anchors):
            self._delete_at(session, record, now)
        if not session.anchors:
            del base.state.sessions[session.mn_id]

    def _delete_at(self, session: Session, record: AnchorRecord, now: float) -> None:
        def compose(at: float) -> tuple[int, bytes]:
            sequence = base.state.sequence = base.stamper.next_sequence()
            update = compose_update(
                mn_id=session.mn_id,
                mac=session.mac,
                prefixes=[record.prefix],
                handoff=Handoff.UNKNOWN,
                sequence=sequence,
                timestamp=base.stamper.timestamp(at),
                lifetime=0,
                extra=[ServingMaar(session.serving.address)],
            )
            exchange.context = update
            return sequence, base.push(update, record.address)

        base = self._base
        tries = base.config.timing.unreachable_after
        exchange = Exchange(record.address, session.mn_id, "delete", compose, tries=tries)
        base.exchanges.start(exchange, now)

    def _deleted(self, session: Session, source: IPv6Address) -> None:
        session.anchors = [record for record in session.anchors if record.address != source]
        if not session.anchors:
            self._base.state.sessions.pop(session.mn_id, None)
            self._base.outbox.say("session-deleted", mn_id=session.mn_id)

    def _granted(self, update: BindingUpdate) -> int:
        return min(update.lifetime_seconds, self._base.config.timing.lifetime)


def _record(update: BindingUpdate, source: IPv6Address, prefix: IPv6Network) -> AnchorRecord:
    """What a registration says of its sender's own prefix (options 66, 69, 70)."""
    groups = [group for group in update.groups if group.previous is None]
    if not groups:
        return AnchorRecord(source, prefix)
    return AnchorRecord(source, prefix, group_identity(groups[0]), group_local_prefixes(groups[0]))
