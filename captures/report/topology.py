"""Topology drawing: nodes in tiers by role, link networks and addresses, cells, the walk, tunnels seen."""

from __future__ import annotations

from ipaddress import ip_interface
from itertools import pairwise
from typing import Any

from captures.aero.link import AeroLink
from captures.haaro.operator import Operator
from captures.report import haaro, icons
from captures.report.svg import drawing, group, line, path, rect, text, title, width_of
from captures.run import Run

WIDTH = 1120.0
MARGIN = 40.0
TIERS = {"correspondent": 0, "cmd": 0, "lma": 0, "cache": 0, "core": 1, "gateway": 2, "cell": 3, "mobile": 4}
ROWS = (40.0, 180.0, 340.0, 520.0, 614.0)
HIDDEN = ("air",)
AERO_TIERS = {
    "native": 0,
    "native router": 0,
    "server": 1,
    "relay": 1,
    "core": 2,
    "nat": 3,
    "router": 3,
    "client": 4,
    "host": 5,
}
AERO_ROWS = (40.0, 150.0, 270.0, 390.0, 500.0, 610.0)
BESIDE = 120.0


class Topology:
    """Lays the lab out and draws it."""

    def __init__(self, run: Run, colours: dict[str, str], tunnels: dict[str, int]) -> None:
        """`colours`: gateway -> css class; `tunnels`: "serving–anchor" -> octets seen."""
        self.run = run
        self.colours = colours
        self.tunnels = tunnels
        self.nodes: dict[str, dict[str, Any]] = run.lab["nodes"]
        self.place: dict[str, tuple[float, float]] = {}
        self.tiers: dict[str, int] = AERO_TIERS if run.aero else TIERS
        self.rows: tuple[float, ...] = AERO_ROWS if run.aero else ROWS
        if run.haaro:
            self.tiers, self.rows = haaro.TIERS, AERO_ROWS
            self._lay_out_haaro(run.haaro)
        elif run.aero:
            self._lay_out_aero(run.aero)
        else:
            self._lay_out()

    def draw(self) -> str:
        """The whole drawing."""
        deepest = max((y for _, y in self.place.values()), default=0.0)
        parts = [self._links(), self._tunnels(), self._walk()]
        parts += [self._node(name) for name in self.place]
        return drawing(WIDTH, deepest + 40, "".join(parts), "Topology of the lab")

    def _role(self, name: str) -> str:
        return str(self.nodes[name].get("role", ""))

    def _lay_out(self) -> None:
        tiers: dict[int, list[str]] = {}
        for name in self.nodes:
            role = self._role(name)
            if role not in HIDDEN and not self._beside_gateway(name):
                tiers.setdefault(TIERS.get(role, 1), []).append(name)
        gateways = sorted(tiers.get(2, []))
        order = {name: index for index, name in enumerate(gateways)}
        for tier, names in tiers.items():
            names.sort(key=lambda name: self._order(tier, name, order))
            for index, name in enumerate(names):
                x = MARGIN + (WIDTH - 2 * MARGIN) * (index + 0.5) / len(names)
                self.place[name] = (x, ROWS[tier])
        if tiers.get(0) and len(tiers[0]) % 2 == 1:  # the CMD in the middle, straight above the core
            middle = tiers[0][len(tiers[0]) // 2]
            cmd = self.run.cmd_node
            if cmd in tiers[0]:
                self.place[middle], self.place[cmd] = self.place[cmd], self.place[middle]
        for name, facts in self.run.lab.get("cells", {}).items():
            if name in self.place and facts.get("gateway") in self.place:
                self.place[name] = (self.place[facts["gateway"]][0], ROWS[3])
        self._place_caches()
        self._place_mobiles()

    def _lay_out_aero(self, link: AeroLink) -> None:
        """Each Client in a column with its NATs above and what is downstream below; Servers, Relays above the core."""
        across = WIDTH - 2 * MARGIN
        for names, row in (([*link.servers, *link.relays], 1), ([*link.clients], 4)):
            for index, name in enumerate(names):
                self.place[name] = (MARGIN + across * (index + 0.5) / len(names), self.rows[row])
        for client in link.clients.values():
            x, _y = self.place[client.name]
            below = [lan.node for lan in client.downstream] or [client.host or ""]
            for number, name in enumerate(name for name in below if name in self.nodes):
                self.place[name] = (x + BESIDE * (number - (len(below) - 1) / 2), self.rows[5])
            for number, name in enumerate(client.nats):
                self.place[name] = (x + 130 * (number - (len(client.nats) - 1) / 2), self.rows[3])
        for name in self.nodes:
            if name not in self.place:
                tier = self.tiers.get(self._role(name), 2)
                above = link.relays if self._role(name) == "native router" else link.servers
                beside = next(iter(above), "") if tier == 0 else ""
                x = self.place[beside][0] if beside in self.place else WIDTH / 2
                self.place[name] = (x, self.rows[tier])

    def _lay_out_haaro(self, operator: Operator) -> None:
        """Each site in a column, its NATs above it; what is shared side by side above."""
        tiers: dict[int, list[str]] = {}
        for name in self.nodes:
            tiers.setdefault(self.tiers.get(self._role(name), 2), []).append(name)
        for tier, names in tiers.items():
            for index, name in enumerate(names):
                x = MARGIN + (WIDTH - 2 * MARGIN) * (index + 0.5) / len(names)
                self.place[name] = (x, self.rows[tier])
        for router in operator.routers.values():
            x, _y = self.place[router.name]
            self.place[router.host] = (x, self.rows[5])
            nats = [line.nat for line in router.lines if line.nat]
            for number, nat in enumerate(nats):
                self.place[nat] = (x + 130 * (number - (len(nats) - 1) / 2), self.rows[3])

    def _beside_gateway(self, name: str) -> bool:
        ends = [(link["a"][0], link["b"][0]) for link in self.run.lab.get("links", [])]
        others = [two if one == name else one for one, two in ends if name in (one, two)]
        return self._role(name) == "cache" and any(self._role(other) == "gateway" for other in others)

    def _place_caches(self) -> None:
        """A cache at a gateway stands beside it, on the inner side."""
        for link in self.run.lab.get("links", []):
            for (one, _), (two, _) in ((link["a"], link["b"]), (link["b"], link["a"])):
                if self._role(one) == "cache" and self._role(two) == "gateway":
                    x, y = self.place[two]
                    self.place[one] = (x + (BESIDE if x < WIDTH / 2 else -BESIDE), y)

    def _order(self, tier: int, name: str, gateways: dict[str, int]) -> tuple[int, str]:
        if tier == 3:
            gateway = self.run.lab.get("cells", {}).get(name, {}).get("gateway", "")
            return gateways.get(gateway, 99), name
        return 0, name

    def _place_mobiles(self) -> None:
        """Each mobile node stands below the cell it ended in, side by side with others there."""
        here: dict[str, list[str]] = {}
        for name, stays in self.run.attachments.items():
            if stays and name in self.place:
                here.setdefault(stays[-1].cell, []).append(name)
        for cell, names in here.items():
            if cell in self.place:
                for index, name in enumerate(names):
                    offset = (index - (len(names) - 1) / 2) * 70
                    self.place[name] = (self.place[cell][0] + offset, ROWS[4])

    def _links(self) -> str:
        parts = []
        for link in self.run.lab.get("links", []):
            (one, first), (two, second) = link["a"], link["b"]
            if one not in self.place or two not in self.place or "mobile" in (self._role(one), self._role(two)):
                continue
            if self.tiers.get(self._role(one), 1) == 1 and self.tiers.get(self._role(two), 1) != 1:
                one, first, two, second = two, second, one, first
            (x1, y1), (x2, y2) = self.place[one], self.place[two]
            parts.append(line(x1, y1, x2, y2, "link"))
            network = self._network(one, first) or self._network(two, second)
            if network and y1 != y2:
                # Two thirds of the way from the hub: links fan out there and labels keep apart.
                x, y = x1 + (x2 - x1) * 0.38, y1 + (y2 - y1) * (0.5 if y1 < y2 else 0.46)
                x = x1 + (x2 - x1) * ((y - y1) / (y2 - y1)) if y1 != y2 else x
                parts.append(self._plate(x, y, network))
            parts.append(self._impairments(link, (x1 + x2) / 2, (y1 + y2) / 2))
        return "".join(parts)

    @staticmethod
    def _plate(x: float, y: float, label: str) -> str:
        wide = width_of(label, 11, mono=True) + 10
        return rect(x - wide / 2, y - 9, wide, 18, "plate", rx=4) + text(x, y + 4, label, "mono small")

    @staticmethod
    def _impairments(link: dict[str, Any], x: float, y: float) -> str:
        units = {"delay": "ms", "loss": "%", "rate": "Mbit/s"}
        known = [f"{key} {link[key]:g} {unit}" for key, unit in units.items() if link.get(key)]
        return text(x + 8, y + 18, ", ".join(known), "small warn", "start") if known else ""

    def _network(self, node: str, interface: str) -> str:
        addresses = self.nodes[node].get("interfaces", {}).get(interface, {}).get("addresses", [])
        return str(ip_interface(addresses[0]).network) if addresses else ""

    def _address(self, name: str) -> str:
        """The node's first address inside a link (hosts, CMD, gateways)."""
        for facts in self.nodes[name].get("interfaces", {}).values():
            if facts.get("addresses"):
                return str(ip_interface(facts["addresses"][0]).ip)
        return ""

    def _node(self, name: str) -> str:
        x, y = self.place[name]
        role = self._role(name)
        if role == "gateway":
            return icons.gateway(x, y, self.colours.get(name, "")) + self._beside(name, x, y)
        if role == "core":
            return icons.router(x, y) + text(x + 36, y + 5, name, "name", "start")
        if role == "cell":
            return icons.cell(x, y) + text(x, y + 15, name, "small muted")
        if role == "mobile":
            return (
                icons.phone(x, y)
                + text(x + 22, y - 2, name, "name", "start")
                + text(
                    x + 22,
                    y + 14,
                    self.run.mobiles[name].mac if name in self.run.mobiles else "",
                    "mono small",
                    "start",
                )
            )
        shape = {"cmd": icons.database, "lma": icons.router, "cache": icons.database, "correspondent": icons.host}.get(
            role, icons.box
        )(x, y)
        caption = {
            "cmd": "mobility database",
            "lma": "local mobility anchor",
            "cache": "content cache",
            "correspondent": "correspondent",
        }.get(role, role)
        caption = "home LMA" if name == self.run.lma else caption
        return shape + self._caption(x, y, 36, (name, caption, self._address(name)), self._beside_gateway(name))

    def _beside(self, name: str, x: float, y: float) -> str:
        facts = self.run.gateways.get(name)
        pool = f"pool {facts.pool}" if facts else "gateway"
        heading = f"{name} of {facts.operator}" if facts and facts.operator else name
        return self._caption(x, y, 38, (heading, pool, self._address(name)))

    @staticmethod
    def _caption(x: float, y: float, away: float, lines: tuple[str, str, str], inward: bool = False) -> str:
        """Name, role and address on the outer side, where no link to the core passes, or on the other one."""
        left = (x < WIDTH / 2 - 20) != inward
        at, anchor = (x - away, "end") if left else (x + away, "start")
        styles = ("name halo", "small muted halo", "mono small halo")
        parts = (text(at, y - 7 + 15 * n, line_, styles[n], anchor) for n, line_ in enumerate(lines))
        return "".join(parts)

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
