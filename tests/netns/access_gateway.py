"""A gateway with an access link, radvd and one mobile node's interface, for tests of DLIFs and advertisements."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from ipaddress import IPv6Address, IPv6Network
from pathlib import Path

import pytest
from kernel_namespaces import Namespace, wait_until, wire

from agents.dgw.executor import Executor, Settings
from agents.dgw.forwarding import Advertisement, Dlif
from agents.kernel.radvd import PLACEHOLDER

LOCAL = IPv6Address("2001:db8:c:1::2")
CLIENT = IPv6Address("fe80::ff:fe00:11")
CLIENT_MAC = "02:00:00:00:00:11"


def dlif(number: int, anchor: int = 1) -> Dlif:
    return Dlif(
        name=f"mn{number}dgw{anchor}",
        phy="phy",
        mac=f"02:d6:00:{anchor:02x}:{number >> 8:02x}:{number & 255:02x}",
        link_local=IPv6Address(f"fe80::d6:{anchor:x}:{number:x}"),
        prefix=IPv6Network(f"2001:db8:a{anchor}:{number:x}::/64"),
    )


def advertisement(item: Dlif, **changes: object) -> Advertisement:
    made = Advertisement(item.name, CLIENT, 60, "medium", item.prefix, 300, 300, 1460)
    return replace(made, **changes)


@dataclass
class Gateway:
    namespace: Namespace
    mn: Namespace
    executor: Executor
    radvd_pid: Path

    def do(self, method: str, *arguments: object) -> object:
        with self.namespace.entered():
            return getattr(self.executor, method)(*arguments)

    def links(self) -> dict[str, str]:
        shown = self.namespace.run("ip", "-o", "-d", "link", "show", "type", "macvlan")
        return {re.split(r"[ :@]+", line)[1]: line for line in shown.splitlines()}

    def addresses(self, name: str) -> set[str]:
        return set(re.findall(r"inet6 (\S+)", self.namespace.run("ip", "-6", "addr", "show", "dev", name)))


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    namespace, core, mn = Namespace("gateway"), Namespace("core"), Namespace("mn")
    wire(namespace, "wan", core, "dgw1")
    wire(namespace, "phy", mn, "eth0")
    namespace.batch(f"addr add {LOCAL}/64 dev wan nodad")
    mn.sysctl(eth0__accept_ra=1)
    mn.batch("link set eth0 down", f"link set eth0 address {CLIENT_MAC}", "link set eth0 up")
    conf, pid = tmp_path / "radvd.conf", tmp_path / "radvd.pid"
    conf.write_text(PLACEHOLDER)
    namespace.sysctl(all__forwarding=1)
    argv = ["radvd", "-n", "-m", "stderr", "-d", "1", "-C", str(conf), "-p", str(pid)]
    with namespace.entered(), (tmp_path / "radvd.log").open("w") as log:
        radvd = subprocess.Popen(argv, stderr=log)
    wait_until("radvd's pid", lambda: pid.exists() and pid.read_text().strip() == str(radvd.pid))
    with namespace.entered():
        settings = Settings(LOCAL, pool=IPv6Network("2001:db8:a1::/48"), radvd_conf=conf, radvd_pid=pid)
        executor = Executor(settings)
        executor.prepare()
        executor.adopt(())
    wait_until("the access link", lambda: "state UP" in mn.run("ip", "link", "show", "eth0"))
    built = Gateway(namespace, mn, executor, pid)
    yield built
    with namespace.entered():
        built.executor.close(clear=True)
    radvd.kill()
    radvd.wait()
    for each in (namespace, core, mn):
        each.close()


def router_advertisement(source: IPv6Address) -> Callable[[bytes], bool]:
    return lambda frame: frame[12:14] == b"\x86\xdd" and frame[54] == 134 and frame[22:38] == source.packed
