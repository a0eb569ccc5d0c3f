"""What all HAARO labs have in common: everything but sites, script and checks."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from testbed.mininet_api import Topo
from topologies.haaro import waiting
from topologies.haaro.plan import HaaroPlan
from topologies.lab import AgentSpec, Lab, option

if TYPE_CHECKING:
    from topologies.runner import Run

TUNNELS = ("auto", "ipip", "tun")
"""The kernel's driver or the program; auto: the kernel where it can."""


@dataclass(frozen=True)
class HaaroOptions:
    """Options that every HAARO lab has."""

    encapsulation: str = option("udp", "encapsulation of tunnels between routers", ("udp", "ipip"))
    tunnel: str = option("auto", "who takes care of tunnels in IP", TUNNELS)


class HaaroLab(Lab):
    """A lab that is a plan (sites, addresses, configurations), a script and checks."""

    options: ClassVar[type] = HaaroOptions

    @abstractmethod
    def plan(self, options: Any) -> HaaroPlan:
        """Sites, addresses and configurations of the lab."""

    def topo(self, options: Any) -> Topo:
        """The topology as plain data."""
        return self.plan(options).topo()

    def agents(self, options: Any) -> list[AgentSpec]:
        """The home agent, then the routers."""
        chosen = {"tunnel": options.tunnel}
        return [replace(each, config={**chosen, **each.config}) for each in self.plan(options).agents()]

    def started(self, run: Run, nodes: list[str]) -> None:
        """A router registers before the next one starts: who comes later is told of who came before (spec S1)."""
        waiting.registered(run, (node for node in nodes if run.agents[node].config["role"] == "mr"))

    def captures(self, options: Any) -> list[tuple[str, str]]:
        """Both sides of what encapsulates or translates, and the end nodes."""
        return self.plan(options).captures()

    def domain(self, options: Any) -> dict[str, Any]:
        """Facts for the checks."""
        return self.plan(options).domain()
