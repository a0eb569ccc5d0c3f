"""Tunnels in IP as devices of the kernel, with the gate in front of them."""

from __future__ import annotations

import contextlib
import time

from agents.haaro.gate import Gate
from agents.haaro.items import TUNNEL_MTU, Tunnel
from agents.kernel import links
from agents.kernel.netlink import KernelError, Netlink
from agents.kernel.reaper import Reaper
from agents.kernel.routing import Hop
from agents.kernel.tunnels.ipip import Ipip
from agents.runtime import announce


def left_behind(netlink: Netlink) -> bool:
    """Whether a node that could not say goodbye left devices here."""
    ours = (links.OWNED, links.RETIRED)
    return any(each.kind == Ipip.kind and each.group in ours for each in links.links(netlink).values())


class Devices:
    """Of one node."""

    def __init__(self, netlink: Netlink, gate: Gate) -> None:
        self.gate = gate
        self._reaper = Reaper(netlink, _refused)
        self._tunnels = Ipip(TUNNEL_MTU, netlink, self._reaper)

    def prepare(self) -> None:
        """The gate, closed; devices that a node left which could not say goodbye go."""
        self.gate.prepare()
        self._tunnels.clear()

    def open(self, tunnel: Tunnel) -> None:
        """Have the device of a tunnel in IP, and let in what may come out of it."""
        if tunnel.encapsulation == "ipip":
            pair = (tunnel.local, tunnel.remote)
            self._tunnels.open(pair)
            self.gate.permit(tunnel, self._tunnels.name(pair))

    def close(self, tunnel: Tunnel) -> None:
        """Nothing comes out of it any more."""
        if tunnel.encapsulation == "ipip":
            self.gate.forbid(tunnel)
            self._tunnels.close((tunnel.local, tunnel.remote))

    def hop(self, tunnel: Tunnel) -> Hop:
        """Where a route into it leads."""
        return self._tunnels.hop((tunnel.local, tunnel.remote))

    def end(self) -> None:
        """Leave nothing behind."""
        with contextlib.suppress(KernelError):
            self.gate.clear()
        self._reaper.close()


def _refused(error: KernelError) -> None:
    announce("kernel-refused", time.time(), item="devices", reason=str(error))
