"""What a Client still has to say to the Server that it left: a Release for each delegation (spec MOB-7, MOB-10)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from agents.aero.client.delegation import Delegation, Phase
from agents.aero.client.lease import Lease
from agents.aero.constants import DEPART_TIME
from agents.aero.lladdr import LinkLayerAddress
from agents.aero.neighbors import Neighbor
from agents.wire.dhcpv6 import Message

Send = Callable[[Message, LinkLayerAddress, float], None]


class Farewell:
    """Releases what the old Server leased, four times at most, while packets under way through it still come in."""

    def __init__(
        self, server: Neighbor, lladdr: LinkLayerAddress, duid: bytes, leases: Sequence[tuple[int, Lease]], send: Send
    ) -> None:
        self.server = server
        self.lladdr = lladdr
        self._until: float | None = None
        self._delegations = [
            Delegation(
                duid,
                iaid,
                lambda message, now: send(message, lladdr, now),
                lambda _delegation, _now: None,
                lambda _delegation, _now: None,
            )
            for iaid, _lease in leases
        ]
        for each, (_iaid, lease) in zip(self._delegations, leases, strict=True):
            each.lease = Lease(dict(lease.prefixes), lease.server, lease.t1, lease.t2, lease.seen)

    def begin(self, now: float) -> None:
        """We are attached elsewhere: say goodbye."""
        self._until = now + DEPART_TIME
        for each in self._delegations:
            each.release(now)

    @property
    def begun(self) -> bool:
        """Whether goodbye was said."""
        return self._until is not None

    @property
    def releasing(self) -> bool:
        """Whether a Release still waits for its answer."""
        return any(each.phase is Phase.RELEASING for each in self._delegations)

    def receive(self, message: Message, now: float) -> str | None:
        """Take an answer of the old Server; the name of a counter when it is dropped."""
        refusals = [each.receive(message, now) for each in self._delegations]
        return None if None in refusals else refusals[0]

    def next_timer(self) -> float | None:
        """When a Release is due again, or all is over."""
        releasing = [each.next_timer() for each in self._delegations if each.phase is Phase.RELEASING]
        return min((due for due in releasing if due is not None), default=self._until)

    def handle_timer(self, now: float) -> bool:
        """Release again; whether all is over."""
        for each in self._delegations:
            due = each.next_timer()
            if each.phase is Phase.RELEASING and due is not None and due <= now:
                each.handle_timer(now)
        return self._until is not None and now >= self._until and not self.releasing
