"""Tunnels by the kernel, behind one interface: IPv6 in IPv6 (RFC 2473, RFC 5213 §5.6.1), and IPv4 in IPv4 (RFC 2003).

Between gateways `ip6tnl` makes one device per peer; `seg6` encapsulates by route, for kernels without ip6_tunnel. On
the wire both are the same: next header 41, outer addresses exactly the two gateways' own (spec §7 T1, T2). `ipip`, for
Mobile IPv4, makes one device for each pair of addresses.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv6Address
from typing import Protocol, TypeVar

from agents.kernel.netlink import KernelError, Netlink
from agents.kernel.reaper import Reaper
from agents.kernel.routing import Hop, Route, Rule
from agents.kernel.tunnels import ip6tnl, seg6

Peer = TypeVar("Peer", contravariant=True)


class Tunnels(Protocol[Peer]):
    """What a back end does; a hop it gives is used in as many routes as needed."""

    @property
    def kind(self) -> str:
        """ "ip6tnl", "seg6" or "ipip"."""

    @property
    def mtu(self) -> int:
        """Largest inner packet in octets, for Router Advertisements (spec RA-13)."""

    def prepare(self) -> None:
        """Make the namespace able to encapsulate and decapsulate; once, before `open`."""

    def routes(self) -> Collection[Route]:
        """Routes the back end itself lives on; installed by its user, never to be swept."""

    def rules(self) -> Collection[Rule]:
        """Policy rules the back end itself lives on."""

    def open(self, peer: Peer) -> None:
        """Make a tunnel to a peer usable; opening an open one changes nothing."""

    def close(self, peer: Peer) -> None:
        """Drop the tunnel to a peer; the routes through it are to be gone."""

    def hop(self, peer: Peer) -> Hop:
        """Where a route into the tunnel leads."""

    def adopt(self, peers: Collection[Peer]) -> None:
        """After a restart: keep these tunnels, drop every other of ours."""

    def clear(self) -> None:
        """Undo `prepare`."""


@dataclass(frozen=True)
class Settings:
    """What both back ends need to know."""

    local: IPv6Address
    """Own P-CoA, the outer address of all tunnels."""
    wan: str
    """Interface towards the core."""
    names: Mapping[IPv6Address, str] = field(default_factory=dict)
    """Peers' names, for readable device names (t-dgw1)."""


_KINDS: Mapping[str, Callable[[Settings, Netlink, Reaper], Tunnels[IPv6Address]]] = {
    "ip6tnl": ip6tnl.Ip6tnl,
    "seg6": seg6.Seg6,
}
_PROBES: Mapping[str, Callable[[Netlink], str | None]] = {"ip6tnl": ip6tnl.missing, "seg6": seg6.missing}
CHOICES = ("auto", *_KINDS)


def probe(netlink: Netlink, wanted: str = "auto") -> str:
    """Name the back end to use here; KernelError says what the kernel lacks."""
    if wanted not in CHOICES:
        raise KernelError(f"no tunnel kind {wanted!r}; there are {', '.join(CHOICES)}")
    lacking: list[str] = []
    for kind in _KINDS if wanted == "auto" else (wanted,):
        lack = _PROBES[kind](netlink)
        if lack is None:
            return kind
        lacking.append(f"{kind}: {lack}")
    raise KernelError(f"this kernel cannot tunnel IPv6 in IPv6 ({'; '.join(lacking)})")


def select(wanted: str, settings: Settings, netlink: Netlink, reaper: Reaper) -> Tunnels[IPv6Address]:
    """Probe, and give the back end."""
    return _KINDS[probe(netlink, wanted)](settings, netlink, reaper)
