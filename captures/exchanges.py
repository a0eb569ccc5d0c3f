"""PBU/PBA conversations: which answer belongs to which update, and what each stay of a node needed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from captures.records import MobilityMessage
from captures.run import Run
from captures.walk import Attachment

REVIVAL = 1
"""Handoff Indicator of a node that is back at a gateway where its binding had ended (spec AMB-16)."""
REFRESH = 5
"""Handoff Indicator of a re-registration (RFC 5213 §8.4)."""
HANDOVER = (3, 4)
"""Handoff Indicators of a handover: between gateways, unknown."""
MODES = ("direct", "relay", "locator", "proxy", "classic")
"""Ways to tell the anchors: directly (no CMD in between), the CMD as RFC 8885 §3.2, §3.3, §3.4 say, or not at all."""

Clock = Callable[[MobilityMessage], float | None]


@dataclass(slots=True)
class Exchange:
    """One PBU with the PBAs that answer it."""

    update: MobilityMessage
    answers: list[MobilityMessage] = field(default_factory=list)
    """Sent back to the PBU's sender."""
    direct: list[MobilityMessage] = field(default_factory=list)
    """Locator mode, PBU gateway to CMD: PBAs by which anchors answer it in the CMD's place (spec CMD-LOC-3)."""
    copies: list[MobilityMessage] = field(default_factory=list)
    """Locator mode, PBU CMD to anchor: the anchor's second PBA, to the serving gateway (spec CMD-LOC-1)."""

    @property
    def accepted(self) -> list[MobilityMessage]:
        """Answers with a status below 128."""
        return accepting(self.answers)


def accepting(messages: Iterable[MobilityMessage]) -> list[MobilityMessage]:
    """The PBAs with a status below 128."""
    return [message for message in messages if 0 <= message.status < 128]


def sent(message: MobilityMessage) -> float | None:
    """When a message left, as its sender's capture shows it."""
    return message.time


@dataclass(slots=True)
class Registration:
    """What one stay made the gateways say: the own registration and one update per anchor."""

    stay: Attachment
    mode: str
    own: list[Exchange] = field(default_factory=list)
    """Serving gateway to CMD (all modes but direct), or to the anchor of the classic mode."""
    anchors: dict[str, list[Exchange]] = field(default_factory=dict)
    """Anchor gateway -> exchanges with it: from the serving gateway (direct) or the CMD (other modes)."""
    named: dict[str, list[MobilityMessage]] = field(default_factory=dict)
    """Anchor gateway -> the CMD's acceptances that name it (or, between operators, its prefix) in an option 67."""
    crossing: tuple[str, ...] = ()
    """Anchors of other operators: the LMA stands for them (spec INTER-2)."""
    chained: dict[str, list[Exchange]] = field(default_factory=dict)
    """Such an anchor -> the LMA's exchanges with it in its own name (spec INTER-3)."""

    @property
    def near(self) -> list[str]:
        """Anchors of the serving gateway's own operator."""
        return [anchor for anchor in self.stay.previous if anchor not in self.crossing]

    def first_update(self) -> MobilityMessage | None:
        """The serving gateway's first PBU."""
        mine = self.own or [exchange for found in self.anchors.values() for exchange in found]
        return min((exchange.update for exchange in mine), key=lambda update: update.time, default=None)

    def last_answer(self, when: Clock = sent) -> MobilityMessage | None:
        """The last PBA the serving gateway needed: the one after which every anchor told can have its tunnel.

        `when` says which moment of a message counts (None: it never came). None when a tunnel stayed impossible.
        """
        firsts = []
        for answers in self._wanted():
            times = [(time, answer) for answer in answers if (time := when(answer)) is not None]
            firsts.append(min(times, key=lambda one: one[0], default=None))
        known = [one for one in firsts if one is not None]
        return max(known, key=lambda one: one[0])[1] if known and len(known) == len(firsts) else None

    def _wanted(self) -> list[list[MobilityMessage]]:
        """Per anchor (or for the own registration) the PBAs of which one is needed."""
        if self.own and not self.anchors and not self.crossing:
            return [[answer for exchange in self.own for answer in exchange.accepted]]
        if self.mode == "direct":
            return [[answer for one in found for answer in one.accepted] for found in self.anchors.values()]
        between = [self.named.get(anchor, []) for anchor in self.crossing]
        if self.mode == "locator":
            copies = [[copy for one in found for copy in accepting(one.copies)] for found in self.anchors.values()]
            return copies + between
        return [self.named.get(anchor, []) for anchor in self.anchors] + between


def pair(run: Run) -> tuple[list[Exchange], list[MobilityMessage]]:
    """Match PBAs to PBUs by addresses, sequence number and MN-ID; also return PBAs that match none.

    In locator mode an anchor's PBA to the serving gateway answers that gateway's PBU to the CMD (spec CMD-LOC-3).
    """
    exchanges: list[Exchange] = []
    unmatched = []
    for message in run.signalling:
        if message.kind == "PBU":
            exchanges.append(Exchange(message))
        elif message.kind == "PBA":
            mine = _answered(message, exchanges)
            if mine is not None:
                mine.answers.append(message)
            elif run.mode == "locator" and _answered_for_the_cmd(run, message, exchanges):
                continue
            elif _heard(run, message):
                unmatched.append(message)
    return exchanges, unmatched


