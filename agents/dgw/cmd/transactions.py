"""One registration under way at a relaying CMD: one PBU in, one to each anchor out (RFC 8885 §3.2)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import IPv6Address

from agents.dgw.messages import anchor_options, compose_ack
from agents.dgw.records import AnchorRecord
from agents.wire.mobility import RECOMMENDED_OCTETS, BindingAck, BindingUpdate, encoded_length


@dataclass
class Transaction:
    """What the serving gateway asked, who has answered, and what it was told."""

    update: BindingUpdate
    """The latest transmission of the serving gateway's PBU: answers echo its sequence and timestamp."""
    source: IPv6Address
    waiting: set[IPv6Address] = field(default_factory=set)
    """Anchors that have not answered."""
    collected: list[AnchorRecord] = field(default_factory=list)
    """Anchors that agreed and that the serving gateway was not told of yet."""
    answered: bool = False
    """A first answer went out, complete or not."""


def answers(
    update: BindingUpdate, lifetime: int, own: AnchorRecord, records: Sequence[AnchorRecord]
) -> Iterator[BindingAck]:
    """The accepting PBAs that tell these anchors, each below the size at which headers get fragmented (spec §2.4)."""
    batch: list[AnchorRecord] = []
    for record in records:
        longer = _answer(update, lifetime, own, [*batch, record])
        if batch and encoded_length(longer) > RECOMMENDED_OCTETS:
            yield _answer(update, lifetime, own, batch)
            batch = []
        batch.append(record)
    yield _answer(update, lifetime, own, batch)


def correction(update: BindingUpdate, record: AnchorRecord, status: int) -> BindingAck:
    """The rejecting PBA about one anchor's prefix that was promised before (spec CMD-PROXY-2)."""
    rejected = compose_ack(update, lifetime=0, prefixes=[record.prefix])
    return replace(rejected, status=status)


def _answer(update: BindingUpdate, lifetime: int, own: AnchorRecord, records: Sequence[AnchorRecord]) -> BindingAck:
    extra = [option for record in records for option in anchor_options(record)]
    return compose_ack(update, lifetime=lifetime, prefixes=[own.prefix], extra=extra)
