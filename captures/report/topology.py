"""Topology drawing: nodes in rows by role, link networks and addresses, cells, the walk, tunnels seen."""

from __future__ import annotations

from collections import defaultdict
from ipaddress import ip_interface
from itertools import pairwise
from typing import Any

from captures.report import icons
from captures.report.captions import Caption, Plate, draw_captions, draw_plates
from captures.report.layout import ROWS, WIDTH, beside_gateway, lay_out, role
from captures.report.svg import drawing, group, line, path, rect, text, title, width_of
from captures.run import Run

SHAPES = {
    "cmd": icons.database,
    "lma": icons.router,
    "cache": icons.database,
    "correspondent": icons.host,
    "core": icons.router,
    "mobile": icons.phone,
    "server": icons.server,
    "relay": icons.small_router,
    "native router": icons.small_router,
    "native": icons.host,
    "client": icons.mobile_router,
    "host": icons.host,
    "nat": icons.nat,
    "home agent": icons.server,
    "mobile router": icons.mobile_router,
    "ISP": icons.small_router,
    "site": icons.host,
}
WORDS = {"cmd": "mobility database", "lma": "local mobility anchor", "cache": "content cache"}
UNITS = {"delay": "ms", "loss": "%", "rate": "Mbit/s"}


class Topology:
    """Draws the lab as it is laid out."""

    def __init__(self, run: Run, colours: dict[str, str], tunnels: dict[str, int]) -> None:
        """`colours`: gateway -> css class; `tunnels`: "serving–anchor" -> octets seen."""
        self.run = run
        self.colours = colours
        self.tunnels = tunnels
        self.nodes: dict[str, dict[str, Any]] = run.lab["nodes"]
        self.place = lay_out(run)

    def draw(self) -> str:
        """The whole drawing."""
        deepest = max((y for _, y in self.place.values()), default=0.0)
        hub = next((y for name, (_, y) in self.place.items() if self._role(name) == "core"), deepest)
        parts = [self._links(), self._tunnels(), self._walk()]
        parts += [self._node(name) for name in self.place]
        captions = {name: self._caption(name) for name in self.place if self._role(name) != "cell"}
        parts.append(draw_captions(self.place, captions, hub))
        return drawing(WIDTH, deepest + 56, "".join(parts), "Topology of the lab")

    def _role(self, name: str) -> str:
        return role(self.nodes, name)

    def _links(self) -> str:
        parts = []
        plates: dict[tuple[float, float], list[Plate]] = defaultdict(list)
        for link in self.run.lab.get("links", []):
            (one, first), (two, second) = link["a"], link["b"]
            if one not in self.place or two not in self.place or "mobile" in (self._role(one), self._role(two)):
                continue
            if self._role(one) == "core":
                one, first, two, second = two, second, one, first
            (x1, y1), (x2, y2) = self.place[one], self.place[two]
            parts.append(line(x1, y1, x2, y2, "link"))
            network = self._network(one, first) or self._network(two, second)
            if network and y1 != y2:
                # Links fan out at the hub; halfway between the rows labels keep apart.
                share = 0.5 if y1 < y2 else 0.46
                plates[y1, y2].append(Plate(x1 + (x2 - x1) * share, y1 + (y2 - y1) * share, network))
            parts.append(self._impairments(link, (x1 + x2) / 2, (y1 + y2) / 2))
        return "".join([*parts, *(draw_plates(found) for found in plates.values())])

    @staticmethod
    def _impairments(link: dict[str, Any], x: float, y: float) -> str:
        known = [f"{key} {link[key]:g} {unit}" for key, unit in UNITS.items() if link.get(key)]
        return text(x + 8, y + 18, ", ".join(known), "small warn", "start") if known else ""

    def _network(self, node: str, interface: str) -> str:
        addresses = self.nodes[node].get("interfaces", {}).get(interface, {}).get("addresses", [])
        return str(ip_interface(addresses[0]).network) if addresses else ""

    def _address(self, name: str) -> str:
        """The node's first address inside a link."""
        for facts in self.nodes[name].get("interfaces", {}).values():
            if facts.get("addresses"):
                return str(ip_interface(facts["addresses"][0]).ip)
        return ""

    def _node(self, name: str) -> str:
        x, y = self.place[name]
        kind = self._role(name)
        if kind == "gateway":
            return icons.gateway(x, y, self.colours.get(name, ""))
        if kind == "cell":
            return icons.cell(x, y) + text(x, y + 15, name, "small muted")
        return SHAPES.get(kind, icons.box)(x, y)

    def _caption(self, name: str) -> Caption:
        kind = self._role(name)
        if kind == "core":
            return Caption((name, "", ""), side="right")
        if kind == "mobile":
            mac = self.run.mobiles[name].mac if name in self.run.mobiles else ""
            return Caption((name, "", mac), 22, "right")
        if kind == "gateway":
            facts = self.run.gateways.get(name)
            heading = f"{name} of {facts.operator}" if facts and facts.operator else name
            return Caption((heading, f"pool {facts.pool}" if facts else "gateway", self._address(name)), 38)
        words = "home LMA" if name == self.run.lma else WORDS.get(kind, kind)
        side = "left" if kind == "native" else "inner" if beside_gateway(self.run, name) else "outer"
        return Caption((name, words, self._address(name)), side=side)

    def _tunnels(self) -> str:
        """Arcs below the gateways, deeper for wider ones, so that none hides another."""
        parts = []
        seen = []
        for pair in self.tunnels:
            serving, anchor = pair.split("–")
            ends = tuple(sorted((serving, anchor)))
            if ends not in seen and serving in self.place and anchor in self.place:
                seen.append(ends)
        labels = []
        for one, two in seen:
            (x1, y), (x2, y2) = sorted((self.place[one], self.place[two]))
            octets = sum(n for pair, n in self.tunnels.items() if set(pair.split("–")) == {one, two})
            tip = title(f"tunnel {one}–{two}: {octets} octets")
            if y != y2:  # to the LMA, above the core: beside the links
                bow = 60 if x2 > WIDTH / 2 else -60
                parts.append(path(f"M{x1} {y}Q{(x1 + x2) / 2 + bow} {(y + y2) / 2} {x2} {y2}", "tunnel", tip))
                continue
            deep = 10 + 190 * abs(x2 - x1) / WIDTH
            y += 18
            d = f"M{x1 + 6} {y}C{x1 + 40} {y + deep} {x2 - 40} {y + deep} {x2 - 6} {y}"
            parts.append(path(d, "tunnel", tip))
            label = f"tunnel {one}–{two}"
            wide = width_of(label, 12.5) + 12
            at = y + deep * 0.75
            labels.append(rect((x1 + x2 - wide) / 2, at - 9, wide, 18, "plate", rx=9))
            labels.append(text((x1 + x2) / 2, at + 4, label, "small tunnel-text"))
        return "".join(parts + labels)

    def _walk(self) -> str:
        """The way of each mobile node from cell to cell, stays numbered."""
        parts = []
        for name, stays in self.run.attachments.items():
            if name not in self.place:
                continue
            x, y = self.place[name]
            parts.append(line(x, y - 24, x, ROWS[3] + 16, "radio"))
            points = [self.place[stay.cell][0] for stay in stays if stay.cell in self.place]
            visits: dict[float, list[int]] = {}
            for number, at in enumerate(points, 1):
                visits.setdefault(at, []).append(number)
            half = {at: 4 + 5 * len(self._visits(numbers)) for at, numbers in visits.items()}
            for before, after in dict.fromkeys(pairwise(points)):
                side = 1 if after > before else -1
                y = ROWS[3] + 36 + (5 if (after, before) in pairwise(points) and side < 0 else 0)
                d = f"M{before + side * (half[before] + 5)} {y}L{after - side * (half[after] + 6)} {y}"
                parts.append(path(d, "walk", marker_end="url(#tip)"))
            for at, numbers in visits.items():
                pill = rect(at - half[at], ROWS[3] + 27, 2 * half[at], 18, "step", rx=9)
                parts.append(group(pill + text(at, ROWS[3] + 40, self._visits(numbers), "step-text")))
            break  # one walk drawn: several mobile nodes' ways would hide each other
        return "".join(parts)

    @staticmethod
    def _visits(numbers: list[int]) -> str:
        """ "1", "1 · 3", "1 · 3 … 19"."""
        if len(numbers) <= 3:
            return " · ".join(map(str, numbers))
        return f"{numbers[0]} · {numbers[1]} … {numbers[-1]}"