def _heard(run: Run, answer: MobilityMessage) -> bool:
    """Whether who asked was still recorded when this was answered: recorders end one after the other."""
    node = run.addresses.get(answer.destination)
    mine = [capture for (name, _), capture in run.captures.items() if name == node]
    times = [frame.time for capture in mine for frame in capture.packets]
    times += [message.time for capture in mine for message in capture.mobility]
    return not mine or max(times, default=0.0) >= answer.time


def _answered(answer: MobilityMessage, exchanges: list[Exchange]) -> Exchange | None:
    """The latest PBU a PBA answers; repetitions may share a sequence number, then the Timestamp tells (RETX-4)."""
    found = [one for one in reversed(exchanges) if answers(answer, one.update)]
    return next((one for one in found if one.update.timestamp == answer.timestamp), found[0] if found else None)


def _answered_for_the_cmd(run: Run, answer: MobilityMessage, exchanges: list[Exchange]) -> bool:
    """File a gateway's PBA under the PBU to the CMD it answers, and under the CMD's PBU that caused it."""
    cmd = run.cmd_address
    if cmd is None or answer.source not in {gateway.address for gateway in run.gateways.values()}:
        return False
    origin = _answered(replace(answer, source=cmd), exchanges)
    if origin is None:
        return False
    origin.direct.append(answer)
    told = _answered(replace(answer, destination=cmd), exchanges)
    if told is not None:
        told.copies.append(answer)
    return True


def answers(answer: MobilityMessage, update: MobilityMessage) -> bool:
    """Whether a PBA answers a PBU (RFC 5213 §5.3.6: addresses swapped, MN-ID and sequence echoed)."""
    return (
        answer.source == update.destination
        and answer.destination == update.source
        and answer.mn_id == update.mn_id
        and (answer.sequence == update.sequence or answer.status == 135)
    )


def registrations(run: Run) -> list[Registration]:
    """One Registration per stay; refreshes (HI 5), revivals (HI 1 after an end), deletions (lifetime 0) left out."""
    exchanges, _ = pair(run)
    found = []
    for mobile, stays in run.attachments.items():
        facts = run.mobiles.get(mobile)
        if facts is None:
            continue
        mine = [one for one in exchanges if one.update.mn_id == facts.mn_id]
        for index, stay in enumerate(stays):
            until = stays[index + 1].start if index + 1 < len(stays) else run.end + 1
            found.append(_registration(run, stay, until, mine))
    return sorted(found, key=lambda registration: registration.stay.start)


def _registration(run: Run, stay: Attachment, until: float, exchanges: list[Exchange]) -> Registration:
    crossing = tuple(name for name in stay.previous if run.lma and run.crosses(name, stay.gateway))
    registration = Registration(stay, run.mode, crossing=crossing)
    serving = run.gateways[stay.gateway].address
    anchors = {run.gateways[name].address: name for name in stay.previous}
    for exchange in exchanges:
        update = exchange.update
        if not stay.start <= update.time < until or update.handoff == REFRESH or update.lifetime == 0:
            continue
        if update.handoff == REVIVAL and _ended(exchanges, stay, update):
            continue
        if update.source not in run.addresses:
            continue  # an outsider's attempt
        if update.source == serving and update.destination == run.cmd_address:
            if run.mode == "direct":  # the LMA as anchor of every prefix asked for
                for prefix in update.prefixes:
                    anchor = run.told_anchor(update.destination, prefix)
                    registration.anchors.setdefault(anchor, []).append(exchange)
                continue
            registration.own.append(exchange)
            for answer in exchange.accepted:
                for group in answer.anchors:
                    registration.named.setdefault(run.told_anchor(group.address, group.prefix), []).append(answer)
        elif run.lma and update.destination in anchors and update.serving == update.source == run.cmd_address:
            registration.chained.setdefault(anchors[update.destination], []).append(exchange)
        elif update.destination in anchors and (update.source == serving or update.serving == serving):
            registration.anchors.setdefault(anchors[update.destination], []).append(exchange)
    return registration


def _ended(exchanges: list[Exchange], stay: Attachment, update: MobilityMessage) -> bool:
    """Whether the gateway had ended the binding before, during the same stay."""
    return any(
        one.update.lifetime == 0 and one.update.source == update.source and stay.start <= one.update.time < update.time
        for one in exchanges
    )


class Arrivals:
    """When messages reached the node they were sent to, as that node's captures show it."""

    def __init__(self, run: Run) -> None:
        """Index the messages of every capture by receiver."""
        self._nodes = run.addresses
        self._recorded = {node for node, _ in run.captures}
        self._times: dict[MobilityMessage, list[float]] = defaultdict(list)
        for (node, _), capture in run.captures.items():
            for message in capture.mobility:
                if run.addresses.get(message.destination) == node:
                    self._times[_content(message)].append(message.time)

    def time(self, message: MobilityMessage) -> float | None:
        """Unix time of arrival; None when it never came; the sending time where the receiver was not recorded."""
        if self._nodes.get(message.destination) not in self._recorded:
            return message.time
        return min((time for time in self._times.get(_content(message), []) if time >= message.time), default=None)


def _content(message: MobilityMessage) -> MobilityMessage:
    """A message without what differs from capture to capture."""
    return replace(message, file="", number=0, time=0.0, eth_source="")
