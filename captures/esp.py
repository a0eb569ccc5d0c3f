"""ESP packets with the NULL cipher and a 128-bit ICV, from raw octets (RFC 4303 §2, RFC 2410, RFC 4868).

Nothing says on the wire which cipher was used: a packet is taken for one of these when its trailer has the form that
the NULL cipher leaves visible and what is inside is a Mobility Header of the right length.
"""

from __future__ import annotations

import hashlib
import hmac

from captures.records import MOBILITY, Esp

HEADER = 8
ICV = 16
NO_NEXT_HEADER = 59


def read(octets: bytes) -> Esp | None:
    """The ESP packet in the payload of an IPv6 header; None when it is too short to be one."""
    end = len(octets) - ICV
    if end < HEADER + 2:
        return None
    return Esp(
        spi=int.from_bytes(octets[:4], "big"),
        sequence=int.from_bytes(octets[4:8], "big"),
        covered=octets[:end],
        icv=octets[end:],
        inside=_inside(octets[HEADER:end]),
    )


def _inside(text: bytes) -> bytes | None:
    """The Mobility Header in the part between ESP header and ICV; None when it cannot be read."""
    length, upper = text[-2], text[-1]
    end = len(text) - 2 - length
    if upper != MOBILITY or end < 8 or text[end:-2] != bytes(range(1, length + 1)):
        return None
    message = text[:end]
    return message if message[0] == NO_NEXT_HEADER and 8 * (message[1] + 1) == len(message) else None


def genuine(esp: Esp, key: bytes) -> bool:
    """Whether the ICV is HMAC-SHA-256-128 with this key over everything before it (RFC 4303 §2.8)."""
    return hmac.new(key, esp.covered, hashlib.sha256).digest()[:ICV] == esp.icv
