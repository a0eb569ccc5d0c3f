"""The AERO Server as a process: a node, and the socket toward its DHCPv6 server."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from ipaddress import IPv6Address, IPv6Interface
from pathlib import Path
from typing import Any

from agents.aero.bgp.link import BgpLink
from agents.aero.bgp.notices import ToBgp
from agents.aero.config import DhcpServer, ServerConfig
from agents.aero.dataplane.policy import Inner, ServerPolicy
from agents.aero.items import Address, Item, PrefixRoute, Routing
from agents.aero.node import Node
from agents.aero.notices import DhcpAnswer, ReplayTaken, ToDhcpServer
from agents.aero.server.core import ServerCore
from agents.journal import Journal
from agents.kernel.netlink import KernelError
from agents.runtime import announce
from agents.store import StateFile

_LARGEST = 65535
BATCH = 64


class ServerShell:
    """Wires one Server core to its node."""

    def __init__(self, config: ServerConfig) -> None:
        self._config = config
        self._core = ServerCore(config)
        self._state = StateFile(Path(config.state))
        self._replays = Journal(Path(config.state).with_suffix(".replays"))
        """A file of its own: a value a message, of thousands of Clients."""
        self._dhcp = _dhcp_socket(config.dhcp)
        core = self._core
        self._missed = False
        policy = ServerPolicy(
            core.cache,
            lambda address: address in self._node.addresses,
            native=not config.relays,
            watch=core.mediator.origination.watch,
            departed=core.departures.covers,
        )
        self._node = Node(config, self._core, policy, self._own, self._perform)
        self._shell = self._node.shell
        core.wall.ahead = self._shell.clock.ahead
        self._shell.on_readable(self._dhcp.fileno(), self._read_dhcp)
        self._bgp = BgpLink(config.bgp, self._shell.feed, self._shell.clock.now) if config.bgp else None
        if self._bgp:
            self._shell.on_readable(self._bgp.fileno(), self._bgp.accept)
            self._shell.before_stop(self._bgp.leave)
        # The DHCPv6 server gets the relay's secret in every Interface-ID (spec SRV-12), Relays a MED that is never used
        # again (spec §11).
        self._shell.remember(
            lambda: self._state.save(self._core.saved_state()), lambda action: isinstance(action, ToDhcpServer | ToBgp)
        )

    def run(self) -> None:
        """Take up saved state, make the node a router of its aggregates, serve until SIGTERM."""
        self._node.run(self._prepare)
        self._dhcp.close()
        if self._bgp:
            self._bgp.close()

    def _prepare(self) -> None:
        saved = self._state.load()
        if saved is not None:
            self._core.restore(saved, self._shell.clock.now())
        if self._config.auth_keys:
            taken = self._replays.load({bytes.fromhex(duid).hex() for duid in self._config.auth_keys})
            self._core.restore_replays({bytes.fromhex(duid): value for duid, value in taken.items()})
        self._node.kernel.install(items(self._config))
        self._core.start(self._shell.clock.now())

    def _own(self, version: int) -> Inner | None:
        """An address of this node that a Client can see: of the underlay, else any global one."""
        underlay = [address for link in self._config.links for address in link.addresses]
        others = sorted(address for address in self._node.addresses if address.version == version)
        candidates = [*underlay, *others]
        return next((each for each in candidates if each.version == version and _global(each)), None)

    def _perform(self, action: Any) -> None:
        if isinstance(action, ToBgp) and self._bgp:
            self._bgp.tell(action)
        elif isinstance(action, ReplayTaken):
            self._replays.put(action.duid.hex(), action.value)
        elif isinstance(action, ToDhcpServer):
            self._ask(action)

    def _ask(self, action: ToDhcpServer) -> None:
        for _attempt in (1, 2):  # the first call may only tell that nobody was there for an earlier message
            try:
                self._dhcp.send(action.data)
            except OSError as error:
                self._unreachable(error)
            else:
                return

    def _unreachable(self, error: OSError) -> None:
        """The daemon is not there now; the Client asks again, and until somebody answers it is said once."""
        if not self._missed:
            announce("dhcp-server-unreachable", self._shell.clock.now(), reason=str(error.strerror))
        self._missed = True

    def _read_dhcp(self) -> None:
        for _message in range(BATCH):
            try:
                data, source = self._dhcp.recvfrom(_LARGEST)
            except BlockingIOError:
                return
            except OSError as error:
                self._unreachable(error)
                continue
            self._missed = False
            self._shell.feed(DhcpAnswer(data, IPv6Address(source[0].partition("%")[0])))


def items(config: ServerConfig) -> Iterator[Item]:
    """What a Server's kernel must hold: it forwards, and reaches its Clients through the AERO interface."""
    yield Routing(True)
    yield Address(config.interface, IPv6Interface((config.address, 64)))
    for prefix in config.aggregates:
        yield PrefixRoute(config.interface, prefix)


def run_server(config: ServerConfig) -> None:
    """Serve until SIGTERM (PlainError for unfit saved state, KernelError)."""
    ServerShell(config).run()


def _global(address: Inner) -> bool:
    return not (address.is_link_local or address.is_loopback or address.is_multicast)


def _dhcp_socket(server: DhcpServer) -> socket.socket:
    """Connected: the kernel lets through what comes from there, and tells when nobody is there (spec LDRA-7)."""
    made = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        if server.relay_port:
            made.bind(("::", server.relay_port))
        made.connect((str(server.address), server.port))
    except OSError as error:
        made.close()
        raise KernelError(f"cannot reach {server.address}: {error.strerror}", error.errno or 0) from error
    return made
