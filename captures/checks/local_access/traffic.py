"""The node's own way into local networks: plainly at home, through the tunnel from elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import IPv6Address

from captures.checks.base import Result, Tally, plural
from captures.checks.local_access.facts import between, ended, sent_to, sessions
from captures.records import ECHO_REQUEST, ICMPV6, Packet
from captures.run import Run
from captures.walk import Attachment


def at_home(run: Run, stay: Attachment) -> Result:
    """One stay at the owner itself."""
    tally = Tally(
        f"local.home.{stay.mobile}.{stay.number}",
        "LIPA-1",
        f"{stay.mobile} at {stay.gateway}: its local network by plain routing",
        f"packets on the access side of {stay.gateway} and in the local network, none on the core link",
    )
    inside_net = 0
    for host in run.gateways[stay.gateway].local_hosts:
        capture = run.of_node(host)
        mine = list(_during(run, capture.packets if capture else [], stay, stay.gateway))
        tally.see(*mine[:6])
        inside_net += len(mine)
    capture = run.wan(stay.gateway)
    for packet in _during(run, capture.packets if capture else [], stay, stay.gateway):
        local = run.anchor_of(packet.inner.source) == stay.gateway or run.anchor_of(packet.inner.destination)
        tally.demand(not local, f"local traffic on the core link of {stay.gateway}", packet)
    return tally.result(f"{plural(inside_net, 'packet')} in the local network", "no packet in the local network")


def _during(run: Run, packets: Iterable[Packet], stay: Attachment, owner: str) -> Iterator[Packet]:
    """Packets between the node and the owner's networks while the node is at that place."""
    for packet in packets:
        if stay.start <= packet.time < stay.end and between(run, packet, owner, stay.mobile):
            yield packet


def away(run: Run, stay: Attachment, owner: str, settling: float) -> Result:
    """One stay elsewhere, and the networks of one earlier gateway."""
    tally = Tally(
        f"local.away.{stay.mobile}.{stay.number}.{owner}",
        "SC-LIPA, LIPA-2, LIPA-4, LIPA-6",
        f"{stay.mobile} at {stay.gateway}: the local network of {owner} through the tunnel, both ways",
        f"IPv6-in-IPv6 {stay.gateway}–{owner} from each address in use, and back; never natively on a core link",
    )
    ends = {stay.gateway, owner}
    counts: dict[tuple[IPv6Address, bool], int] = {}
    for name in run.gateways:
        capture = run.wan(name)
        for packet in _during(run, capture.packets if capture else [], stay, owner):
            address = between(run, packet, owner, stay.mobile)
            if packet.time < stay.start + settling and not packet.tunnelled and name == owner:
                continue  # sent before the move
            outer = {run.name_of(packet.outer.source), run.name_of(packet.outer.destination)}
            right = packet.tunnelled and outer == ends
            tally.demand(right, f"natively or elsewhere on the core link of {name}", packet)
            if right and address and name == stay.gateway:
                way = (address, packet.inner.source == address)
                counts[way] = counts.get(way, 0) + 1
                if counts[way] <= 3:
                    tally.see(packet)
    texts = []
    for address in sessions(run, stay, owner):
        up, down = counts.get((address, True), 0), counts.get((address, False), 0)
        tally.demand(bool(up and down), f"{address}: {up} packets up, {down} down")
        texts.append(f"{address}: {up} up, {down} down")
    return tally.result("; ".join(texts), f"no local traffic between {stay.gateway} and {owner}")


def source_chosen(run: Run, event: dict[str, object]) -> Result:
    """New sessions: which source the node's kernel takes (RFC 6724 §5 rule 3 before rule 8)."""
    mobile, destination = str(event["node"]), IPv6Address(str(event["destination"]))
    owner, lowpref = run.anchor_of(destination), run.ra_profile == "lowpref"
    when = float(str(event["t"]))
    stay = next((s for s in run.attachments.get(mobile, []) if s.start <= when < s.end), None)
    home = owner if lowpref and owner else stay.gateway if stay else None
    tally = Tally(
        f"local.source.{mobile}.{destination}",
        "LIPA-7" if lowpref else "LIPA-5",
        f"A new session of {mobile} to {destination} takes the source that the profile calls for",
        f"a source from {'any' if lowpref and not owner else home}'s prefix: "
        + ("nothing is deprecated, the longest match decides" if lowpref else "the anchored prefix is deprecated"),
    )
    capture = run.of_mobile(mobile)
    known = {flow.source_port for flow in run.flows if flow.start < when}
    ended_at = ended(run, mobile)
    fresh = [
        packet
        for packet in sent_to(capture.packets if capture else [], destination, when)
        if packet.source_port not in known and packet.time < ended_at and not _reports_an_error(packet)
    ]
    for packet in fresh:
        tally.see(packet)
        anchor = run.anchor_of(packet.inner.source)
        right = anchor is not None if lowpref and not owner else anchor == home
        tally.demand(right, f"source {packet.inner.source} of {anchor}", packet)
    sources = ", ".join(sorted({str(packet.inner.source) for packet in fresh}))
    return tally.result(f"source {sources}", f"no new session to {destination}")


def _reports_an_error(packet: Packet) -> bool:
    """An ICMPv6 error, say about a reply that came when its program had ended: not a session."""
    return packet.protocol == ICMPV6 and 0 <= packet.icmp_type < ECHO_REQUEST
