"""How a node's signalling is protected (spec SEC-1 to SEC-3): the channel that each kind gives the shell."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from ipaddress import IPv6Address
from pathlib import Path
from typing import Any, Protocol

from agents.dgw.actions import Discarded, MobilityDatagram, PeerRefused
from agents.dgw.config import Protection
from agents.dgw.esp import EspDatabase, Unacceptable
from agents.kernel.netlink import KernelError
from agents.kernel.rawsocket import MOBILITY_HEADER, MobilitySocket, Received
from agents.kernel.xfrm import Xfrm, unavailable
from agents.store import StateFile
from agents.wire.esp import PROTOCOL as ESP
from agents.wire.esp import SecurityAssociation

Heard = MobilityDatagram | PeerRefused | Discarded


class Channel(Protocol):
    """Where Mobility Headers come in and go out."""

    method: str
    """The method in use: never auto."""

    def sockets(self) -> list[MobilitySocket]:
        """What to read when readable."""

    def read(self, which: MobilitySocket) -> Iterator[Heard]:
        """Everything there is to read, refusals of peers included."""

    def send(self, message: bytes, destination: IPv6Address) -> None:
        """Send one Mobility Header (KernelError, Exhausted)."""

    def settle(self) -> None:
        """After a turn: write down what must survive a restart."""

    def inspect(self) -> dict[str, Any]:
        """Method, and its counters."""


class PlainChannel:
    """Mobility Headers on a protocol-135 socket: in the clear, or protected below it by the kernel."""

    def __init__(self, method: str, local: IPv6Address, statistics: Callable[[], dict[str, Any]] = dict) -> None:
        self.method = method
        self._socket = MobilitySocket(local)
        self._statistics = statistics

    def sockets(self) -> list[MobilitySocket]:
        """The one."""
        return [self._socket]

    def read(self, which: MobilitySocket) -> Iterator[Heard]:
        """Datagrams whose checksum (and protection) the kernel verified."""
        while (received := which.receive()) is not None:
            yield _datagram(received, received.data)
        yield from _refusals(which)

    def send(self, message: bytes, destination: IPv6Address) -> None:
        """Send; the kernel fills in the checksum."""
        self._socket.send(message, destination)

    def settle(self) -> None:
        """Nothing to remember: the kernel's associations outlive us."""

    def inspect(self) -> dict[str, Any]:
        """The kernel's own counters."""
        return {"method": self.method, "refused": self._statistics()}


class EspChannel:
    """Mobility Headers inside ESP on a protocol-50 socket; in the clear only from and to those without association.

    The protocol-135 socket stays open for these, for counting what comes unprotected, and because a kernel without
    one would tell peers that we know no Mobility Header.
    """

    method = "esp"

    def __init__(self, local: IPv6Address, associations: tuple[SecurityAssociation, ...], state: StateFile) -> None:
        """PlainError for unfit saved state, KernelError."""
        self._state = state
        self._database = EspDatabase(local, associations, self.settle)
        saved = state.load()
        if saved is not None:
            self._database.restore(saved)
        self._clear = MobilitySocket(local)
        self._esp = MobilitySocket(local, ESP)

    def sockets(self) -> list[MobilitySocket]:
        """Protected and clear."""
        return [self._esp, self._clear]

    def read(self, which: MobilitySocket) -> Iterator[Heard]:
        """Genuine messages; the rest is to be counted (spec §10, first row)."""
        while (received := which.receive()) is not None:
            yield self._opened(received) if which is self._esp else self._unprotected(received)
        yield from _refusals(which)

    def _opened(self, received: Received) -> Heard:
        try:
            message = self._database.open(received.data, received.source)
        except Unacceptable as error:
            return Discarded(received.source, error.counter, str(error))
        return _datagram(received, message, summed=False)

    def _unprotected(self, received: Received) -> Heard:
        if self._database.requires(received.source):
            return Discarded(received.source, "unprotected", "a Mobility Header without the ESP that is required")
        return _datagram(received, received.data)

    def send(self, message: bytes, destination: IPv6Address) -> None:
        """Send inside ESP, or in the clear to a node without association (a stranger's 154)."""
        sealed = self._database.seal(message, destination)
        if sealed is None:
            self._clear.send(message, destination)
        else:
            self._esp.send(sealed, destination)

    def settle(self) -> None:
        """Write reserved numbers and windows down."""
        self._state.save(self._database.saved_state())

    def inspect(self) -> dict[str, Any]:
        """Sequence numbers by SPI."""
        return {"method": self.method, **self._database.inspect()}


def open_channel(
    protection: Protection, local: IPv6Address, associations: tuple[SecurityAssociation, ...], state: Path
) -> Channel:
    """The channel for a kind of protection; an earlier agent's kernel state is adopted or swept (KernelError)."""
    if protection == "auto":
        protection = "esp" if unavailable() else "xfrm"
    if protection == "xfrm":
        xfrm = Xfrm()
        xfrm.adopt(local, associations, MOBILITY_HEADER)
        return PlainChannel("xfrm", local, xfrm.statistics)
    _sweep(local)
    if protection in ("off", "external"):
        return PlainChannel(protection, local)
    return EspChannel(local, associations, StateFile(state.with_suffix(".esp.json")))


def _sweep(local: IPv6Address) -> None:
    """An earlier agent of this node may have used the kernel's ESP; its policies would drop what we send."""
    try:
        xfrm = Xfrm()
    except KernelError:
        return  # a kernel without the transformation framework holds none
    xfrm.adopt(local, (), MOBILITY_HEADER)
    xfrm.close()


def _datagram(received: Received, message: bytes, *, summed: bool = True) -> MobilityDatagram:
    return MobilityDatagram(
        message, received.source, received.destination, received.hop_limit, received.extensions, summed
    )


def _refusals(which: MobilitySocket) -> Iterator[PeerRefused]:
    return (PeerRefused(refusal.peer) for refusal in which.refusals() if refusal.no_mobility)
