"""The AERO Relay as a process: a node, and the line to its ExaBGP."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv6Interface
from typing import Any

from agents.aero.bgp.link import BgpLink
from agents.aero.bgp.notices import ToBgp
from agents.aero.config import RelayConfig
from agents.aero.dataplane.policy import Inner, RelayPolicy
from agents.aero.items import Address, Item, PrefixRoute, Routing
from agents.aero.node import Node
from agents.aero.relay.core import RelayCore


class RelayShell:
    """Wires one Relay core to its node."""

    def __init__(self, config: RelayConfig) -> None:
        self._config = config
        self._core = RelayCore(config)
        policy = RelayPolicy(self._core.cache, lambda address: address in self._node.addresses, config.aggregates)
        self._node = Node(config, self._core, policy, self._own, self._perform)
        shell = self._node.shell
        self._bgp = BgpLink(config.bgp, shell.feed, shell.clock.now)
        shell.on_readable(self._bgp.fileno(), self._bgp.accept)
        shell.before_stop(self._bgp.leave)

    def run(self) -> None:
        """Lead the aggregates into the AERO link, serve until SIGTERM."""
        self._node.run(self._prepare)
        self._bgp.close()

    def _prepare(self) -> None:
        self._node.kernel.install(items(self._config))
        self._core.start(self._node.shell.clock.now())

    def _own(self, version: int) -> Inner | None:
        """An underlay address of this node."""
        addresses = [address for link in self._config.links for address in link.addresses]
        return next((each for each in addresses if each.version == version), None)

    def _perform(self, action: Any) -> None:
        if isinstance(action, ToBgp):
            self._bgp.tell(action)


def items(config: RelayConfig) -> Iterator[Item]:
    """What a Relay's kernel must hold: it forwards, and what the AERO link owns goes there and nowhere else."""
    yield Routing(True)
    yield Address(config.interface, IPv6Interface((config.address, 64)))
    for prefix in config.aggregates:
        yield PrefixRoute(config.interface, prefix)


def run_relay(config: RelayConfig) -> None:
    """Serve until SIGTERM (KernelError)."""
    RelayShell(config).run()
