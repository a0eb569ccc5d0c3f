"""PBU/PBA conversations: which answer belongs to which update, and what each stay of a node needed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from captures.records import MobilityMessage
from captures.run import Attachment, Run

REFRESH = 5
"""Handoff Indicator of a re-registration (RFC 5213 §8.4)."""
HANDOVER = (3, 4)
"""Handoff Indicators of a handover: between gateways, unknown."""


@dataclass(slots=True)
class Exchange:
    """One PBU with the PBAs that answer it."""

    update: MobilityMessage
    answers: list[MobilityMessage] = field(default_factory=list)

    @property
    def accepted(self) -> list[MobilityMessage]:
        """Answers with a status below 128."""
        return [answer for answer in self.answers if 0 <= answer.status < 128]


@dataclass(slots=True)
class Registration:
    """What one stay made the gateways say: the own registration and one update per anchor."""

    stay: Attachment
    own: list[Exchange] = field(default_factory=list)
    """Serving gateway to CMD (relay modes)."""
    anchors: dict[str, list[Exchange]] = field(default_factory=dict)
    """Anchor gateway -> exchanges with it: from the serving gateway (direct) or the CMD (relay)."""

    def first_update(self) -> MobilityMessage | None:
        """The serving gateway's first PBU."""
        mine = self.own or [exchange for found in self.anchors.values() for exchange in found]
        return min((exchange.update for exchange in mine), key=lambda update: update.time, default=None)

    def last_answer(self) -> MobilityMessage | None:
        """The last first acceptance the serving gateway needed (PBU to final PBA)."""
        if self.own:
            wanted = [answer for exchange in self.own for answer in exchange.accepted]
            return min(wanted, key=lambda answer: answer.time, default=None)
        firsts = [_first_acceptance(found) for found in self.anchors.values()]
        known = [answer for answer in firsts if answer is not None]
        return max(known, key=lambda answer: answer.time) if len(known) == len(firsts) and known else None


def _first_acceptance(exchanges: Iterable[Exchange]) -> MobilityMessage | None:
    return next((answer for exchange in exchanges for answer in exchange.accepted), None)


def pair(messages: Iterable[MobilityMessage]) -> tuple[list[Exchange], list[MobilityMessage]]:
    """Match PBAs to PBUs by addresses, sequence number and MN-ID; also return PBAs that match none."""
    exchanges: list[Exchange] = []
    unmatched = []
    for message in messages:
        if message.kind == "PBU":
            exchanges.append(Exchange(message))
        elif message.kind == "PBA":
            mine = next((one for one in reversed(exchanges) if answers(message, one.update)), None)
            if mine is None:
                unmatched.append(message)
            else:
                mine.answers.append(message)
    return exchanges, unmatched


def answers(answer: MobilityMessage, update: MobilityMessage) -> bool:
    """Whether a PBA answers a PBU (RFC 5213 §5.3.6: addresses swapped, MN-ID and sequence echoed)."""
    return (
        answer.source == update.destination
        and answer.destination == update.source
        and answer.mn_id == update.mn_id
        and (answer.sequence == update.sequence or answer.status == 135)
    )


def registrations(run: Run) -> list[Registration]:
    """One Registration per stay, refreshes (HI 5) and deletions (lifetime 0) left out."""
    exchanges, _ = pair(run.signalling)
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
    registration = Registration(stay)
    serving = run.gateways[stay.gateway].address
    anchors = {run.gateways[name].address: name for name in stay.previous}
    for exchange in exchanges:
        update = exchange.update
        if not stay.start <= update.time < until or update.handoff == REFRESH or update.lifetime == 0:
            continue
        if update.source == serving and update.destination == run.cmd_address:
            registration.own.append(exchange)
        elif update.destination in anchors and (update.source == serving or update.serving == serving):
            registration.anchors.setdefault(anchors[update.destination], []).append(exchange)
    return registration
