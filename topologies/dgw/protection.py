"""Keys for a lab whose signalling is protected by ESP: made anew for every run, handed to nobody but the agents."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from agents.wire.esp import KEY_OCTETS
from topologies.lab import AgentSpec

FIRST_SPI = 0x1001


def protect(agents: Sequence[AgentSpec], protection: str) -> list[AgentSpec]:
    """The agents with one security association for each ordered pair of them (spec SEC-1, SEC-2)."""
    if protection == "off":
        return list(agents)
    addresses = [agent.config["address"] for agent in agents]
    associations = [
        {"source": source, "destination": destination, "spi": spi, "key": secrets.token_hex(KEY_OCTETS)}
        for spi, (source, destination) in enumerate(itertools.permutations(addresses, 2), FIRST_SPI)
    ]
    return [_protected(agent, protection, associations) for agent in agents]


def _protected(agent: AgentSpec, protection: str, associations: list[dict[str, Any]]) -> AgentSpec:
    address = agent.config["address"]
    own = [one for one in associations if address in (one["source"], one["destination"])]
    config = {**agent.config, "protection": protection}
    return replace(agent, config=config, secrets={**agent.secrets, "associations": own})
