"""Downloads of a content network: which cache served them, over how many routers, through which links and tunnels.

Facts come from `content` in lab.json's domain, from the captures, and from the web servers' access logs.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from ipaddress import IPv6Address
from statistics import median
from typing import Any

from captures.pcapng import CaptureError
from captures.records import TCP, Capture, Packet, by_pair
from captures.run import Run
from captures.walk import Attachment, Flow

DOWNLOAD = "download"
"""Kind of the flows that are looked at."""
SYN, ACK = 0x02, 0x10
SETTLED = 0.5
"""Seconds after a move until the path is looked at: packets on their way still take the old one."""
Choice = Callable[[Iterable[Packet]], list[Packet]]
Octets = dict[str, int]
"""Core link -> octets of frames."""


@dataclass(frozen=True, slots=True)
class Request:
    """One line of an access log."""

    client: IPv6Address
    uri: str
    status: int
    octets: int
    cache: str
    """nginx's word: HIT, MISS, or nothing where there is no cache."""


@dataclass(slots=True)
class Leg:
    """A download during one stay of the mobile node."""

    stay: Attachment
    hops: int | None
    """Routers from the mobile node to the cache, those below a tunnel included; None without packets at both ends."""
    tunnel: str | None
    """Far end of the tunnel that the serving gateway put the packets in; None: plain."""
    examples: list[Packet] = field(default_factory=list)


@dataclass(slots=True)
class Download:
    """Everything measured about one download."""

    flow: Flow
    file: str
    """What arrived, relative to the run directory."""
    content: str
    """Name of what was asked for."""
    stay: Attachment
    """Where the mobile node was when it asked."""
    caches: list[str]
    """Caches whose interface saw packets of it."""
    handshake: float | None
    """Seconds from SYN to SYN-ACK at the mobile node; None when a SYN was repeated or never answered."""
    packets: list[Packet]
    """As the mobile node saw them."""
    legs: list[Leg]
    core: Octets
    tunnelled: Octets


