"""Check "aero-encapsulation": outer headers and formats of everything that AERO nodes sent.

Sources: spec AERO §2.1-2.9, ENC-1 to ENC-8, ENC-11.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from captures.aero.link import OUTER, OVERHEAD, AeroLink, Client, Server
from captures.aero.records import AERO_PORT, GUE_PORT, IPIP, IPV6, Frame
from captures.checks.base import Result, Tally, check, plural
from captures.run import Run

WHOLE, GUARANTEED = 1280, 1500
PORTS = {"0": AERO_PORT, "0F": AERO_PORT, "2": GUE_PORT, "2F": GUE_PORT, "3": GUE_PORT}
PROTOCOL = {4: IPIP, 6: IPV6}


@check("aero-encapsulation")
def aero_encapsulation(
    run: Run,
    data: Sequence[str] = ("0", "0F"),
    outer: Sequence[int] = (),
    inner: Sequence[int] = (),
    also: Sequence[str] = (),
) -> list[Result]:
    """Judge every encapsulated packet; `data`: codes that data uses, `outer`, `inner`: IP versions that occur;
    `also`: codes that data may use until better is known."""
    link = run.aero
    assert link
    sent = [(node, frame) for node in link.nodes for frame in link.sent(node)]
    return [
        _headers(sent),
        _formats(sent),
        _fields(sent, _cut(link)),
        _codes(link, sent, data, outer, inner, also),
        _no_recursion(link, sent),
    ]


Sent = list[tuple[Server | Client, Frame]]


def _headers(sent: Sent) -> Result:
    tally = Tally(
        "aero-encapsulation.outer",
        "ENC-3, ENC-4, CLI-7",
        "Outer headers are as the profile has them",
        "TTL 64, flow label 0, ports 8060-8060 (GUE 6080) or protocol 4, 41, 44; a Client sends from its one port",
    )
    for node, frame in sent:
        tally.see(frame)
        outer = frame.outer
        tally.demand(outer.ttl == 64, f"outer TTL {outer.ttl}", frame)
        tally.demand(outer.flow_label == 0, f"outer flow label {outer.flow_label:x}", frame)
        port = PORTS.get(frame.code)
        if port is not None:  # protocols 4, 41 and 44 are what codes 1 and 1F are told by
            tally.demand((frame.ports or (0, 0))[0] == port, f"{node.name} sends from {frame.ports}", frame)
            present = outer.version == 4 or frame.udp_checksum != 0
            tally.demand(present, "no UDP checksum over IPv6", frame)
    return tally.result()


def _formats(sent: Sent) -> Result:
    tally = Tally(
        "aero-encapsulation.format",
        "ENC-1, ENC-2",
        "What is inside says what it is, and is as long as it says",
        "inner version = protocol or next header; outer size - inner size = the code's overhead, but for probes",
    )
    for _node, frame in sent:
        tally.see(frame)
        fragment, inner = frame.fragment, frame.inner
        overhead = frame.outer.size - frame.carried - frame.outer.header
        tally.demand(overhead == OVERHEAD[frame.code], f"overhead {overhead} of code {frame.code}", frame)
        tally.demand(frame.outer.header == OUTER[frame.outer.version], "outer options", frame)
        if fragment is not None:
            tally.demand(fragment.next_header in (IPIP, IPV6), f"next header {fragment.next_header}", frame)
            tally.demand(fragment.reserved == 0, "reserved bits set", frame)
        if inner is None:
            continue
        named = fragment.next_header if fragment else frame.outer.protocol
        if named in (IPIP, IPV6):
            tally.demand(named == PROTOCOL[inner.version], f"{named} announces IPv{inner.version}", frame)
        whole = fragment is None or fragment.atomic
        if whole:
            tally.demand(frame.carried >= inner.size, "inner packet cut off", frame)
            probe = frame.discovery is not None and frame.discovery.name == "NS"
            tally.demand(frame.carried == inner.size or probe, f"{frame.carried - inner.size} octets behind it", frame)
    return tally.result()


def _cut(link: AeroLink) -> list[Frame]:
    """Pieces of outer packets that a node's own kernel cut: nothing tells what they carry."""
    return [one for node in link.nodes for one in link.wan(node) if one.outer.cut and one.outer.source in node.underlay]


