"""Telling the anchors where a node is now: one PBU to each, repeated until it answers (spec CMD-4, DEREG-7)."""

from __future__ import annotations

from functools import partial
from ipaddress import IPv6Address

from agents.dgw.cmd.answering import Answering
from agents.dgw.cmd.base import CmdBase
from agents.dgw.cmd.state import Pending, Session
from agents.dgw.cmd.transactions import Transaction
from agents.dgw.exchanges import Exchange
from agents.dgw.messages import compose_update, handoff_of, is_late, learned, same_request
from agents.dgw.records import AnchorRecord
from agents.plain import PlainError
from agents.wire.errors import DecodeError
from agents.wire.mobility import BindingAck, BindingUpdate, pull_mobility, push_mobility
from agents.wire.mobility_codes import AccessType, Handoff, Status
from agents.wire.mobility_options import (
    AccessTechnology,
    AnchoredPrefix,
    MobileNodeIdentifier,
    Option,
    ServingMaar,
    Timestamp,
)

CLOCKS = (Status.TIMESTAMP_LOWER_THAN_PREV_ACCEPTED, Status.TIMESTAMP_MISMATCH)
"""Rejections of a stamp, not of what the update says (spec RETX-7)."""


class Informing:
    """The CMD towards the anchors; what their answers mean for the serving gateway is the mode's business."""

    def __init__(self, base: CmdBase, answering: Answering) -> None:
        self._base = base
        self._answering = answering
        self._transactions: dict[str, Transaction] = {}

    def running(self, mn_id: str) -> Transaction | None:
        """The latest transaction about a node."""
        return self._transactions.get(mn_id)

    def begin(self, session: Session, update: BindingUpdate, source: IPv6Address, now: float) -> None:
        """A registration: tell all anchors that were not told yet; supersedes a running one (spec CMD-9)."""
        base = self._base
        base.exchanges.cancel(session.mn_id, keep="delete")
        transaction = Transaction(update, source, set(session.untold), session.agreed)
        self._transactions[session.mn_id] = transaction
        if session.untold:
            base.timers.set(("aggregate", session.mn_id), now + base.config.timing.aggregation)
            self._watch_validity(session, now)
        self._answering.begun(session, transaction)
        for record in session.anchors:
            if record.address in session.untold:
                self._relay(session, transaction, record, now)

    def aggregate(self, session: Session, now: float) -> None:
        """T_agg is over and somebody is still silent."""
        transaction = self._transactions.get(session.mn_id)
        if transaction and transaction.waiting:
            missing = sorted(str(address) for address in transaction.waiting)
            self._base.outbox.say("anchors-silent", mn_id=session.mn_id, missing=missing)
            self._answering.waited_long(session, transaction)

    def end(self, session: Session, now: float) -> None:
        """The session ended: every anchor lets its prefix go (spec DEREG-7)."""
        self._transactions.pop(session.mn_id, None)
        self._base.timers.cancel(("aggregate", session.mn_id))
        self._base.timers.cancel(("outlived", session.mn_id))
        self.release(session, list(session.anchors), now)

    def release(self, session: Session, records: list[AnchorRecord], now: float) -> None:
        """These anchors let their prefixes go; each is told until it answers (spec DEREG-7, DEREG-11)."""
        session.let_go(records)
        transaction = self._transactions.get(session.mn_id)
        for record in records:
            if transaction:
                transaction.waiting.discard(record.address)
            self._base.exchanges.cancel_with(record.address, session.mn_id)
            self._base.outbox.say("anchor-released", mn_id=session.mn_id, anchor=record.address, prefix=record.prefix)
            self._delete_at(session, record, now)

    def reclaim(self, session: Session, address: IPv6Address) -> None:
        """The node came back to a gateway that was being told to let go: its registration is the newer word."""
        session.released = [record for record in session.released if record.address != address]
        self._base.exchanges.cancel_with(address, session.mn_id)

    def pending(self) -> dict[str, Pending]:
        """By MN-ID, the registrations that some anchor has not acknowledged."""
        sessions = self._base.state.sessions
        running = {mn_id: t for mn_id, t in self._transactions.items() if mn_id in sessions and sessions[mn_id].untold}
        own = self._base.config.address
        return {mn_id: Pending(push_mobility(t.update, t.source, own), t.answered) for mn_id, t in running.items()}

    def resume(self, session: Session, pending: Pending | None, now: float) -> None:
        """After a restart: go on telling those that were let go, and those that keep silent (spec RETX-1)."""
        for record in session.released:
            self._delete_at(session, record, now)
        if pending is None or session.deleting or not session.untold:
            return
        source = session.serving.address
        update = _registration(pending, source, self._base.config.address)
        transaction = Transaction(update, source, set(session.untold), answered=pending.answered)
        self._transactions[session.mn_id] = transaction
        self._watch_validity(session, now)
        if not pending.answered:
            transaction.collected = session.agreed
            self._base.timers.set(("aggregate", session.mn_id), now + self._base.config.timing.aggregation)
            self._answering.begun(session, transaction)
        for record in session.anchors:
            if record.address in session.untold:
                self._relay(session, transaction, record, now, again=True)

    def outlived(self, session: Session, now: float) -> None:
        """An anchor was silent for so long that no host uses its prefix any more: not kept (spec HO-17)."""
        dead = [
            record
            for record in session.anchors
            if record.address in session.untold and session.valid.get(record.prefix, now) <= now
        ]
        self.release(session, dead, now)
        self._watch_validity(session, now)

    def _watch_validity(self, session: Session, now: float) -> None:
        ends = [session.valid.get(r.prefix, now) for r in session.anchors if r.address in session.untold]
        if ends:
            self._base.timers.set(("outlived", session.mn_id), max(min(ends), now))

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

        The sequence number stays the gateway's, too, unless the anchor is another operator's.
        """
        update = transaction.update
        original = None if again else update.first(Timestamp)
        technology = update.first(AccessTechnology)
        operators = self._base.operators
        care_of = operators.care_of(record.address, session.serving.address)
        extra: list[Option] = [ServingMaar(care_of)]
        chained = care_of != session.serving.address  # an exchange of our own (spec INTER-3, INTER-4)
        if not chained or self._base.config.share_local_prefixes:  # what it is for (spec LIPA-6), no more (SEC-5)
            # The new prefix first, then those of other anchors: the owner of a local network must know them all.
            others = [r for r in session.anchors if r.address != record.address]
            told = [
                session.serving.prefix,
                *(r.prefix for r in others if not operators.crosses(r.address, record.address)),
            ]
            extra = [*map(AnchoredPrefix.of, told), *extra]

        def compose(at: float) -> tuple[int, bytes]:
            own = bool(exchange.sends) or chained
            stamp = original.raw if original and not own else self._base.stamper.timestamp(at)
            sequence = self._base.next_sequence() if chained or exchange.renumbered else update.sequence
            relayed = compose_update(
                mn_id=session.mn_id,
                mac=session.mac,
                prefixes=[record.prefix],
                handoff=handoff_of(update),
                access=technology.value if technology else AccessType.ETHERNET,
                sequence=sequence,
                timestamp=stamp,
                lifetime=update.lifetime_seconds,
                extra=extra,
            )
            exchange.context = relayed
            exchange.stamps.append(stamp)
            return sequence, self._base.push(relayed, record.address)

        purpose = "relay-again" if again else "relay"
        exchange = Exchange(record.address, session.mn_id, purpose, compose)
        self._base.exchanges.start(exchange, now, due)

    def on_ack(self, ack: BindingAck, source: IPv6Address, now: float) -> None:
        """An anchor's PBA: note what it said, answer the serving gateway when nobody is missing."""
        base = self._base
        identifier = ack.first(MobileNodeIdentifier)
        exchange = base.exchanges.match(source, ack.sequence, identifier.text) if identifier else None
        if identifier and ack.status == Status.SEQUENCE_NUMBER_OUT_OF_WINDOW:
            exchange = base.exchanges.find(source, identifier.text)  # its number is the peer's, not ours
        session = base.state.sessions.get(exchange.mn_id) if exchange else None
        if exchange is None or session is None or (exchange.stamps and is_late(ack, exchange.context, exchange.stamps)):
            base.reception.drop("acknowledgement that matches no update", source)
            return
        if ack.distributed and not base.config.dgw_support:
            base.outbox.say("unsupported-answer", mn_id=session.mn_id, peer=source)
            base.reception.drop("acknowledgement with the D flag, which is not supported here", source, "unsupported")
            return
        if not same_request(exchange.context, ack):
            base.exchanges.halt(exchange, "answered with something else than was asked")
            base.reception.drop("acknowledgement of something else than was asked", source, "mismatch")
            return
        if ack.status == Status.SEQUENCE_NUMBER_OUT_OF_WINDOW:
            base.exchanges.renumber(exchange, base.stamper, ack.sequence, now)
            return
        if exchange.purpose == "delete" and ack.status in CLOCKS:
            self._delete_later(exchange, ack.status, now)
            return
        base.exchanges.finish(exchange)
        if exchange.purpose == "delete":
            self._deleted(session, source)
        else:
            self._collect(session, exchange, ack, now)

    def _delete_later(self, exchange: Exchange, status: int, now: float) -> None:
        """Not a word about the binding, which nobody else would end (spec DEREG-4): again with a new stamp."""
        wait = self._base.config.timing.max_timeout if status == Status.TIMESTAMP_MISMATCH else 0.0
        exchange.due = now + wait
        self._base.exchanges.handle_timer(now)

    def _collect(self, session: Session, exchange: Exchange, ack: BindingAck, now: float) -> None:
        base, source = self._base, exchange.peer
        transaction = self._transactions.get(session.mn_id)
        record = session.anchor(source)
        if transaction is None or record is None:
            return
        transaction.waiting.discard(source)
        granting = ack.lifetime_units or not transaction.update.lifetime_units
        if ack.accepted and ack.distributed and granting:
            base.state.legacy_peers.discard(source)
            session.untold.discard(source)
            if self._base.operators.crosses(source, session.serving.address):
                session.relayed.add(source)
            known = self._learn(session, record, ack)
            self._base.reconcile(partial(self._answering.agreed, session, transaction, known))
        elif ack.status in CLOCKS:
            # Our own clock may do where the gateway's stamp grew old under way; if it was ours, wait.
            ours = exchange.purpose == "relay-again" and ack.status == Status.TIMESTAMP_MISMATCH
            due = now + self._base.config.timing.max_timeout if ours else now
            transaction.waiting.add(source)
            self._relay(session, transaction, record, now, again=True, due=due)
        elif ack.accepted:  # by a plain LMA, which makes no tunnels for us, or for no time at all (spec §10)
            if not ack.distributed and source not in base.state.legacy_peers:
                base.state.legacy_peers.add(source)
                base.outbox.say("legacy-peer", peer=source)
            self._refused(session, transaction, record, Status.ADMINISTRATIVELY_PROHIBITED)
        else:
            self._refused(session, transaction, record, ack.status)
        if not transaction.waiting:
            base.timers.cancel(("aggregate", session.mn_id))

    def _refused(self, session: Session, transaction: Transaction, record: AnchorRecord, status: int) -> None:
        self._base.outbox.say("anchor-refused", mn_id=session.mn_id, anchor=record.address, status=status)
        gone = (Status.NOT_LMA_FOR_THIS_MOBILE_NODE, Status.NOT_AUTHORIZED_FOR_HOME_NETWORK_PREFIX)
        if status in gone:  # spec CMD-RELAY-5
            session.anchors.remove(record)
            session.untold.discard(record.address)
        self._answering.refused(session, transaction, record, status)
        self._base.reconcile()

    def _learn(self, session: Session, record: AnchorRecord, ack: BindingAck) -> AnchorRecord:
        """The anchor's own word replaces what was known of it."""
        known = learned(record, ack, self._base.authority.local_prefixes)
        session.anchors[session.anchors.index(record)] = known
        return known

    def _delete_at(self, session: Session, record: AnchorRecord, now: float) -> None:
        def compose(at: float) -> tuple[int, bytes]:
            sequence = base.next_sequence()
            update = compose_update(
                mn_id=session.mn_id,
                mac=session.mac,
                prefixes=[record.prefix],
                handoff=Handoff.UNKNOWN,
                sequence=sequence,
                timestamp=base.stamper.timestamp(at),
                lifetime=0,
                extra=[ServingMaar(base.operators.care_of(record.address, session.serving.address))],
            )
            exchange.context = update
            return sequence, base.push(update, record.address)

        base, timing = self._base, self._base.config.timing
        # For hours: the anchor's own timer does not run (spec DEREG-4), nobody else would tell it.
        tries = timing.unreachable_after + int(timing.quarantine / timing.max_timeout)
        exchange = Exchange(
            record.address,
            session.mn_id,
            "delete",
            compose,
            tries=tries,
            gave_up=lambda at: self._deleted(session, record.address),
        )
        base.exchanges.start(exchange, now)

    def _deleted(self, session: Session, source: IPv6Address) -> None:
        session.released = [record for record in session.released if record.address != source]
        if session.ended and not session.released:
            self._base.state.sessions.pop(session.mn_id, None)
            self._base.outbox.say("session-deleted", mn_id=session.mn_id)


def _registration(pending: Pending, source: IPv6Address, own: IPv6Address) -> BindingUpdate:
    try:
        update = pull_mobility(pending.update, source, own)
    except DecodeError as error:
        raise PlainError(f"saved pending registration of {source}: {error}") from error
    if not isinstance(update, BindingUpdate):
        raise PlainError(f"saved pending registration of {source}: no Binding Update")
    return update
