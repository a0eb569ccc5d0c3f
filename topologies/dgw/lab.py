"""What all labs of distributed gateways have in common: everything but size and script."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from testbed.mininet_api import Topo
from topologies.dgw import dumps
from topologies.dgw.checks import classic_checks, protection_checks, walk_checks
from topologies.dgw.plan import DgwOptions, DgwPlan
from topologies.dgw.protection import protect
from topologies.lab import AgentSpec, Lab, RadvdSpec

if TYPE_CHECKING:
    from topologies.runner import Run

ALL_MODES = tuple({"mode": mode} for mode in ("relay", "locator", "proxy", "direct"))
"""Variants of a lab that plays alike in every signalling mode."""


class DgwLab(Lab):
    """A lab that is a plan (size, addresses, configurations) and a script."""

    options: ClassVar[type] = DgwOptions
    repeated_dumps: ClassVar[bool] = False
    """Whether the script dumps the nodes' state at other moments than the end."""

    @abstractmethod
    def plan(self, options: Any) -> DgwPlan:
        """Size, addresses and configurations of the lab."""

    def topo(self, options: Any) -> Topo:
        """The topology as plain data."""
        return self.plan(options).topo()

    def agents(self, options: Any) -> list[AgentSpec]:
        """CMD and gateways, with keys of their own where signalling is protected."""
        return protect(self.plan(options).agents(), options.protection)

    def radvds(self, options: Any) -> list[RadvdSpec]:
        """One per gateway."""
        return self.plan(options).radvds()

    def captures(self, options: Any) -> list[tuple[str, str]]:
        """Gateways and end nodes."""
        return self.plan(options).captures()

    def domain(self, options: Any) -> dict[str, Any]:
        """Facts for the checks."""
        return self.plan(options).domain()

    def checks(self, options: Any, slowness: float) -> list[dict[str, Any]]:
        """What captures and dumps must show after any walk between gateways."""
        if options.mode == "classic":
            return classic_checks(slowness)
        return walk_checks(slowness, rate=self.plan(options).rate, repeated=self.repeated_dumps)

    def standing_checks(self, options: Any) -> list[dict[str, Any]]:
        """Whether signalling that is to be protected was."""
        return protection_checks(options.protection)

    def finished(self, run: Run, options: Any) -> None:
        """Dump the state of all nodes, then what is left when the gateways let go."""
        dumps.settled(run, "end")
        dumps.after_the_end(run)
