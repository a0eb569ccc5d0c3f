"""What all AERO labs have in common: everything but size, script and checks."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

from testbed.mininet_api import Topo
from topologies.aero.plan import AeroOptions, AeroPlan
from topologies.lab import AgentSpec, KeaSpec, Lab, RadvdSpec


class AeroLab(Lab):
    """A lab that is a plan (size, addresses, configurations), a script and checks."""

    options: ClassVar[type] = AeroOptions

    @abstractmethod
    def plan(self, options: Any) -> AeroPlan:
        """Size, addresses and configurations of the lab."""

    def topo(self, options: Any) -> Topo:
        """The topology as plain data."""
        return self.plan(options).topo()

    def agents(self, options: Any) -> list[AgentSpec]:
        """Servers and Clients."""
        return self.plan(options).agents()

    def radvds(self, options: Any) -> list[RadvdSpec]:
        """One per Client with something downstream."""
        return self.plan(options).radvds()

    def keas(self, options: Any) -> list[KeaSpec]:
        """One per Server."""
        return self.plan(options).keas()

    def captures(self, options: Any) -> list[tuple[str, str]]:
        """Both sides of what encapsulates or translates, the talk with Kea, and the end nodes."""
        return self.plan(options).captures()

    def domain(self, options: Any) -> dict[str, Any]:
        """Facts for the checks."""
        return self.plan(options).domain()
