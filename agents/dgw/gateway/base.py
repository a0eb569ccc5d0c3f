"""What all procedures of a gateway share: its state, its doors, and turning state into forwarding."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from ipaddress import IPv6Address, IPv6Network

from agents.core import Outbox
from agents.dgw.actions import Install, Remove, Send
from agents.dgw.authority import Authority
from agents.dgw.config import GatewayConfig, Peer, Profile
from agents.dgw.exchanges import Exchanges
from agents.dgw.forwarding import Plan, difference
from agents.dgw.freshness import Stamper
from agents.dgw.gateway.advertiser import Advertiser
from agents.dgw.gateway.plan import items
from agents.dgw.gateway.state import GatewayState, MobileNode
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
        self.advertiser = Advertiser(config, self.outbox)
        self.stamper = Stamper()
        self.reception = Reception(config.address, self.dflag_profile, self.outbox, distributed=config.dgw_support)
        self.support = Support(config.dgw_support, config.accept_legacy)
        self.peers: dict[IPv6Address, Peer] = {peer.address: peer for peer in config.peers}
        self.profiles: dict[str, Profile] = {profile.mn_id: profile for profile in config.profiles}
        self.authority = Authority(self.peers, self.profiles)
        self.profiles_by_mac = {profile.mac: profile for profile in config.profiles}
        self.plan: Plan = {}
        self.registering: Callable[[str], bool] = lambda mn_id: self.exchanges.find(config.cmd, mn_id) is not None
        """Whether the CMD (direct mode: the repository) may not know yet that a node is here."""
        self.when_forgotten: list[Callable[[MobileNode, float], None]] = []
        """Called when the last trace of a node goes."""

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
        return AnchorRecord(self.config.address, node.own.prefix, node.own.identity, self.config.local_prefixes)

    def reconcile(self, now: float, between: Callable[[], None] | None = None) -> None:
        """Bring kernel and RAs in line with the state: install, then `between` (an answer), then tear down.

        Answering before the teardown keeps a peer from waiting for macvlans to go (tens of milliseconds).
        """
        new = items(self.state.nodes.values(), self.config)
        install, remove = difference(self.plan, new)
        self.plan = new
        if install:
            self.outbox.do(Install(tuple(install)))
        if between:
            between()
        self.advertiser.update(self.state.nodes.values(), now)
        if remove:
            self.outbox.do(Remove(tuple(remove)))

    def served_nodes(self) -> Iterator[MobileNode]:
        """Nodes whose serving gateway this is."""
        return (node for node in self.state.nodes.values() if node.serving)
