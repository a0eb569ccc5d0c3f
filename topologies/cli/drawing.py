"""Draws a lab's topology: as text, as dot, and as SVG."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape

_COLUMN, _ROW, _WIDTH, _HEIGHT = 250, 74, 120, 40
_COLUMNS = {
    "correspondent": 0,
    "cmd": 0,
    "lma": 0,
    "cache": 0,
    "core": 1,
    "gateway": 3,
    "cell": 4,
    "air": 5,
    "mobile": 6,
}
_OTHERS = 2  # the column of every role that has none of its own
_FILL = {"gateway": "#dbeafe", "cmd": "#fef3c7", "mobile": "#dcfce7", "cell": "#f3e8ff", "correspondent": "#fee2e2"}


@dataclass(frozen=True)
class Drawing:
    """What is drawn: nodes with their roles, and links between interfaces."""

    title: str
    roles: Mapping[str, str]
    links: tuple[tuple[tuple[str, str], tuple[str, str]], ...]
    """((node, interface), (node, interface))"""
    notes: Mapping[str, str] = field(default_factory=dict)
    """A node's addresses, say; shown where there is room"""


def as_text(drawing: Drawing) -> str:
    """Every node once, with its links as branches."""
    lines = [drawing.title]
    for name in _ordered(drawing):
        role = drawing.roles[name]
        note = drawing.notes.get(name, "")
        lines.append(f"{name} ({role})  {note}".rstrip() if role else f"{name}  {note}".rstrip())
        ends = [
            (mine[1], other)
            for one, two in drawing.links
            for mine, other in ((one, two), (two, one))
            if mine[0] == name
        ]
        width = max((len(interface) for interface, _ in ends), default=0)
        for index, (interface, other) in enumerate(ends):
            branch = "└" if index == len(ends) - 1 else "├"
            lines.append(f" {branch}─ {interface:<{width}} ── {other[0]}:{other[1]}")
    return "\n".join(lines)


def as_dot(drawing: Drawing) -> str:
    """For Graphviz."""
    lines = [f"graph {_quoted(drawing.title)} {{", "  node [shape=box, style=filled, fillcolor=white];"]
    for name, role in drawing.roles.items():
        fill = _FILL.get(role, "white")
        label = _quoted(f"{name}\n{role}" if role else name)
        lines.append(f"  {_quoted(name)} [label={label}, fillcolor={_quoted(fill)}];")
    for (one, first), (two, second) in drawing.links:
        ends = f"taillabel={_quoted(first)}, headlabel={_quoted(second)}"
        lines.append(f"  {_quoted(one)} -- {_quoted(two)} [{ends}];")
    return "\n".join([*lines, "}"])


def as_svg(drawing: Drawing) -> str:
    """One self-contained SVG: columns by role, correspondents left, mobile nodes right."""
    places = _places(drawing)
    width = max((x for x, _ in places.values()), default=0) + _WIDTH + 20
    height = max((y for _, y in places.values()), default=0) + _HEIGHT + 20
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
        ' font-family="sans-serif" font-size="12">',
        f'<title>{escape(drawing.title)}</title><rect width="100%" height="100%" fill="white"/>',
    ]
    for (one, first), (two, second) in drawing.links:
        here, there = _centre(places[one]), _centre(places[two])
        parts.append(f'<line x1="{here[0]}" y1="{here[1]}" x2="{there[0]}" y2="{there[1]}" stroke="#64748b"/>')
        parts += [_label(first, here, there), _label(second, there, here)]
    for name, (x, y) in places.items():
        role = drawing.roles[name]
        fill = _FILL.get(role, "#f8fafc")
        parts.append(
            f'<g><rect x="{x}" y="{y}" width="{_WIDTH}" height="{_HEIGHT}" rx="5" fill="{fill}" stroke="#334155"/>'
            f'<text x="{x + _WIDTH / 2}" y="{y + 17}" text-anchor="middle" font-weight="bold">{escape(name)}</text>'
            f'<text x="{x + _WIDTH / 2}" y="{y + 32}" text-anchor="middle" fill="#475569">{escape(role)}</text>'
            f"<title>{escape(drawing.notes.get(name, ''))}</title></g>"
        )
    return "\n".join([*parts, "</svg>"])


def _label(interface: str, here: tuple[float, float], there: tuple[float, float]) -> str:
    """An interface's name on its link, where the link leaves the box of its node."""
    (x1, y1), (x2, y2) = here, there
    if x1 == x2:
        x, y, anchor = x1 + 4, y1 + (_HEIGHT / 2 + 12) * (1 if y2 > y1 else -1), "start"
    else:
        away = _WIDTH / 2 + 4
        x, anchor = (x1 + away, "start") if x2 > x1 else (x1 - away, "end")
        y = y1 + (y2 - y1) * (away + 8) / abs(x2 - x1) - 3
    place = f'x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}"'
    return f'<text {place} fill="#64748b" font-size="10">{escape(interface)}</text>'


def _rank(role: str) -> int:
    return _COLUMNS.get(role, _OTHERS)


def _ordered(drawing: Drawing) -> list[str]:
    return sorted(drawing.roles, key=lambda name: (_rank(drawing.roles[name]), name))


def _places(drawing: Drawing) -> dict[str, tuple[int, int]]:
    columns: dict[int, list[str]] = {}
    for name in _ordered(drawing):
        columns.setdefault(_rank(drawing.roles[name]), []).append(name)
    tallest = max((len(names) for names in columns.values()), default=0)
    places = {}
    for column, rank in enumerate(sorted(columns)):
        names = columns[rank]
        top = (tallest - len(names)) * _ROW // 2
        for row, name in enumerate(names):
            places[name] = (10 + column * _COLUMN, 10 + top + row * _ROW)
    return places


def _centre(place: tuple[int, int]) -> tuple[float, float]:
    return place[0] + _WIDTH / 2, place[1] + _HEIGHT / 2


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
