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
from captures.haaro.operator import FAMILY as HAARO
from captures.haaro.operator import Operator
from captures.pcapng import CaptureError
from captures.records import Capture, Logged, MobilityMessage, Packet, RouterAdvertisement

Object = dict[str, Any]
EVENTS = "events.jsonl"
INFINITY = float("inf")
INJECTION_ANSWERED = 1.0
"""Seconds in which a message that the script injected is answered, if it is."""


@dataclass(frozen=True, slots=True)
class Gateway:
    """A distributed gateway (D-GW) as lab.json describes it."""

    name: str
    address: IPv6Address
    pool: IPv6Network
    wan: str
    phy: str
    local_prefixes: tuple[IPv6Network, ...] = ()
    """Networks that only this gateway reaches (spec §5.5)."""
    local_hosts: tuple[str, ...] = ()
    """Nodes in them."""
    dflag_profile: str = "rfc8885"
    """Where it has its D flag: "rfc8885" or "draft03" (spec AMB-5)."""
    operator: str = ""


@dataclass(frozen=True, slots=True)
class LocalMobilityAnchor:
    """The one anchor of classic Proxy Mobile IPv6 (RFC 5213)."""

    name: str
    address: IPv6Address
    pool: IPv6Network
    interface: str


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
    """Other gateways visited before, latest first: the anchors (spec HO-3, CMD-7).  None in classic mode."""


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
        self._log = _read_lines(self.directory / EVENTS)
        self.events = sorted((event for _, event in self._log), key=lambda event: event["t"])
        self._owners: dict[IPv6Address, str | None] = {}
        self._anchors: dict[IPv6Address, str | None] = {}
        self._given = list(captures) if captures is not None else None
        domain: Object = self.lab.get("domain") or {}
        self.mode: str = domain.get("mode", "direct")
        self.ra_profile: str = domain.get("ra_profile", "deprecate")
        self.slowness: float = self.lab.get("kernel", {}).get("slowness", 1.0)
        """Factor on all time bounds: 1.0 on a real machine."""
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
        self.central = _lma(domain.get("lma"))
        """Set in classic mode only, where there is no CMD."""
        cmd: Object = domain.get("cmd") or domain.get("lma") or {}
        # The node that every gateway registers with: the CMD, or the anchor of the classic mode.
        self.cmd_node: str | None = cmd.get("node")
        self.cmd_interface: str | None = cmd.get("interface")
        self.cmd_address = IPv6Address(cmd["address"]) if cmd else None
        self.lma: str | None = self.cmd_node if cmd.get("lma") else None
        """The CMD's node where that is the home LMA between operators as well."""

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
    def draft03(self) -> frozenset[IPv6Address]:
        """Gateways that have the D flag where the seed draft drew it."""
        return frozenset(one.address for one in self.gateways.values() if one.dflag_profile == "draft03")

    def d_flags(self, *ends: IPv6Address) -> tuple[int, int]:
        """Masks of the D flag in a PBU and in a PBA between two nodes."""
        return layers.d_flags(bool(self.draft03 & set(ends)))

    @cached_property
    def secrets(self) -> dict[str, Object]:
        """Node -> what only its agent was told, such as keys; empty when the run has no secrets.json."""
        path = self.directory / "secrets.json"
        return _read_object(path) if path.exists() else {}

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

    def mac(self, node: str, interface: str) -> str | None:
        """MAC of an interface as lab.json tells it, lower case."""
        text: str | None = self.lab["nodes"].get(node, {}).get("interfaces", {}).get(interface, {}).get("mac")
        return text.lower() if text else None

    @cached_property
    def addresses(self) -> dict[IPv6Address, str]:
        """Signalling address -> node: gateways and the CMD (or the anchor of the classic mode)."""
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

    def home(self, gateway: str) -> str:
        """Who anchors the prefix that a node gets at a gateway: that gateway, or the one anchor of classic mode."""
        return self.central.name if self.central else gateway

    def pool(self, anchor: str) -> IPv6Network:
        """The pool an anchor gives prefixes from."""
        return self.central.pool if self.central else self.gateways[anchor].pool

    def anchor_of(self, address: IPv6Address) -> str | None:
        """Gateway, or anchor of the classic mode, whose pool holds the address."""
        if self.central:
            return self.central.name if inside(address, self.central.pool) else None
        if address not in self._anchors:
            holders = (name for name, gateway in self.gateways.items() if inside(address, gateway.pool))
            self._anchors[address] = next(holders, None)
        return self._anchors[address]

    def crosses(self, anchor: str, serving: str) -> bool:
        """Whether two gateways belong to different operators (spec INTER-1)."""
        ends = [self.gateways[name].operator for name in (anchor, serving) if name in self.gateways]
        return len(set(ends)) > 1

    def far_end(self, anchor: str, serving: str) -> str:
        """Where a serving gateway's tunnel for an anchor's prefix ends: there, or at the LMA (spec INTER-7)."""
        return self.lma if self.lma and self.crosses(anchor, serving) else anchor

    def told_anchor(self, address: IPv6Address, prefix: IPv6Network) -> str:
        """The anchor that an (address, prefix) in a message stands for: the LMA's address names another operator's."""
        name = self.name_of(address)
        return (self.anchor_of(prefix.network_address) or name) if name == self.lma else name

    def home_of(self, node: str) -> str | None:
        """Gateway whose local network this node is in."""
        return next((name for name, gateway in self.gateways.items() if node in gateway.local_hosts), None)

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
        return {mobile: _attachments(mobile, rows, self.central is None) for mobile, rows in stays.items()}

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
        """Messages the lab's script sent in an agent's name (events `impostor`), and their rejections."""
        found: list[MobilityMessage] = []
        for order in self.logged("impostor"):
            sent = next((one for one in self.mobility if is_injected(one, order) and one not in found), None)
            if sent is not None:
                found += [sent, *(one for one in self.mobility if rejects(one, sent))]
        return found

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

    def mobile_by_id(self, mn_id: str | None) -> str | None:
        """Mobile node of an MN-Identifier."""
        return next((name for name, mobile in self.mobiles.items() if mobile.mn_id == mn_id), None)


