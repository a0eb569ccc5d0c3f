"""What all roles are as a process: sockets, AERO interface, packet path and kernel around one core."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any, Protocol

from agents.aero.config import ClientConfig, NodeConfig
from agents.aero.dataplane.forwarder import Forwarder
from agents.aero.dataplane.policy import Policy
from agents.aero.dataplane.sink import Control
from agents.aero.dataplane.sockaddr import SocketAddress
from agents.aero.interface import MARK, Kernel, advertiser
from agents.aero.items import Item
from agents.aero.lladdr import Encapsulation, LinkLayerAddress
from agents.aero.neighbors import Inner, Neighbor, NeighborCache, Path
from agents.aero.notices import (
    AddressesChanged,
    Controlled,
    FlowUsed,
    Install,
    LinkChanged,
    PathWanted,
    Remove,
    SendControl,
    Stranger,
    TooBig,
    Unaccepted,
)
from agents.aero.underlay import Underlay
from agents.aero.underlay_addresses import SeveralAddresses, open_underlay
from agents.aero.underlay_errors import UnderlayErrors
from agents.aero.underlay_links import UnderlayLinks
from agents.core import Core
from agents.kernel import links
from agents.kernel.netlink import KernelError, Netlink
from agents.kernel.tun import Tun
from agents.runtime import Shell, announce

TUN_BATCH = 64
LARGEST_OVERHEAD = 60
"""Octets of the longest headers in front of an inner packet (spec §4: TUN MTU)."""
SMALLEST_TUN_MTU = 1500


class AeroCore(Core, Protocol):
    """A role's core, as far as its packets go."""

    cache: NeighborCache
    links: UnderlayLinks


class _Sink:
    """Where the packet path's packets go."""

    def __init__(self, underlay: Underlay | SeveralAddresses, tun: Tun, feed: Callable[[Any], None]) -> None:
        self._feed = feed
        self.transmit = underlay.transmit  # bound here: a method in between costs on every packet
        self._write = tun.write

    def deliver(self, packet: bytes | bytearray | memoryview) -> None:
        self._write(packet)

    def control(self, control: Control) -> None:
        self._feed(Controlled(control))

    def unknown_origin(self, lladdr: LinkLayerAddress, source: Inner, size: int) -> None:
        self._feed(Stranger(lladdr, source, size))


