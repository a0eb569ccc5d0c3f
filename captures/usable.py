"""When a tunnel could be used after a move, told by the packets that went through it.

From the serving gateway's first PBU of the move to the first uplink packet of an anchored prefix that left this gateway
in the tunnel and that the anchor let through: the same packet is seen leaving the anchor without the tunnel's header.
What the anchor's gate drops does not count, however early the serving gateway sent it. Nothing is known more exactly
than the flows of that prefix are dense.
"""

from __future__ import annotations

from collections import defaultdict

from captures import tunnels
from captures.exchanges import registrations
from captures.records import Packet
from captures.run import Run
from captures.walk import Attachment

Key = tuple[object, ...]
Passed = dict[Key, list[float]]
"""what tells a packet from others -> when such a packet left an anchor plainly, Unix seconds"""


def pbu_to_usable(run: Run) -> dict[str, dict[str, float]]:
    """Move -> anchor -> milliseconds; anchors whose prefix had no traffic during the stay are left out."""
    passed: dict[str, Passed] = {}
    found = {}
    for registration in registrations(run):
        stay, update = registration.stay, registration.first_update()
        if stay.number == 0 or update is None:
            continue
        times = {}
        for anchor in stay.previous:
            let_through = passed.setdefault(anchor, _let_through(run, anchor))
            moment = _first(run, stay, anchor, update.time, let_through)
            if moment is not None:
                times[anchor] = round((moment - update.time) * 1000, 3)
        if times:
            found[f"{stay.mobile}.{stay.number}"] = times
    return found


def _first(run: Run, stay: Attachment, anchor: str, since: float, let_through: Passed) -> float | None:
    """When the first packet that came out at the anchor left the serving gateway."""
    capture = run.wan(stay.gateway)
    for packet in capture.packets if capture else []:
        if not packet.tunnelled or not since <= packet.time < stay.end:
            continue
        one = tunnels.read(run, packet)
        if isinstance(one, str) or not one.uplink or (one.serving, one.anchor) != (stay.gateway, anchor):
            continue
        mine = run.owner(one.mobile_address) == stay.mobile and _unique(packet)
        if mine and any(packet.time <= moment < stay.end for moment in let_through.get(_key(packet), ())):
            return packet.time
    return None


def _let_through(run: Run, anchor: str) -> Passed:
    """What left the anchor on its core link without a tunnel."""
    found: Passed = defaultdict(list)
    capture, mac = run.wan(anchor), run.mac(anchor, run.gateways[anchor].wan)
    for packet in capture.packets if capture else []:
        if packet.layers and not packet.tunnelled and packet.eth_source == mac:
            found[_key(packet)].append(packet.time)
    return found


def _unique(packet: Packet) -> bool:
    """Whether a packet can be told from others of its flow: not so a TCP acknowledgement without data."""
    return packet.udp_sequence >= 0 or packet.icmp_sequence >= 0 or packet.tcp_length > 0


def _key(packet: Packet) -> Key:
    inner = packet.inner
    return (
        inner.source,
        inner.destination,
        packet.protocol,
        packet.source_port,
        packet.destination_port,
        packet.icmp_type,
        packet.icmp_id,
        packet.icmp_sequence,
        packet.tcp_sequence,
        packet.tcp_length,
        packet.tcp_flags,
        packet.udp_sequence,
    )
