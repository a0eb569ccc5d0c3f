"""What both roles are as a process: sockets, TUN interface, packet path and kernel around one core."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable
from ipaddress import IPv4Address
from typing import Any

from agents.core import Core
from agents.haaro.backend import Choice
from agents.haaro.drops import DropLog
from agents.haaro.gate import Gate
from agents.haaro.interface import Kernel
from agents.haaro.items import TUNNEL_MTU, Item
from agents.haaro.notices import Datagram, Echo, Install, OwnNetworks, Remove, Send, SendEcho, TrafficSeen
from agents.haaro.path_errors import PathErrors
from agents.haaro.plane import Plane
from agents.haaro.sink import Ends
from agents.haaro.underlay import Underlay
from agents.kernel.netlink import KernelError
from agents.kernel.tun import Tun
from agents.limits import ERRORS, ErrorRates
from agents.plain import plain
from agents.runtime import Shell, announce

ETHERNET_MTU = 1500
BATCH = 64
BY_PROGRAM = Choice("tun")


class Node:
    """One HAARO node; a role adds its own inputs to `shell`."""

    def __init__(
        self,
        core: Core,
        interface: str,
        control: str,
        *,
        table: int,
        ends: Ends | None = None,
        underlay_mtu: int = ETHERNET_MTU,
        choice: Choice = BY_PROGRAM,
        errors: ErrorRates = ERRORS,
    ) -> None:
        """KernelError when something of the kernel is not to be had; nothing is left behind then.

        `underlay_mtu`: of the lines, octets; what does not fit after encapsulation is divided before (spec TUN-13).
        `errors`: how many inner sources are told.
        """
        self._core = core
        self._control = control
        self.shell = Shell(core, self._perform)
        self._choice = choice
        by_kernel = choice.kind == "ipip"
        self.kernel = Kernel(interface, table=table, gate=_gate(ends) if by_kernel else None)
        self.kernel.clear_leftovers()
        with contextlib.ExitStack() as opened:  # what is open is closed when the rest is not to be had
            self._underlay = opened.enter_context(contextlib.closing(Underlay(deaf=by_kernel)))
            self._errors = opened.enter_context(contextlib.closing(PathErrors()))
            self._tun = Tun(interface, TUNNEL_MTU - max(0, ETHERNET_MTU - underlay_mtu))
            opened.pop_all()
        self.plane = Plane(self, ends, relays=ends is None, clock=self.shell.clock.now, errors=errors)
        drops = DropLog(lambda now, **fields: announce("packet-dropped", now, **fields))
        self.plane.when_dropped = lambda reason, local, remote: drops.dropped(
            reason, local, remote, self.shell.clock.now()
        )
        for fd, read in self._underlay.readers(self.plane.from_udp, self.plane.from_ip):
            self.shell.on_readable(fd, read)
        self.shell.on_readable(self._errors.fileno(), lambda: self._errors.read(self.plane.path_error))
        self.shell.on_readable(self._tun.fileno(), self._read_tun)
        self.shell.on_request("inspect", lambda _request: {"state": plain(self.inspect())})

    def run(self, prepare: Callable[[], None]) -> None:
        """Serve until SIGTERM, after `prepare`; then the node is as if we had never been there."""
        announce("tunnels", self.shell.clock.now(), kind=self._choice.kind, lacking=self._choice.lacking)
        try:
            prepare()
            self.shell.run(self._control, first=False)
        finally:
            self.kernel.close()
            self._tun.close()
            self._errors.close()
            self._underlay.close()

    def inspect(self) -> dict[str, Any]:
        """The core's state and the packet path's counters."""
        dropped = self.plane.counters + Counter(self.kernel.dropped())
        plane = {**dropped, "relayed": self.plane.relayed, "send_failures": self._underlay.send_failures}
        return {**self._core.inspect(), "tunnel": self._choice.kind, "dataplane": plane}

    # --- what the packet path wants

    def send_udp(
        self, local: IPv4Address, remote: IPv4Address, port: int, data: bytes, tos: int, df: bool = False
    ) -> int | None:
        """Send a datagram."""
        return self._underlay.send_udp(local, remote, port, data, tos, df)

    def send_ip(self, local: IPv4Address, remote: IPv4Address, packet: bytes, tos: int, df: bool = False) -> int | None:
        """Send a packet in IP."""
        return self._underlay.send_ip(local, remote, packet, tos, df)

    def deliver(self, packet: bytes) -> None:
        """A packet came out of a tunnel."""
        self._tun.write(packet)

    def notice(self, notice: Datagram | Echo | TrafficSeen) -> None:
        """News for the core."""
        self.shell.feed(notice)

    # --- what the core wants

    def _perform(self, action: Any) -> None:
        match action:
            case Send():
                self.plane.send(action)
            case SendEcho():
                self.plane.send_echo(action)
            case OwnNetworks():
                self.plane.own(action.prefixes)
                self.kernel.own(action.prefixes)
            case Install():
                for item in action.items:
                    self.plane.install(item)
                    self._change(self.kernel.install, item)
            case Remove():
                for item in action.items:
                    self._change(self.kernel.remove, item)
                    self.plane.remove(item)

    def _change(self, change: Callable[[Item], None], item: Item) -> None:
        """One after the other: what the kernel refuses must not keep the rest."""
        try:
            change(item)
        except KernelError as error:
            announce("kernel-refused", self.shell.clock.now(), item=" ".join(item.key).strip(), reason=str(error))

    def _read_tun(self) -> None:
        now = self.shell.clock.now()
        for _packet in range(BATCH):
            packet = self._tun.read()
            if packet is None:
                return
            self.plane.from_kernel(packet, now)


def _gate(ends: Ends | None) -> Gate:
    return Gate(ends.home_address, ends.networks, ends.home_agent) if ends else Gate()
