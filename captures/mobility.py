"""Mobility Header messages from raw octets, by the scapy layers of `captures.layers`."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from ipaddress import IPv6Address, IPv6Network
from typing import Any

from scapy.packet import Raw

from captures import layers
from captures.records import AnchorGroup, Dlif, MobilityMessage, Packet

ETHERNET = 14
IPV6_HEADER = 40


@dataclass(slots=True)
class _Collected:
    """Options of one message, gathered in order."""

    simple: dict[str, Any] = field(default_factory=dict)
    groups: list[AnchorGroup] = field(default_factory=list)
    types: list[int] = field(default_factory=list)
    malformed: str | None = None


def read(packet: Packet, frame: bytes, draft03: frozenset[IPv6Address] = frozenset()) -> MobilityMessage:
    """Read the message of a frame that holds a Mobility Header right behind its IPv6 header, or inside ESP.

    Between two nodes of which one is in `draft03` the D flag is where the seed draft drew it (spec AMB-5).
    """
    layer = packet.inner
    start = ETHERNET + IPV6_HEADER * len(packet.layers)
    message = frame[start : start + layer.payload_length]
    if packet.esp and packet.esp.inside:
        message = packet.esp.inside
    base = MobilityMessage(
        file=packet.file,
        number=packet.number,
        time=packet.time,
        eth_source=packet.eth_source,
        source=layer.source,
        destination=layer.destination,
        kind="MH",
        checksum_valid=_checksum_valid(layer.source, layer.destination, message),
        payload_proto=message[0] if message else -1,
        octets=message,
        esp=packet.esp,
    )
    if len(message) < 8:
        return replace(base, malformed=f"{len(message)} octets are no Mobility Header")
    length = (message[1] + 1) * 8
    problem = None
    if length > len(message):
        problem = f"Header Len says {length} octets, {len(message)} present"
    header = layers.dissect(message[:length])
    if isinstance(header, layers.MobilityHeader):
        names = {layers.BRR: "BRR", layers.BU: "BU", layers.BA: "BA", layers.BE: "BE"}
        kind = names.get(message[2], f"MH{message[2]}")
        if message[2] in (layers.BU, layers.BA):
            problem = problem or f"Header Len {message[1]} is too short for a {kind}"
        return replace(base, kind=kind, malformed=problem)
    return _binding(base, header, problem, layers.d_flags(bool(draft03 & {layer.source, layer.destination})))


def _binding(base: MobilityMessage, header: Any, problem: str | None, d_flags: tuple[int, int]) -> MobilityMessage:
    update = isinstance(header, layers.BindingUpdate)
    flags = int(header.flags)
    proxy = bool(flags & (layers.BU_PROXY if update else layers.BA_PROXY))
    found = _collect(header.options)
    return replace(
        base,
        kind=("P" if proxy else "") + ("BU" if update else "BA"),
        sequence=int(header.sequence),
        flags=flags,
        acknowledge=update and bool(flags & layers.BU_ACK),
        proxy=proxy,
        distributed=bool(flags & (d_flags[0] if update else d_flags[1])),
        status=-1 if update else int(header.status),
        lifetime=int(header.lifetime),
        options=tuple(found.types),
        anchors=tuple(found.groups),
        malformed=problem or found.malformed,
        **found.simple,
    )


def _checksum_valid(source: IPv6Address, destination: IPv6Address, message: bytes) -> bool:
    if len(message) < 8:
        return False
    return layers.checksum(source.packed, destination.packed, message) == int.from_bytes(message[4:6], "big")


def _collect(options: list[Any]) -> _Collected:
    found = _Collected()
    for option in options:
        if isinstance(option, Raw):
            found.malformed = "an option overruns the message"
            break
        kind = int(option.otype)
        if kind in (layers.PAD1, layers.PADN):
            continue
        found.types.append(kind)
        if type(option) is layers.Option:
            if kind in layers.LAYOUTS:
                found.malformed = f"option {kind} has length {option.olen}"
            continue
        _take(found, kind, option)
    return found


def _take(found: _Collected, kind: int, option: Any) -> None:
    """Store one option under its record field, or in the anchor group it belongs to (spec AMB-7)."""
    simple = found.simple
    if kind == layers.MN_ID:
        simple["mn_id"] = bytes(option.identifier).decode("utf-8", "replace")
    elif kind in (layers.HNP, layers.ANCHORED):
        name = "prefixes" if kind == layers.HNP else "anchored"
        simple[name] = (*simple.get(name, ()), _network(option.prefix, option.plen))
    elif kind == layers.HANDOFF:
        simple["handoff"] = int(option.value)
    elif kind == layers.ACCESS:
        simple["access_type"] = int(option.value)
    elif kind == layers.LINK_LAYER_ID:
        simple["link_layer_id"] = bytes(option.identifier).hex(":")
    elif kind == layers.LINK_LOCAL:
        simple["link_local"] = IPv6Address(bytes(option.address))
    elif kind == layers.TIMESTAMP:
        simple["timestamp"] = int(option.seconds) + int(option.fraction) / 65536
    elif kind == layers.SERVING_MAAR:
        simple["serving"] = IPv6Address(bytes(option.address))
    elif kind == layers.PREVIOUS_MAAR:
        address = IPv6Address(bytes(option.address))
        found.groups.append(AnchorGroup(address, _network(option.prefix, option.plen), Dlif(None, None)))
    elif kind == layers.LOCAL:
        _take_local(found, _network(option.prefix, option.plen))
    elif kind in (layers.DLIF_LINK_LOCAL, layers.DLIF_LINK_LAYER):
        _take_dlif(found, kind, option)


def _take_local(found: _Collected, prefix: IPv6Network) -> None:
    if found.groups:
        last = found.groups[-1]
        found.groups[-1] = replace(last, local_prefixes=(*last.local_prefixes, prefix))
    else:
        found.simple["local_prefixes"] = (*found.simple.get("local_prefixes", ()), prefix)


def _take_dlif(found: _Collected, kind: int, option: Any) -> None:
    present = found.groups[-1].dlif if found.groups else found.simple.get("dlif") or Dlif(None, None)
    if kind == layers.DLIF_LINK_LOCAL:
        present = replace(present, link_local=IPv6Address(bytes(option.address)))
    else:
        present = replace(present, mac=bytes(option.identifier).hex(":"))
    if found.groups:
        found.groups[-1] = replace(found.groups[-1], dlif=present)
    else:
        found.simple["dlif"] = present


def _network(prefix: bytes, length: int) -> IPv6Network:
    """Prefix with the bits beyond its length cut off; a length over 128 counts as 128."""
    return IPv6Network((bytes(prefix), min(int(length), 128)), strict=False)
