"""Binding cache entries of the CMD: where each node is, and who anchors what for it (spec §4)."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv6Address, IPv6Network

from agents.dgw.freshness import Freshness
from agents.dgw.records import AnchorRecord


@dataclass
class Session:
    """One mobile node at the CMD."""

    mn_id: str
    serving: AnchorRecord
    """The serving gateway with the prefix it anchors itself."""
    anchors: list[AnchorRecord] = field(default_factory=list)
    """Previous gateways, last one first; never the serving one (spec CMD-7)."""
    untold: set[IPv6Address] = field(default_factory=set)
    """Anchors that have not acknowledged the present serving gateway."""
    relayed: set[IPv6Address] = field(default_factory=set)
    """Anchors of other operators than the serving gateway's that tunnel to us: whichever gateway of that other side
    the node visits next, they need not be told (spec INTER-9)."""
    released: list[AnchorRecord] = field(default_factory=list)
    """Let go, but not heard of it yet: they are told until they answer (spec DEREG-7, DEREG-11)."""
    valid: dict[IPv6Network, float] = field(default_factory=dict)
    """Unix time until which a host may still be using each prefix of the node (spec HO-17)."""
    taken_back: list[AnchorRecord] = field(default_factory=list)
    """Anchors promised to the present serving gateway that refused (proxy mode)."""
    mac: str | None = None
    """MN link-layer identifier, if it was told."""
    expires: float | None = None
    deleting: bool = False
    """De-registered, held for MinDelayBeforeBCEDelete (spec DEREG-6)."""
    freshness: Freshness = field(default_factory=Freshness)

    @property
    def ended(self) -> bool:
        """Hold time or lifetime are over: only the farewells to its anchors are left."""
        return self.deleting and self.expires is None

    @property
    def agreed(self) -> list[AnchorRecord]:
        """Anchors that tunnel to the present serving gateway."""
        return [record for record in self.anchors if record.address not in self.untold]

    def anchor(self, address: IPv6Address) -> AnchorRecord | None:
        """The record of this anchor."""
        return next((record for record in self.anchors if record.address == address), None)

    def prolong(self, until: float, *, promised: bool) -> None:
        """The serving gateway advertises the prefixes it has (`promised`: all), and hosts may use these until then."""
        known = {record.prefix for record in (self.serving, *self.anchors)}
        self.valid = {prefix: end for prefix, end in self.valid.items() if prefix in known}
        for record in (self.serving, *(self.anchors if promised else self.agreed)):
            self.valid[record.prefix] = until

    def let_go(self, records: list[AnchorRecord]) -> None:
        """These anchor nothing any more."""
        addresses = {record.address for record in records}
        self.released = [record for record in self.released if record.address not in addresses] + records
        self.anchors = [record for record in self.anchors if record not in records]
        self.untold -= addresses
        for record in records:
            self.valid.pop(record.prefix, None)


@dataclass(frozen=True)
class Pending:
    """A registration of which not every anchor knows yet."""

    update: bytes
    """The serving gateway's last PBU about it, as a Mobility Header."""
    answered: bool
    """The gateway has its answer, of some anchors at least: it will not ask again."""


@dataclass
class Chain:
    """One prefix between two operators in direct mode: registered by the serving gateway, passed on to the anchor."""

    mn_id: str
    anchor: AnchorRecord
    serving: IPv6Address
    mac: str | None = None
    """MN link-layer identifier, if it was told."""
    agreed: bool = False
    """The anchor tunnels to us."""
    expires: float | None = None
    deleting: bool = False
    """De-registered, held for MinDelayBeforeBCEDelete (spec DEREG-6)."""
    freshness: Freshness = field(default_factory=Freshness)


@dataclass
class CmdState:
    """Everything a CMD must not forget across a restart."""

    sessions: dict[str, Session] = field(default_factory=dict)
    """By MN-ID."""
    chains: dict[IPv6Network, Chain] = field(default_factory=dict)
    """By prefix; direct mode only."""
    slots: dict[IPv6Network, int] = field(default_factory=dict)
    """Routing-table numbers of the prefixes forwarded between operators."""
    sequence: int = 0
    """Last sequence number used for updates of its own."""
    legacy_peers: set[IPv6Address] = field(default_factory=set)
    """Answered an update with the D flag without it: they make no tunnels for us (spec §10)."""
