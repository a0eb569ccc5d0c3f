"""What the benches of data planes share: two ends of one forwarder, and the kernel's ways between them as anchors.

c1 --- s1 --- c2        underlay of both IP versions, MTU 1600; inner packets of the anchors are IPv6
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from testbed.mininet_api import Topo
from testbed.network import Network
from testbed.nodes import Host
from testbed.segmentation import cut_before_the_wire
from testbed.waiting import wait_until
from topologies.bench.blasting import Rate, blaster_in, rate, tcp
from topologies.bench.figures import Figure

UNDERLAY = {
    4: {"c1": ("10.0.1.2", "10.0.1.1"), "c2": ("10.0.2.2", "10.0.2.1")},
    6: {"c1": ("2001:db8:9:1::2", "2001:db8:9:1::1"), "c2": ("2001:db8:9:2::2", "2001:db8:9:2::1")},
}
"""By IP version: a Client's address and its Server's."""
OVERLAY = {"c1": "2001:db8:3:1::2", "c2": "2001:db8:3:2::2"}
"""Addresses for kernel forwarding and VXLAN."""
SIZES = (64, 512, 1400)
"""Octets of the inner packet."""
MTU = 1600


class BenchTopo(Topo):
    """Two ends on links of their own to one forwarder."""

    def build(self, **_opts: Any) -> None:
        """Names, addresses and links."""
        self.addHost("s1", cls=Host)
        for name, (own, server) in UNDERLAY[4].items():
            own6, server6 = UNDERLAY[6][name]
            overlay = OVERLAY[name]
            routes = [("default", server), ("default", overlay[:-1] + "1")]
            self.addHost(name, cls=Host, routes=routes)
            self.addLink(
                "s1",
                name,
                intfName1=name,
                intfName2="eth0",
                params1={"addresses": [f"{server}/24", f"{overlay[:-1]}1/64", f"{server6}/64"]},
                params2={"addresses": [f"{own}/24", f"{overlay}/64", f"{own6}/64"]},
                mtu=MTU,
            )


@contextmanager
def bench_network() -> Iterator[Network]:
    """The topology, with a forwarder in the middle."""
    with Network(BenchTopo()) as net:
        for name in ("net.ipv6.conf.all.forwarding", "net.ipv4.ip_forward"):
            net["s1"].sysctl(name, 1)
        cut_before_the_wire([net["s1"]])  # what is counted behind it must be what is on it
        yield net


@dataclass(frozen=True)
class Measured:
    """One way of getting packets from c1 to c2."""

    rates: dict[int, Rate]
    """By octets of the inner packet."""
    tcp: float
    """Gbit/s."""


def anchored(name: str, found: Measured, anchor: Measured) -> dict[str, Figure]:
    """Rates against those of something else."""
    figures = {}
    for size, each in found.rates.items():
        against = anchor.rates[size].a_second
        figures[f"{name}_{size}"] = Figure(each.a_second, "packets/s", against, each.a_second / against)
    figures[f"{name}_tcp"] = Figure(found.tcp, "Gbit/s", anchor.tcp, found.tcp / anchor.tcp)
    return figures


# --- anchors: the same packets, moved by the kernel


def moved_by_kernel(net: Network, destination: str) -> Measured:
    """What the kernel does with packets to an address of c2."""
    speed = tcp(net["c1"], net["c2"], destination)
    with blaster_in(net["c1"], "udp", 7000, destination) as blaster:
        return Measured({size: rate(net["c2"], blaster, bytes(size - 48)) for size in SIZES}, speed)


def vxlan_moved(net: Network) -> Measured:
    """The same through VXLAN on both links."""
    with ExitStack() as stack:
        for number, (name, (own, server)) in enumerate(UNDERLAY[4].items(), start=1):
            far = f"fd00:{number}::"
            for node, local, remote, end in ((net[name], own, server, "2"), (net["s1"], server, own, "1")):
                device = f"vx{number}"
                lower = "eth0" if end == "2" else name
                kind = f"vxlan id {number} local {local} remote {remote} dstport 4789 dev {lower}".split()
                node.run(["ip", "link", "add", device, "mtu", "1500", "type", *kind], check=True)
                stack.callback(node.run, ["ip", "link", "delete", device])
                node.run(["ip", "address", "add", f"{far}{end}/64", "dev", device, "nodad"], check=True)
                node.run(["ip", "link", "set", device, "up"], check=True)
            other = f"fd00:{3 - number}::/64"
            net[name].run(["ip", "-6", "route", "add", other, "via", f"{far}1"], check=True)
        wait_until("VXLAN to carry packets", lambda: not net["c1"].run(["ping", "-c1", "-W1", "fd00:2::2"]).exit)
        return moved_by_kernel(net, "fd00:2::2")
