"""When and what a CMD answers the serving gateway: relay, locator and proxy mode (RFC 8885 §3.2, §3.3, §3.4).

A further mode is a further class with these five methods.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv6Address
from typing import Protocol

from agents.dgw.cmd.base import CmdBase
from agents.dgw.cmd.state import Session
from agents.dgw.cmd.transactions import Transaction, answers, correction
from agents.dgw.records import AnchorRecord
from agents.wire.mobility import BindingUpdate
from agents.wire.mobility_codes import Status


class Answering(Protocol):
    """One signalling mode, seen from the CMD."""

    def begun(self, session: Session, transaction: Transaction) -> None:
        """A registration came; the anchors are about to be told."""

    def agreed(self, session: Session, transaction: Transaction, record: AnchorRecord) -> None:
        """An anchor acknowledged."""

    def refused(self, session: Session, transaction: Transaction, record: AnchorRecord, status: int) -> None:
        """An anchor rejected."""

    def waited_long(self, session: Session, transaction: Transaction) -> None:
        """T_agg passed and an anchor is still silent."""

    def refreshed(self, session: Session, update: BindingUpdate, source: IPv6Address) -> None:
        """The serving gateway asked again after everything was said."""


class _Answers:
    def __init__(self, base: CmdBase) -> None:
        self._base = base

    def _send(
        self, session: Session, update: BindingUpdate, target: IPv6Address, records: Sequence[AnchorRecord]
    ) -> None:
        told = [self._base.operators.offered(record, session.serving.address) for record in records]
        for ack in answers(update, self._base.granted(update), session.serving, told):
            self._base.tell(ack, target)

    def _answer(self, session: Session, transaction: Transaction) -> None:
        """Tell the serving gateway of the anchors it was not told of."""
        self._send(session, transaction.update, transaction.source, transaction.collected)
        transaction.collected.clear()
        transaction.answered = True

    def refused(self, session: Session, transaction: Transaction, record: AnchorRecord, status: int) -> None:
        """Its group is left out (spec CMD-RELAY-5); if it was the last one awaited, the answer is due."""
        if not transaction.waiting and not transaction.answered:
            self._answer(session, transaction)

    def waited_long(self, session: Session, transaction: Transaction) -> None:
        """Answer with what there is (spec CMD-RELAY-4): the gateway's own prefix does not wait (spec HO-11)."""
        if not transaction.answered:
            self._answer(session, transaction)

    def refreshed(self, session: Session, update: BindingUpdate, source: IPv6Address) -> None:
        """Say again who agreed: also mends an answer that was lost."""
        self._send(session, update, source, session.agreed)


class RelayAnswers(_Answers):
    """The CMD collects the anchors' answers and passes them on (spec CMD-RELAY-*)."""

    def begun(self, session: Session, transaction: Transaction) -> None:
        """Without anchors to wait for, answer at once (spec ATT-7)."""
        if not transaction.waiting:
            self._answer(session, transaction)

    def agreed(self, session: Session, transaction: Transaction, record: AnchorRecord) -> None:
        """Answer when all are in; later ones get an answer of their own (spec CMD-RELAY-3, -4)."""
        transaction.collected.append(record)
        if not transaction.waiting or transaction.answered:
            self._answer(session, transaction)


class LocatorAnswers(_Answers):
    """The anchors answer the serving gateway themselves; the CMD only told them where it is (spec CMD-LOC-*).

    Those of another operator may not (spec INTER-1): for them it is as in relay mode.
    """

    def begun(self, session: Session, transaction: Transaction) -> None:
        """Only a registration without anchors is answered here (spec CMD-LOC-2), and where we stand for the anchor."""
        if transaction.waiting:
            transaction.collected = [r for r in transaction.collected if self._crosses(session, r)]
        if transaction.collected or not transaction.waiting:
            self._answer(session, transaction)

    def agreed(self, session: Session, transaction: Transaction, record: AnchorRecord) -> None:
        """The anchor told the serving gateway as well: nothing to forward, unless it was not allowed to."""
        if self._crosses(session, record):
            transaction.collected.append(record)
            self._answer(session, transaction)
        transaction.answered = True

    def _crosses(self, session: Session, record: AnchorRecord) -> bool:
        return self._base.operators.crosses(record.address, session.serving.address)


