"""Decode capture files into typed records: tshark for what it knows, scapy layers for the rest."""

from __future__ import annotations

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from functools import lru_cache
from ipaddress import IPv6Address, IPv6Network
from pathlib import Path
from sys import intern

from captures import esp, mobility, tshark
from captures.pcapng import CaptureError, Frames
from captures.records import (
    ESP,
    ICMPV6,
    IPV6,
    MARKER_ETHERTYPE,
    MOBILITY,
    ROUTER_ADVERTISEMENT,
    TCP,
    UDP,
    Capture,
    Esp,
    IpLayer,
    MobilityMessage,
    Packet,
    PrefixInformation,
    RouteInformation,
    RouterAdvertisement,
)

NOBODY: frozenset[IPv6Address] = frozenset()
PREFERENCES = {0: "medium", 1: "high", 2: "reserved", 3: "low"}
IP_COLUMNS = ("ipv6.src", "ipv6.dst", "ipv6.nxt", "ipv6.hlim", "ipv6.plen")
PREFIX_INFORMATION, ROUTE_INFORMATION = 3, 24
FRAMES_A_PASS = 5000
"""Frames that take a tshark as long as its start does."""
Reading = tuple[Capture, Frames]


@lru_cache(maxsize=65536)
def address(text: str) -> IPv6Address:
    """IPv6 address of a text, each text parsed once."""
    return IPv6Address(text)


@lru_cache(maxsize=65536)
def inside(where: IPv6Address, network: IPv6Network) -> bool:
    """Whether the address is in the network."""
    return where in network


def decode_all(
    directory: Path, captures: Iterable[tuple[str, str, str]], draft03: frozenset[IPv6Address] = NOBODY
) -> list[Capture]:
    """Decode (file, node, interface) captures of a run directory: all of it with as few tsharks as fill the CPUs.

    `draft03`: nodes that have the D flag where the seed draft drew it (spec AMB-5).
    """
    with ExitStack() as ending:
        listed = [(Capture(*one), ending.enter_context(closing(_frames(directory / one[0])))) for one in captures]
        with ThreadPoolExecutor(max_workers=os.cpu_count() or 2) as pool:
            for done in [pool.submit(_decode, directory, part, draft03) for part in _parts(listed)]:
                done.result()
    return [capture for capture, _ in listed]


def _frames(path: Path) -> Frames:
    try:
        raw = Frames(path)
    except OSError as error:
        raise CaptureError(f"cannot read capture {path}: {error.strerror}") from error
    if not raw.whole:
        raise CaptureError(f"cannot read capture {path}: it ends in the middle of a block")
    return raw


