"""The packet path: from the underlay to the next neighbor or the kernel, and from the kernel to a neighbor.

A flow is judged once (agents.aero.dataplane.policy); its verdict and the exit of its next hop are kept until the
neighbor cache changes, so that an ordinary packet costs two dictionary look-ups and no new address objects.
"""

from __future__ import annotations

import random
import struct
from collections import Counter
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address

from agents.aero.constants import DPD_WINDOW, REASSEMBLY_CAP
from agents.aero.dataplane.departure import Departure
from agents.aero.dataplane.duplicates import DuplicateWindow, Judgement
from agents.aero.dataplane.ecn import EGRESS, adjust_checksum, set_ecn, traffic_class
from agents.aero.dataplane.encapsulation import Carrier, Payload, classify, header
from agents.aero.dataplane.exits import PROTOCOLS, exit_over
from agents.aero.dataplane.fragmentation import Reassembly, Refused
from agents.aero.dataplane.inner import IPV6_OCTETS, addresses, checked_length, ends, is_control
from agents.aero.dataplane.memory import Known, Memory, Origin
from agents.aero.dataplane.policy import Action, Policy, Verdict, unfit
from agents.aero.dataplane.sink import Control, Sink
from agents.aero.dataplane.sockaddr import SocketAddress
from agents.aero.dataplane.usage import NEVER, Use
from agents.aero.lladdr import Encapsulation, LinkLayerAddress
from agents.aero.neighbors import Inner, Neighbor, NeighborCache, NeighborType, Path
from agents.limits import ERRORS, ErrorRates, Limits
from agents.wire import icmp_errors
from agents.wire.errors import DecodeError
from agents.wire.icmp_errors import Problem
from agents.wire.nd_options import QUOTED

SPARE_WINDOWS = 64
SECOND = 1.0
"""Between two words to the core about what one neighbor may not send."""

_IPV6 = struct.Struct("!IHBB32s").unpack_from
"""First word, payload length, next header, hop limit, source and destination."""

_BARE: dict[Carrier, tuple[int, ...]] = {
    Carrier.UDP: (4, 6),
    Carrier.GUE: (4, 6),
    Carrier.PROTOCOL_4: (4,),
    Carrier.PROTOCOL_41: (6,),
    Carrier.PROTOCOL_44: (),
}
"""High nibbles of the first octet by which a payload is the inner packet itself (spec §2.3)."""
_GUE_FRONTS = {version: header(Encapsulation.GUE, number) for version, number in PROTOCOLS.items()}
"""By version of the inner packet: the GUE header without options, as everybody sends it."""


