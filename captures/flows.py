"""What became of each flow: loss, duplicates, reordering, the gap around each move, the path before and after.

Written once for all labs. Loss is counted by ICMPv6 echo sequence numbers (ping), by an 8-octet
big-endian sequence number at the start of the payload (UDP), by sequence ranges (TCP).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from ipaddress import IPv6Address
from itertools import pairwise
from statistics import median

from captures.records import ECHO_REPLY, ECHO_REQUEST, ICMPV6, TCP, UDP, Capture, Packet, by_pair
from captures.run import Run
from captures.walk import INFINITY, Attachment, Flow

PROTOCOLS = {"icmpv6": ICMPV6, "tcp": TCP, "udp": UDP}
AT_ONCE = 0.05
"""Seconds after an attachment in which a silence that the move made has begun."""
SETTLING = 3.0
"""Seconds after an attachment in which a silence is put down to the move."""
BEFORE = 0.5
"""Seconds before leaving from which on a lost packet is put down to the move (it was still on its way)."""
TAIL = 0.25
"""Seconds before a flow's end in which an unanswered packet is not yet a lost one."""
RETURNING = 0.25
"""Seconds after a return in which the anchor may still send downlink into the old tunnel: it has to notice first."""
LOCAL = "local"
Pair = tuple[IPv6Address, IPv6Address]


@dataclass(frozen=True, slots=True)
class Gap:
    """The longest silence of one flow around one move."""

    stay: Attachment
    seconds: float | None
    """None: nothing arrived any more after the move."""
    before: Packet | None
    after: Packet | None
    lost: int
    """Packets of the flow lost around this move."""
    outage: float | None
    """The longest of those silences, seconds, that had begun when the node attached, or began at once after that.

    The others are of the time in which the move may still have consequences, or the sender was merely late.
    """


@dataclass(frozen=True, slots=True)
class Path:
    """How a flow's packets crossed the core during one stay."""

    stay: Attachment
    counts: tuple[tuple[str, int], ...]
    """("local" or the anchor gateway the tunnel leads to, packets), most frequent first."""
    start: float
    end: float
    """Time of the first and the last packet."""
    example: Packet | None

    @property
    def main(self) -> str | None:
        """ "local", the anchor's name, or None without packets."""
        return self.counts[0][0] if self.counts else None


@dataclass(slots=True)
class FlowReport:
    """Everything measured about one flow."""

    flow: Flow
    arrivals: list[Packet] = field(default_factory=list)
    """Packets at the receiving end in the flow's main direction (replies for ping)."""
    sent: int = 0
    lost: list[float] = field(default_factory=list)
    """Sending time of each lost packet."""
    lost_examples: list[Packet] = field(default_factory=list)
    duplicated: int = 0
    reordered: int = 0
    retransmitted: int = 0
    """TCP: octets that arrived more than once."""
    holes: int = 0
    """TCP: octets that never arrived though later ones did."""
    resets: list[Packet] = field(default_factory=list)
    interval: float | None = None
    """Usual time between two arrivals, seconds (median)."""
    gaps: list[Gap] = field(default_factory=list)
    paths: list[Path] = field(default_factory=list)
    strangers: list[Packet] = field(default_factory=list)
    """Packets with the flow's ports or identifier but other addresses."""
    mobile: str | None = None

    @property
    def lost_elsewhere(self) -> int:
        """Packets lost away from any move."""
        return len(self.lost) - sum(gap.lost for gap in self.gaps)


class _Index:
    """Packets of a capture by address pair, made once per capture."""

    def __init__(self) -> None:
        self._made: dict[str, dict[Pair, list[Packet]]] = {}

    def of(self, capture: Capture) -> dict[Pair, list[Packet]]:
        if capture.file not in self._made:
            self._made[capture.file] = by_pair(capture.packets)
        return self._made[capture.file]


def analyse(run: Run) -> list[FlowReport]:
    """Measure every flow the lab announced."""
    index = _Index()
    return [_analyse(run, flow, index) for flow in run.flows]


def mobile_of(run: Run, flow: Flow) -> str | None:
    """Mobile node whose address is the flow's source."""
    owner = run.owner(flow.source)
    if owner is None:
        owner = next((name for name in (flow.node, flow.peer) if name in run.mobiles), None)
    return owner


