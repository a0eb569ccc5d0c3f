"""Interface-ID of the relay: where an answer has to go, unforgeable and without state (spec §6.9)."""

from __future__ import annotations

import hashlib
import hmac
from ipaddress import IPv6Address

from agents.aero.lladdr import Encapsulation, LinkLayerAddress, underlay_of

VERSION = 1
OCTETS = 28
_MAC_OCTETS = 8


def push_interface_id(lladdr: LinkLayerAddress, secret: bytes) -> bytes:
    """Version, encapsulation, port, underlay address, truncated HMAC-SHA-256: 28 octets."""
    body = bytes((VERSION, lladdr.encapsulation)) + lladdr.port.to_bytes(2, "big") + lladdr.ipv6_form.packed
    return body + _mac(body, secret)


def pull_interface_id(data: bytes, secret: bytes) -> LinkLayerAddress | None:
    """The link-layer address; None for anything that this relay did not write."""
    body, mac = data[:-_MAC_OCTETS], data[-_MAC_OCTETS:]
    if len(data) != OCTETS or body[0] != VERSION or not hmac.compare_digest(mac, _mac(body, secret)):
        return None
    encapsulation = Encapsulation(body[1])
    return LinkLayerAddress(encapsulation, underlay_of(IPv6Address(body[4:20])), int.from_bytes(body[2:4], "big"))


def _mac(body: bytes, secret: bytes) -> bytes:
    return hmac.new(secret, body, hashlib.sha256).digest()[:_MAC_OCTETS]
