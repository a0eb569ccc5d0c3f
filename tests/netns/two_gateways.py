"""Two gateways over a core router with a mobile node, for tests of what an executor makes of items."""

from __future__ import annotations

import select
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Network

import pytest
from kernel_namespaces import Namespace, wire

from agents.dgw.executor import Executor, Settings
from agents.dgw.forwarding import AnchorRoute, Dlif, Item, SourceGate, Tunnel, TunnelGate, Uplink
from agents.kernel import tunnels
from agents.kernel.netlink import KernelError, Netlink

ANCHOR, SERVING, CN = (IPv6Address(f"2001:db8:{x}::2") for x in ("c:1", "c:2", "f"))
POOL = IPv6Network("2001:db8:a1::/48")
PREF_A, PREF_B = IPv6Network("2001:db8:a1:1::/64"), IPv6Network("2001:db8:b2:1::/64")
MN = IPv6Address("2001:db8:a1:1::11")
DLIF_A = Dlif("mn1dgw1", "phy", "02:d6:00:01:00:01", IPv6Address("fe80::d6ff:fe01:1"), PREF_A)
DLIF_B = Dlif("mn1dgw2", "phy", "02:d6:00:02:00:01", IPv6Address("fe80::d6ff:fe02:1"), PREF_B)
ANCHORED = AnchorRoute(PREF_A, SERVING)
UPLINK = Uplink(PREF_A, ANCHOR, 1001, ((PREF_A, "mn1dgw1"), (PREF_B, "mn1dgw2")))


LOCALNET, SHARED = IPv6Network("2001:db8:a1:ffff::/64"), IPv6Network("fd00:10ca:1::/64")
"""Local networks: the anchor's, and one whose prefix both gateways use."""


@dataclass
class Lab:
    core: Namespace
    anchor: Namespace
    serving: Namespace
    mn: Namespace
    kind: str
    executors: dict[str, Executor]

    def install(self, where: Namespace, *items: Item) -> None:
        with where.entered():
            for item in items:
                self.executors[where.name].install(item)

    def dropped(self, where: Namespace) -> dict[str, int]:
        with where.entered():
            return self.executors[where.name].dropped()


@pytest.fixture(params=["seg6", pytest.param("ip6tnl", marks=pytest.mark.stock)])
def kind(request: pytest.FixtureRequest) -> str:
    here = Namespace("probe")
    try:
        with here.entered():
            netlink = Netlink()
            try:
                return tunnels.probe(netlink, request.param)
            except KernelError as error:
                pytest.skip(str(error))
            finally:
                netlink.close()
    finally:
        here.close()


@pytest.fixture
def lab(kind: str) -> Iterator[Lab]:
    core, anchor, serving, mn = (Namespace(name) for name in ("core", "anchor", "serving", "mn"))
    for name, gateway, net in (("dgw1", anchor, "c:1"), ("dgw2", serving, "c:2")):
        wire(core, name, gateway, "wan", mtu=1600)
        core.batch(f"addr add 2001:db8:{net}::1/64 dev {name} nodad")
        gateway.batch(
            f"addr add 2001:db8:{net}::2/64 dev wan nodad", f"route add default via 2001:db8:{net}::1 dev wan"
        )
    wire(serving, "phy", mn, "eth0")
    wire(anchor, "phy", anchor, "cell")
    core.sysctl(all__forwarding=1)
    core.batch(
        "addr add 2001:db8:f::2/128 dev lo",
        "route add 2001:db8:a1::/48 via 2001:db8:c:1::2",
        "route add 2001:db8:b2::/48 via 2001:db8:c:2::2",
    )
    executors: dict[str, Executor] = {}
    pools = {"anchor": POOL, "serving": IPv6Network("2001:db8:b2::/48")}
    networks = {"anchor": (LOCALNET, SHARED), "serving": (SHARED,)}
    for gateway, local in ((anchor, ANCHOR), (serving, SERVING)):
        with gateway.entered():
            name = gateway.name
            settings = Settings(local=local, pool=pools[name], local_prefixes=networks[name], tunnel=kind)
            executors[gateway.name] = Executor(settings)
            executors[gateway.name].prepare()
            executors[gateway.name].adopt(())
    built = Lab(core, anchor, serving, mn, kind, executors)
    yield built
    for gateway in (anchor, serving):
        with gateway.entered():
            executors[gateway.name].close(clear=True)
    for namespace in (core, anchor, serving, mn):
        namespace.close()


def handed_over(lab: Lab) -> None:
    """S2: the node with PREF_A, anchored at `anchor`, is served by `serving`."""
    lab.install(
        lab.serving,
        Tunnel(ANCHOR),
        TunnelGate(ANCHOR, PREF_A, "destination"),
        UPLINK,
        DLIF_A,
        DLIF_B,
        SourceGate("mn1dgw1", PREF_A),
        SourceGate("mn1dgw2", PREF_A),
    )
    lab.install(lab.anchor, Tunnel(SERVING), TunnelGate(SERVING, PREF_A, "source"), ANCHORED)
    lab.mn.batch(
        f"addr add {MN}/64 dev eth0 nodad",
        f"route add default via {DLIF_B.link_local} dev eth0",
    )


def tunnelled(
    outer: tuple[IPv6Address, IPv6Address], inner: tuple[IPv6Address, IPv6Address]
) -> Callable[[bytes], bool]:
    """Frame test: plain IPv6 in IPv6 with exactly these addresses, no header in between."""
    start = b"".join(address.packed for address in outer)
    within = b"".join(address.packed for address in inner)

    def test(frame: bytes) -> bool:
        plain = frame[12:14] == b"\x86\xdd" and frame[20] == 41
        return plain and frame[22:54] == start and frame[54] >> 4 == 6 and frame[62:94] == within

    return test


def restarted(lab: Lab, where: Namespace, items: list[Item]) -> list[int]:
    """A new agent after the old one died; gives the types of routing messages its `adopt` caused."""
    with where.entered():
        executor = Executor(lab.executors[where.name]._settings)
        executor.prepare()
        watcher = Netlink(groups=(11, 19))  # RTNLGRP_IPV6_ROUTE, RTNLGRP_IPV6_RULE
        executor.adopt(items)
    lab.executors[where.name] = executor
    caused: list[int] = []
    while select.select([watcher], [], [], 0)[0]:
        caused += [message["header"]["type"] for message in watcher.events()]
    watcher.close()
    return caused
