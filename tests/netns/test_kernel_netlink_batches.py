"""Requests on a real kernel: many at once, what of it is ours, and the kernel's words when it refuses."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from ipaddress import IPv6Address, IPv6Interface, IPv6Network

import pytest
from kernel_namespaces import Namespace

from agents.kernel import links, routing
from agents.kernel.netlink import KernelError, Netlink
from agents.kernel.routing import Hop, Route, Rule

pytestmark = pytest.mark.netns

POOL = IPv6Network("2001:db8:a1::/48")


@pytest.fixture
def netlink() -> Iterator[Netlink]:
    namespace = Namespace("node")
    namespace.batch(
        "link add wan type veth peer name core",
        "link set wan up",
        "link set core up",
        "route add 2001:db8:ff::/48 dev wan",
        "rule add pref 7 from 2001:db8:ff::/48 lookup 7",
    )
    with namespace.entered():
        opened = Netlink()
        yield opened
        opened.close()
    namespace.close()


def test_hundreds_at_once_and_nobody_elses(netlink: Netlink) -> None:
    wan = links.index("wan")
    hops = (Hop(wan), Hop(wan, segment=IPv6Address("2001:db8:c:2::2")), Hop(wan, decapsulate=True), None)
    prefixes = list(POOL.subnets(new_prefix=64))[:400]
    routes = {Route(prefix, hops[i % 4], 1000 + i % 7) for i, prefix in enumerate(prefixes)}
    rules = {Rule(1000, 1000 + i, source=prefix) for i, prefix in enumerate(prefixes)}
    rules |= {Rule(10, 41, destination=POOL, protocol=41)}
    assert not any(netlink.run(*map(routing.put_route, routes), *map(routing.put_rule, rules)))
    assert routing.own_routes(netlink) == routes
    assert routing.own_rules(netlink) == rules
    netlink.run(*(routing.drop_route(route.place) for route in routes), *map(routing.drop_rule, rules))
    assert (routing.own_routes(netlink), routing.own_rules(netlink)) == (set(), set())


def test_all_are_executed_and_the_first_refusal_is_told_in_the_kernels_words(netlink: Netlink) -> None:
    wan = links.index("wan")
    routes = [Route(POOL, Hop(9999)), Route(POOL, None, metric=5), Route(POOL, Hop(9998), metric=6)]
    with pytest.raises(KernelError, match=r"^cannot set route 2001:db8:a1::/48 table 254 metric 1024: ") as caught:
        netlink.run(*map(routing.put_route, routes))
    assert caught.value.code == errno.ENODEV
    assert routing.own_routes(netlink) == {routes[1]}
    with pytest.raises(KernelError, match=r"^cannot add rule 1 to table 0: Invalid table \(EINVAL\)$"):
        netlink.run(routing.put_rule(Rule(1, 0)))
    with pytest.raises(KernelError, match=r"^cannot create macvlan wan: File exists$"):
        netlink.run(links.new_macvlan(10000, "wan", wan, "02:d6:00:01:00:01"))
    address = IPv6Interface("2001:db8:c:1::2/64")
    assert netlink.run(links.add_address(wan, "wan", address)) == (0,)
    assert netlink.run(links.add_address(wan, "wan", address)) == (errno.EEXIST,)
    assert netlink.run(routing.drop_route((POOL, 254, 77))) == (errno.ESRCH,)


def test_links_and_addresses_as_the_kernel_shows_them(netlink: Netlink) -> None:
    wan, core = links.index("wan"), links.index("core")
    there = links.links(netlink)
    assert set(there) >= {"lo", "wan", "core"}  # a kernel with ip6_tunnel adds ip6tnl0
    assert (there["wan"].kind, there["wan"].lower, there["wan"].running) == ("veth", core, True)
    assert (there["lo"].kind, there["lo"].lower, there["lo"].mtu) == ("", 0, 65536)
    addresses = {IPv6Interface("2001:db8:c:1::2/64"), IPv6Interface("fe80::1/64")}
    before = links.addresses(netlink, wan)
    netlink.run(*(links.add_address(wan, "wan", address) for address in addresses))
    netlink.run(links.add_address(core, "core", IPv6Interface("2001:db8:c:1::3/64")))
    assert links.addresses(netlink, wan) == before | addresses
    assert IPv6Interface("2001:db8:c:1::3/64") in links.addresses(netlink, core)
