"""What all procedures of a gateway share: its state, its doors, and turning state into forwarding."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from ipaddress import IPv6Address, IPv6Network

from agents.core import Outbox
from agents.dgw.actions import Install, Remove, Send
from agents.dgw.authority import Authority
from agents.dgw.config import GatewayConfig, Peer, Profile
from agents.dgw.exchanges import Exchange, Exchanges
from agents.dgw.forwarding import Dlif, Plan, difference
from agents.dgw.freshness import Stamper
from agents.dgw.gateway import local
from agents.dgw.gateway.advertiser import Advertiser
from agents.dgw.gateway.plan import items, serving_dlifs
from agents.dgw.gateway.state import Farewell, GatewayState, MobileNode
from agents.dgw.pool import PrefixPool
from agents.dgw.reception import Reception
from agents.dgw.records import AnchorRecord
from agents.dgw.validation import Support
from agents.timers import Timers
from agents.wire.mobility import MobilityMessage, push_mobility
from agents.wire.mobility_codes import DFlagProfile


class GatewayBase:
    """Shared by the serving and the anchoring side; holds no procedure of its own."""

    def __init__(self, config: GatewayConfig) -> None:
        self.config = config
        self.outbox = Outbox()
        self.state = GatewayState(PrefixPool(config.pool, config.local_prefixes))
        self.timers: Timers[tuple[str, str]] = Timers()
        """(procedure, MN-ID)"""
        self.exchanges = Exchanges(config.timing, self.outbox)
        self.advertiser = Advertiser(config, self.outbox, self._said)
        self.stamper = Stamper()
        self.reception = Reception(
            config.address, self.dflag_profile, self.outbox, distributed=config.dgw_support, errors=config.timing.errors
        )
        self.support = Support(config.dgw_support, config.accept_legacy)
        self.peers: dict[IPv6Address, Peer] = {peer.address: peer for peer in config.peers}
        self.profiles: dict[str, Profile] = {profile.mn_id: profile for profile in config.profiles}
        self.authority = Authority(self.peers, self.profiles, own=config.pool, closed=not config.roaming)
        self.profiles_by_mac = {profile.mac: profile for profile in config.profiles}
        self.plan: Plan = {}
        self.registering: Callable[[str], bool] = lambda mn_id: self.exchanges.find(config.cmd, mn_id) is not None
        """Whether the CMD (direct mode: the repository) may not know yet that a node is here."""
        self.farewells: dict[str, Farewell] = {}
        """DLIFs that withdraw their prefix before they go, by name."""
        self.answered: dict[str, Exchange] = {}
        """The last update about each node that was answered: more answers to it may come (spec CMD-RELAY-4)."""
        self.when_forgotten: list[Callable[[MobileNode, float], None]] = []
        """Called when the last trace of a node goes."""
        self.when_parted: list[Callable[[Farewell, float], None]] = []
        """Called when a node was told of the end of a prefix; its DLIF goes next."""

    def dflag_profile(self, address: IPv6Address) -> DFlagProfile:
        """Where this peer has its D flag."""
        peer = self.peers.get(address)
        return DFlagProfile(peer.dflag_profile if peer else self.config.dflag_profile)

    def push(self, message: MobilityMessage, destination: IPv6Address) -> bytes:
        """The message's octets for this destination."""
        return push_mobility(message, self.config.address, destination, profile=self.dflag_profile(destination))

    def send(self, message: MobilityMessage, destination: IPv6Address) -> None:
        """Send at once, outside any exchange (answers)."""
        self.outbox.do(Send(destination, self.push(message, destination)))

    def owner(self, prefix: IPv6Network) -> Peer | None:
        """The gateway out of whose pool a prefix is."""
        return next((peer for peer in self.peers.values() if prefix.subnet_of(peer.pool)), None)

    @property
    def lma(self) -> IPv6Address | None:
        """The home LMA, which stands for gateways of other operators; None without roaming."""
        return self.config.cmd if self.config.roaming else None

    def own_record(self, node: MobileNode) -> AnchorRecord:
        """What others need to know of the prefix that this gateway anchors for the node."""
        if node.own is None:
            raise ValueError(f"{node.mn_id} has no prefix here")
        networks = self.config.local_prefixes if node.local_access else ()
        return AnchorRecord(self.config.address, node.own.prefix, node.own.identity, networks)

    def reconcile(self, now: float, between: Callable[[], None] | None = None) -> None:
        """Bring kernel and RAs in line with the state: install, then `between` (an answer), then tear down.

        Answering before the teardown keeps a peer from waiting for macvlans to go (tens of milliseconds).
        """
        self._drop_farewells()
        new = items(self.state.nodes.values(), self.config, self.farewells.values())
        install, remove = difference(self.plan, new)
        self.plan = new
        if install:
            self.outbox.do(Install(tuple(install)))
        if between:
            between()
        self.advertiser.update(self.state.nodes.values(), self.farewells.values(), now)
        if remove:
            self.outbox.do(Remove(tuple(remove)))
        for node in self.served_nodes():
            self._watch_anchors(node, now)

    def _watch_anchors(self, node: MobileNode, now: float) -> None:
        """Come back when an anchor's binding ends, or a route option would outlive it (spec LIPA-9)."""
        key = ("anchors", node.mn_id)
        due = local.next_change(node, self.config.advertisements.route_lifetime, now)
        ends = [anchor.expires for anchor in node.anchors if anchor.active and anchor.expires is not None]
        due = min([*ends, *([due] if due is not None else [])], default=None)
        if due is None or not node.attached:
            self.timers.cancel(key)
        elif due != self.timers.due(key):
            self.timers.set(key, due)

    def part(self, node: MobileNode, prefix: IPv6Network) -> None:
        """A prefix of a node ends while the node stays: withdraw it before its DLIF goes (spec RA-15, §6 S5).

        To be called while the node's binding is still there; it may be deleted right afterwards.  Nothing happens
        when the node is not here or was never told of the prefix.
        """
        for dlif in serving_dlifs(node, self.config):
            if dlif.prefix == prefix and node.serving and node.attached and self.advertiser.advertises(dlif.name):
                anchor = node.anchor(prefix)
                routes = local.offered(node, anchor) if anchor else ()
                self.farewells[dlif.name] = Farewell(node.mn_id, node.mac, node.client, dlif, routes)
                self.outbox.say("prefix-withdrawn", mn_id=node.mn_id, prefix=prefix, dlif=dlif.name)

    def part_with(self, node: MobileNode) -> None:
        """All prefixes of a node end while the node stays."""
        for dlif in list(serving_dlifs(node, self.config)):
            self.part(node, dlif.prefix)

    def _said(self, dlif: str, now: float) -> None:
        """All RAs that had to withdraw something left: end the farewell, if it was one."""
        farewell = self.farewells.pop(dlif, None)
        if farewell:
            for callback in self.when_parted:
                callback(farewell, now)
        self.reconcile(now)

    def _drop_farewells(self) -> None:
        """A node that left is told nothing (spec RA-10), nor is one whose DLIF is in use again."""
        for name, farewell in list(self.farewells.items()):
            node = self.state.nodes.get(farewell.mn_id)
            used = node and node.serving and any(dlif.name == name for dlif in serving_dlifs(node, self.config))
            if used or (node and not node.attached):
                del self.farewells[name]

    def station_left(self, mac: str, now: float) -> None:
        """Nobody is there any more to say farewell to."""
        gone = [name for name, farewell in self.farewells.items() if farewell.mac == mac]
        for name in gone:
            del self.farewells[name]
        if gone:
            self.reconcile(now)

    def dlifs_of(self, mac: str) -> Iterator[tuple[str, Dlif]]:
        """(MN-ID, DLIF) of everything that speaks to this station."""
        for node in self.served_nodes():
            if node.mac == mac:
                yield from ((node.mn_id, dlif) for dlif in serving_dlifs(node, self.config))
        yield from ((f.mn_id, f.dlif) for f in self.farewells.values() if f.mac == mac)

    def served_nodes(self) -> Iterator[MobileNode]:
        """Nodes whose serving gateway this is."""
        return (node for node in self.state.nodes.values() if node.serving)
