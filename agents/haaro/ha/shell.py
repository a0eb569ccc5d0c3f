"""The home agent as a process."""

from __future__ import annotations

from agents.haaro.backend import choose
from agents.haaro.config import HaConfig
from agents.haaro.ha.core import HaCore
from agents.haaro.ha.state import in_several_realms
from agents.haaro.items import Routing
from agents.haaro.node import Node
from agents.kernel.routing import MAIN


def run_ha(config: HaConfig) -> None:
    """Serve until SIGTERM (KernelError, PlainError)."""
    choice = choose(config.tunnel, ambiguous=bool(in_several_realms(config.routers)))
    core = HaCore(config)
    node = Node(core, config.interface, config.control, table=MAIN, choice=choice, errors=config.errors)
    core.usable = node.kernel.can_route
    node.run(lambda: node.kernel.install(Routing()))
