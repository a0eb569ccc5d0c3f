"""Messages that a lab's script sent in an agent's name (events `impostor`), told from the agents' own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import IPv6Address

from captures.records import Logged, MobilityMessage

INJECTION_ANSWERED = 1.0
"""Seconds in which a message that the script injected is answered, if it is."""


def injected(mobility: Sequence[MobilityMessage], orders: Iterable[Logged]) -> list[MobilityMessage]:
    """The messages of these events, each with its rejections."""
    found: list[MobilityMessage] = []
    for order in orders:
        sent = next((one for one in mobility if is_injected(one, order) and one not in found), None)
        if sent is not None:
            found += [sent, *(one for one in mobility if rejects(one, sent))]
    return found


def is_injected(message: MobilityMessage, order: Logged) -> bool:
    """Whether this is the message of an `impostor` event, which is written just before it is sent."""
    ends = IPv6Address(order.fields["source"]), IPv6Address(order.fields["destination"])
    same = (message.source, message.destination) == ends and message.sequence == order.fields["sequence"]
    return same and message.lifetime == order.fields["lifetime"] and message.time >= order.time


def rejects(answer: MobilityMessage, update: MobilityMessage) -> bool:
    """Whether a PBA is the rejection of just this update."""
    ends = answer.source == update.destination and answer.destination == update.source
    late = 0 <= answer.time - update.time < INJECTION_ANSWERED
    return ends and late and answer.kind == "PBA" and answer.status >= 128 and answer.sequence == update.sequence
