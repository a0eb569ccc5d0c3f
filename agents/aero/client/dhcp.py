"""The Client's DHCPv6: it Solicits, Requests, Renews, Rebinds and Releases inside the tunnel (spec §6.9, CLI-2, CLI-3).

Each family of addresses has a `Delegation`, the state machine behind these messages; the Server that was left has a
`Farewell`.  What both say is signed, packed and sent here, and what comes back finds its way to them.
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv6Address, ip_network
from typing import Any

from agents.aero.addresses import PRE_ATTACH, Prefix, is_routers
from agents.aero.client.delegation import IPV4_IAID, IPV6_IAID, Delegation, Phase
from agents.aero.client.farewell import Farewell
from agents.aero.config import ClientConfig
from agents.aero.constants import ALL_DHCP_SERVERS, DHCP_CLIENT_PORT, DHCP_SERVER_PORT
from agents.aero.dataplane.sink import Control
from agents.aero.dhcp_auth import sign
from agents.aero.inner_packets import Inner, pull_udp, push_udp
from agents.aero.lladdr import LinkLayerAddress
from agents.aero.neighbors import Neighbor
from agents.aero.notices import SendControl
from agents.core import Outbox, WallClock
from agents.plain import PlainError
from agents.timers import earliest
from agents.wire.dhcpv6 import Message, pull_dhcpv6, push_dhcpv6

IAIDS = {"ipv6": IPV6_IAID, "ipv4": IPV4_IAID}


class Dhcp:
    """All that a Client asks of the DHCPv6 servers behind its Servers."""

    def __init__(
        self,
        config: ClientConfig,
        outbox: Outbox,
        source: Callable[[], IPv6Address | None],
        acceptable: Callable[[Prefix], bool],
        wall: WallClock,
    ) -> None:
        """`source` is our AERO address while we have one; `acceptable` tells of a prefix whether we can have it; by the
        `wall` clock replay values rise, also over a loss of all that was saved."""
        self._duid = bytes.fromhex(config.duid)
        self._key = bytes.fromhex(config.auth_key)
        self._outbox = outbox
        self._source = source
        self._acceptable = acceptable
        self._wall = wall
        self._replay = 0
        """Of DHCPv6 authentication: the last value sent."""
        self.delegations = [self._delegation(IAIDS[family]) for family in config.families]
        self.server: LinkLayerAddress | None = None
        """Of the Server that is asked."""
        self.answering = PRE_ATTACH
        """AERO address of the Server whose answer is being read, or was taken last."""
        self.farewell: Farewell | None = None
        """To the Server that we are leaving; until we are attached elsewhere it is still ours."""
        self.when_changed: Callable[[Delegation, float], None] = lambda _delegation, _now: None
        """A Reply was taken, or a prefix ended."""
        self.when_left: Callable[[Neighbor], None] = lambda _server: None
        """All is said to the Server that we left."""

    def _delegation(self, iaid: int) -> Delegation:
        return Delegation(self._duid, iaid, self._ask, self._changed, self._gave_up, self._acceptable)

    # --- what the Client wants

    def attach(self, server: LinkLayerAddress, now: float) -> None:
        """Solicit at a Server, with the prefixes held so far as hints (spec CLI-11)."""
        self.server = server
        for each in self.delegations:
            each.attach(now)

    def renew(self, now: float) -> None:
        """Renew at once, e.g. because the Server sees us elsewhere (spec CLI-10)."""
        for each in self.delegations:
            each.renew(now)

    def moved(self, now: float) -> None:
        """Tell the Server at once that we are elsewhere (spec MOB-1)."""
        for each in self.delegations:
            each.moved(now)

    def release(self, now: float) -> None:
        """Give everything back, one Release a delegation (spec CLI-17)."""
        for each in self.delegations:
            each.release(now)

    def prepare_leaving(self, server: Neighbor, lladdr: LinkLayerAddress) -> None:
        """Keep what is to be released at the present Server once another one has leased it (spec MOB-7)."""
        leases = [(each.iaid, each.lease) for each in self.delegations if each.lease.prefixes]
        self.farewell = Farewell(server, lladdr, self._duid, leases, self._send)

    def leave(self, now: float) -> None:
        """Say goodbye to the old Server as soon as the new one has leased all."""
        if self.farewell and not self.farewell.begun and all(each.attached for each in self.delegations):
            self.farewell.begin(now)

    def settle_for_less(self, now: float) -> None:
        """Go on without what only the old Server had; it must know that we left all the same (spec MOB-7)."""
        if self.farewell and not self.farewell.begun:
            self.farewell.begin(now)
            for each in self.delegations:
                if not each.attached:
                    each.abandon(now)

    @property
    def releasing(self) -> bool:
        """Whether a Release still waits for its answer."""
        leaving = self.farewell is not None and self.farewell.releasing
        return leaving or any(each.phase is Phase.RELEASING for each in self.delegations)

    @property
    def attached(self) -> bool:
        """Whether the Server in use leased anything."""
        return any(each.attached for each in self.delegations)

    def unanswered(self, phase: Phase, now: float) -> list[int]:
        """How often each message of a phase was sent in vain."""
        return [each.unanswered(now) for each in self.delegations if each.phase is phase]

    # --- time

    def next_timer(self) -> float | None:
        """When `handle_timer` has something to do."""
        return earliest(*self.delegations, *([self.farewell] if self.farewell else []))

    def handle_timer(self, now: float) -> None:
        """Renew, rebind, expire, send again."""
        for each in self.delegations:
            due = each.next_timer()
            if due is not None and due <= now:
                each.handle_timer(now)
        if self.farewell and self.farewell.handle_timer(now):
            self.when_left(self.farewell.server)
            self.farewell = None

    # --- what outlives the process

    def saved_state(self) -> dict[str, Any]:
        """The prefixes held last: they are asked for again. The last replay value: a Server takes only higher ones."""
        prefixes = {str(each.iaid): [str(prefix) for prefix in each.hint] for each in self.delegations}
        return {"prefixes": prefixes, **({"replay": self._replay} if self._key else {})}

    def restore(self, saved: dict[str, Any]) -> None:
        """Take up saved state (PlainError if unfit)."""
        try:
            for each in self.delegations:
                each.hint = tuple(ip_network(text) for text in saved["prefixes"].get(str(each.iaid), ()))
            self._replay = int(saved.get("replay", 0))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise PlainError(f"saved state: prefixes: {error!r}") from error

    # --- messages

    def receive(self, control: Control, inner: Inner, now: float) -> str | None:
        """Take an answer, from where its question went only (spec CLI-3); a counter's name when it is dropped."""
        datagram = pull_udp(inner)
        if datagram.destination_port != DHCP_CLIENT_PORT or self.server is None:
            return "dhcp_port"
        old = self.farewell if self.farewell and control.lladdr == self.farewell.lladdr else None
        if control.lladdr != self.server and old is None:
            return "dhcp_origin"
        message = pull_dhcpv6(datagram.payload)
        if not isinstance(message, Message):
            return "dhcp_type"
        if old and control.lladdr != self.server:
            return old.receive(message, now)
        if not is_routers(inner.source):
            return "dhcp_source"
        before, self.answering = self.answering, inner.source
        refusals = [each.receive(message, now) for each in self.delegations]
        if None in refusals:
            return None
        self.answering = before  # nobody asked, or it is no answer
        return refusals[0]

    def _ask(self, message: Message, now: float) -> None:
        if self.server:
            self._send(message, self.server, now)

    def _send(self, message: Message, lladdr: LinkLayerAddress, now: float) -> None:
        if self._key:
            # Two at one moment, or a clock that stepped back: it rises all the same.
            self._replay = max(self._replay + 1, int(self._wall.at(now) * 65536))
            message = sign(message, self._key, self._replay)
        payload = push_dhcpv6(message)
        source = self._source() or PRE_ATTACH
        packet = push_udp(source, ALL_DHCP_SERVERS, DHCP_CLIENT_PORT, DHCP_SERVER_PORT, payload)
        self._outbox.do(SendControl(packet, lladdr))

    def _changed(self, delegation: Delegation, now: float) -> None:
        self.when_changed(delegation, now)

    def _gave_up(self, delegation: Delegation, now: float) -> None:
        self._outbox.say("request-unanswered", iaid=delegation.iaid)
