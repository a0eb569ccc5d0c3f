"""Link-layer addresses of AERO neighbors: encapsulation, underlay address, UDP port (spec §1.2)."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from agents.aero.constants import AERO_PORT, GUE_PORT

Underlay = IPv4Address | IPv6Address


class Encapsulation(enum.IntEnum):
    """How an inner packet is carried (spec §2.1); the number is the code of S/TLLAO and option 79."""

    UDP = 0
    MINIMAL = 1
    GUE = 2
    """GUE variant 0."""
    GUE1 = 3
    """GUE variant 1; its fragments go as GUE variant 0."""

    @property
    def port(self) -> int:
        """UDP port of both ends; 0 where there is no UDP."""
        return {Encapsulation.UDP: AERO_PORT, Encapsulation.MINIMAL: 0}.get(self, GUE_PORT)


@dataclass(frozen=True, slots=True)
class LinkLayerAddress:
    """Where and how a neighbor is reached on the underlay."""

    encapsulation: Encapsulation
    ip: Underlay
    port: int
    """0 for minimal encapsulation."""

    def __str__(self) -> str:
        host = f"[{self.ip}]" if self.ip.version == 6 else str(self.ip)
        return f"{self.encapsulation.name.lower()} {host}:{self.port}"

    @property
    def ipv6_form(self) -> IPv6Address:
        """The address as 16-octet fields carry it: IPv4 as ::ffff:a.b.c.d."""
        return self.ip if isinstance(self.ip, IPv6Address) else IPv6Address(0xFFFF << 32 | int(self.ip))

    @property
    def overhead(self) -> int:
        """Octets in front of a whole inner packet, without a Fragment Header (spec §2.2: H)."""
        return (20 if self.ip.version == 4 else 40) + HEADER_OCTETS[self.encapsulation]


FRAGMENT_FRONT_OCTETS = {Encapsulation.UDP: 8, Encapsulation.MINIMAL: 0, Encapsulation.GUE: 12, Encapsulation.GUE1: 12}
"""Octets between the outer IP header and a Fragment Header: fragments of GUE variant 1 go as variant 0."""
HEADER_OCTETS = {Encapsulation.UDP: 8, Encapsulation.MINIMAL: 0, Encapsulation.GUE: 12, Encapsulation.GUE1: 8}
"""Octets between the outer IP header and the inner packet, without a Fragment Header."""


def underlay_of(ipv6_form: IPv6Address) -> Underlay:
    """The underlay address that a 16-octet field means."""
    return ipv6_form.ipv4_mapped or ipv6_form