def _parts(listed: list[Reading]) -> list[list[Reading]]:
    """The captures with something in them, in parts about as long as each other."""
    filled = sorted((one for one in listed if len(one[1])), key=lambda one: len(one[1]), reverse=True)
    frames = sum(len(raw) for _, raw in filled)
    parts: list[list[Reading]] = [[] for _ in range(min(os.cpu_count() or 2, 1 + frames // FRAMES_A_PASS))]
    for one in filled:
        min(parts, key=lambda part: sum(len(raw) for _, raw in part)).append(one)
    return [part for part in parts if part]


def _decode(directory: Path, part: list[Reading], draft03: frozenset[IPv6Address]) -> None:
    places = ((capture, raw, number) for capture, raw in part for number in range(1, len(raw) + 1))
    rows = tshark.rows([directory / capture.file for capture, _ in part])
    for (capture, raw, number), row in zip(places, rows, strict=True):
        _add(capture, row, number, raw, draft03)


def _add(capture: Capture, row: tshark.Row, number: int, raw: Frames, draft03: frozenset[IPv6Address]) -> None:
    packet = _packet(capture.file, row, raw, number)
    if packet.ethertype == MARKER_ETHERTYPE:
        return
    capture.packets.append(packet)
    if packet.protocol == MOBILITY:
        message = mobility.read(packet, raw[number], draft03)
        _cross_check(message, row)
        capture.mobility.append(message)
    elif packet.icmp_type == ROUTER_ADVERTISEMENT and not packet.tunnelled:
        capture.advertisements.append(_advertisement(packet, row))


def _packet(file: str, row: tshark.Row, raw: Frames, number: int) -> Packet:
    layers = _layers(*(row[name] for name in IP_COLUMNS))
    protocol = _protocol(row, layers)
    protection = _esp(layers, raw[number]) if protocol == ESP else None
    if protection and protection.inside:
        protocol = MOBILITY
    packet = Packet(
        file=file,
        number=number,
        time=float(row["frame.time_epoch"]),
        length=int(row["frame.len"]),
        eth_source=intern(row["eth.src"]),
        eth_destination=intern(row["eth.dst"]),
        ethertype=_first(row["eth.type"], 0),
        layers=layers,
        protocol=protocol,
        esp=protection,
        **_upper(row, protocol),
    )
    if protocol == UDP and layers:
        object.__setattr__(packet, "udp_sequence", _udp_sequence(packet, row, raw[number]))
    return packet


@lru_cache(maxsize=65536)
def _layers(sources: str, destinations: str, uppers: str, hops: str, sizes: str) -> tuple[IpLayer, ...]:
    """IPv6 headers of the packet; those quoted inside an ICMPv6 error are not part of it.

    Cached on the five columns: packets of one flow share their records, which saves most of the memory.
    """
    if not sources:
        return ()
    found = []
    columns = (column.split("|") for column in (sources, destinations, uppers, hops, sizes))
    for source, destination, upper, limit, size in zip(*columns, strict=True):
        found.append(IpLayer(address(source), address(destination), int(upper), int(limit), int(size)))
        if found[-1].next_header != IPV6:
            break
    return tuple(found)


def _esp(layers: tuple[IpLayer, ...], frame: bytes) -> Esp | None:
    start = mobility.ETHERNET + mobility.IPV6_HEADER * len(layers)
    return esp.read(frame[start : start + layers[-1].payload_length])


def _protocol(row: tshark.Row, layers: tuple[IpLayer, ...]) -> int:
    if not layers:
        return -1
    upper = layers[-1].next_header
    if upper == 0 and row["icmpv6.type"]:  # hop-by-hop options before ICMPv6: multicast listener reports
        return ICMPV6
    return upper


def _upper(row: tshark.Row, protocol: int) -> dict[str, int]:
    """Transport fields; the first occurrence counts, later ones are quoted inside ICMPv6 errors."""
    if protocol == UDP:
        return {
            "source_port": _first(row["udp.srcport"], 0),
            "destination_port": _first(row["udp.dstport"], 0),
        }
    if protocol == TCP:
        return {
            "source_port": _first(row["tcp.srcport"], 0),
            "destination_port": _first(row["tcp.dstport"], 0),
            "tcp_sequence": _first(row["tcp.seq_raw"], 0),
            "tcp_length": _first(row["tcp.len"], 0),
            "tcp_flags": _first(row["tcp.flags"], 0),
        }
    if protocol == ICMPV6:
        return {
            "icmp_type": _first(row["icmpv6.type"], -1),
            "icmp_code": _first(row["icmpv6.code"], -1),
            "icmp_pointer": _first(row["icmpv6.pointer"], -1),
            "icmp_id": _first(row["icmpv6.echo.identifier"], -1),
            "icmp_sequence": _first(row["icmpv6.echo.sequence_number"], -1),
        }
    return {}


def _udp_sequence(packet: Packet, row: tshark.Row, frame: bytes) -> int:
    size = _first(row["udp.length"], 8) - 8
    end = mobility.ETHERNET + mobility.IPV6_HEADER + packet.outer.payload_length
    payload = frame[end - size : end]
    return int.from_bytes(payload[:8], "big") if len(payload) >= 8 else -1


def _cross_check(message: MobilityMessage, row: tshark.Row) -> None:
    """Two independent decoders must agree on every field both know; the layers read updates and answers only."""
    if message.kind not in ("PBU", "PBA", "BU", "BA"):
        return
    seen = {
        "sequence": row["mip6.bu.seqnr"] or row["mip6.ba.seqnr"],
        "lifetime": row["mip6.bu.lifetime"] or row["mip6.ba.lifetime"],
        "status": row["mip6.ba.status"],
        "mn_id": row["mip6.mnid.identifier"],
    }
    for name, text in seen.items():
        mine = getattr(message, name)
        # Of an option that came twice, tshark tells both, the scapy layer the last.
        if text and "|" not in text and message.malformed is None and str(mine) != text:
            raise CaptureError(
                f"{message.file} frame {message.number}: tshark reads {name} {text}, the scapy layer {mine}"
            )


def _advertisement(packet: Packet, row: tshark.Row) -> RouterAdvertisement:
    flags = _first(row["icmpv6.nd.ra.flag"], 0)
    prefixes, routes = _ra_options(row)
    return RouterAdvertisement(
        file=packet.file,
        number=packet.number,
        time=packet.time,
        eth_source=packet.eth_source,
        eth_destination=packet.eth_destination,
        source=packet.outer.source,
        destination=packet.outer.destination,
        hop_limit=packet.outer.hop_limit,
        current_hop_limit=_first(row["icmpv6.nd.ra.cur_hop_limit"], 0),
        managed=bool(flags & 0x80),
        other=bool(flags & 0x40),
        preference=PREFERENCES[flags >> 3 & 3],
        router_lifetime=_first(row["icmpv6.nd.ra.router_lifetime"], 0),
        reachable_time=_first(row["icmpv6.nd.ra.reachable_time"], 0),
        retrans_timer=_first(row["icmpv6.nd.ra.retrans_timer"], 0),
        source_mac=row["icmpv6.opt.src_linkaddr"].split("|")[0] or None,
        mtu=_first(row["icmpv6.opt.mtu"], 0) or None,
        prefixes=prefixes,
        routes=routes,
    )


def _ra_options(row: tshark.Row) -> tuple[tuple[PrefixInformation, ...], tuple[RouteInformation, ...]]:
    """PIOs and RIOs: tshark gives one column per field, shared by both, in option order."""
    nets = iter(zip(_many(row["icmpv6.opt.prefix"]), _many(row["icmpv6.opt.prefix.length"]), strict=True))
    flags = iter(_many(row["icmpv6.opt.prefix.flag"]))
    valid = iter(_many(row["icmpv6.opt.prefix.valid_lifetime"]))
    preferred = iter(_many(row["icmpv6.opt.prefix.preferred_lifetime"]))
    route_flags = iter(_many(row["icmpv6.opt.route_info.flag"]))
    route_lifetimes = iter(_many(row["icmpv6.opt.route_lifetime"]))
    prefixes, routes = [], []
    for kind in _many(row["icmpv6.opt.type"]):
        if int(kind) not in (PREFIX_INFORMATION, ROUTE_INFORMATION):
            continue
        where, length = next(nets)
        net = IPv6Network((where, int(length)), strict=False)
        if int(kind) == PREFIX_INFORMATION:
            bits = int(next(flags), 0)
            on_link, autonomous = bool(bits & 0x80), bool(bits & 0x40)
            prefixes.append(PrefixInformation(net, on_link, autonomous, int(next(valid)), int(next(preferred))))
        else:
            preference = PREFERENCES[int(next(route_flags), 0) >> 3 & 3]
            routes.append(RouteInformation(net, preference, int(next(route_lifetimes))))
    return tuple(prefixes), tuple(routes)


def _many(text: str) -> list[str]:
    return text.split("|") if text else []


def _first(text: str, default: int) -> int:
    return int(text.split("|", 1)[0], 0) if text else default