class Forwarder:
    """One node's data plane; sans-IO: everything leaves through the sink."""

    def __init__(
        self,
        cache: NeighborCache,
        policy: Policy,
        sink: Sink,
        *,
        own: Callable[[int], IPv4Address | IPv6Address | None] = lambda _version: None,
        dpd: bool = False,
        drop_gross: bool = False,
        dpd_window: int = DPD_WINDOW,
        reassembly_cap: int = REASSEMBLY_CAP,
        errors: ErrorRates = ERRORS,
    ) -> None:
        """`own` gives this node's global address of an IP version, as source of errors; `errors`: how many of them."""
        self._dpd_window = dpd_window
        self._cache = cache
        self._policy = policy
        self._sink = sink
        self._own = own
        self._dpd = dpd
        self._drop_gross = drop_gross
        self._errors = Limits.of_errors(errors)
        self._memory = Memory(cache, dpd=dpd)
        self._windows: dict[bytes, DuplicateWindow] = {}
        """By neighbor's address."""
        self.reassembly = Reassembly(cap=reassembly_cap)
        self._back: Neighbor | None = None
        """Where the packet in hand came from; None: from the kernel."""
        self._now = 0.0
        self.counters: Counter[str] = Counter()
        self._used: Callable[[Use, bytes, float], None] = lambda _use, _packet, _idle: None
        self._refused: Callable[[LinkLayerAddress, bytes], None] = lambda _lladdr, _packet: None
        self._departure = Departure(sink, self._too_big, dpd=dpd)

    def when_probing(self, callback: Callable[[Neighbor, Path], None]) -> None:
        """Call `callback` when a path's size began to matter: its machine has probes to send."""
        self._departure.probed = callback

    def when_used(self, callback: Callable[[Use, bytes, float], None]) -> None:
        """Call `callback` when a flow is used that somebody waits for: its record, the start of the packet, and how
        long it was idle, seconds."""
        self._used = callback

    def when_refused(self, callback: Callable[[LinkLayerAddress, bytes], None]) -> None:
        """Call `callback` with where data came from, and its start, when a dynamic neighbor may not send it."""
        self._refused = callback

    # --- from the underlay

    def from_underlay(self, through: Carrier, source: SocketAddress, data: memoryview, tos: int, now: float) -> None:
        """A payload arrived at the socket of `through` from `source`; `data` may be written to."""
        memory = self._memory
        if memory.generation != self._cache.generation:
            memory.forget()
        bare = len(data) > 0 and data[0] >> 4 in _BARE[through]
        origins = memory.gue1_origins if bare and through is Carrier.GUE else memory.origins
        origin = origins.get((through, source)) or memory.learn_origin(origins, through, source)
        if origin.path:
            origin.path.last_received = now
        self._back, self._now = origin.neighbor, now
        try:
            if bare:
                self._inner(origin, data, tos, now)
                return
            if through is Carrier.GUE and len(data) > 4 and bytes(data[:4]) == _GUE_FRONTS.get(data[4] >> 4):
                self._inner(origin, data[4:], tos, now)
                return
            payload = self._classified(through, data)
            if payload is None:
                return
            if payload.fragment is None:
                self._inner(origin, data[payload.start :], tos, now)
            else:
                self._behind_fragment_header(origin, payload, data, tos, now)
        except DecodeError:
            self.counters["bad_inner"] += 1
        except Refused as refused:
            self.counters[str(refused)] += 1

    def _classified(self, through: Carrier, data: memoryview) -> Payload | None:
        try:
            return classify(through, data)
        except DecodeError:
            self.counters["enc_bad_first"] += 1
            return None

    def _behind_fragment_header(self, origin: Origin, payload: Payload, data: memoryview, tos: int, now: float) -> None:
        fragment = payload.fragment
        assert fragment
        part = data[payload.start :]
        if fragment.atomic:
            if not part or PROTOCOLS.get(part[0] >> 4) != fragment.next_header:
                self.counters["bad_inner"] += 1
            elif self._passes(origin, fragment.identification, now):
                self._inner(origin, part, tos, now, atomic=True)
            return
        if origin.neighbor is None:
            self.counters["origin_fail"] += 1
            return
        family = payload.encapsulation
        done = self.reassembly.add(origin.key, family, fragment, bytes(part), tos & 3, now)
        if done and self._passes(origin, fragment.identification, now):
            protocol, whole, ecn = done
            packet = memoryview(whole)
            if checked_length(packet) != len(whole) or PROTOCOLS[packet[0] >> 4] != protocol:
                self.counters["reassembled_length"] += 1
            else:
                self._inner(origin, packet, tos & 0xFC | ecn, now, reassembled=True)

    def _passes(self, origin: Origin, identification: int, now: float) -> bool:
        """Duplicate detection on a completed packet (spec §3.9)."""
        if not self._dpd or origin.neighbor is None:
            return True
        window = self._windows.get(origin.key) or self._new_window(origin.key)
        judgement = window.judge(identification, now)
        if judgement is Judgement.NEW:
            return True
        self.counters[judgement.value] += 1
        return judgement is Judgement.LATE or (judgement is Judgement.GROSS and not self._drop_gross)

    def _new_window(self, key: bytes) -> DuplicateWindow:
        if len(self._windows) >= 2 * len(self._cache) + SPARE_WINDOWS:  # neighbors that are gone
            self._windows = {each: found for each, found in self._windows.items() if self._cache.get(IPv6Address(each))}
        made = self._windows[key] = DuplicateWindow(self._dpd_window)
        return made

    def _inner(
        self,
        origin: Origin,
        packet: memoryview,
        tos: int,
        now: float,
        *,
        atomic: bool = False,
        reassembled: bool = False,
    ) -> None:
        size = len(packet)
        if size >= IPV6_OCTETS and packet[0] >> 4 == 6:
            # As checked_length, in one look.
            version, (first, length, protocol, hops, flow) = 6, _IPV6(packet)
            length += IPV6_OCTETS
            inner_tos = first >> 20 & 0xFF
            if length > size or (length == IPV6_OCTETS and not protocol):
                checked_length(packet)
        else:
            version, length = 4, checked_length(packet)
            inner_tos, hops, flow = packet[1], packet[8], packet[12:20].tobytes()
        known = origin.flows.get(flow)
        if known is None:
            if version == 6 and is_control(flow):
                self._take_control(origin, packet[:length], size, atomic, reassembled)
                return
            known = self._judge(origin, packet, flow)
        if tos & 3:
            if not self._mark(packet, tos & 3):
                return
            inner_tos = traffic_class(packet)
        if length != size:
            packet = packet[:length]
        verdict, out = known
        if out is None:
            if verdict.action is Action.DELIVER:
                self._sink.deliver(packet)
            else:
                self._dropped(verdict, packet)
        elif self._step(packet, version, hops):
            if out.use.due <= now:
                self._report(out.use, packet, now)
            self._departure.send_known(out, packet, length, version, inner_tos, now)

    def _report(self, use: Use, packet: memoryview, now: float) -> None:
        """Tell the core of a flow, once; the packet itself goes on at once (spec RO-3)."""
        use.due = NEVER
        self._used(use, bytes(packet[:QUOTED]), now - use.last)

    def _mark(self, packet: memoryview, outer: int) -> bool:
        """Bring the outer ECN mark into the inner packet; False where it must be dropped (spec §2.5)."""
        inner = (packet[1] if packet[0] >> 4 == 4 else packet[1] >> 4) & 3
        result = EGRESS[inner][outer]
        if result < 0:
            self.counters["ecn_drop"] += 1
            return False
        if result != inner:
            set_ecn(packet, result)
        return True

    def _step(self, packet: memoryview, version: int, left: int) -> bool:
        """One hop further: decrement TTL or Hop Limit, or answer Time Exceeded (spec §2.4)."""
        if left <= 1:
            self.counters["time_exceeded"] += 1
            self._tell(Problem.TIME_EXCEEDED, packet)
            return False
        if version == 6:
            packet[7] = left - 1
        else:
            packet[8] = left - 1
            adjust_checksum(packet, 10, left << 8 | packet[9], left - 1 << 8 | packet[9])
        return True

    def _take_control(self, origin: Origin, packet: memoryview, size: int, atomic: bool, reassembled: bool) -> None:
        if reassembled:
            self.counters["control_fragmented"] += 1
        else:
            self._sink.control(Control(bytes(packet), origin.lladdr, origin.neighbor, size, atomic))

    # --- from the kernel

    def from_kernel(self, packet: memoryview, now: float) -> None:
        """A packet that this node's kernel routed into the AERO interface."""
        if self._memory.generation != self._cache.generation:
            self._memory.forget()
        self._back, self._now = None, now
        try:
            packet = packet[: checked_length(packet)]
        except DecodeError:
            self.counters["bad_inner"] += 1
            return
        six = packet[0] >> 4 == 6
        flow = bytes(packet[8:40] if six else packet[12:20])
        if six and is_control(flow):
            self.counters["kernel_noise"] += 1  # RS, MLD: the kernel takes aero0 for an ordinary link (spec §4)
            return
        known = self._memory.flows.get(flow)
        if known is None:
            source, destination = ends(packet)
            verdict = unfit(source, destination) or self._policy.from_kernel(source, destination)
            known = self._memory.remember(self._memory.flows, flow, verdict)
        verdict, out = known
        if out is None:
            self._dropped(verdict, packet)
        else:
            self._departure.send(out, packet, now)

    def send(self, packet: bytes, destination: Inner, now: float) -> None:
        """A packet of this node itself, e.g. an error: to a neighbor, else through the kernel."""
        neighbor = self._cache.route(destination)
        path = neighbor.path if neighbor else None
        if neighbor is None or path is None:
            self._sink.deliver(packet)
        else:
            self._departure.send(exit_over(neighbor, path, dpd=self._dpd), memoryview(packet), now)

    def send_control(
        self, packet: bytes, lladdr: LinkLayerAddress, *, df: bool = False, pad: int = 0, atomic: bool = False
    ) -> None:
        """A control packet to one link-layer address, never fragmented; `pad` zero octets behind it (spec §3.6).

        `atomic` puts it behind a Fragment Header, whole all the same (spec FRAG-14).
        """
        identification = None
        if atomic:
            neighbor = self._cache.at(lladdr)
            identification = neighbor.next_identification() if neighbor else random.getrandbits(32)
        self._departure.send_control(packet, lladdr, df=df, pad=pad, identification=identification)

    # --- judging

    def _judge(self, origin: Origin, packet: memoryview, flow: bytes) -> Known:
        source, destination = ends(packet)
        verdict = unfit(source, destination)
        if verdict is None and origin.neighbor is None:
            self._sink.unknown_origin(origin.lladdr, source, len(packet))
            return Verdict(Action.DROP, counter="origin_fail"), None
        if verdict is None and origin.neighbor:
            verdict = self._policy.from_neighbor(origin.neighbor, source, destination)
            for fellow in self._cache.fellows(origin.lladdr) if verdict.action is Action.DROP else ():
                other = self._policy.from_neighbor(fellow, source, destination)
                verdict = verdict if other.action is Action.DROP else other
        dynamic = origin.neighbor is not None and origin.neighbor.type is NeighborType.DYNAMIC
        if dynamic and verdict and verdict.action is Action.DROP:
            if self._now - origin.refused >= SECOND:
                origin.refused = self._now
                self._refused(origin.lladdr, bytes(packet[:QUOTED]))
            return verdict, None  # to be told of a later one, too
        return self._memory.remember(origin.flows, flow, verdict or Verdict(Action.DROP, counter="origin_fail"))

    def _dropped(self, verdict: Verdict, packet: memoryview) -> None:
        self.counters[verdict.counter] += 1
        if verdict.problem:
            self._tell(verdict.problem, packet)

    def _too_big(self, packet: memoryview, mtu: int) -> None:
        self.counters["too_big"] += 1
        self._tell(Problem.TOO_BIG, packet, mtu)

    def _tell(self, problem: Problem, about: memoryview, mtu: int = 0) -> None:
        """An error to the inner source, back where the packet came from; of very many, some."""
        own = self._own(about[0] >> 4)
        if own is None or not icmp_errors.answerable(about):
            return
        if not self._errors.allow(addresses(about)[0], self._now):
            self.counters["errors_limited"] += 1
            return
        answer = icmp_errors.error(problem, about, own, mtu)
        self.counters["errors_sent"] += 1
        path = self._back.path if self._back else None
        if self._back and path:
            self._departure.send(exit_over(self._back, path, dpd=self._dpd), memoryview(answer), self._now)
        else:
            self._sink.deliver(answer)
