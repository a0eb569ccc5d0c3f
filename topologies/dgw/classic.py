"""The same domain under classic Proxy Mobile IPv6: the gateways are access gateways of one Local Mobility Anchor.

The anchor stands where the CMD stands otherwise, under the same address; unlike the CMD it is in the data path, and
the only one to give prefixes to mobile nodes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from topologies.dgw.plan import CMD_ADDRESS, DgwPlan, Gateway
from topologies.lab import RUNTIME, AgentSpec

LMA_ADDRESS = CMD_ADDRESS
HOME_POOL = "2001:db8:100::/48"
"""Home network prefixes, routed to the anchor."""


@dataclass(frozen=True)
class ClassicPlan(DgwPlan):
    """A lab of classic Proxy Mobile IPv6 (RFC 5213)."""

    central: str = "lma"
    """The anchor."""

    def pool_at(self, gateway: Gateway) -> str:
        """The home network, wherever the node is."""
        return HOME_POOL

    def topo_options(self) -> dict[str, Any]:
        """As usual, with the anchor in place of the CMD."""
        return super().topo_options() | {"central_role": "lma", "routes": ((HOME_POOL, LMA_ADDRESS),)}

    def central_agent(self) -> AgentSpec:
        """The anchor (agents.dgw.lma.config.LmaConfig)."""
        config = {
            "role": "lma",
            "name": "lma",
            "address": LMA_ADDRESS,
            "pool": HOME_POOL,
            "wan": "eth0",
            "gateways": [{"name": gateway.name, "address": gateway.address} for gateway in self.gateway_list],
            "profiles": self.profiles(),
            "control": f"{RUNTIME}/lma/control",
            "state": f"{RUNTIME}/lma/state.json",
            "tunnel": self.options.tunnel,
            "timing": self.timing(),
        }
        return AgentSpec("lma", "lma", "agents.dgw", config)

    def domain(self) -> dict[str, Any]:
        """Facts for the checks: there is an anchor, and no CMD."""
        facts = super().domain()
        del facts["cmd"]
        return {**facts, "lma": {"node": "lma", "address": LMA_ADDRESS, "interface": "eth0", "pool": HOME_POOL}}