class ProxyAnswers(_Answers):
    """The CMD answers at once from what it knows; the anchors only confirm (spec CMD-PROXY-*)."""

    def begun(self, session: Session, transaction: Transaction) -> None:
        """Answer before the anchors are even told (spec CMD-PROXY-1)."""
        transaction.collected = list(session.anchors)
        self._answer(session, transaction)

    def agreed(self, session: Session, transaction: Transaction, record: AnchorRecord) -> None:
        """As was said."""

    def refused(self, session: Session, transaction: Transaction, record: AnchorRecord, status: int) -> None:
        """Take back what was promised for this anchor (spec CMD-PROXY-2)."""
        if record not in session.taken_back:
            session.taken_back.append(record)
        self._base.tell(correction(transaction.update, record, status), transaction.source)

    def waited_long(self, session: Session, transaction: Transaction) -> None:
        """The promise stands; the anchor is told again and again."""

    def refreshed(self, session: Session, update: BindingUpdate, source: IPv6Address) -> None:
        """Promise again, and take back again: the first time may have been lost."""
        self._send(session, update, source, session.anchors)
        for record in session.taken_back:
            status = Status.NOT_AUTHORIZED_FOR_HOME_NETWORK_PREFIX
            self._base.tell(correction(update, record, status), source)


class PlainAnswers(_Answers):
    """A gateway that does not set D is answered at once, and told of no anchor (RFC 5213, spec §10)."""

    def begun(self, session: Session, transaction: Transaction) -> None:
        """Anchors are told where the node is all the same: it is with them no more (spec HO-12)."""
        transaction.collected.clear()
        self._answer(session, transaction)

    def agreed(self, session: Session, transaction: Transaction, record: AnchorRecord) -> None:
        """Nothing the gateway could use."""

    def refused(self, session: Session, transaction: Transaction, record: AnchorRecord, status: int) -> None:
        """Nothing was promised."""

    def refreshed(self, session: Session, update: BindingUpdate, source: IPv6Address) -> None:
        """Confirm its own prefix again."""
        self._send(session, update, source, [])


class ByUpdate:
    """The configured mode for those who set D in their updates, plain answers for the others."""

    def __init__(self, mode: Answering, plain: Answering) -> None:
        self._mode = mode
        self._plain = plain

    def _for(self, update: BindingUpdate) -> Answering:
        return self._mode if update.distributed else self._plain

    def begun(self, session: Session, transaction: Transaction) -> None:
        """A registration came."""
        self._for(transaction.update).begun(session, transaction)

    def agreed(self, session: Session, transaction: Transaction, record: AnchorRecord) -> None:
        """An anchor acknowledged."""
        self._for(transaction.update).agreed(session, transaction, record)

    def refused(self, session: Session, transaction: Transaction, record: AnchorRecord, status: int) -> None:
        """An anchor rejected."""
        self._for(transaction.update).refused(session, transaction, record, status)

    def waited_long(self, session: Session, transaction: Transaction) -> None:
        """T_agg passed."""
        self._for(transaction.update).waited_long(session, transaction)

    def refreshed(self, session: Session, update: BindingUpdate, source: IPv6Address) -> None:
        """Asked again."""
        self._for(update).refreshed(session, update, source)


def answering(base: CmdBase) -> Answering:
    """How this CMD answers each update."""
    return ByUpdate(_mode(base), PlainAnswers(base))


def _mode(base: CmdBase) -> Answering:
    if base.config.mode == "locator":
        return LocatorAnswers(base)
    if base.config.mode == "proxy":
        return ProxyAnswers(base)
    return RelayAnswers(base)
