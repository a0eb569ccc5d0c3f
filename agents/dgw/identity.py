"""DLIF identities: they belong to the anchored prefix and follow the node (spec DLIF-2, §4)."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv6Address


@dataclass(frozen=True)
class Identity:
    """Link-layer and link-local address of a DLIF, the same at whichever gateway hosts it."""

    mac: str
    link_local: IPv6Address


def link_local_of(mac: str) -> IPv6Address:
    """The modified EUI-64 link-local address of an Ethernet address (RFC 4291 App. A)."""
    octets = bytes.fromhex(mac.replace(":", ""))
    interface_id = bytes([octets[0] ^ 2]) + octets[1:3] + b"\xff\xfe" + octets[3:]
    return IPv6Address(b"\xfe\x80" + bytes(6) + interface_id)


def mac_of(link_local: IPv6Address) -> str | None:
    """The Ethernet address an EUI-64 link-local address was made of; None for other shapes (spec DLIF-7)."""
    interface_id = link_local.packed[8:]
    if interface_id[3:5] != b"\xff\xfe":
        return None
    return mac_text(bytes([interface_id[0] ^ 2]) + interface_id[1:3] + interface_id[5:])


def mac_text(octets: bytes) -> str:
    """Six octets as lower-case text with colons."""
    return octets.hex(":")


def mac_octets(mac: str) -> bytes:
    """Text with colons as six octets."""
    return bytes.fromhex(mac.replace(":", ""))


def own_identity(gateway: int, slot: int) -> Identity:
    """The identity of a gateway's DLIF for its pool's /64 number `slot`: 02:d6:GG:GG:SS:SS (spec §4)."""
    mac = mac_text(b"\x02\xd6" + gateway.to_bytes(2, "big") + slot.to_bytes(2, "big"))
    return Identity(mac, link_local_of(mac))


def complete_identity(mac: str | None, link_local: IPv6Address | None) -> Identity | None:
    """What options 70 and 69 say, one filled in from the other; None when neither is usable (spec DLIF-7)."""
    if mac is not None and not usable_mac(mac):
        mac = None
    if link_local is not None and not link_local.is_link_local:
        link_local = None
    if mac is None and link_local is not None:
        mac = mac_of(link_local)
    if mac is None or not usable_mac(mac):
        return None
    return Identity(mac, link_local or link_local_of(mac))


def usable_mac(mac: str) -> bool:
    """Six octets, unicast, not all zero (spec §10)."""
    try:
        octets = mac_octets(mac)
    except ValueError:
        return False
    return len(octets) == 6 and not octets[0] & 1 and any(octets)
