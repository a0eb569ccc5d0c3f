"""A finished run as the checks see it: facts from lab.json and events.jsonl, protocol facts from the captures."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from functools import cached_property
from ipaddress import IPv6Address, IPv6Network
from pathlib import Path

from captures import injected, walk
from captures.aero.link import FAMILY as AERO
from captures.aero.link import AeroLink
from captures.decode import decode_all, inside
from captures.domain import Domain, Object
from captures.haaro.operator import FAMILY as HAARO
from captures.haaro.operator import Operator
from captures.reading import read_lab, read_lines, read_object
from captures.records import Capture, Logged, MobilityMessage, Router, RouterAdvertisement
from captures.walk import Attachment, Flow

EVENTS = "events.jsonl"


class Run(Domain):
    """One run directory, decoded on first use."""

    def __init__(self, directory: Path | str, captures: Iterable[Capture] | None = None) -> None:
        """`captures`: already decoded ones, else the files named in lab.json are decoded when needed."""
        self.directory = Path(directory)
        super().__init__(read_lab(self.directory))
        self._log = read_lines(self.directory / EVENTS)
        self.events = sorted((event for _, event in self._log), key=lambda event: event["t"])
        self._owners: dict[IPv6Address, str | None] = {}
        self._given = list(captures) if captures is not None else None

    @cached_property
    def aero(self) -> AeroLink | None:
        """The AERO link, None in a run of another family."""
        family = (self.lab.get("domain") or {}).get("family")
        return AeroLink(self.lab, self.events, self.directory) if family == AERO else None

    @cached_property
    def haaro(self) -> Operator | None:
        """The operator of a HAARO run, None in a run of another family."""
        family = (self.lab.get("domain") or {}).get("family")
        return Operator(self.lab, self.events, self.secrets, self.directory) if family == HAARO else None

    @cached_property
    def secrets(self) -> dict[str, Object]:
        """Node -> what only its agent was told, such as keys; empty when the run has no secrets.json."""
        path = self.directory / "secrets.json"
        return read_object(path) if path.exists() else {}

    @cached_property
    def captures(self) -> dict[tuple[str, str], Capture]:
        """Decoded captures by (node, interface)."""
        found = self._given
        if found is None:
            listed = [(one["file"], one["node"], one["interface"]) for one in self.lab.get("captures", [])]
            found = decode_all(self.directory, listed, self.draft03)
        return {(capture.node, capture.interface): capture for capture in found}

    def capture(self, node: str, interface: str) -> Capture | None:
        """Capture of one interface, None when the lab did not record it."""
        return self.captures.get((node, interface))

    def wan(self, gateway: str) -> Capture | None:
        """Capture of a gateway's core side."""
        return self.capture(gateway, self.gateways[gateway].wan)

    def phy(self, gateway: str) -> Capture | None:
        """Capture of a gateway's access side."""
        return self.capture(gateway, self.gateways[gateway].phy)

    def uplinks(self, gateway: str) -> list[Capture]:
        """Captures of all sides of a gateway but the access side: its core link, and links to what stands beside it."""
        phy = self.gateways[gateway].phy
        return [one for (node, interface), one in self.captures.items() if node == gateway and interface != phy]

    def of_mobile(self, mobile: str) -> Capture | None:
        """Capture of a mobile node's interface."""
        return self.capture(mobile, self.mobiles[mobile].interface)

    def of_node(self, node: str) -> Capture | None:
        """Any capture of a node (hosts have one interface)."""
        return next((capture for (name, _), capture in self.captures.items() if name == node), None)

    @cached_property
    def attachments(self) -> dict[str, list[Attachment]]:
        """Stays of each mobile node in order (captures.walk)."""
        return walk.attachments(self.events, self.mobiles, distributed=self.central is None)

    def moves(self) -> list[Attachment]:
        """All handovers of all mobile nodes, by time."""
        found = [stay for stays in self.attachments.values() for stay in stays if stay.number > 0]
        return sorted(found, key=lambda stay: stay.start)

    def serving(self, mobile: str, when: float, grace: float = 0.0) -> set[str]:
        """Gateways the node was attached to at some time in [when - grace, when]."""
        return {stay.gateway for stay in self.attachments.get(mobile, []) if stay.start <= when < stay.end + grace}

    @cached_property
    def flows(self) -> list[Flow]:
        """Flows announced by the lab."""
        return walk.flows(self.events)

    def logged(self, event: str) -> list[Logged]:
        """The lines of the event log that tell this event, by time."""
        found = [Logged(EVENTS, n, one["t"], one["node"], one) for n, one in self._log if one["event"] == event]
        return sorted(found, key=lambda one: one.time)

    @cached_property
    def end(self) -> float:
        """Time of the last thing known of the run."""
        times = [event["t"] for event in self.events]
        times += [capture.packets[-1].time for capture in self.captures.values() if capture.packets]
        return max(times, default=0.0)

    @cached_property
    def signalling(self) -> list[MobilityMessage]:
        """The agents' Mobility Header messages; what an intruder sent, and rejections of it, are in `injected`."""
        strange = set(self.injected)
        return [message for message in self.mobility if message not in strange]

    @cached_property
    def injected(self) -> list[MobilityMessage]:
        """Messages the lab's script sent in an agent's name, and their rejections."""
        return injected.injected(self.mobility, self.logged("impostor"))

    @cached_property
    def mobility(self) -> list[MobilityMessage]:
        """Every Mobility Header message once, by time, as its sender's capture shows it (else another's)."""
        recorded = {node for node, _ in self.captures}
        found = []
        for (node, _), capture in self.captures.items():
            for message in capture.mobility:
                sender, receiver = (self.addresses.get(a) for a in (message.source, message.destination))
                if node == sender or (sender not in recorded and node == receiver):
                    found.append(message)
        return sorted(found, key=lambda message: message.time)

    @cached_property
    def advertisements(self) -> dict[str, list[RouterAdvertisement]]:
        """Router Advertisements each mobile node's interface saw."""
        captured = {name: self.of_mobile(name) for name in self.mobiles}
        return {name: one.advertisements if one else [] for name, one in captured.items()}

    @cached_property
    def prefixes(self) -> dict[tuple[str, str], list[IPv6Network]]:
        """(mobile, anchor gateway) -> prefixes advertised to the node by its current gateway, in order."""
        found: dict[tuple[str, str], list[IPv6Network]] = defaultdict(list)
        for mobile, advertisements in self.advertisements.items():
            for advertisement in advertisements:
                if advertisement.eth_destination != self.mobiles[mobile].mac:
                    continue
                for option in advertisement.prefixes:
                    anchor = self.anchor_of(option.prefix.network_address)
                    if anchor and option.prefix not in found[mobile, anchor]:
                        found[mobile, anchor].append(option.prefix)
        return found

    @cached_property
    def routers(self) -> dict[tuple[str, str], Router]:
        """(mobile node, anchor) -> the DLIF from which the node first heard of that anchor's prefix."""
        found: dict[tuple[str, str], Router] = {}
        for mobile, advertisements in self.advertisements.items():
            for one in advertisements:
                if one.eth_destination != self.mobiles[mobile].mac:
                    continue
                for option in one.prefixes:
                    anchor = self.anchor_of(option.prefix.network_address)
                    if anchor is not None:
                        found.setdefault((mobile, anchor), Router(anchor, one.eth_source, one.source))
        return found

    @cached_property
    def owner_of_prefix(self) -> dict[IPv6Network, str]:
        """Prefix -> mobile node it was first advertised to."""
        found: dict[IPv6Network, str] = {}
        for (mobile, _), prefixes in self.prefixes.items():
            for prefix in prefixes:
                found.setdefault(prefix, mobile)
        return found

    def owner(self, address: IPv6Address) -> str | None:
        """Mobile node that owns the prefix of an address."""
        if address not in self._owners:
            holders = (mobile for prefix, mobile in self.owner_of_prefix.items() if inside(address, prefix))
            self._owners[address] = next(holders, None)
        return self._owners[address]
