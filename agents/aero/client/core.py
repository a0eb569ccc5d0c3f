"""The AERO Client's core: five doors over its delegations, its Server, and what its kernel must hold (spec CLI-*)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from ipaddress import IPv6Address, ip_network
from typing import Any

from agents.aero.addresses import ANYCAST, PRE_ATTACH, Prefix, in_use_elsewhere
from agents.aero.client.delegation import IPV4_IAID, IPV6_IAID, Delegation, Phase
from agents.aero.client.expecting import Expected
from agents.aero.client.farewell import Farewell
from agents.aero.client.identity import Identity
from agents.aero.client.models import plan
from agents.aero.config import ClientConfig, Model
from agents.aero.constants import (
    ALL_DHCP_SERVERS,
    DHCP_CLIENT_PORT,
    DHCP_SERVER_PORT,
    SERVER_KEEPALIVE,
    SERVER_KEEPALIVE_NAT,
)
from agents.aero.dataplane.sink import Control
from agents.aero.describing import describe
from agents.aero.dhcp_auth import sign
from agents.aero.discovery.core import Discovery
from agents.aero.inner_packets import UDP, Inner, pull_discovery, pull_inner, pull_udp, push_udp
from agents.aero.items import Plan, difference
from agents.aero.lladdr import Encapsulation, LinkLayerAddress, underlay_of
from agents.aero.neighbors import Neighbor, NeighborCache, NeighborType, Path
from agents.aero.notices import (
    AddressesChanged,
    ChangeServer,
    Controlled,
    Install,
    Notice,
    Remove,
    SendControl,
)
from agents.aero.optimisation.client import Correspondence
from agents.aero.optimisation.messages import read_mediation
from agents.aero.optimisation.pairs import Correspondent
from agents.core import Event
from agents.plain import PlainError, plain
from agents.wire.dhcpv6 import Message, pull_dhcpv6, push_dhcpv6
from agents.wire.errors import DecodeError
from agents.wire.nd import ICMPV6, NdMessage
from agents.wire.nd_options import Observed

PATIENCE = 3
"""Solicits without an answer after which the next Server of the list is tried."""
IAIDS = {"ipv6": IPV6_IAID, "ipv4": IPV4_IAID}


@dataclass
class _Choice:
    """The Server in use or being tried."""

    lladdr: LinkLayerAddress
    number: int
    neighbor: Neighbor | None = None


class ClientCore(Identity):
    """An AERO Client without sockets, kernel or clock."""

    def __init__(self, config: ClientConfig) -> None:
        super().__init__(config)
        self.cache = NeighborCache()
        self.counters: Counter[str] = Counter()
        wanted = Encapsulation[config.dataplane.encapsulation.upper()]
        self._discovery = Discovery(self.cache, self._outbox, self, wanted)
        self._discovery.when_failed = self._neighbor_failed
        self._discovery.own_addresses = lambda: self.addresses
        self.correspondence = Correspondence(self, self._discovery, self._outbox)
        self._discovery.when_observed = self._observed
        self._delegations = [self._delegation(IAIDS[family]) for family in config.families]
        self._replay = 0
        """Of DHCPv6 authentication: the last value sent."""
        self._choices = self._candidates()
        self._choice: _Choice | None = None
        self._moving = False
        """We are elsewhere, and the Server has not confirmed that it knows."""
        self._farewell: Farewell | None = None
        """To the Server that we are leaving; until we are attached elsewhere it is still ours."""
        self._expected = Expected(self.cache)
        self._plan: Plan = {}
        self._answering = PRE_ATTACH
        """AERO address of the Server whose answer is being read."""

    def _delegation(self, iaid: int) -> Delegation:
        duid = bytes.fromhex(self.config.duid)
        return Delegation(duid, iaid, self._send_dhcp, self._lease_changed, self._gave_up, self._acceptable)

    def _candidates(self) -> list[LinkLayerAddress]:
        """Each Server of the list by its first address that we have a link for (spec CLI-1)."""
        found = []
        for server in self.config.servers:
            lladdrs = [LinkLayerAddress(Encapsulation.UDP, ip, Encapsulation.UDP.port) for ip in server.addresses]
            found += [lladdr for lladdr in lladdrs if self.links.toward(lladdr)][:1]
        return found

    # --- doors

    def start(self, now: float) -> None:
        """Attach to the first Server of the list."""
        self._reconcile(now)
        self._attach(0, now)

    def stop(self, now: float) -> None:
        """Send correspondents back to their Servers; give everything back, one Release a delegation (spec CLI-17)."""
        self.correspondence.withdraw(now)
        for each in self._delegations:
            each.release(now)

    @property
    def releasing(self) -> bool:
        """Whether a Release still waits for its answer."""
        leaving = self._farewell is not None and self._farewell.releasing
        return leaving or any(each.phase is Phase.RELEASING for each in self._delegations)

    def receive(self, message: Notice, source: Any, now: float) -> None:
        """Take a control packet or a word of the underlay."""
        match message:
            case Controlled():
                self._receive_control(message.control, now)
            case ChangeServer():
                self._change_server(message.number, now)
            case AddressesChanged():
                self._addresses_changed(message, now)
            case _:
                self._discovery.hear(message, self.links, now)

    def handle_timer(self, now: float) -> None:
        """Leases, solicitations, probes."""
        for each in self._delegations:
            due = each.next_timer()
            if due is not None and due <= now:
                each.handle_timer(now)
        if self._farewell and self._farewell.handle_timer(now):
            self._drop_server(self._farewell.server)
            self._farewell = None
        self._discovery.handle_timer(now)
        self.correspondence.handle_timer(now)
        if len(self._choices) > 1 and self._choice:
            self._look_elsewhere(self._choice.number + 1, now)

    def next_timer(self) -> float | None:
        """When `handle_timer` has something to do."""
        due = [*(each.next_timer() for each in self._delegations), self._discovery.next_timer()]
        due += [self.correspondence.next_timer(), self._farewell.next_timer() if self._farewell else None]
        return min((t for t in due if t is not None), default=None)

    def actions(self) -> Iterator[Any]:
        """What to do now, in order."""
        return self._outbox.actions()

    def events(self) -> Iterator[Event]:
        """What happened since the last call."""
        return self._outbox.events()

    def inspect(self) -> dict[str, Any]:
        """Leases, Server, kernel items, counters."""
        return {
            "role": "client",
            "name": self.config.name,
            "model": self.config.model,
            "address": str(self.address),
            "prefixes": {str(prefix): ends for prefix, ends in self.prefixes.items()},
            "lladdr": str(self.seen),
            "nat": self.nat,
            "server": str(self._choice.lladdr) if self._choice else None,
            "delegations": {each.iaid: plain(each.phase) for each in self._delegations},
            "neighbors": [describe(neighbor) for neighbor in self.cache if neighbor.address != ANYCAST],
            "items": [f"{kind} {name}".strip() for kind, name in self._plan],
            "counters": dict(self.counters),
        }

    def switch(self, model: Model, now: float) -> None:
        """Become a host, a router or a hybrid while everything goes on (spec MODEL-5)."""
        if model != self.config.model:
            self.config = replace(self.config, model=model)
            self._outbox.say("model", model=model)
            self._reconcile(now)

    # --- what outlives the process

    def saved_state(self) -> dict[str, Any]:
        """The prefixes held last: they are asked for again. The last replay value: a Server takes only higher ones."""
        prefixes = {str(each.iaid): [str(prefix) for prefix in each.hint] for each in self._delegations}
        return {"prefixes": prefixes, **({"replay": self._replay} if self.config.auth_key else {})}

    def restore(self, saved: dict[str, Any], now: float) -> None:
        """Take up saved state, before `start` (PlainError if unfit)."""
        try:
            for each in self._delegations:
                each.hint = tuple(ip_network(text) for text in saved["prefixes"].get(str(each.iaid), ()))
            self._replay = int(saved.get("replay", 0))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise PlainError(f"saved state: prefixes: {error!r}") from error

    # --- Servers

    def _acceptable(self, prefix: Prefix) -> bool:
        """A prefix with an underlay address in it would lead outer packets into the tunnel (spec §11)."""
        servers = (address for server in self.config.servers for address in server.addresses)
        refused = in_use_elsewhere(prefix, (*self.links.addresses, *servers))
        if refused:
            self._outbox.say("prefix-refused", prefix=prefix)
        return not refused

    def _attach(self, number: int, now: float) -> None:
        """Solicit at a Server of the list, with the prefixes held so far as hints (spec CLI-11)."""
        if not self._choices:
            self._outbox.say("no-server", reason="no Server of the list has an address of a link's IP version")
            return
        number %= len(self._choices)
        self._choice = _Choice(self._choices[number], number)
        self._outbox.say("attaching", server=str(self._choice.lladdr))
        if self.prefixes:
            self._expected.begin(self._choice.lladdr, self.links.mtu(self._choice.lladdr))
        for each in self._delegations:
            each.attach(now)

    def _change_server(self, number: int, now: float) -> None:
        """Attach at another Server; the present one stays ours until that is done (spec MOB-7)."""
        old = self._choice
        if old and old.neighbor and self._farewell is None and number % len(self._choices) != old.number:
            duid = bytes.fromhex(self.config.duid)
            leases = [(each.iaid, each.lease) for each in self._delegations if each.lease.prefixes]
            self._farewell = Farewell(old.neighbor, old.lladdr, duid, leases, self._send_to)
            self._attach(number, now)

    def _look_elsewhere(self, number: int, now: float) -> None:
        """On to the next Server when nobody answers; with a lease that lives we keep the present one until attached.

        A Rebind is for any DHCPv6 server that may extend the lease (RFC 8415 §18.2.5): the others are behind the other
        Servers.
        """
        rebinding = [each.unanswered for each in self._delegations if each.phase is Phase.REBINDING]
        if self._unanswered() >= PATIENCE:
            self._attach(number, now)
        elif max(rebinding, default=0) > 1:
            self._change_server(number, now)

    def _unanswered(self) -> int:
        soliciting = [each.unanswered for each in self._delegations if each.phase is Phase.SOLICITING]
        return min(soliciting, default=0)

    def _gave_up(self, delegation: Delegation, now: float) -> None:
        self._outbox.say("request-unanswered", iaid=delegation.iaid)

    def _neighbor_failed(self, neighbor: Neighbor, now: float) -> None:
        if isinstance(neighbor, Correspondent):
            self.correspondence.path_failed(neighbor, now)
        else:
            self._server_failed(neighbor, now)

    def _server_failed(self, neighbor: Neighbor, now: float) -> None:
        """Three solicitations without an answer: on to the next Server (spec CLI-11)."""
        if self._choice is None or self._choice.neighbor is not neighbor:
            return
        self._outbox.say("server-failed", server=str(self._choice.lladdr))
        number = self._choice.number
        self._drop_server(neighbor)
        self._attach(number + 1, now)
        self._reconcile(now)

    def _drop_server(self, neighbor: Neighbor) -> None:
        self._discovery.forget(neighbor)
        self.cache.remove(neighbor.address)

    def _take_server(self, address: IPv6Address, now: float) -> None:
        """The static entry of the Server that answered (spec CLI-4)."""
        assert self._choice
        known = self.cache.get(address)
        if known and self._choice.neighbor is known:
            return
        leaving = self._farewell.server if self._farewell else None
        if leaving and leaving.address == address:  # nobody else answered: we stay
            self._farewell = leaving = None
        self._expected.end()
        for other in [each for each in self.cache if each.type is NeighborType.STATIC and each is not leaving]:
            self._drop_server(other)
        path = Path.to(self._choice.lladdr, self.links.mtu(self._choice.lladdr), last_received=now)
        server = Neighbor(address, NeighborType.STATIC, router=True, paths=[path])
        self.cache.add(server)
        self.cache.default = server
        self._choice.neighbor = server
        self._outbox.say("attached", server=address, lladdr=str(self._choice.lladdr))

    def _watch(self, now: float) -> None:
        """Keep the Server in sight, find out what fits, and which encapsulation it takes."""
        server = self._choice.neighbor if self._choice else None
        if server is None or server.path is None:
            return
        self._discovery.watch(server, SERVER_KEEPALIVE_NAT if self.nat else SERVER_KEEPALIVE, now)
        self._discovery.sizes.begin(server, server.path, now, base=True)
        if not self.nat:  # spec ENC-11
            self._discovery.encapsulations.improve(server, now)

    # --- DHCPv6

    def _send_dhcp(self, message: Message, now: float) -> None:
        if self._choice:
            self._send_to(message, self._choice.lladdr, now)

    def _send_to(self, message: Message, lladdr: LinkLayerAddress, now: float) -> None:
        if self.config.auth_key:
            self._replay = max(self._replay + 1, int(now * 65536))  # two at one moment, or a clock that stepped back
            message = sign(message, bytes.fromhex(self.config.auth_key), self._replay)
        source = self.address or PRE_ATTACH
        payload = push_dhcpv6(message)
        packet = push_udp(source, ALL_DHCP_SERVERS, DHCP_CLIENT_PORT, DHCP_SERVER_PORT, payload)
        self._outbox.do(SendControl(packet, lladdr))

    def _receive_control(self, control: Control, now: float) -> None:
        control = self._expected.unknown(control)
        try:
            inner = pull_inner(control.packet)
            if mediation := read_mediation(inner):
                mine = inner.destination in self.addresses
                dropped = self.correspondence.mediated(control, mediation, now) if mine else "nd_not_for_us"
            elif inner.next_header == UDP:
                dropped = self._receive_dhcp(control, inner, now)
            elif inner.next_header == ICMPV6 and (message := pull_discovery(inner)):
                dropped = self._discover(control, inner, message, now)
            else:
                dropped = "control_unexpected"
        except DecodeError:
            dropped = "control_malformed"
        if dropped:
            self.counters[dropped] += 1

    def _discover(self, control: Control, inner: Inner, message: NdMessage, now: float) -> str | None:
        admitted = self.correspondence.admit(control, inner, message, now)
        if isinstance(admitted, Control):
            return self._discovery.receive(admitted, inner, message, now)
        return admitted

    def _receive_dhcp(self, control: Control, inner: Inner, now: float) -> str | None:
        """An answer counts only from where the request went (spec CLI-3)."""
        datagram = pull_udp(inner)
        if datagram.destination_port != DHCP_CLIENT_PORT or self._choice is None:
            return "dhcp_port"
        old = self._farewell if self._farewell and control.lladdr == self._farewell.lladdr else None
        if control.lladdr != self._choice.lladdr and old is None:
            return "dhcp_origin"
        message = pull_dhcpv6(datagram.payload)
        if not isinstance(message, Message):
            return "dhcp_type"
        if old and control.lladdr != self._choice.lladdr:
            return old.receive(message, now)
        self._answering = inner.source
        refusals = [each.receive(message, now) for each in self._delegations]
        return None if None in refusals else refusals[0]

    def _lease_changed(self, delegation: Delegation, now: float) -> None:
        """A Reply was taken, or a prefix ended."""
        if delegation.phase is Phase.BOUND and self._choice:
            new = self._choice.neighbor is None
            self._take_server(self._answering, now)
            elsewhere = self._learn_lladdr(delegation.lease.seen, self._choice.lladdr)
            if elsewhere and not self._moving:  # the NAT in front of us changed its mind: peers see us there, too
                self.correspondence.moved(now)
            if new or self._moving:
                self._watch(now)
            self._moving = False
            if self._farewell and not self._farewell.begun and all(each.attached for each in self._delegations):
                self._farewell.begin(now)
        self._outbox.say("prefixes", prefixes=[str(prefix) for prefix in self.prefixes], iaid=delegation.iaid)
        self.correspondence.prune(self.prefixes)
        self.cache.changed()
        self._reconcile(now)

    def _observed(self, neighbor: Neighbor, observed: Observed, now: float) -> None:
        """The Server sees us elsewhere than it was told: tell it, by Renew (spec CLI-10)."""
        if self._choice is None or neighbor is not self._choice.neighbor or self.seen is None:
            return
        if observed.encapsulation != Encapsulation.UDP:
            return
        lladdr = LinkLayerAddress(Encapsulation.UDP, underlay_of(observed.ip), observed.port)
        if lladdr != self.seen:
            self._outbox.say("rebinding-noticed", seen=str(lladdr), known=str(self.seen))
            for each in self._delegations:
                each.renew(now)

    # --- moving

    def _addresses_changed(self, changed: AddressesChanged, now: float) -> None:
        """The underlay gave us other addresses: where we are seen is another link-layer address (spec MOB-1)."""
        lladdr = self._choice.lladdr if self._choice else None
        before = self.links.own(lladdr) if lladdr else None
        self.links.learn_addresses(changed.interface, changed.addresses)
        own = self.links.own(lladdr) if lladdr else None
        if own is None or own == before or lladdr is None:
            return
        self._outbox.say("moved", own=str(own), before=str(before) if before else None)
        self._moving, self.seen = True, own
        server = self._choice.neighbor if self._choice else None
        if server:
            self._discovery.solicitations.forget(server)
            self.cache.set_paths(server, [Path.to(lladdr, self.links.mtu(lladdr), last_received=now)])
        for each in self._delegations:
            each.moved(now)
        self.correspondence.moved(now)

    # --- kernel

    def _reconcile(self, now: float) -> None:
        attached = self.cache.default is not None
        new = plan(self.config, self.prefixes, attached=attached, now=now)
        install, remove = difference(self._plan, new)
        self._plan = new
        if remove:
            self._outbox.do(Remove(tuple(remove)))
        if install:
            self._outbox.do(Install(tuple(install)))
