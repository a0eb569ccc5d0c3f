"""What a gateway knows about each mobile node: binding cache and binding update list entries (spec §4)."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from ipaddress import IPv6Address, IPv6Network

from agents.dgw.forwarding import Dlif
from agents.dgw.freshness import Freshness
from agents.dgw.identity import Identity, link_local_of
from agents.dgw.pool import PrefixPool


class BindingState(enum.Enum):
    """Life of a prefix at its anchor."""

    TEMP = 1
    """Chosen, not yet confirmed by the CMD."""
    LOCAL = 2
    """The node is here: plain routing."""
    REMOTE = 3
    """The node is elsewhere: tunnelled to its serving gateway."""
    DELETING = 4
    """De-registered, kept for MinDelayBeforeBCEDelete (spec DEREG-6)."""


@dataclass
class OwnBinding:
    """Binding cache entry of the prefix this gateway anchors for one node."""

    prefix: IPv6Network
    identity: Identity
    """Of the DLIF that goes with the prefix, wherever the node is."""
    state: BindingState = BindingState.TEMP
    care_of: IPv6Address | None = None
    """P-CoA of the serving gateway, None when it is this one."""
    former: IPv6Address | None = None
    """P-CoA before the node came back here, until the CMD confirmed that it did."""
    lifetime: int = 0
    """Granted to the serving gateway, seconds."""
    advertised: bool = False
    """An RA with this prefix was ordered: the node may be using it."""
    elsewhere: tuple[IPv6Network, ...] = ()
    """Prefixes that the node has from other gateways, as its serving gateway or the CMD told (spec LIPA-6)."""
    local_only: bool = False
    """In service without the CMD's word, which was not to be had (spec AMB-4)."""


@dataclass
class AnchorBinding:
    """Binding update list entry: another gateway's prefix that the node keeps, as seen where it is served."""

    prefix: IPv6Network
    address: IPv6Address
    """P-CoA of the anchor, the tunnel's other end."""
    slot: int
    """Number of its routing table at this gateway."""
    dlif: str
    """Name of its DLIF."""
    identity: Identity | None = None
    active: bool = False
    """Acknowledged: tunnel, DLIF and RA exist."""
    local_prefixes: tuple[IPv6Network, ...] = ()
    """Networks reachable only through this anchor (Local Prefix option)."""
    expires: float | None = None
    """End of what the anchor granted; None where the registration as a whole says it (CMD modes, spec AMB-15)."""


@dataclass(frozen=True)
class Farewell:
    """A DLIF whose prefix ended while its node stays here: it speaks once more, then goes (spec RA-15, §6 S5)."""

    mn_id: str
    mac: str
    """Of the node."""
    client: IPv6Address
    dlif: Dlif
    routes: tuple[IPv6Network, ...] = ()
    """Local prefixes to withdraw with it."""


@dataclass
class MobileNode:
    """One mobile node at one gateway."""

    name: str
    mn_id: str
    mac: str
    link_local: IPv6Address | None = None
    """Learned from its RS or NS; derived from its link-layer address until then."""
    attached: bool = False
    """The access point has it now."""
    serving: bool = False
    """This gateway is its serving gateway, even while it is out of radio reach (spec DEREG-1)."""
    own: OwnBinding | None = None
    anchors: list[AnchorBinding] = field(default_factory=list)
    local_access: bool = True
    """May use local networks: this gateway's from elsewhere, and from here those of its anchors."""
    expires: float | None = None
    """End of the registration as serving gateway (attached or not), or of the binding of a remote node."""
    freshness: Freshness = field(default_factory=Freshness)

    @property
    def client(self) -> IPv6Address:
        """Where RAs for this node go."""
        return self.link_local or link_local_of(self.mac)

    def anchor(self, prefix: IPv6Network) -> AnchorBinding | None:
        """The entry of this prefix, if the node has one."""
        return next((a for a in self.anchors if a.prefix == prefix), None)

    def free_slot(self, taken: set[int]) -> int:
        """The lowest routing-table slot that nobody uses."""
        slot = 1
        while slot in taken:
            slot += 1
        return slot


@dataclass
class GatewayState:
    """Everything a gateway must not forget across a restart."""

    pool: PrefixPool
    nodes: dict[str, MobileNode] = field(default_factory=dict)
    """By MN-ID."""
    sequence: int = 0
    """Last sequence number used."""
    legacy_peers: set[IPv6Address] = field(default_factory=set)
    """Answered without the D flag: no tunnels with them."""

    def slots(self) -> set[int]:
        """Routing-table slots in use."""
        return {a.slot for node in self.nodes.values() for a in node.anchors}