def _fields(sent: Sent, cut: list[Frame]) -> Result:
    tally = Tally(
        "aero-encapsulation.fields",
        "ENC-6, ENC-7",
        "DF and the traffic class are set as the profile says",
        "IPv4: DF on probes and on whole packets over 1280, off on every fragment; traffic class copied from inside",
    )
    for frame in cut:
        tally.wrong("the kernel fragmented the outer packet", frame)
    for _node, frame in sent:
        tally.see(frame)
        outer, inner = frame.outer, frame.inner
        if inner is not None:
            tally.demand(outer.traffic_class == inner.traffic_class, f"traffic class {outer.traffic_class}", frame)
        if outer.version == 6:
            continue
        if frame.fragment is not None:
            tally.demand(not outer.dont_fragment, "DF on a fragment", frame)
        elif frame.padding:
            tally.demand(outer.dont_fragment, "probe without DF", frame)
        elif inner is not None and inner.size > WHOLE:
            tally.demand(outer.dont_fragment, f"{inner.size} octets whole without DF", frame)
    return tally.result()


def _codes(
    link: AeroLink,
    sent: Sent,
    data: Sequence[str],
    outer: Sequence[int],
    inner: Sequence[int],
    also: Sequence[str],
) -> Result:
    tally = Tally(
        "aero-encapsulation.codes",
        "ENC-1, ENC-11",
        "Data goes by the encapsulations wanted",
        f"codes {', '.join(data)}"
        + (f" over IPv{'/'.join(map(str, outer))}" if outer else "")
        + (f" with IPv{'/'.join(map(str, inner))} inside" if inner else "")
        + "; minimal never toward a Client behind a NAT",
    )
    seen: Counter[str] = Counter()
    natted = {name for client in link.clients.values() if client.nats for name in client.nats}
    for _node, frame in _of_data(sent):
        tally.see(frame)
        seen[frame.code] += 1
        tally.demand(frame.code in (*data, *also), f"data by code {frame.code}", frame)
        if outer:
            tally.demand(frame.outer.version in outer, f"data over IPv{frame.outer.version}", frame)
        if inner and frame.inner:
            tally.demand(frame.inner.version in inner, f"IPv{frame.inner.version} data", frame)
        behind = link.owners.get(frame.outer.destination) in natted and frame.outer.version == 4
        tally.demand(not (behind and frame.code in ("1", "1F")), "minimal toward a NAT", frame)
    for code in data:
        if seen and not seen[code] and not code.endswith("F"):
            tally.wrong(f"no data by code {code}")
    return tally.result(", ".join(f"{code}: {plural(n, 'packet')}" for code, n in sorted(seen.items())), "no data")


def _of_data(sent: Sent) -> Iterable[tuple[Server | Client, Frame]]:
    return ((node, one) for node, one in sent if not one.control)


def _no_recursion(link: AeroLink, sent: Sent) -> Result:
    tally = Tally(
        "aero-encapsulation.recursion",
        "ENC-8, CLI-13, CLI-14, SRV-6",
        "No outer packet is encapsulated again, and nobody speaks for others",
        "inner addresses are none of the underlay, but for a router's own ICMP errors; a Client's data come from its "
        "own prefixes",
    )
    underlay = {address for node in link.nodes for address in node.underlay}
    routers = {address for node in link.nodes if isinstance(node, Server) for address in node.underlay}
    for node, frame in _of_data(sent):
        inner = frame.inner
        if inner is None:
            continue
        tally.see(frame)
        told = frame.icmp is not None and inner.source in routers
        tally.demand(told or inner.source not in underlay, f"inner source {inner.source}", frame)
        tally.demand(inner.destination != frame.outer.destination, "inner destination = outer destination", frame)
        if isinstance(node, Client):
            own = any(inner.source.version == one.version and inner.source in one for one in node.prefixes)
            tally.demand(own, f"{node.name} speaks for {inner.source}", frame)
    return tally.result(nothing="no data")
