"""One anchor of one mobile node as the central database knows it (spec §4: p_maar_list, repository API)."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Network

from agents.dgw.identity import Identity


@dataclass(frozen=True)
class AnchorRecord:
    """A gateway that anchors a prefix of a node, with the DLIF that goes with the prefix."""

    address: IPv6Address
    """P-CoA of the gateway."""
    prefix: IPv6Network
    identity: Identity | None = None
    local_prefixes: tuple[IPv6Network, ...] = ()