class Node:
    """One AERO node; a role adds its own actions and inputs to `shell` and `perform`."""

    def __init__(
        self,
        config: NodeConfig,
        core: AeroCore,
        policy: Policy,
        own: Callable[[int], Inner | None],
        perform: Callable[[Any], None] = lambda _action: None,
    ) -> None:
        """`own` gives the source of the errors of an IP version; `perform` carries out what a role alone knows.

        KernelError when something of the kernel is not to be had; nothing is left behind then.
        """
        self._config = config
        self._core = core
        self._perform_other = perform
        addresses = [address for link in config.links for address in link.addresses]
        self._mtus = {link.interface: links.mtu(link.interface) for link in config.links}
        for interface, mtu in self._mtus.items():
            core.links.learn_mtu(interface, mtu)
        self.shell = Shell(core, self._perform)
        self.kernel = Kernel(addresses, list(self._mtus), _advertiser(config))
        self.addresses: set[IPv4Address | IPv6Address] = set()
        """Of this namespace."""
        self._netlink = Netlink()
        self._underlay_addresses = {name: links.usable_addresses(self._netlink, name) for name in self._mtus}
        """What there is when we start is what the configuration is about: only changes are news."""
        self._watch = Netlink(groups=links.CHANGES)
        self._lines = UnderlayLinks(config.links)
        """As they are now; the core hears of changes a little later."""
        own_lines = self._lines if _several(config) else None
        self.underlay = open_underlay(addresses, MARK, runs=config.dataplane.runs, lines=own_lines)
        self._errors = UnderlayErrors(addresses)
        self.kernel.clear_leftovers()
        self._tun = Tun(config.interface, self._tun_mtu())
        plane = config.dataplane
        sink = _Sink(self.underlay, self._tun, self.shell.feed)
        self.forwarder = Forwarder(
            core.cache,
            policy,
            sink,
            own=own,
            dpd=plane.dpd == "always",
            drop_gross=plane.drop_gross,
            dpd_window=plane.dpd_window,
            reassembly_cap=plane.reassembly_cap,
            errors=plane.errors,
        )
        self._connect()

    def _connect(self) -> None:
        shell, forwarder = self.shell, self.forwarder
        forwarder.when_probing(self._path_wanted)
        forwarder.when_used(lambda use, packet, idle: self._soon(FlowUsed(use, packet, idle)))
        forwarder.when_refused(lambda lladdr, packet: self._soon(Unaccepted(lladdr, packet)))
        self.underlay.too_long = self._too_long
        for fd, read in self.underlay.readers(forwarder.from_underlay, shell.clock.now):
            shell.on_readable(fd, read)
        if isinstance(self.underlay, SeveralAddresses):
            self.underlay.listen, self.underlay.ignore = shell.on_readable, shell.ignore
        for fd, read in self._errors.readers(shell.feed):
            shell.on_readable(fd, read)
        shell.on_readable(self._tun.fileno(), self._read_tun)
        shell.on_readable(self._watch.fileno(), self._read_watch)
        self._learn_addresses()
        shell.on_request("inspect", lambda _request: {"state": self.inspect()})

    def run(self, prepare: Callable[[], None]) -> None:
        """Serve until SIGTERM, after `prepare`; then the node is as if we had never been there."""
        try:
            prepare()
            self.shell.run(self._config.control, first=False)
        finally:
            self.close()

    def close(self) -> None:
        """Let go of everything."""
        self.kernel.close()
        self._tun.close()
        self._errors.close()
        self.underlay.close()
        self._watch.close()
        self._netlink.close()

    def inspect(self) -> dict[str, Any]:
        """The core's state and the packet path's counters."""
        plane = {
            **self.forwarder.counters,
            "loop": self.underlay.loops,
            "send_failures": self.underlay.send_failures,
            "icmp_refused": self._errors.refused,
        }
        return {**self._core.inspect(), "dataplane": plane, "mtus": self._mtus}

    # --- what the core wants

    def _perform(self, action: Any) -> None:
        match action:
            case SendControl():
                self.forwarder.send_control(
                    action.packet, action.lladdr, df=action.df, pad=action.pad, atomic=action.atomic
                )
            case Install():
                self._change(self.kernel.install, action.items)
            case Remove():
                self._change(self.kernel.remove, action.items)
            case _:
                self._perform_other(action)

    def _change(self, change: Callable[[Iterable[Item]], None], items: Iterable[Item]) -> None:
        """One after the other: what the kernel refuses must not keep the rest."""
        for item in items:
            try:
                change((item,))
            except KernelError as error:
                self._refused(" ".join(item.key).strip(), error)
        try:
            self.kernel.settle()
        except KernelError as error:
            self._refused("downstream", error)

    def _refused(self, item: str, error: KernelError) -> None:
        announce("kernel-refused", self.shell.clock.now(), item=item, reason=str(error))

    # --- what happens

    def _read_tun(self) -> None:
        now = self.shell.clock.now()
        read, take = self._tun.read, self.forwarder.from_kernel
        with self.underlay.together():
            for _packet in range(TUN_BATCH):
                packet = read()
                if packet is None:
                    return
                take(packet, now)

    def _path_wanted(self, neighbor: Neighbor, path: Path) -> None:
        self._soon(PathWanted(neighbor, path))

    def _too_long(self, destination: SocketAddress) -> None:
        """A packet with DF is longer than its interface's MTU, which may have changed."""
        ip = ip_address(destination[0])
        found = self._core.links.toward(LinkLayerAddress(Encapsulation.UDP, ip, Encapsulation.UDP.port))
        if found:
            self._learn_mtu(found[0].interface, links.mtu(found[0].interface))
            self._soon(TooBig(ip, self._mtus[found[0].interface]))

    def _soon(self, notice: Any) -> None:
        """Tell the core when what is being done now is done: it may be the core's own doing."""
        asyncio.get_running_loop().call_soon(self.shell.feed, notice)

    def _read_watch(self) -> None:
        try:
            messages = self._watch.events()
        except OSError:
            messages = []  # more happened than the socket could hold
        for message in messages:
            name = message.get_attr("IFLA_IFNAME")
            if name in self._mtus and message.get_attr("IFLA_MTU"):
                self._learn_mtu(name, message.get_attr("IFLA_MTU"))
        self._learn_addresses()

    def _learn_mtu(self, interface: str, mtu: int) -> None:
        if mtu == self._mtus[interface]:
            return
        self._mtus[interface] = mtu
        try:
            self._tun.set_mtu(self._tun_mtu())
        except KernelError as error:
            announce("kernel-refused", self.shell.clock.now(), item=f"MTU of {self._tun.name}", reason=str(error))
        self._soon(LinkChanged(interface, mtu))

    def _tun_mtu(self) -> int:
        """Inner packets over 1500 octets can enter where the underlay may take them (spec §4)."""
        return max(SMALLEST_TUN_MTU, max(self._mtus.values()) - LARGEST_OVERHEAD)

    def _learn_addresses(self) -> None:
        self.addresses = links.own_addresses(self._netlink)
        if isinstance(self._config, ClientConfig):
            for interface, known in list(self._underlay_addresses.items()):
                present = links.usable_addresses(self._netlink, interface)
                if set(present) != set(known):
                    self._move(interface, present)

    def _move(self, interface: str, addresses: tuple[IPv4Address | IPv6Address, ...]) -> None:
        """The underlay gave this node other addresses (spec MOB-1)."""
        self._underlay_addresses[interface] = addresses
        self._lines.learn_addresses(interface, addresses)
        own = [address for each in self._underlay_addresses.values() for address in each]
        self._errors.learn_own(own)
        for learn in (self.underlay.learn_own, self.kernel.learn_underlay):
            try:
                learn(own)
            except KernelError as error:
                announce("kernel-refused", self.shell.clock.now(), item="underlay", reason=str(error))
        self._soon(AddressesChanged(interface, addresses))


def _several(config: NodeConfig) -> bool:
    """Whether this is a Client with several lines, or several addresses of an IP version."""
    versions = [address.version for link in config.links for address in link.addresses]
    return isinstance(config, ClientConfig) and (len(config.links) > 1 or len(set(versions)) < len(versions))


def _advertiser(config: NodeConfig) -> Any:
    if not isinstance(config, ClientConfig):
        return None
    return advertiser(config.radvd_config, config.radvd_pid_file)