def is_injected(message: MobilityMessage, order: Logged) -> bool:
    """Whether this is the message of an `impostor` event, which is written just before it is sent."""
    ends = IPv6Address(order.fields["source"]), IPv6Address(order.fields["destination"])
    same = (message.source, message.destination) == ends and message.sequence == order.fields["sequence"]
    return same and message.lifetime == order.fields["lifetime"] and message.time >= order.time


def rejects(answer: MobilityMessage, update: MobilityMessage) -> bool:
    """Whether a PBA is the rejection of just this update."""
    ends = answer.source == update.destination and answer.destination == update.source
    late = 0 <= answer.time - update.time < INJECTION_ANSWERED
    return ends and late and answer.kind == "PBA" and answer.status >= 128 and answer.sequence == update.sequence


def by_pair(packets: Iterable[Packet]) -> dict[tuple[IPv6Address, IPv6Address], list[Packet]]:
    """Index packets by innermost (source, destination)."""
    found: dict[tuple[IPv6Address, IPv6Address], list[Packet]] = defaultdict(list)
    for packet in packets:
        if packet.layers:
            found[packet.inner.source, packet.inner.destination].append(packet)
    return found


def _gateway(name: str, facts: Object) -> Gateway:
    local = tuple(IPv6Network(text) for text in facts.get("local_prefixes", []))
    hosts = tuple(facts.get("local_hosts", ()))
    address, pool = IPv6Address(facts["address"]), IPv6Network(facts["pool"])
    profile = facts.get("dflag_profile", "rfc8885")
    operator = facts.get("operator", "")
    return Gateway(name, address, pool, facts["wan"], facts["phy"], local, hosts, profile, operator)


def _lma(facts: Object | None) -> LocalMobilityAnchor | None:
    if facts is None:
        return None
    address, pool = IPv6Address(facts["address"]), IPv6Network(facts["pool"])
    return LocalMobilityAnchor(facts["node"], address, pool, facts["interface"])


def _attachments(mobile: str, rows: list[list[Any]], distributed: bool) -> list[Attachment]:
    found: list[Attachment] = []
    for number, (gateway, cell, start, end) in enumerate(rows):
        visited = [stay.gateway for stay in reversed(found) if distributed and stay.gateway != gateway]
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


def _read_lines(path: Path) -> list[tuple[int, Object]]:
    """(line number, event) of every line that is not empty."""
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
        found.append((number, event))
    return found