def _analyse(run: Run, flow: Flow, index: _Index) -> FlowReport:
    report = FlowReport(flow, mobile=mobile_of(run, flow))
    if report.mobile is None:
        return report
    here = run.of_mobile(report.mobile)
    there = run.of_node(flow.peer if flow.node == report.mobile else flow.node)
    at_mobile = _packets(here, flow, index)
    at_peer = _packets(there, flow, index)
    end = min(flow.end, run.end) - TAIL
    if flow.protocol == "icmpv6":
        _ping(report, at_mobile, at_peer, end)
    elif flow.protocol == "udp":
        _udp(report, at_mobile, at_peer, end)
    else:
        _tcp(report, at_mobile, at_peer)
    steps = [later.time - earlier.time for earlier, later in pairwise(report.arrivals)]
    report.interval = median(steps) if steps else None
    report.gaps = [_gap(run, report, stay) for stay in run.attachments[report.mobile] if _crosses(run, flow, stay)]
    report.paths = _paths(run, flow, report.mobile, index)
    if here is not None:
        report.strangers = _strangers(run, flow, here)
    return report


def _crosses(run: Run, flow: Flow, stay: Attachment) -> bool:
    """Whether the flow was running when the node moved there."""
    return stay.number > 0 and flow.start < stay.left and min(flow.end, run.end) - TAIL > stay.start


def _packets(capture: Capture | None, flow: Flow, index: _Index) -> list[Packet]:
    """The flow's packets in one capture, both directions, by time."""
    if capture is None:
        return []
    found = index.of(capture)
    ends = (flow.source, flow.destination)
    mine = [p for p in found.get(ends, []) if _fits(p, flow, True)]
    mine += [p for p in found.get((ends[1], ends[0]), []) if _fits(p, flow, False)]
    mine = [p for p in mine if flow.start - 1 <= p.time <= flow.end + 1]
    return sorted(mine, key=lambda p: p.time)


def _fits(packet: Packet, flow: Flow, outward: bool) -> bool:
    """Whether protocol, ports and identifier are the flow's; `outward`: from source to destination."""
    if packet.protocol != PROTOCOLS.get(flow.protocol):
        return False
    if packet.protocol == ICMPV6:
        echo = packet.icmp_type in (ECHO_REQUEST, ECHO_REPLY)
        return echo and flow.icmp_id in (None, packet.icmp_id)
    ports = packet.source_port, packet.destination_port
    near, far = ports if outward else ports[::-1]
    return flow.source_port in (None, near) and flow.destination_port in (None, far)


def _ping(report: FlowReport, at_mobile: list[Packet], at_peer: list[Packet], end: float) -> None:
    """Requests and replies where the pinging node sees them, else at the mobile node."""
    flow = report.flow
    packets = (at_mobile if flow.node == report.mobile else at_peer) or at_mobile
    origin = flow.source if flow.node == report.mobile else flow.destination
    requests = {p.icmp_sequence: p for p in packets if p.icmp_type == ECHO_REQUEST and p.inner.source == origin}
    replies = [p for p in packets if p.icmp_type == ECHO_REPLY and p.inner.destination == origin]
    counts = Counter(p.icmp_sequence for p in replies)
    report.sent = len(requests)
    lost = [p for number, p in requests.items() if not counts[number] and p.time < end]
    _count(report, lost, [p.icmp_sequence for p in replies])
    report.arrivals = replies


def _count(report: FlowReport, lost: list[Packet], order: list[int]) -> None:
    report.lost += [p.time for p in lost]
    report.lost_examples += lost
    report.duplicated += len(order) - len(set(order))
    highest, seen = -1, set()
    for number in order:
        if number < highest and number not in seen:
            report.reordered += 1
        seen.add(number)
        highest = max(highest, number)


def _udp(report: FlowReport, at_mobile: list[Packet], at_peer: list[Packet], end: float) -> None:
    """Both directions count; arrivals are those of the busier one."""
    source = report.flow.source
    best: list[Packet] = []
    for sender, receiver, up in ((at_mobile, at_peer, True), (at_peer, at_mobile, False)):
        sent = [p for p in sender if (p.inner.source == source) == up]
        got = [p for p in receiver if (p.inner.source == source) == up]
        if not sent and not got:
            continue
        report.sent += len(sent) or len(got)
        numbers = [p.udp_sequence for p in got]
        known = set(numbers)
        lost = [p for p in sent if p.udp_sequence >= 0 and p.udp_sequence not in known and p.time < end]
        _count(report, lost, numbers)
        best = max(best, got or sent, key=len)
    report.arrivals = best


def _tcp(report: FlowReport, at_mobile: list[Packet], at_peer: list[Packet]) -> None:
    """Arrivals of data at the receiver of the busier direction; octets by sequence ranges."""
    flow = report.flow
    volume = {up: sum(p.tcp_length for p in at_mobile if (p.inner.source == flow.source) == up) for up in (True, False)}
    up = volume[True] > volume[False]
    receiver = (at_peer or at_mobile) if up else at_mobile
    data = [p for p in receiver if (p.inner.source == flow.source) == up and p.tcp_length]
    report.sent = len(data)
    report.resets = [p for p in at_mobile if p.tcp_flags & 0x04 and p.time < min(flow.end, INFINITY) - TAIL]
    streams: dict[tuple[int, int], list[Packet]] = defaultdict(list)
    for packet in data:
        streams[packet.source_port, packet.destination_port].append(packet)
    for stream in streams.values():
        _ranges(report, stream)
    report.arrivals = data


