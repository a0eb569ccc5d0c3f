"""Where each node stands in the topology drawing: rows by role, columns by what belongs together."""

from __future__ import annotations

from math import ceil
from statistics import mean
from typing import Any

from captures.aero.link import AeroLink
from captures.haaro.operator import Operator
from captures.run import Run

WIDTH = 1120.0
MARGIN = 40.0
ACROSS = WIDTH - 2 * MARGIN
ABREAST = 58.0
"""Between two nodes with nothing but their names."""
RANK = 66.0
"""From one rank of a crowded row to the next."""
BESIDE = 120.0
APART = 200.0
HIDDEN = ("air",)
TIERS = {"correspondent": 0, "cmd": 0, "lma": 0, "cache": 0, "core": 1, "gateway": 2, "cell": 3, "mobile": 4}
ROWS = (40.0, 180.0, 340.0, 520.0, 614.0)
AERO_TIERS = {"core": 2, "nat": 3, "router": 3, "client": 4, "host": 5}
HAARO_TIERS = {"home agent": 0, "correspondent": 0, "core": 1, "ISP": 2, "nat": 3, "mobile router": 4, "site": 5}
SITE_ROWS = (40.0, 150.0, 270.0, 390.0, 500.0, 610.0)

Nodes = dict[str, dict[str, Any]]
Places = dict[str, tuple[float, float]]


def lay_out(run: Run) -> Places:
    """Centre of each node that is drawn, pixels."""
    nodes: Nodes = run.lab["nodes"]
    if run.haaro:
        return _haaro(run.haaro, nodes)
    return _aero(run, run.aero, nodes) if run.aero else _distributed(run, nodes)


def role(nodes: Nodes, name: str) -> str:
    """A node's part in the lab, "" when lab.json gives none."""
    return str(nodes[name].get("role", ""))


def beside_gateway(run: Run, name: str) -> bool:
    """Whether this is a cache with a link to a gateway."""
    nodes: Nodes = run.lab["nodes"]
    return role(nodes, name) == "cache" and any(role(nodes, one) == "gateway" for one in _neighbours(run, name))


def _neighbours(run: Run, name: str) -> list[str]:
    ends = [(link["a"][0], link["b"][0]) for link in run.lab.get("links", [])]
    return [two if one == name else one for one, two in ends if name in (one, two)]


def row(names: list[str], y: float) -> tuple[Places, float]:
    """Side by side, in several ranks where they would not fit; and how much deeper that is."""
    ranks = max(1, ceil(len(names) * ABREAST / ACROSS))
    columns = ceil(len(names) / ranks)
    found = {}
    for index, name in enumerate(names):
        column, rank = divmod(index, ranks)
        found[name] = MARGIN + ACROSS * (column + (rank + 0.5) / ranks) / columns, y + rank * RANK
    return found, (ranks - 1) * RANK


def _distributed(run: Run, nodes: Nodes) -> Places:
    tiers: dict[int, list[str]] = {}
    for name in nodes:
        if role(nodes, name) not in HIDDEN and not beside_gateway(run, name):
            tiers.setdefault(TIERS.get(role(nodes, name), 1), []).append(name)
    cells = run.lab.get("cells", {})
    place: Places = {}
    for tier, names in tiers.items():
        names.sort(key=lambda name: (cells.get(name, {}).get("gateway", ""), name))
        place |= row(names, ROWS[tier])[0]
    top, cmd = tiers.get(0, []), run.cmd_node
    if cmd in top and len(top) % 2:  # the CMD in the middle, straight above the core
        middle = top[len(top) // 2]
        place[middle], place[cmd] = place[cmd], place[middle]
    for name, facts in cells.items():
        if name in place and facts.get("gateway") in place:
            place[name] = (place[facts["gateway"]][0], ROWS[3])
    _place_caches(run, nodes, place)
    _place_mobiles(run, place)
    return place


def _place_caches(run: Run, nodes: Nodes, place: Places) -> None:
    """A cache at a gateway stands beside it, on the inner side."""
    for link in run.lab.get("links", []):
        for (one, _), (two, _) in ((link["a"], link["b"]), (link["b"], link["a"])):
            if role(nodes, one) == "cache" and role(nodes, two) == "gateway":
                x, y = place[two]
                place[one] = (x + (BESIDE if x < WIDTH / 2 else -BESIDE), y)


def _place_mobiles(run: Run, place: Places) -> None:
    """Each mobile node stands below the cell it ended in, side by side and in ranks with others there."""
    here: dict[str, list[str]] = {}
    for name, stays in run.attachments.items():
        if stays and name in place and stays[-1].cell in place:
            here.setdefault(stays[-1].cell, []).append(name)
    abreast = max(1, int(ACROSS / max(1, len(run.lab.get("cells", {}))) // ABREAST))
    for cell, names in here.items():
        for index, name in enumerate(names):
            rank, column = divmod(index, abreast)
            beside = min(abreast, len(names) - rank * abreast)
            offset = (column - (beside - 1) / 2) * (ABREAST if len(names) > 2 else 1.2 * ABREAST)
            place[name] = (place[cell][0] + offset, ROWS[4] + rank * RANK)


def _aero(run: Run, link: AeroLink, nodes: Nodes) -> Places:
    """Each Client in a column with its NATs above and what is downstream below; Servers, Relays above the core."""
    above, _ = row([*link.servers, *link.relays], SITE_ROWS[1])
    clients, deeper = row([*link.clients], SITE_ROWS[4])
    place = above | clients
    for client in link.clients.values():
        x, _y = place[client.name]
        below = [name for name in ([lan.node for lan in client.downstream] or [client.host or ""]) if name in nodes]
        for number, name in enumerate(below):
            place[name] = (x + BESIDE * (number - (len(below) - 1) / 2), SITE_ROWS[5] + deeper)
        _side_by_side(place, [*client.nats], x, SITE_ROWS[3])
    native = [name for name in nodes if name not in place and role(nodes, name).startswith("native")]
    for name in reversed(native):  # its router straight above those it is linked with, a host beside that
        near = [place[one] for one in _neighbours(run, name) if one in place]
        beside = any(y == SITE_ROWS[0] for _x, y in near)
        place[name] = (mean(x for x, _y in near or [(WIDTH / 2, 0.0)]) - APART * beside, SITE_ROWS[0])
    for name in nodes:
        place.setdefault(name, (WIDTH / 2, SITE_ROWS[AERO_TIERS.get(role(nodes, name), 2)]))
    return place


def _haaro(operator: Operator, nodes: Nodes) -> Places:
    """Each site in a column, its NATs above it; what is shared side by side above."""
    tiers: dict[int, list[str]] = {}
    for name in nodes:
        tiers.setdefault(HAARO_TIERS.get(role(nodes, name), 2), []).append(name)
    place: Places = {}
    for tier, names in tiers.items():
        place |= row(names, SITE_ROWS[tier])[0]
    for router in operator.routers.values():
        x, _y = place[router.name]
        place[router.host] = (x, SITE_ROWS[5])
        _side_by_side(place, [line.nat for line in router.lines if line.nat], x, SITE_ROWS[3])
    return place


def _side_by_side(place: Places, names: list[str], x: float, y: float) -> None:
    for number, name in enumerate(names):
        place[name] = (x + 130 * (number - (len(names) - 1) / 2), y)
