"""What the conversations of all modes have in common."""

from __future__ import annotations

from captures.checks.base import Tally, milliseconds
from captures.exchanges import Registration
from captures.records import MobilityMessage
from captures.run import Run

SHOWN = 8
"""Messages told by name in a result."""


def name(run: Run, message: MobilityMessage) -> str:
    """ "PBU dgw2→cmd"."""
    return f"{message.kind} {run.name_of(message.source)}→{run.name_of(message.destination)}"


def own_prefix(run: Run, tally: Tally, gateway: str, update: MobilityMessage) -> None:
    """The gateway asks for a prefix of its own pool."""
    for prefix in update.prefixes:
        inside = prefix.subnet_of(run.gateways[gateway].pool)
        tally.demand(inside, f"HNP {prefix} is not from {gateway}'s pool", update)


def anchor_prefixes(run: Run, tally: Tally, mobile: str, anchor: str, message: MobilityMessage) -> None:
    """The HNP is the prefix the anchor gave the node."""
    known = run.prefixes.get((mobile, anchor), [])
    for prefix in message.prefixes:
        tally.demand(
            prefix in known if known else prefix.subnet_of(run.gateways[anchor].pool),
            f"HNP {prefix} is not the prefix {anchor} gave {mobile}",
            message,
        )


def has_dlif(tally: Tally, answer: MobilityMessage) -> None:
    """The anchor says what its DLIF is."""
    complete = answer.dlif is not None and answer.dlif.link_local is not None and answer.dlif.mac is not None
    tally.demand(complete, "PBA without the anchor's DLIF identity (69, 70)", answer)


def told(run: Run, registration: Registration) -> str:
    """The conversation in one line with its duration."""
    exchanges = [*registration.own, *(one for many in registration.anchors.values() for one in many)]
    messages = [message for one in exchanges for message in (one.update, *one.answers, *one.copies)]
    messages.sort(key=lambda message: message.time)
    text = ", ".join(name(run, message) for message in messages[:SHOWN])
    text += " ..." if len(messages) > SHOWN else ""
    first, last = registration.first_update(), registration.last_answer()
    if first is None or last is None:
        return text
    took = milliseconds(last.time - first.time)
    if last is messages[-1]:
        return f"{text} in {took}"
    return f"{text}; {registration.stay.gateway} had what it needed after {took}"
