"""Per-flow timelines: path during each stay (local, or through the tunnel to which anchor) and the gaps."""

from __future__ import annotations

from captures.flows import LOCAL, FlowReport, Path
from captures.report.svg import circle, drawing, line, rect, text, title, width_of
from captures.run import Run

WIDTH = 1120.0
LEFT = 208.0
RIGHT = 16.0
TOP = 58.0
ROW = 58.0
BAR = 20.0


class Timeline:
    """All flows over one time axis."""

    def __init__(self, run: Run, reports: list[FlowReport], colours: dict[str, str]) -> None:
        """`colours`: gateway -> css class."""
        self.run, self.reports, self.colours = run, reports, colours
        starts = [stay.start for stays in run.attachments.values() for stay in stays]
        starts += [report.flow.start for report in reports]
        self.begin = min(starts, default=0.0)
        self.end = max(run.end, self.begin + 0.001)

    def draw(self) -> str:
        """The whole drawing."""
        height = TOP + ROW * len(self.reports) + 30
        parts = [self._stays(height - 30), self._axis(height - 30)]
        parts += [self._flow(report, TOP + ROW * index) for index, report in enumerate(self.reports)]
        return drawing(WIDTH, height, "".join(parts), "Path and gaps of each flow over time")

    def _x(self, when: float) -> float:
        inside = min(max(when, self.begin), self.end)
        return LEFT + (inside - self.begin) / (self.end - self.begin) * (WIDTH - LEFT - RIGHT)

    def _stays(self, bottom: float) -> str:
        """One band per stay of the first mobile node, headed by the serving gateway."""
        parts = []
        for stays in list(self.run.attachments.values())[:1]:
            for stay in stays:
                x1, x2 = self._x(stay.start), self._x(stay.end)
                css = f"band {'odd' if stay.number % 2 else 'even'}"
                parts.append(rect(x1, 8, x2 - x1, bottom - 8, css))
                label = f"{stay.mobile} at {stay.gateway}"
                if width_of(label, 13) < x2 - x1:
                    parts.append(text((x1 + x2) / 2, 28, label, "name"))
                if stay.number:
                    parts.append(line(x1, 8, x1, bottom, "move"))
        return "".join(parts)

    def _axis(self, bottom: float) -> str:
        span = self.end - self.begin
        step = next((s for s in (0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600) if span / s <= 14), 3600)
        parts = [line(LEFT, bottom, WIDTH - RIGHT, bottom, "axis")]
        for number in range(int(span / step) + 1):
            x = self._x(self.begin + number * step)
            parts.append(line(x, bottom, x, bottom + 5, "axis"))
            parts.append(text(x, bottom + 19, f"{number * step:g} s", "small muted"))
        return "".join(parts)

    def _flow(self, report: FlowReport, top: float) -> str:
        flow = report.flow
        anchor = self.run.anchor_of(flow.source) or ""
        y = top + 24
        parts = [
            line(8, top, WIDTH - RIGHT, top, "rule"),
            text(12, y + 4, flow.name, "name", "start"),
            text(
                12,
                y + 20,
                f"{flow.kind}, {self.run.name_of(flow.destination)}, {anchor or '?'}'s prefix",
                "small muted",
                "start",
            ),
        ]
        parts += [self._segment(report, path, anchor, y) for path in report.paths if path.main is not None]
        labels: list[float] = []
        for gap in report.gaps:
            x = self._x(gap.stay.start)
            parts.append(circle(x, y + BAR / 2, 5, "gap-dot" + (" lost" if gap.seconds is None else "")))
            label = "stopped" if gap.seconds is None else f"{gap.seconds * 1000:.1f} ms"
            if gap.lost:
                label += f", {gap.lost} lost"
            wide = width_of(label, 12.5) / 2 + 4
            at = min(max(x, LEFT + wide), WIDTH - RIGHT - wide)
            if not labels or at - wide > labels[-1]:
                parts.append(rect(at - wide, y - 18, 2 * wide, 15, "plate", rx=7))
                parts.append(text(at, y - 7, label, "small gap-text"))
                labels.append(at + wide)
        return "".join(parts)

    def _segment(self, report: FlowReport, path: Path, anchor: str, y: float) -> str:
        x1, x2 = self._x(path.start), self._x(path.end)
        local = path.main == LOCAL
        where = anchor if local else str(path.main)
        label = "local" if local else f"tunnel to {path.main}"
        packets = sum(count for _, count in path.counts)
        tip = title(f"{report.flow.name} at {path.stay.gateway}: {label}, {packets} packets on the core link")
        colour = self.colours.get(where, "")
        parts = [rect(x1, y, x2 - x1, BAR, f"bar {colour}", tip, rx=3)]
        if not local:
            parts.append(rect(x1, y, x2 - x1, BAR, "hatch", rx=3, fill="url(#hatch)"))
        wide = width_of(label, 11) + 14
        if wide < x2 - x1:
            middle = (x1 + x2) / 2
            parts.append(rect(middle - wide / 2, y + 2, wide, BAR - 4, "plate", rx=8))
            parts.append(text(middle, y + 14, label, "small"))
        return "".join(parts)
