"""Userland ESP for the Mobility Header, where the kernel has none: association database and anti-replay (spec SEC-3).

Sans-IO: octets in, octets out. Sequence numbers outlive the process: a sender reserves some ahead and continues
behind them, a receiver goes on with its window, so that neither a restarted peer nor we are taken for a replay.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from ipaddress import IPv6Address
from typing import Any

from agents.plain import build, plain
from agents.wire.errors import DecodeError, DecodeErrorKind
from agents.wire.esp import (
    LAST_SEQUENCE,
    EspPacket,
    ReplayWindow,
    SecurityAssociation,
    pull_esp,
    pull_esp_header,
    push_esp,
)
from agents.wire.mobility import NEXT_HEADER

RESERVED_AHEAD = 256
"""Sequence numbers written down as used before the first of them leaves; a restart skips the rest."""


class Unacceptable(Exception):
    """A packet that is dropped without an answer; `counter` names its kind (spec §10, RFC 4303 §3.4)."""

    def __init__(self, counter: str, reason: str) -> None:
        super().__init__(reason)
        self.counter = counter


class Exhausted(Exception):
    """An association has no sequence numbers left: it needs a new key (RFC 4303 §3.3.3)."""


@dataclass
class Sender:
    """Sequence numbers of an outbound association."""

    used: int = 0
    reserved: int = 0


@dataclass
class Memory:
    """What must survive a restart; no keys."""

    senders: dict[str, Sender] = field(default_factory=dict)
    """By association, see `_mark`."""
    windows: dict[str, ReplayWindow] = field(default_factory=dict)


class EspDatabase:
    """The security associations of one node for the Mobility Header."""

    def __init__(
        self, local: IPv6Address, associations: Iterable[SecurityAssociation], reserved: Callable[[], None]
    ) -> None:
        """`reserved` is called when sequence numbers were reserved: it writes `saved_state` down before they go out."""
        known = list(associations)
        self._out = {sa.destination: sa for sa in known if sa.source == local}
        self._in = {sa.spi: sa for sa in known if sa.destination == local}
        self._protected = {sa.source for sa in self._in.values()}
        self._reserved = reserved
        self._memory = Memory()

    def requires(self, peer: IPv6Address) -> bool:
        """Whether what this peer sends must be protected."""
        return peer in self._protected

    def seal(self, message: bytes, destination: IPv6Address) -> bytes | None:
        """The Mobility Header as an ESP packet; None when there is no association with this node (Exhausted)."""
        association = self._out.get(destination)
        if association is None:
            return None
        numbers = self._memory.senders.setdefault(_mark(association), Sender())
        if numbers.used == LAST_SEQUENCE:
            raise Exhausted(f"no sequence number left for SPI {association.spi:#x}")
        numbers.used += 1
        if numbers.used > numbers.reserved:
            numbers.reserved = min(numbers.used + RESERVED_AHEAD, LAST_SEQUENCE)
            self._reserved()
        return push_esp(EspPacket(association.spi, numbers.used, NEXT_HEADER, message), association.key)

    def open(self, data: bytes, source: IPv6Address) -> bytes:
        """The Mobility Header in a genuine, new ESP packet (Unacceptable), in the order of RFC 4303 §3.4."""
        try:
            spi, sequence = pull_esp_header(data)
            association = self._in.get(spi)
            if association is None or association.source != source:
                raise Unacceptable("esp-unknown-spi", f"no association {spi:#x} with {source}")
            window = self._memory.windows.setdefault(_mark(association), ReplayWindow())
            if not window.fresh(sequence):
                raise Unacceptable("esp-replay", f"sequence {sequence} of {spi:#x} again, highest is {window.highest}")
            packet = pull_esp(data, association.key)
        except DecodeError as error:
            kind = "integrity" if error.kind is DecodeErrorKind.INTEGRITY else "malformed"
            raise Unacceptable(f"esp-{kind}", f"ESP: {error}") from error
        window.accept(sequence)
        if packet.next_header != NEXT_HEADER:  # outside the association's selector (RFC 4301 §5.2 step 4)
            raise Unacceptable("esp-selector", f"ESP with next header {packet.next_header}")
        return packet.payload

    def inspect(self) -> dict[str, Any]:
        """Sequence numbers by SPI."""
        memory = self._memory
        sent = {
            f"{sa.spi:#x}": memory.senders[_mark(sa)].used for sa in self._out.values() if _mark(sa) in memory.senders
        }
        highest = {
            f"{sa.spi:#x}": memory.windows[_mark(sa)].highest for sa in self._in.values() if _mark(sa) in memory.windows
        }
        return {"sent": sent, "highest_received": highest}

    def saved_state(self) -> dict[str, Any]:
        """What must survive a restart, as JSON-able data."""
        saved: dict[str, Any] = plain(self._memory)
        for numbers in saved["senders"].values():
            del numbers["used"]  # changes with every packet; what is reserved is what counts
        return saved

    def restore(self, saved: dict[str, Any]) -> None:
        """Go on where an earlier process may have stopped (PlainError if unfit)."""
        self._memory = build(Memory, saved, "saved ESP state")
        for numbers in self._memory.senders.values():
            numbers.used = numbers.reserved


def _mark(association: SecurityAssociation) -> str:
    """Names an association and its key without telling the key: new keys begin to count anew."""
    return f"{association.spi:x}-{hashlib.sha256(b'mark' + association.key).hexdigest()[:16]}"
