"""Message sequence chart: who told whom what, when; moves as bands, RAs to the mobile node."""

from __future__ import annotations

from captures.records import MobilityMessage, RouterAdvertisement
from captures.report import aero, haaro
from captures.report.arrows import Arrow, Step
from captures.report.svg import drawing, line, path, rect, text, title, width_of
from captures.run import Run
from captures.walk import Attachment

WIDTH = 1120.0
LEFT = 150.0
TOP = 52.0
ROW = 45.0
BAND = 40.0
MOST = 160
"""Messages drawn at most: longer runs are cut with a note."""
HOW = {
    "direct": "At a handover the new gateway asks each anchor itself.",
    "relay": "At a handover the CMD asks each anchor and passes their answers on to the new gateway.",
    "locator": "At a handover the CMD asks each anchor; each answers it and, directly, the new gateway.",
    "proxy": "At a handover the CMD answers the new gateway at once and asks each anchor meanwhile.",
    "classic": "Classic Proxy Mobile IPv6: every gateway registers the node with the one anchor.",
}
"""Mode -> what to expect of the chart."""


class Chart:
    """Collects arrows and bands and draws them in order of time."""

    def __init__(self, run: Run) -> None:
        """Read signalling and advertisements of a run."""
        self.run = run
        self.rows: list[Arrow | Step | Attachment] = []
        self._begins: list[float] = []
        if run.aero:
            self.columns = aero.columns(run.aero)
            self.rows = list(aero.rows(run.aero))
            self._begins = [row.time for row in self.rows if isinstance(row, Step)]
        elif run.haaro:
            self.columns = haaro.columns(run.haaro)
            self.rows = list(haaro.rows(run.haaro))
            self._begins = [row.time for row in self.rows if isinstance(row, Step)]
        else:
            self._read_handovers(run)
        self.begin = min(self._begins, default=0.0)
        self.cut = max(0, len(self.rows) - MOST)
        self.rows = self.rows[:MOST]

    def _read_handovers(self, run: Run) -> None:
        self.columns = [*run.mobiles, *run.gateways, *([run.cmd_node] if run.cmd_node else [])]
        stays = [stay for found in run.attachments.values() for stay in found]
        self.rows = sorted(
            [*stays, *self._messages(), *self._advertisements()],
            key=lambda row: row.start if isinstance(row, Attachment) else row.time,
        )
        self._begins = [stay.start for stay in stays]

    def _messages(self) -> list[Arrow]:
        return [
            Arrow(
                message.time,
                self.run.addresses.get(message.source, ""),
                self.run.addresses.get(message.destination, ""),
                *self._words(message),
                css=f"msg {message.kind.lower()}" + (" bad" if message.status >= 128 else ""),
                tip=f"{message.file} frame {message.number}",
            )
            for message in self.run.signalling
            if message.source in self.run.addresses and message.destination in self.run.addresses
        ]

    def _words(self, message: MobilityMessage) -> tuple[str, str]:
        """(type with status, prefixes and what else matters)."""
        head = f"{message.kind} #{message.sequence}"
        parts = [f"HNP {', '.join(map(str, message.prefixes))}"] if message.prefixes else []
        if message.kind == "PBU":
            parts.append(f"HI {message.handoff}")
            if message.lifetime == 0:
                head += " delete"
            if message.serving is not None:
                parts.append(f"for {self.run.name_of(message.serving)}")
        else:
            head += f" status {message.status}"
            names = [self.run.name_of(group.address) for group in message.anchors]
            if names:
                parts.append(f"anchors {', '.join(names)}")
            elif message.dlif is not None and message.dlif.mac:
                parts.append(f"DLIF {message.dlif.mac}")
            parts += self._purpose(message)
        return head, " · ".join(parts)

    def _purpose(self, answer: MobilityMessage) -> list[str]:
        """What a PBA is for where its ends alone do not tell."""
        run = self.run
        if answer.destination == run.cmd_address:
            return [f"for {run.name_of(answer.serving)}"] if answer.serving is not None else []
        if answer.source != run.cmd_address:
            return [f"answers the PBU to {run.cmd_node}"] if run.mode == "locator" else []
        receiver = run.name_of(answer.destination)
        owners = [run.anchor_of(prefix.network_address) for prefix in answer.prefixes]
        withdrawn = [owner for owner in owners if owner and owner != receiver]
        refused = answer.status >= 128 or answer.lifetime == 0
        return [f"withdraws {', '.join(withdrawn)}"] if refused and withdrawn else []

    def _advertisements(self) -> list[Arrow]:
        """The first RA of each DLIF in each stay; repeats are counted in its text."""
        arrows = []
        for mobile, stays in self.run.attachments.items():
            for stay in stays:
                arrows += self._of_stay(mobile, stay)
        return arrows

    def _of_stay(self, mobile: str, stay: Attachment) -> list[Arrow]:
        first: dict[str, tuple[RouterAdvertisement, int]] = {}
        for one in self.run.advertisements.get(mobile, []):
            if stay.start <= one.time < stay.end and one.eth_destination == self.run.mobiles[mobile].mac:
                seen = first.get(one.eth_source)
                first[one.eth_source] = (seen[0], seen[1] + 1) if seen else (one, 1)
        arrows = []
        for one, count in first.values():
            options = [
                f"{option.prefix} {'preferred' if option.preferred else 'deprecated'}" for option in one.prefixes
            ]
            repeated = f" · repeated {count - 1}×" if count > 1 else ""
            head = f"RA from {one.eth_source}"
            detail = ", ".join(options) + f" · {one.preference}" + repeated
            tip = f"{one.file} frame {one.number}, source {one.source}, router lifetime {one.router_lifetime} s"
            arrows.append(Arrow(one.time, stay.gateway, mobile, head, detail, "msg ra", tip))
        return arrows

    def draw(self) -> str:
        """The whole chart."""
        height, parts = TOP, []
        for row in self.rows:
            if isinstance(row, Attachment | Step):
                parts.append(self._band(row, height + 6))
                height += BAND + 6
            else:
                parts.append(self._arrow(row, height))
                height += ROW
        height += 14
        lifelines = "".join(line(self._x(name), TOP - 6, self._x(name), height, "lifeline") for name in self.columns)
        heads = "".join(self._head(name) for name in self.columns)
        return drawing(WIDTH, height + 8, lifelines + heads + "".join(parts), "Message sequence chart")

    def _x(self, name: str) -> float:
        width = (WIDTH - LEFT) / max(len(self.columns), 1)
        return LEFT + width * (self.columns.index(name) + 0.5)

    def _head(self, name: str) -> str:
        wide = max(width_of(name, 13) + 28, 76)
        x = self._x(name)
        return rect(x - wide / 2, 8, wide, 28, "head", rx=6) + text(x, 27, name, "name")

    def _since(self, when: float) -> float:
        """Time since the latest attachment or step before `when`."""
        return when - max((start for start in self._begins if start <= when), default=when)

    def _band(self, row: Attachment | Step, y: float) -> str:
        start, label = (row.time, row.title) if isinstance(row, Step) else (row.start, self._stay(row))
        return (
            rect(0, y, WIDTH, BAND - 12, "move-band", rx=5)
            + text(12, y + 19, f"{start - self.begin:.3f} s", "mono small", "start")
            + text(LEFT - 10, y + 19, label, "name", "start")
        )

    @staticmethod
    def _stay(stay: Attachment) -> str:
        words = "moves to" if stay.number else "attaches at"
        label = f"{stay.mobile} {words} {stay.gateway}, {stay.cell}"
        return label + f" · {1000 * (stay.start - stay.left):.1f} ms without radio" if stay.number else label

    def _arrow(self, arrow: Arrow, y: float) -> str:
        x1, x2 = self._x(arrow.source), self._x(arrow.destination)
        base = y + 37
        side = 1 if x2 > x1 else -1
        middle = (x1 + x2) / 2
        wide = max(width_of(arrow.head, 12), width_of(arrow.detail, 11, mono=True)) / 2
        at = min(max(middle, LEFT + wide), WIDTH - 8 - wide)
        since = self._since(arrow.time) * 1000
        later = f"+{since:.2f} ms" if since < 1000 else f"+{since / 1000:.2f} s"
        plate = rect(at - wide - 2, base - 32, 2 * wide + 4, 28, "plate")
        return (
            text(12, base - 10, f"{arrow.time - self.begin:.4f} s", "mono small", "start")
            + text(12, base + 4, later, "mono tiny muted", "start")
            + plate
            + path(f"M{x1} {base}L{x2 - side * 3} {base}", arrow.css, title(arrow.tip), marker_end="url(#tip)")
            + text(at, base - 21, arrow.head, "msg-head")
            + text(at, base - 8, arrow.detail, "mono small")
        )
