"""Build and stop stars of 50, 100 and 200 hosts: ours, stock Mininet's and `ip -batch`, in one run.

    h1 ─┐
    h2 ─┼─ c      every host 10.0.0.x/8 on its own link to one central host
    ... ┘

Ours counts as up when every link carries frames (Mininet does not wait for that); it counts as down when stop()
returns, processes ended and namespaces dropped. The kernel frees them in the background: `freed_200` is the time
from stop() to when the last interface is gone. The `ip -batch` figures leave addresses out: ip cannot set them in
other namespaces from one batch.
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import time
from collections.abc import Callable
from typing import Any

from testbed import requests, sandbox
from testbed.mininet_api import Mininet, Topo
from testbed.netlink import Netlink, NetlinkError
from testbed.network import Network
from testbed.nodes import Host
from testbed.validation import LabError
from testbed.waiting import wait_until
from topologies.bench.figures import Figure, at_least, result

SIZES = (50, 100, 200)
ROUNDS = 3
"""runs of ours and of ip -batch; the median counts (Mininet's single run takes longer than all of them)"""
UP_GOAL, DOWN_GOAL = 3.0, 20.0
Times = tuple[float, float]
"""seconds up, seconds down"""


class Star(Topo):
    """Hosts linked to one central host; works for Mininet and for us."""

    def build(self, hosts: int = 200) -> None:
        """Add the hosts and their links."""
        centre = self.addHost("c")
        for number in range(1, hosts + 1):
            self.addLink(self.addHost(f"h{number}"), centre)


def run(progress: Callable[[str], None] | None = None) -> dict[str, Any]:
    """Measure; must run inside a sandbox."""
    if not sandbox.inside():
        raise LabError("bench startup runs inside a sandbox only: start it with `roamlab bench startup`")
    for program in ("mnexec", "ifconfig", "ip"):
        if not shutil.which(program):
            raise LabError(f"bench startup compares with {program}: sudo apt install mininet net-tools iproute2")
    tell = progress or (lambda _text: None)
    figures: dict[str, Figure] = {}
    for size in SIZES:
        tell(f"{size} hosts: ours")
        ours = _median([_ours(size) for _ in range(ROUNDS)])
        tell(f"{size} hosts: ip -batch")
        batch = _median([_ip_batch(size) for _ in range(ROUNDS)])
        tell(f"{size} hosts: Mininet")
        mininet = _mininet(size)
        figures |= _compare(size, ours, mininet, batch)
    tell(f"{max(SIZES)} hosts: until the kernel has freed everything")
    figures[f"freed_{max(SIZES)}"] = Figure(_freed(max(SIZES)), "s")
    return result("startup", figures)


def _compare(size: int, ours: Times, mininet: Times, batch: Times) -> dict[str, Figure]:
    figures = {}
    for number, (word, goal) in enumerate((("up", UP_GOAL), ("down", DOWN_GOAL))):
        ratio = mininet[number] / ours[number]
        figures[f"{word}_{size}"] = Figure(ours[number], "s", mininet[number], ratio)
        figures[f"{word}_ip_batch_{size}"] = Figure(batch[number], "s", ours[number], batch[number] / ours[number])
        if size == max(SIZES):
            figures[f"{word}_ratio_{size}"] = at_least(ratio, "x", goal, anchor=1.0, ratio=ratio)
        else:
            figures[f"{word}_ratio_{size}"] = Figure(ratio, "x", 1.0, ratio)
    return figures


def _median(times: list[Times]) -> Times:
    return statistics.median(up for up, _ in times), statistics.median(down for _, down in times)


def _timed(up: Callable[[], Any], down: Callable[[Any], None]) -> Times:
    start = time.perf_counter()
    made = up()
    middle = time.perf_counter()
    down(made)
    return middle - start, time.perf_counter() - middle


def _ours(size: int) -> Times:
    def up() -> Network:
        net = Network(Star(hosts=size))
        net.start()
        return net

    return _timed(up, Network.stop)


def _mininet(size: int) -> Times:
    def up() -> Any:
        net = Mininet(topo=Star(hosts=size), controller=None)
        net.start()
        return net

    return _timed(up, lambda net: net.stop())


def _ip_batch(size: int) -> Times:
    names = ["c", *(f"h{number}" for number in range(1, size + 1))]
    up = [f"netns add {name}" for name in names]
    up += [f"link add {n}-eth0 netns {n} up type veth peer name c-{n} netns c" for n in names[1:]]
    down = [f"netns delete {name}" for name in names]
    return _timed(lambda: _ip("\n".join(up)), lambda _: _ip("\n".join(down)))


def _ip(batch: str) -> None:
    subprocess.run(["ip", "-batch", "-"], input=batch + "\n", text=True, check=True, capture_output=True)


def _freed(size: int) -> float:
    """Return the seconds from stop() to when the kernel has removed the last interface.

    A watcher's namespace is kept; its end of a link to the centre goes when the centre's namespace does.
    """
    net = Network(Star(hosts=size))
    watcher = net.addHost("watcher")
    index = net.addLink("watcher", "c").intf1.index
    net.start()
    keeper = Host("keeper")
    keeper.namespace, watcher.namespace = watcher.namespace, None
    try:
        with keeper.entered():
            netlink = Netlink()
        with netlink:
            start = time.perf_counter()
            net.stop()
            wait_until("the centre's interfaces freed", lambda: _gone(netlink, index), timeout=60, interval=0.001)
            return time.perf_counter() - start
    finally:
        keeper.close()


def _gone(netlink: Netlink, index: int) -> bool:
    try:
        netlink.run([requests.get_link(index, "watcher's interface")])
    except NetlinkError:
        return True
    return False
