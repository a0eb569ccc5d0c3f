"""A finished run as the checks see it: facts from lab.json and events.jsonl, protocol facts from the captures."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from ipaddress import IPv6Address, IPv6Network
from pathlib import Path
from typing import Any

from captures import layers
from captures.aero.link import FAMILY as AERO
from captures.aero.link import AeroLink
from captures.decode import decode_all, inside
from captures.pcapng import CaptureError
from captures.records import Capture, MobilityMessage, Packet, RouterAdvertisement

Object = dict[str, Any]
INFINITY = float("inf")


@dataclass(frozen=True, slots=True)
class Gateway:
    """A distributed gateway (D-GW) as lab.json describes it."""

    name: str
    address: IPv6Address
    pool: IPv6Network
    wan: str
    phy: str
    local_prefixes: tuple[IPv6Network, ...] = ()
    dflag_profile: str = "rfc8885"
    """Where it has its D flag: "rfc8885" or "draft03" (spec AMB-5)."""


@dataclass(frozen=True, slots=True)
class Mobile:
    """A mobile node."""

    name: str
    mn_id: str
    mac: str
    interface: str


@dataclass(frozen=True, slots=True)
class Attachment:
    """One stay of a mobile node at a gateway, from the lab's attached/detached events."""

    mobile: str
    number: int
    """From 0; number > 0 is the n-th move."""
    gateway: str
    cell: str
    start: float
    end: float
    """Time of leaving; infinity for the last one."""
    left: float
    """When the node left the gateway before (equal to start at the first attachment)."""
    previous: tuple[str, ...]
    """Other gateways visited before, latest first: the anchors (spec HO-3, CMD-7)."""


@dataclass(frozen=True, slots=True)
class Flow:
    """One flow of the lab's script; source is the mobile node's address."""

    name: str
    kind: str
    protocol: str
    node: str
    peer: str
    source: IPv6Address
    destination: IPv6Address
    source_port: int | None
    destination_port: int | None
    icmp_id: int | None
    start: float
    end: float


class Run:
    """One run directory, decoded on first use."""

    def __init__(self, directory: Path | str, captures: Iterable[Capture] | None = None) -> None:
        """`captures`: already decoded ones, else the files named in lab.json are decoded when needed."""
        self.directory = Path(directory)
        self.lab: Object = _read_object(self.directory / "lab.json")
        if self.lab.get("format") != 1:
            raise CaptureError(f"{self.directory}/lab.json: format {self.lab.get('format')!r}, only 1 is known")
        self.events = sorted(_read_lines(self.directory / "events.jsonl"), key=lambda event: event["t"])
        self._given = list(captures) if captures is not None else None
        domain: Object = self.lab.get("domain") or {}
        self.mode: str = domain.get("mode", "direct")
        self.ra_profile: str = domain.get("ra_profile", "deprecate")
        self.repository_port: int | None = domain.get("repository_port")
        self.gateways: dict[str, Gateway] = {
            name: _gateway(name, facts) for name, facts in domain.get("gateways", {}).items()
        }
        self.mobiles: dict[str, Mobile] = {
            name: Mobile(name, facts["mn_id"], facts["mac"].lower(), facts["interface"])
            for name, facts in domain.get("mobiles", {}).items()
        }
        self.correspondents: dict[str, IPv6Address] = {
            name: IPv6Address(text) for name, text in domain.get("correspondents", {}).items()
        }
        cmd: Object = domain.get("cmd") or {}
        self.cmd_node: str | None = cmd.get("node")
        self.cmd_interface: str | None = cmd.get("interface")
        self.cmd_address = IPv6Address(cmd["address"]) if cmd else None

    @cached_property
    def aero(self) -> AeroLink | None:
        """The AERO link, None in a run of another family."""
        family = (self.lab.get("domain") or {}).get("family")
        return AeroLink(self.lab, self.events, self.directory) if family == AERO else None

    @cached_property
    def draft03(self) -> frozenset[IPv6Address]:
        """Gateways that have the D flag where the seed draft drew it."""
        return frozenset(one.address for one in self.gateways.values() if one.dflag_profile == "draft03")

    def d_flags(self, *ends: IPv6Address) -> tuple[int, int]:
        """Masks of the D flag in a PBU and in a PBA between two nodes."""
        return layers.d_flags(bool(self.draft03 & set(ends)))

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

    def of_mobile(self, mobile: str) -> Capture | None:
        """Capture of a mobile node's interface."""
        return self.capture(mobile, self.mobiles[mobile].interface)

    def of_node(self, node: str) -> Capture | None:
        """Any capture of a node (hosts have one interface)."""
        return next((capture for (name, _), capture in self.captures.items() if name == node), None)

    def mac(self, node: str, interface: str) -> str | None:
        """MAC of an interface as lab.json tells it, lower case."""
        text: str | None = self.lab["nodes"].get(node, {}).get("interfaces", {}).get(interface, {}).get("mac")
        return text.lower() if text else None

    @cached_property
    def addresses(self) -> dict[IPv6Address, str]:
        """Signalling address -> node: gateways and the CMD."""
        found = {gateway.address: name for name, gateway in self.gateways.items()}
        if self.cmd_node and self.cmd_address:
            found[self.cmd_address] = self.cmd_node
        return found

    def name_of(self, address: IPv6Address) -> str:
        """Node name of a signalling or correspondent's address, else the address itself."""
        for name, where in self.correspondents.items():
            if where == address:
                return name
        return str(self.addresses.get(address, address))

    def anchor_of(self, address: IPv6Address) -> str | None:
        """Gateway whose pool holds the address."""
        for name, gateway in self.gateways.items():
            if inside(address, gateway.pool):
                return name
        return None

    @cached_property
    def attachments(self) -> dict[str, list[Attachment]]:
        """Stays of each mobile node in order; a re-association at the same gateway extends the stay."""
        stays: dict[str, list[list[Any]]] = defaultdict(list)
        by_mac = {mobile.mac: name for name, mobile in self.mobiles.items()}
        for event in self.events:
            if event.get("agent") != "lab" or event["event"] not in ("attached", "detached"):
                continue
            mobile = by_mac.get(str(event.get("mac", "")).lower(), str(event.get("node")))
            mine = stays[mobile]
            if event["event"] == "detached":
                if mine and mine[-1][3] == INFINITY:
                    mine[-1][3] = event["t"]
            elif mine and mine[-1][0] == event["gateway"]:
                mine[-1][3] = INFINITY
            else:
                mine.append([event["gateway"], event["cell"], event["t"], INFINITY])
        return {mobile: _attachments(mobile, rows) for mobile, rows in stays.items()}

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
        ends = {event["flow"]: event["t"] for event in self.events if event["event"] == "flow-ended"}
        started = [event for event in self.events if event["event"] == "flow-started"]
        return [_flow(event, ends.get(event["flow"], INFINITY)) for event in started]

    @cached_property
    def end(self) -> float:
        """Time of the last thing known of the run."""
        times = [event["t"] for event in self.events]
        times += [capture.packets[-1].time for capture in self.captures.values() if capture.packets]
        return max(times, default=0.0)

    @cached_property
    def signalling(self) -> list[MobilityMessage]:
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
    def owner_of_prefix(self) -> dict[IPv6Network, str]:
        """Prefix -> mobile node it was first advertised to."""
        found: dict[IPv6Network, str] = {}
        for (mobile, _), prefixes in self.prefixes.items():
            for prefix in prefixes:
                found.setdefault(prefix, mobile)
        return found

    def owner(self, address: IPv6Address) -> str | None:
        """Mobile node that owns the prefix of an address; the only one there is when nothing was advertised."""
        for prefix, mobile in self.owner_of_prefix.items():
            if inside(address, prefix):
                return mobile
        return None

    def mobile_by_id(self, mn_id: str | None) -> str | None:
        """Mobile node of an MN-Identifier."""
        return next((name for name, mobile in self.mobiles.items() if mobile.mn_id == mn_id), None)


