"""Who takes part in the lab of mobility at size: more Servers and Clients than the base topology has addresses for.

s1, s2 ...  203.0.113.103, .105 ...  2001:db8:f::103, ::105 ...      r1, r2 as in the other labs
c1, c2 ...  198.19.n.3, 2001:db8:e:n::3, then .5, .7 ... with every move; prefix 2001:db8:1000:n00::/56
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from topologies.aero.kea import KeaSettings, Pool
from topologies.aero.members import Client, Server
from topologies.aero.relays import RelayPlan

MOST_MOVES = 100
"""Underlay addresses that a Client may have had in a run: the last octet has room for no more."""


class CrowdServer(Server):
    """A Server of many."""

    @property
    def underlay(self) -> dict[str, str]:
        """By IP version."""
        number = 101 + 2 * self.index
        return {"ipv4": f"203.0.113.{number}", "ipv6": f"2001:db8:f::{number}"}


@dataclass(frozen=True)
class CrowdClient(Client):
    """A Client of many, with an address of its own in its kernel."""

    model: str = "host"

    @property
    def prefixes(self) -> dict[str, str]:
        """What all Servers have reserved for it."""
        return {"ipv6": f"2001:db8:1000:{self.index:x}00::/56"}

    @property
    def underlay(self) -> dict[str, str]:
        """Where it begins."""
        return self.place(0)

    def place(self, number: int) -> dict[str, str]:
        """Its underlay addresses after so many moves."""
        last = 3 + 2 * number
        return {"ipv4": f"198.19.{self.index}.{last}", "ipv6": f"2001:db8:e:{self.index:x}::{last:x}"}


@dataclass(frozen=True)
class CrowdPlan(RelayPlan):
    """The plan of many."""

    @property
    def server_list(self) -> tuple[Server, ...]:
        """The Servers."""
        return tuple(CrowdServer(index) for index in range(1, self.servers + 1))

    def _kea(self, server: Server, reserved: dict[str, list[str]]) -> KeaSettings:
        t1, t2, preferred, valid = self.lease
        pools = (Pool(f"2001:db8:10{server.index}0::/44", 56),)
        return KeaSettings(f"0200000000a{server.index}", pools, reserved, t1, t2, preferred, valid)

    def domain(self) -> dict[str, Any]:
        """Clients' packets come from all their addresses."""
        found = super().domain()
        for client in self.clients:
            assert isinstance(client, CrowdClient)
            places = [address for number in range(MOST_MOVES) for address in client.place(number).values()]
            found["clients"][client.name]["underlay"] = places
        return found