def _ranges(report: FlowReport, stream: list[Packet]) -> None:
    """Count octets received twice, holes never filled and segments overtaken, sequence numbers unwrapped."""
    base = stream[0].tcp_sequence
    pieces, highest = [], 0
    for packet in stream:
        start = (packet.tcp_sequence - base + (1 << 31)) % (1 << 32) - (1 << 31)
        start += (highest - start + (1 << 31)) // (1 << 32) * (1 << 32)
        pieces.append((start, start + packet.tcp_length))
        if start < highest:
            report.reordered += 1
        highest = max(highest, start + packet.tcp_length)
    covered, reach = 0, min(start for start, _ in pieces)
    first = reach
    for start, stop in sorted(pieces):
        if start > reach:
            report.holes += start - reach
        covered += stop - start
        reach = max(reach, stop)
    report.retransmitted += covered - (reach - first - report.holes)


def _gap(run: Run, report: FlowReport, stay: Attachment) -> Gap:
    """Longest silence that overlaps [leaving, attaching + SETTLING], up to the next move."""
    until = min(stay.end, stay.start + SETTLING)
    lost = sum(1 for when in report.lost if stay.left - BEFORE <= when < until)
    longest: tuple[float, Packet, Packet] | None = None
    outage = 0.0
    for before, after in pairwise(report.arrivals):
        if after.time < stay.left or before.time > until:
            continue
        if before.time > stay.start and after.time > stay.end:
            continue  # began after this move and lasts past the next one: the next one's
        step = after.time - before.time
        if before.time < stay.start + AT_ONCE * run.slowness:
            outage = max(outage, step)
        if longest is None or step > longest[0]:
            longest = (step, before, after)
    last = report.arrivals[-1] if report.arrivals else None
    if longest is None or last is None or last.time < stay.start:
        return Gap(stay, None, last, None, lost, None)
    return Gap(stay, *longest, lost, outage)


def _paths(run: Run, flow: Flow, mobile: str, index: _Index) -> list[Path]:
    """Local or tunnelled, as the serving gateway's links other than to the node show it, stay by stay."""
    found = []
    for stay in run.attachments[mobile]:
        if flow.end <= stay.start or flow.start >= stay.end:
            continue
        packets = [one for capture in run.uplinks(stay.gateway) for one in _packets(capture, flow, index)]
        counts: Counter[str] = Counter()
        mine = []
        for packet in packets:
            if not stay.start <= packet.time < stay.end:
                continue
            path = _path(run, packet, stay.gateway)
            if path is not None and not _on_its_way(run, flow, stay, packet):
                counts[path] += 1
                mine.append(packet)
        times = [p.time for p in mine]
        first, last = (min(times), max(times)) if times else (stay.start, stay.start)
        found.append(Path(stay, tuple(counts.most_common()), first, last, mine[0] if mine else None))
    return found


def _on_its_way(run: Run, flow: Flow, stay: Attachment, packet: Packet) -> bool:
    """Whether the anchor, to which the node has just returned, still sent a packet where the node was before."""
    if not packet.tunnelled or packet.inner.destination != flow.source or run.anchor_of(flow.source) != stay.gateway:
        return False
    return packet.time < stay.start + RETURNING * run.slowness


def _path(run: Run, packet: Packet, serving: str) -> str | None:
    if not packet.tunnelled:
        return LOCAL
    ends = (run.name_of(packet.outer.source), run.name_of(packet.outer.destination))
    return next((end for end in ends if end != serving), None)


def _strangers(run: Run, flow: Flow, capture: Capture) -> list[Packet]:
    """Packets of the same ports or identifier between other addresses that no other flow explains."""
    if flow.icmp_id is None and None in (flow.source_port, flow.destination_port):
        return []
    mine = {flow.source, flow.destination}
    known = [{other.source, other.destination} for other in run.flows]
    found = []
    for packet in capture.packets:
        if not packet.layers or packet.protocol != PROTOCOLS.get(flow.protocol):
            continue
        if not flow.start <= packet.time <= flow.end:
            continue
        ends = {packet.inner.source, packet.inner.destination}
        if ends != mine and ends not in known and (_fits(packet, flow, True) or _fits(packet, flow, False)):
            found.append(packet)
    return found
