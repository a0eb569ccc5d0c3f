"""The LMA of the direct mode: anchor towards one operator, serving gateway towards the other (seed draft §5, INTER-*).

A gateway of another operator finds us in the repository as the anchor of a prefix and sends us its PBU; we ask the
real anchor, with our own sequence number and timestamp, and answer when it has.  Each prefix is a chain of its own.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from ipaddress import IPv6Address, IPv6Network

from agents.dgw.cmd.base import CmdBase
from agents.dgw.cmd.state import Chain
from agents.dgw.exchanges import Exchange
from agents.dgw.freshness import CLOCKS, Freshness
from agents.dgw.messages import (
    compose_ack,
    compose_update,
    handoff_of,
    learned,
    own_options,
    same_request,
)
from agents.dgw.records import AnchorRecord
from agents.dgw.repository import Entry, Repository
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
from agents.wire.mobility import BindingAck, BindingUpdate
from agents.wire.mobility_codes import AckFlag, Handoff, Status
from agents.wire.mobility_options import (
    LinkLayerIdentifier,
    MobileNodeIdentifier,
    ServingMaar,
    Timestamp,
)


class Chaining:
    """Keeps the chains in line with what serving gateways ask and with where the repository says the node is."""

    def __init__(self, base: CmdBase, repository: Repository) -> None:
        self._base = base
        self._repository = repository
        self._asked: dict[IPv6Network, BindingUpdate] = {}
        """The serving gateway's latest update that still waits for the anchor."""
        self._asking: dict[IPv6Network, Exchange] = {}
        """Our exchange with the anchor."""

    def told(self, entry: Entry, gateway: IPv6Address) -> Entry:
        """A repository entry as a gateway may see it: we stand for the anchors of other operators (spec INTER-7)."""
        anchors = tuple(self._base.operators.offered(record, gateway) for record in entry.anchors)
        return replace(entry, anchors=anchors)

    def review(self) -> None:
        """The repository changed: end the chains of nodes that are back with the anchor's operator (INTER-10)."""
        for chain in list(self._base.state.chains.values()):
            entry = self._repository.entries.get(chain.mn_id)
            if entry is None or all(record.prefix != chain.anchor.prefix for record in entry.anchors):
                self._drop(chain, "the anchor let go")
                continue
            back = entry.serving and not self._base.operators.crosses(chain.anchor.address, entry.serving)
            # An attachment older than the chain's own update came late: it says nothing new.
            if back and entry.timestamp > (chain.freshness.timestamp or 0):
                self._drop(chain, "the node is with the anchor's operator")

    # --- towards the serving gateway: the anchor

    def on_update(self, update: BindingUpdate, source: IPv6Address, now: float) -> None:
        """Take a PBU of a gateway: chain, refresh or end each prefix it names (spec §10)."""
        base = self._base
        try:
            update = check_flags(update, base.support)
            records = self._check(update, source, now)
        except Ignored as ignored:
            base.reception.drop(str(ignored), source)
            return
        except Rejected as rejected:
            base.send(base.reception.reject(update, rejected, source, now), source)
            return
        for record in records:
            if update.lifetime_units:
                self._bind(record, update, source, now)
            else:
                self._unbind(base.state.chains[record.prefix], update, source, now)

    def _check(self, update: BindingUpdate, source: IPv6Address, now: float) -> list[AnchorRecord]:
        base = self._base
        mn_id = check_identifier(update)
        check_sender(source, base.gateways)  # spec INTER-12
        check_relay(update, source, ())
        base.authority.check_serving(source, mn_id)
        entry = self._repository.entries.get(mn_id, Entry())
        check_service(mn_id, base.profiles)
        check_freshness(update, self._freshness(mn_id, entry), now, base.config.timing.timestamp_window)
        prefixes = check_options(update)
        base.authority.check_anchored(update, source)
        if not update.lifetime_units:
            chains = [base.state.chains.get(prefix) for prefix in prefixes]
            if not all(chain and chain.serving == source for chain in chains):
                raise Ignored("de-registration from a gateway that does not serve the node")
            return [chain.anchor for chain in chains if chain]
        anchored = {record.prefix: record for record in entry.anchors}
        for prefix in prefixes:
            if prefix not in anchored:
                raise Rejected(Status.NOT_AUTHORIZED_FOR_HOME_NETWORK_PREFIX, f"{prefix} is not anchored for {mn_id}")
            if not base.operators.crosses(anchored[prefix].address, source):
                reason = f"the anchor of {prefix} is {source}'s own operator's"
                raise Rejected(Status.NOT_AUTHORIZED_FOR_HOME_NETWORK_PREFIX, reason)
        return [anchored[prefix] for prefix in prefixes]

    def _freshness(self, mn_id: str, entry: Entry) -> Freshness:
        """Newer than the last update about the node, and than its last attachment anywhere (spec RETX-12, HO-13)."""
        chains = [chain for chain in self._base.state.chains.values() if chain.mn_id == mn_id]
        last = max((chain.freshness for chain in chains), key=lambda f: f.timestamp or 0, default=Freshness())
        return Freshness(max(last.timestamp or 0, entry.timestamp), last.sequence)

    def _bind(self, record: AnchorRecord, update: BindingUpdate, source: IPv6Address, now: float) -> None:
        base = self._base
        chain = base.state.chains.get(record.prefix)
        if chain is None:
            chain = base.state.chains[record.prefix] = Chain(check_identifier(update), record, source)
        if chain.deleting:
            self._stop_asking(record.prefix)  # it reappeared within the hold time (spec DEREG-6)
        if chain.serving != source or not chain.agreed:
            base.outbox.say("chain-moved", mn_id=chain.mn_id, prefix=record.prefix, serving=source)
        chain.serving, chain.deleting = source, False
        timestamp, identifier = update.first(Timestamp), update.first(LinkLayerIdentifier)
        chain.freshness.accept(timestamp.raw if timestamp else None, update.sequence)
        chain.mac = identifier.text if identifier else chain.mac
        self._expire_at(chain, now + base.granted(update))
        self._asked[record.prefix] = update
        if chain.agreed:  # only our end of it moved (spec INTER-9)
            base.reconcile(partial(self._answer, chain))
        elif record.prefix not in self._asking:
            self._ask_anchor(chain, handoff_of(update), now)

    def _answer(self, chain: Chain) -> None:
        """The accepting PBA, as if the prefix were ours, with its DLIF unchanged (spec INTER-5)."""
        base = self._base
        update = self._asked.pop(chain.anchor.prefix, None)
        if update:
            known = base.operators.offered(chain.anchor, chain.serving)
            extra = own_options(known, anchored=True)
            ack = compose_ack(update, lifetime=base.granted(update), prefixes=[known.prefix], extra=extra)
            base.send(ack, chain.serving)

    def _unbind(self, chain: Chain, update: BindingUpdate, source: IPv6Address, now: float) -> None:
        """Answer at once, hold, then let go (spec DEREG-6, DEREG-7)."""
        chain.deleting = True
        timestamp = update.first(Timestamp)
        chain.freshness.accept(timestamp.raw if timestamp else None, update.sequence)
        self._stop_asking(chain.anchor.prefix)
        self._expire_at(chain, now + self._base.config.timing.hold)
        self._base.send(compose_ack(update, lifetime=0, prefixes=[chain.anchor.prefix]), source)
        self._base.reconcile()

    def expire(self, prefix: IPv6Network, now: float) -> None:
        """Hold time or lifetime is over: the anchor lets go, too (spec DEREG-7)."""
        chain = self._base.state.chains.get(prefix)
        if chain is None:
            return
        chain.deleting, chain.agreed = True, False
        self._base.outbox.say("chain-expired", mn_id=chain.mn_id, prefix=prefix)
        self._stop_asking(prefix)
        self._base.reconcile()
        self._ask_anchor(chain, Handoff.UNKNOWN, now)

    # --- towards the anchor: the serving gateway

    def _ask_anchor(self, chain: Chain, handoff: int, now: float) -> None:
        """Our own PBU with ourselves as care-of address, or lifetime 0 for a chain that ended (spec INTER-3)."""
        base, record, ending = self._base, chain.anchor, chain.deleting

        def compose(at: float) -> tuple[int, bytes]:
            sequence = base.next_sequence()
            exchange.context = update = compose_update(
                mn_id=chain.mn_id,
                mac=chain.mac,
                prefixes=[record.prefix],
                handoff=handoff,
                sequence=sequence,
                timestamp=base.stamper.timestamp(at),
                lifetime=0 if ending else base.config.timing.lifetime,
                extra=[ServingMaar(base.config.address)],
            )
            return sequence, base.push(update, record.address)

        tries = base.config.timing.unreachable_after if ending else None
        exchange = Exchange(record.address, chain.mn_id, "unchain" if ending else "chain", compose, tries=tries)
        base.exchanges.start(exchange, now)
        if exchange in base.exchanges:  # else it is halted until an administrator acts (spec §10)
            self._asking[record.prefix] = exchange

    def on_ack(self, ack: BindingAck, source: IPv6Address, now: float) -> None:
        """An anchor's PBA: the answer to our half of a chain."""
        base = self._base
        identifier = ack.first(MobileNodeIdentifier)
        exchange = base.exchanges.match(source, ack.sequence, identifier.text) if identifier else None
        if identifier and ack.status == Status.SEQUENCE_NUMBER_OUT_OF_WINDOW:
            exchange = base.exchanges.find(source, identifier.text)  # its number is the peer's, not ours
        prefix = next((prefix for prefix, one in self._asking.items() if one is exchange), None)
        if exchange is None or prefix is None:
            base.reception.drop("acknowledgement that matches no update", source)
            return
        if not same_request(exchange.context, ack):
            base.exchanges.halt(exchange, "answered with something else than was asked")
            self._stop_asking(prefix)
            base.reception.drop("acknowledgement of something else than was asked", source, "mismatch")
            return
        chain = base.state.chains[prefix]
        if ack.status == Status.SEQUENCE_NUMBER_OUT_OF_WINDOW:
            base.exchanges.renumber(exchange, base.stamper, ack.sequence, now)
            return
        if ack.status in CLOCKS:
            base.exchanges.restamp(exchange, ack, now)
            return
        self._stop_asking(prefix)
        if exchange.purpose == "unchain":
            self._drop(chain, "de-registered")
        elif ack.accepted and AckFlag.DISTRIBUTED in ack.flags:
            chain.agreed = True
            chain.anchor = learned(chain.anchor, ack, self._base.authority.local_prefixes)
            base.reconcile(partial(self._answer, chain))
        else:
            self._refuse(chain, ack.status if ack.status >= 128 else Status.ADMINISTRATIVELY_PROHIBITED)

    def _refuse(self, chain: Chain, status: int) -> None:
        """What the anchor refuses, we refuse; an anchor that knows nothing of the prefix is forgotten."""
        base, prefix = self._base, chain.anchor.prefix
        base.outbox.say("anchor-refused", mn_id=chain.mn_id, anchor=chain.anchor.address, status=status)
        update = self._asked.get(prefix)
        if update:
            refusal = compose_ack(update, lifetime=0, prefixes=[prefix])
            base.send(replace(refusal, status=status), chain.serving)
        if status in (Status.NOT_LMA_FOR_THIS_MOBILE_NODE, Status.NOT_AUTHORIZED_FOR_HOME_NETWORK_PREFIX):
            self._repository.remove(chain.mn_id, chain.anchor.address)
        self._drop(chain, f"status {status}")

    # --- housekeeping

    def restored(self) -> None:
        """After a restart: the chains' timers run again; anchors not asked to the end are asked when we are."""
        for chain in self._base.state.chains.values():
            if chain.expires is not None:
                self._expire_at(chain, chain.expires)

    def _expire_at(self, chain: Chain, when: float) -> None:
        chain.expires = when
        self._base.timers.set(("chain", str(chain.anchor.prefix)), when)

    def _stop_asking(self, prefix: IPv6Network) -> None:
        exchange = self._asking.pop(prefix, None)
        if exchange:
            self._base.exchanges.finish(exchange)

    def _drop(self, chain: Chain, reason: str) -> None:
        prefix = chain.anchor.prefix
        self._stop_asking(prefix)
        self._asked.pop(prefix, None)
        self._base.timers.cancel(("chain", str(prefix)))
        del self._base.state.chains[prefix]
        self._base.outbox.say("chain-dropped", mn_id=chain.mn_id, prefix=prefix, reason=reason)
        self._base.reconcile()
