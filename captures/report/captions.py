"""What is written at the nodes of the topology drawing, as much of it as there is room for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

from captures.report.layout import WIDTH, Places
from captures.report.svg import rect, text, width_of

STYLES = ("name halo", "small muted halo", "mono small halo")
SIZES = ((13.0, False), (11.0, False), (11.0, True))
"""Font size and whether of fixed width, as the style sheet has them."""
ICON = 30.0
"""Half a node's width."""
HIGH = 15.0
APART = 12.0
NEAR = 40.0


@dataclass(frozen=True, slots=True)
class Caption:
    """Name, role and address of a node, each of which may be empty."""

    lines: tuple[str, str, str]
    away: float = 36.0
    side: str = "outer"
    """ "outer", where no link to the core passes, "inner", "left" or "right"."""

    def wide(self) -> float:
        """Pixels of its longest line."""
        return max(width_of(line, *SIZES[n]) for n, line in enumerate(self.lines))


@dataclass(frozen=True, slots=True)
class Plate:
    """The network of a link, written on the link."""

    x: float
    y: float
    label: str

    def wide(self) -> float:
        """Pixels."""
        return width_of(self.label, 11, mono=True) + 10

    def draw(self) -> str:
        """The plate."""
        box = rect(self.x - self.wide() / 2, self.y - 9, self.wide(), 18, "plate", rx=4)
        return box + text(self.x, self.y + 4, self.label, "mono small")


def draw_captions(place: Places, captions: dict[str, Caption], hub: float) -> str:
    """All captions, alike within a row: beside the nodes, else without the role above or below them, else names only.

    `hub`: height of the core; above it captions go above.
    """
    rows: dict[float, list[str]] = {}
    for name in captions:
        rows.setdefault(place[name][1], []).append(name)
    parts = []
    for y, names in rows.items():
        row = sorted(x for x, other in place.values() if abs(other - y) < NEAR)
        if all(_free(place[name][0], captions[name], row) for name in names):
            parts += [_beside(*place[name], captions[name]) for name in names]
            continue
        room = min((after - before for before, after in pairwise(row)), default=WIDTH)
        fits = all(captions[name].wide() + APART <= room for name in names)
        parts += [_stacked(*place[name], captions[name], above=y < hub, whole=fits) for name in names]
    return "".join(parts)


def draw_plates(plates: Iterable[Plate]) -> str:
    """The networks of links to one row of nodes; none where they would hide each other."""
    ordered = sorted(plates, key=lambda one: (one.y, one.x))
    hidden = any(
        after.y - before.y < 18 and after.x - before.x < (after.wide() + before.wide()) / 2
        for before, after in pairwise(ordered)
    )
    return "" if hidden else "".join(one.draw() for one in ordered)


def _left(x: float, caption: Caption) -> bool:
    if caption.side in ("left", "right"):
        return caption.side == "left"
    return (x < WIDTH / 2 - 20) != (caption.side == "inner")


def _free(x: float, caption: Caption, row: list[float]) -> bool:
    """Whether nothing stands where it would be written beside the node, and it is inside the drawing."""
    far = x - caption.away - caption.wide() if _left(x, caption) else x + caption.away + caption.wide()
    low, high = min(x, far), max(x, far)
    return low >= 0 and high <= WIDTH and not any(low - ICON < other < high + ICON for other in row if other != x)


def _beside(x: float, y: float, caption: Caption) -> str:
    left = _left(x, caption)
    at, anchor = (x - caption.away, "end") if left else (x + caption.away, "start")
    written = [(line, style) for line, style in zip(caption.lines, STYLES, strict=True) if line]
    first = y + 8 - HIGH * len(written) / 2 + (0 if len(written) < 3 else 0.5)
    return "".join(text(at, first + HIGH * n, line, style, anchor) for n, (line, style) in enumerate(written))


def _stacked(x: float, y: float, caption: Caption, above: bool, whole: bool) -> str:
    name, _role, address = caption.lines
    written = [(name, STYLES[0])] + ([(address, STYLES[2])] if whole and address else [])
    first = y - 25 - HIGH * (len(written) - 1) if above else y + 37
    return "".join(text(x, first + HIGH * n, line, style) for n, (line, style) in enumerate(written))