class Content:
    """The content network of one run."""

    def __init__(self, run: Run) -> None:
        """Read the facts; CaptureError when the lab has no content network."""
        facts: dict[str, Any] | None = (run.lab.get("domain") or {}).get("content")
        if facts is None:
            raise CaptureError("lab.json tells of no content network")
        self.run = run
        self.address = IPv6Address(facts["address"])
        self.origin: str = facts["origin"]
        self.caches = {name: IPv6Address(text) for name, text in facts["caches"].items()}
        self.nearest: dict[str, str] = facts["nearest"]
        self.links = {name: (node, interface) for name, (node, interface) in facts["core_links"].items()}
        self._indexed: dict[str, dict[tuple[IPv6Address, IPv6Address], list[Packet]]] = {}

    @cached_property
    def downloads(self) -> list[Download]:
        """Every download, in order."""
        told = {event["flow"]: event for event in self.run.events if event["event"] == "flow-started"}
        flows = [flow for flow in self.run.flows if flow.kind == DOWNLOAD]
        return [self._download(flow, told[flow.name]) for flow in flows]

    @cached_property
    def published(self) -> dict[str, dict[str, Any]]:
        """Content -> size and checksum, as the origin found them."""
        events = [event for event in self.run.events if event["event"] == "published"]
        return {name: facts for event in events for name, facts in event["content"].items()}

    def requests(self, server: str) -> list[Request]:
        """A web server's access log; CaptureError when it is missing or damaged."""
        path = self.run.directory / "logs" / f"{server}-access.jsonl"
        try:
            lines = [json.loads(line) for line in path.read_text().splitlines()]
        except OSError as error:
            raise CaptureError(f"cannot read {path}: {error.strerror}") from error
        except json.JSONDecodeError as error:
            raise CaptureError(f"{path} is not JSON lines: {error}") from error
        return [Request(IPv6Address(x["client"]), x["uri"], x["status"], x["octets"], x["cache"]) for x in lines]

    def arrived(self, download: Download) -> dict[str, Any]:
        """Size and checksum of what arrived; empty when nothing did."""
        try:
            body = (self.run.directory / download.file).read_bytes()
        except OSError:
            return {}
        return {"octets": len(body), "sha256": hashlib.sha256(body).hexdigest()}

    def of(self, capture: Capture | None, flow: Flow) -> Iterator[Packet]:
        """A flow's packets in one capture, both directions."""
        if capture is None:
            return
        if capture.file not in self._indexed:
            self._indexed[capture.file] = by_pair(capture.packets)
        found = self._indexed[capture.file]
        for ends in ((flow.source, flow.destination), (flow.destination, flow.source)):
            outward = ends[0] == flow.source
            for packet in found.get(ends, []):
                port = packet.source_port if outward else packet.destination_port
                if packet.protocol == TCP and port == flow.source_port:
                    yield packet

    def fill(self) -> Octets:
        """What the caches fetched from the origin."""
        home = self.run.correspondents[self.origin]
        found: Octets = dict.fromkeys(self.links, 0)
        for name, place in self.links.items():
            capture = self.run.capture(*place)
            for packet in capture.packets if capture else []:
                ends = {packet.inner.source, packet.inner.destination} if packet.layers else set()
                if home in ends and packet.protocol == TCP:
                    found[name] += packet.length
        return found

    def _download(self, flow: Flow, event: dict[str, Any]) -> Download:
        run = self.run
        stays = run.attachments.get(flow.node, [])
        begun = [stay for stay in stays if stay.start <= flow.start]
        if not begun:
            raise CaptureError(f"{flow.node} began {flow.name} before it was attached anywhere")
        at_mobile = sorted(self.of(run.of_mobile(flow.node), flow), key=lambda packet: packet.time)
        caches = [name for name in self.caches if any(self.of(run.of_node(name), flow))]
        core, tunnelled = self._octets(flow)
        return Download(
            flow=flow,
            file=str(event["file"]),
            content=str(event["content"]),
            stay=begun[-1],
            caches=caches,
            handshake=_handshake(at_mobile),
            packets=at_mobile,
            legs=list(self._legs(flow, [stay for stay in stays if stay.number >= begun[-1].number], at_mobile, caches)),
            core=core,
            tunnelled=tunnelled,
        )

    def _octets(self, flow: Flow) -> tuple[Octets, Octets]:
        core: Octets = {}
        tunnelled: Octets = {}
        for name, place in self.links.items():
            packets = list(self.of(self.run.capture(*place), flow))
            core[name] = sum(packet.length for packet in packets)
            tunnelled[name] = sum(packet.length for packet in packets if packet.tunnelled)
        return core, tunnelled

    def _legs(
        self, flow: Flow, stays: Iterable[Attachment], at_mobile: list[Packet], caches: list[str]
    ) -> Iterator[Leg]:
        for stay in stays:
            since = stay.start + (SETTLED if flow.start < stay.start else 0.0)

            def here(packets: Iterable[Packet], since: float = since, end: float = stay.end) -> list[Packet]:
                return [p for p in packets if p.inner.source == flow.source and since <= p.time < end]

            asked = here(at_mobile)
            if not asked:
                continue
            got = [packet for name in caches for packet in here(self.of(self.run.of_node(name), flow))]
            entered = [p for p in here(self.of(self.run.wan(stay.gateway), flow)) if p.tunnelled]
            examples = [*asked[:3], *entered[:3], *got[:3]]
            yield Leg(stay, self._hops(asked, entered, got, here, flow), self._far_end(entered), examples)

    def _hops(
        self, asked: list[Packet], entered: list[Packet], got: list[Packet], here: Choice, flow: Flow
    ) -> int | None:
        """Hop limits spent by the packet itself and, below a tunnel, by its outer header; towards the cache.

        The gateway that puts a packet into a tunnel takes a hop off the packet (ip6tnl) or off the copy in the outer
        header (seg6): it is counted once either way.
        """
        if not got:
            return None
        hops = _usual(p.inner.hop_limit for p in asked) - _usual(p.inner.hop_limit for p in got)
        if not entered:
            return hops
        entry = entered[0].outer.source, entered[0].outer.destination
        limits = [
            p.outer.hop_limit
            for capture in self.run.captures.values()
            for p in here(self.of(capture, flow))
            if p.tunnelled and (p.outer.source, p.outer.destination) == entry
        ]
        untouched = _usual(p.inner.hop_limit for p in entered) == _usual(p.inner.hop_limit for p in asked)
        return hops + max(limits) - min(limits) + untouched

    def _far_end(self, entered: list[Packet]) -> str | None:
        if not entered:
            return None
        return self.run.name_of(Counter(p.outer.destination for p in entered).most_common(1)[0][0])


def figures(run: Run) -> dict[str, Any]:
    """For verdict.json's metrics: per download and over all of them; nothing for a run without downloads."""
    if not (run.lab.get("domain") or {}).get("content"):
        return {}
    content = Content(run)
    downloads = content.downloads
    requests: dict[str, list[float]] = {}
    for one in downloads:
        if one.handshake is not None:
            requests.setdefault(one.stay.gateway, []).append(one.handshake * 1000)
    return {
        "downloads": {one.flow.name: _figures(one) for one in downloads},
        "handshake_ms_median": {gateway: round(median(values), 3) for gateway, values in requests.items()},
        "core_octets": _total(one.core for one in downloads),
        "tunnelled_octets": _total(one.tunnelled for one in downloads),
        "fill_octets": content.fill(),
    }


def _figures(one: Download) -> dict[str, Any]:
    return {
        "content": one.content,
        "gateway": one.stay.gateway,
        "cache": one.caches[0] if one.caches else None,
        "hops": {leg.stay.gateway: leg.hops for leg in one.legs},
        "tunnel": {leg.stay.gateway: leg.tunnel for leg in one.legs},
        "handshake_ms": None if one.handshake is None else round(one.handshake * 1000, 3),
        "core_octets": one.core,
        "tunnelled_octets": one.tunnelled,
    }


def _total(parts: Iterable[Octets]) -> Octets:
    found: Counter[str] = Counter()
    for part in parts:
        found.update(part)
    return dict(found)


def _usual(values: Iterable[int]) -> int:
    return Counter(values).most_common(1)[0][0]


def _handshake(packets: list[Packet]) -> float | None:
    asked = [p for p in packets if p.tcp_flags & (SYN | ACK) == SYN]
    answered = [p for p in packets if p.tcp_flags & (SYN | ACK) == SYN | ACK]
    if len(asked) != 1 or not answered:
        return None
    return answered[0].time - asked[0].time