def by_pair(packets: Iterable[Packet]) -> dict[tuple[IPv6Address, IPv6Address], list[Packet]]:
    """Index packets by innermost (source, destination)."""
    found: dict[tuple[IPv6Address, IPv6Address], list[Packet]] = defaultdict(list)
    for packet in packets:
        if packet.layers:
            found[packet.inner.source, packet.inner.destination].append(packet)
    return found


def _gateway(name: str, facts: Object) -> Gateway:
    local = tuple(IPv6Network(text) for text in facts.get("local_prefixes", []))
    address, pool = IPv6Address(facts["address"]), IPv6Network(facts["pool"])
    profile = facts.get("dflag_profile", "rfc8885")
    return Gateway(name, address, pool, facts["wan"], facts["phy"], local, profile)


def _attachments(mobile: str, rows: list[list[Any]]) -> list[Attachment]:
    found: list[Attachment] = []
    for number, (gateway, cell, start, end) in enumerate(rows):
        visited = [stay.gateway for stay in reversed(found) if stay.gateway != gateway]
        left = min(found[-1].end, start) if found else start
        found.append(Attachment(mobile, number, gateway, cell, start, end, left, tuple(dict.fromkeys(visited))))
    return found


def _flow(event: Object, end: float) -> Flow:
    return Flow(
        name=str(event["flow"]),
        kind=event["kind"],
        protocol=event["protocol"],
        node=event["node"],
        peer=event["peer"],
        source=IPv6Address(event["source"]),
        destination=IPv6Address(event["destination"]),
        source_port=event.get("source_port"),
        destination_port=event.get("destination_port"),
        icmp_id=event.get("icmp_id"),
        start=event["t"],
        end=end,
    )


def _read_object(path: Path) -> Object:
    try:
        found = json.loads(path.read_text())
    except OSError as error:
        raise CaptureError(f"cannot read {path}: {error.strerror}") from error
    except json.JSONDecodeError as error:
        raise CaptureError(f"{path} is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise CaptureError(f"{path}: one JSON object expected")
    return found


def _read_lines(path: Path) -> list[Object]:
    try:
        lines = path.read_text().splitlines()
    except OSError as error:
        raise CaptureError(f"cannot read {path}: {error.strerror}") from error
    found = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            event = json.loads(line)
        except json.JSONDecodeError as error:
            raise CaptureError(f"{path} line {number} is not JSON: {error}") from error
        if not isinstance(event, dict) or "t" not in event or "event" not in event:
            raise CaptureError(f"{path} line {number}: no `t` or no `event`")
        found.append(event)
    return found
