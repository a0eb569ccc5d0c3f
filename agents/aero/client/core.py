"""The AERO Client's core: five doors over its delegations, its Server, and what its kernel must hold (spec CLI-*)."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

from agents.aero.addresses import ANYCAST, Prefix, in_use_elsewhere
from agents.aero.client.attachment import Attachment
from agents.aero.client.delegation import Delegation, Phase
from agents.aero.client.dhcp import Dhcp
from agents.aero.client.identity import Identity
from agents.aero.client.models import plan
from agents.aero.config import ClientConfig, Model
from agents.aero.constants import (
    SERVER_KEEPALIVE,
    SERVER_KEEPALIVE_NAT,
)
from agents.aero.dataplane.sink import Control
from agents.aero.describing import describe
from agents.aero.discovery.core import Discovery
from agents.aero.inner_packets import UDP, Inner, pull_discovery, pull_inner
from agents.aero.items import Plan, difference
from agents.aero.lladdr import Encapsulation, LinkLayerAddress, underlay_of
from agents.aero.neighbors import Neighbor, NeighborCache
from agents.aero.notices import (
    AddressesChanged,
    ChangeServer,
    Controlled,
    Install,
    Notice,
    Remove,
    Unaccepted,
)
from agents.aero.optimisation.client import Correspondence
from agents.aero.optimisation.messages import read_mediation
from agents.aero.optimisation.pairs import Correspondent
from agents.plain import plain
from agents.timers import earliest
from agents.wire.errors import DecodeError
from agents.wire.nd import ICMPV6, NdMessage
from agents.wire.nd_options import Observed


class ClientCore(Identity):
    """An AERO Client without sockets, kernel or clock."""

    def __init__(self, config: ClientConfig) -> None:
        super().__init__(config)
        self.cache = NeighborCache()
        self.counters: Counter[str] = Counter()
        wanted = Encapsulation[config.dataplane.encapsulation.upper()]
        self._discovery = Discovery(self.cache, self._outbox, self, wanted)
        self._discovery.when_failed = self._neighbor_failed
        self._discovery.encapsulations.behind_nat = lambda: self.nat
        self._discovery.own_addresses = lambda: self.addresses
        self.correspondence = Correspondence(self, self._discovery, self._outbox)
        self._discovery.when_observed = self._observed
        self._dhcp = Dhcp(config, self._outbox, lambda: self.address, self._acceptable, self.wall)
        self._dhcp.when_changed = self._lease_changed
        self._delegations = self._dhcp.delegations
        self._attachment = Attachment(config, self.links, self._dhcp, self._discovery, self._outbox)
        self._moving = False
        """We are elsewhere, and the Server has not confirmed that it knows."""
        self._plan: Plan = {}

    # --- doors

    def start(self, now: float) -> None:
        """Attach to the first Server of the list."""
        self._reconcile(now)
        self._attachment.attach(0, now)

    def stop(self, now: float) -> None:
        """Send correspondents back to their Servers; give everything back, one Release a delegation (spec CLI-17)."""
        self.correspondence.withdraw(now)
        self._dhcp.release(now)

    @property
    def releasing(self) -> bool:
        """Whether a Release still waits for its answer."""
        return self._dhcp.releasing

    def receive(self, message: Notice, source: Any, now: float) -> None:
        """Take a control packet or a word of the underlay."""
        match message:
            case Controlled():
                self._receive_control(message.control, now)
            case ChangeServer():
                self._attachment.change(message.number, now)
            case Unaccepted():
                self.correspondence.refusals.refused(message, now)
            case AddressesChanged():
                self._addresses_changed(message, now)
            case _:
                self._discovery.hear(message, self.links, now)

    def handle_timer(self, now: float) -> None:
        """Leases, solicitations, probes."""
        self._attachment.handle_timer(now)  # first: it may make the next transmission needless
        self._dhcp.handle_timer(now)
        self._discovery.handle_timer(now)
        self.correspondence.handle_timer(now)

    def next_timer(self) -> float | None:
        """When `handle_timer` has something to do."""
        return earliest(self._dhcp, self._discovery, self.correspondence)

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
            "server": str(self._dhcp.server) if self._dhcp.server else None,
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
        """What the DHCPv6 servers will be asked for again."""
        return self._dhcp.saved_state()

    def restore(self, saved: dict[str, Any], now: float) -> None:
        """Take up saved state, before `start` (PlainError if unfit)."""
        self._dhcp.restore(saved)

    # --- Servers

    def _acceptable(self, prefix: Prefix) -> bool:
        """A prefix with an underlay address in it would lead outer packets into the tunnel (spec §11)."""
        servers = (address for server in self.config.servers for address in server.addresses)
        refused = in_use_elsewhere(prefix, (*self.links.addresses, *servers))
        if refused:
            self._outbox.say("prefix-refused", prefix=prefix)
        return not refused

    def _neighbor_failed(self, neighbor: Neighbor, now: float) -> None:
        if isinstance(neighbor, Correspondent):
            self.correspondence.path_failed(neighbor, now)
        elif self._attachment.failed(neighbor, now):
            self._reconcile(now)

    def _watch(self, now: float) -> None:
        """Keep the Server in sight, find out what fits, and which encapsulation it takes."""
        server = self._attachment.server
        if server is None or server.path is None:
            return
        self._discovery.watch(server, SERVER_KEEPALIVE_NAT if self.nat else SERVER_KEEPALIVE, now)
        self._discovery.sizes.begin(server, server.path, now, base=True)
        if self.nat:  # spec ENC-11
            self._discovery.encapsulations.leave(server, now)
        else:
            self._discovery.encapsulations.improve(server, now)

    # --- messages

    def _receive_control(self, control: Control, now: float) -> None:
        control = self._attachment.expected.unknown(control)
        try:
            inner = pull_inner(control.packet)
            if mediation := read_mediation(inner):
                mine = inner.destination in self.addresses
                dropped = self.correspondence.mediated(control, mediation, now) if mine else "nd_not_for_us"
            elif inner.next_header == UDP:
                dropped = self._dhcp.receive(control, inner, now)
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

    def _lease_changed(self, delegation: Delegation, now: float) -> None:
        """A Reply was taken, or a prefix ended."""
        if delegation.phase is Phase.BOUND and self._dhcp.server:
            new, nat = self._attachment.server is None, self.nat
            self._attachment.take(self._dhcp.answering, now)
            elsewhere = self._learn_lladdr(delegation.lease.seen, self._dhcp.server)
            if elsewhere and not self._moving:  # the NAT in front of us changed its mind: peers see us there, too
                self.correspondence.moved(now)
            if new or self._moving or self.nat != nat:
                self._watch(now)
            self._moving = False
            self.correspondence.confirmed(now)
            self._dhcp.leave(now)
        self._outbox.say("prefixes", prefixes=[str(prefix) for prefix in self.prefixes], iaid=delegation.iaid)
        self.correspondence.prune(self.prefixes)
        self.cache.changed()
        self._reconcile(now)

    def _observed(self, neighbor: Neighbor, observed: Observed, now: float) -> None:
        """The Server sees us elsewhere than it was told: tell it, by Renew (spec CLI-10)."""
        if neighbor is not self._attachment.server or self.seen is None:
            return
        if observed.encapsulation != Encapsulation.UDP:
            return
        lladdr = LinkLayerAddress(Encapsulation.UDP, underlay_of(observed.ip), observed.port)
        if lladdr != self.seen:
            self._outbox.say("rebinding-noticed", seen=str(lladdr), known=str(self.seen))
            self._dhcp.renew(now)

    # --- moving

    def _addresses_changed(self, changed: AddressesChanged, now: float) -> None:
        """The underlay gave us other addresses: where we are seen is another link-layer address (spec MOB-1)."""
        lladdr = self._dhcp.server
        before = self.links.own(lladdr) if lladdr else None
        self.links.learn_addresses(changed.interface, changed.addresses)
        if lladdr is None:  # there was no way to any Server
            self._attachment.attach(0, now)
            return
        own = self.links.own(lladdr)
        if own is None or own == before:
            return
        self._outbox.say("moved", own=str(own), before=str(before) if before else None)
        self._moving, self.seen = True, own
        self._attachment.begin_anew(now)
        self._dhcp.moved(now)
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
