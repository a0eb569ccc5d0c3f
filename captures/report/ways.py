"""Flows between AERO Clients over time: directly, through a Server, through a Relay; moves and gaps."""

from __future__ import annotations

from captures.aero.link import AeroLink
from captures.aero.ways import FAILURE, Span, Travel, Way, moves, travels
from captures.report.svg import circle, drawing, line, rect, text, title, width_of

WIDTH, LEFT, RIGHT, TOP = 1120.0, 208.0, 16.0, 34.0
ROW, CROWDED_ROW = 54.0, 22.0
BAR, CROWDED_BAR = 18.0, 12.0
CROWD = 20
"""Directions of flows from which on rows are low, and only gaps worth it have their label."""
THIN = 2.5
"""Pixels of what is too short to be seen."""
LONG_GAP = 0.5
"""Seconds."""
WORDS = {"moving": "moves", "changing": "changes Server", FAILURE: "fails"}
KINDS = (("directly", "c3", False), ("through one Server", "c1", True), ("through Servers and a Relay", "c2", True))
"""(in words, colour, striped), by the number of nodes in between: none, one, more."""


def _kind(way: Way) -> tuple[str, str, bool]:
    return KINDS[min(len(way), len(KINDS) - 1)]


class Ways:
    """All flows between Clients over one time axis."""

    def __init__(self, link: AeroLink, shortest: float) -> None:
        """Flows of less than `shortest` seconds would be dots, and are left out."""
        self.travels = [each for each in travels(link) if each.arrivals and each.end - each.start >= shortest]
        self.moves = moves(link)
        self.begin = min((each.start for each in self.travels), default=0.0)
        self.end = max((each.arrivals[-1][0] for each in self.travels), default=0.0)
        self.end = max(self.end, self.begin + 0.001)
        self.crowded = len(self.travels) > CROWD

    @property
    def legend(self) -> list[tuple[str, str, bool]]:
        """Kinds of ways that there are: (in words, colour, striped)."""
        found = {_kind(span.way) for each in self.travels for span in each.spans()}
        return [kind for kind in KINDS if kind in found]

    def draw(self) -> str:
        """The whole drawing."""
        row = CROWDED_ROW if self.crowded else ROW
        bottom = TOP + row * len(self.travels) + 4
        parts = [] if self.crowded else [self._moves(bottom)]
        parts += [self._travel(each, TOP + row * index) for index, each in enumerate(self.travels)]
        return drawing(WIDTH, bottom + 30, "".join([*parts, self._axis(bottom)]), "Way and gaps of each flow over time")

    def _x(self, when: float) -> float:
        inside = min(max(when, self.begin), self.end)
        return LEFT + (inside - self.begin) / (self.end - self.begin) * (WIDTH - LEFT - RIGHT)

    def _moves(self, bottom: float) -> str:
        parts = []
        free = 0.0
        for moved, client, event in self.moves:
            if not self.begin <= moved <= self.end:
                continue
            x, label = self._x(moved), f"{client} {WORDS[event]}"
            parts.append(line(x, TOP - 6, x, bottom, "move"))
            wide = width_of(label, 12) / 2
            if x - wide > free:
                parts.append(text(x, TOP - 14, label, "small name"))
                free = x + wide + 6
        return "".join(parts)

    def _axis(self, bottom: float) -> str:
        span = self.end - self.begin
        step = next((s for s in (0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600) if span / s <= 14), 3600)
        parts = [line(LEFT, bottom, WIDTH - RIGHT, bottom, "axis")]
        for number in range(int(span / step) + 1):
            x = self._x(self.begin + number * step)
            parts.append(line(x, bottom, x, bottom + 5, "axis"))
            parts.append(text(x, bottom + 19, f"{number * step:g} s", "small muted"))
        return "".join(parts)

    def _travel(self, each: Travel, top: float) -> str:
        one, other = each.ends
        y = top + (6 if self.crowded else 24)
        parts = [line(8, top, WIDTH - RIGHT, top, "rule")]
        if self.crowded:
            parts.append(text(12, y + 10, each.name, "small", "start"))
        else:
            parts.append(text(12, y + 2, each.name, "name", "start"))
            parts.append(text(12, y + 18, f"{each.kind}, {one.name} → {other.name}", "small muted", "start"))
        parts += [self._span(each, span, y) for span in each.spans()]
        return "".join([*parts, *self._gaps(each, y)])

    def _span(self, each: Travel, span: Span, y: float) -> str:
        label, colour, striped = _kind(span.way)
        way = f"by {' '.join(span.way)}" if span.way else label
        x1 = self._x(span.begin)
        wide, high = max(self._x(span.end) - x1, THIN), CROWDED_BAR if self.crowded else BAR
        seconds = f"{span.begin - self.begin:.3f} s to {span.end - self.begin:.3f} s"
        frame = f"{span.first.file} frame {span.first.number}"
        tip = title(f"{each.name}: {way}, {span.packets} packets, {seconds}, the first is {frame}")
        parts = [rect(x1, y, wide, high, f"bar {colour}", tip, rx=2)]
        if striped:
            parts.append(rect(x1, y, wide, high, "hatch", tip, rx=2, fill="url(#hatch)"))
        room = width_of(way, 11) + 14
        if room < wide and not self.crowded:
            parts.append(rect(x1 + wide / 2 - room / 2, y + 2, room, high - 4, "plate", rx=7))
            parts.append(text(x1 + wide / 2, y + 13, way, "small"))
        return "".join(parts)

    def _gaps(self, each: Travel, y: float) -> list[str]:
        parts, free = [], LEFT
        for gap in each.gaps(self.moves):
            x, label = self._x(gap.moved), f"{gap.seconds * 1000:.0f} ms"
            tip = title(f"{each.name}: {gap.client} {WORDS[gap.event]}, silence of {gap.seconds * 1000:.1f} ms")
            half = (CROWDED_BAR if self.crowded else BAR) / 2
            long = gap.seconds >= LONG_GAP
            parts.append(circle(x, y + half, 3 if self.crowded else 5, "gap-dot" + (" lost" if long else ""), tip))
            wide = width_of(label, 11.5) / 2 + 4
            at = min(max(x, LEFT + wide), WIDTH - RIGHT - wide)
            if not self.crowded and at - wide > free:
                parts.append(rect(at - wide, y - 16, 2 * wide, 14, "plate", rx=6))
                parts.append(text(at, y - 5, label, "small gap-text"))
                free = at + wide
        return parts
