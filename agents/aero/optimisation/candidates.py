"""Which of the link-layer addresses that a message names may be tried (spec §11)."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address

from agents.aero.lladdr import Encapsulation, LinkLayerAddress, Underlay, underlay_of
from agents.aero.optimisation.settings import Client
from agents.wire.nd_options import LinkLayerOption

_BROADCAST = IPv4Address("255.255.255.255")


def usable(options: Iterable[LinkLayerOption], client: Client) -> list[tuple[LinkLayerAddress, bool]]:
    """Those that can be another Client's, each with its NAT flag; the most preferred last, as paths are ordered.

    Only UDP: another encapsulation is used after it was proved, and never on hearsay (spec §2.10).
    """
    found: dict[LinkLayerAddress, tuple[int, bool]] = {}
    for option in options:
        lladdr = LinkLayerAddress(Encapsulation.UDP, underlay_of(option.ip), option.port)
        told = option.encapsulation == Encapsulation.UDP and option.port and option.preference
        if told and can_be_host(lladdr.ip) and client.reaches(lladdr) and lladdr not in client.own_lladdrs():
            found.setdefault(lladdr, (option.preference, option.nat))
    ordered = sorted(found.items(), key=lambda entry: entry[1][0])
    return [(lladdr, nat) for lladdr, (_preference, nat) in ordered]


def can_be_host(ip: Underlay) -> bool:
    """Whether an underlay address can be one node's."""
    return not (ip.is_multicast or ip.is_unspecified or ip.is_loopback or ip == _BROADCAST)
