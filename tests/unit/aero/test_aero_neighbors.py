"""The neighbor cache as a table: longest match, origins, and what a change leaves behind (spec §5)."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

from hypothesis import given
from hypothesis import strategies as st

from agents.aero.addresses import aero_address
from agents.aero.lladdr import Encapsulation, LinkLayerAddress
from agents.aero.neighbors import Neighbor, NeighborCache, NeighborType, Path, PrefixTable, Reachability

WIDE, NARROW = ip_network("2001:db8:1000::/48"), ip_network("2001:db8:1000:a000::/56")


def lladdr(host: str, port: int = 8060, encapsulation: Encapsulation = Encapsulation.UDP) -> LinkLayerAddress:
    return LinkLayerAddress(encapsulation, ip_address(host), port)


def client(prefix, *lladdrs: LinkLayerAddress) -> Neighbor:
    paths = [Path(each) for each in lladdrs]
    return Neighbor(aero_address(prefix), NeighborType.STATIC, prefixes={prefix: 300.0}, paths=paths)


def test_longest_prefix_wins_and_the_rest_goes_to_the_default():
    cache = NeighborCache()
    wide, narrow = client(WIDE, lladdr("192.0.2.1")), client(NARROW, lladdr("192.0.2.2"))
    cache.add(wide)
    cache.add(narrow)
    cache.default = relay = Neighbor(IPv6Address("fe80::ff01"), NeighborType.PERMANENT)
    assert cache.route(IPv6Address("2001:db8:1000:a001::1")) is narrow
    assert cache.route(IPv6Address("2001:db8:1000:b000::1")) is wide
    assert cache.route(IPv6Address("2001:db8:2000::1")) is relay
    assert cache.route(IPv4Address("192.0.2.1")) is relay
    cache.remove(narrow.address)
    assert cache.route(IPv6Address("2001:db8:1000:a001::1")) is wide


def test_replaced_paths_are_forgotten():
    cache = NeighborCache()
    old, new = lladdr("198.51.100.1", 40001), lladdr("198.51.100.9", 41000)
    node = client(NARROW, old)
    cache.add(node)
    assert cache.at(old) is node
    before = cache.generation
    cache.set_paths(node, [Path(new)])
    assert cache.at(old) is None
    assert cache.at(new) is node
    assert cache.at_ip(old.ip) == []
    assert cache.at_ip(new.ip) == [node]
    assert cache.generation > before


def test_one_underlay_address_may_hold_several_neighbors():
    cache = NeighborCache()
    first = client(NARROW, lladdr("198.51.100.1", 40001))
    second = client(ip_network("2001:db8:1000:b000::/56"), lladdr("198.51.100.1", 40002))
    cache.add(first)
    cache.add(second)
    assert set(cache.at_ip(ip_address("198.51.100.1"))) == {first, second}
    cache.remove(first.address)
    assert cache.at_ip(ip_address("198.51.100.1")) == [second]


def test_several_link_layer_addresses_at_one_underlay_address_are_all_forgotten():
    """What the underlay says of it later is about nobody (spec §2.8)."""
    cache = NeighborCache()
    host = "198.51.100.1"
    node = client(NARROW, lladdr(host), lladdr(host, 0, Encapsulation.MINIMAL), lladdr("198.51.100.2"))
    cache.add(node)
    cache.set_paths(node, node.paths[2:])
    assert cache.at_ip(ip_address(host)) == []
    cache.set_paths(node, [Path(lladdr(host)), Path(lladdr(host, 40001))])
    assert cache.at_ip(ip_address(host)) == [node]
    cache.remove(node.address)
    assert cache.at_ip(ip_address(host)) == []
    assert (cache._by_ip, cache._by_lladdr, cache._fellows) == ({}, {}, {})


def test_a_client_is_known_by_each_of_its_prefixes():
    cache = NeighborCache()
    other = ip_network("192.0.2.16/28")
    node = client(NARROW, lladdr("198.51.100.1"))
    cache.add(node)
    cache.set_prefixes(node, {NARROW: 300.0, other: 300.0})
    assert cache.get(aero_address(other)) is cache.get(aero_address(NARROW)) is node
    assert list(cache) == [node]
    cache.set_prefixes(node, {NARROW: 300.0})
    assert cache.get(aero_address(other)) is None
    cache.set_prefixes(node, {NARROW: 300.0, other: 300.0})
    cache.remove(node.address)
    assert cache.get(aero_address(other)) is None


def test_prefix_that_went_to_another_entry_stays_there():
    cache = NeighborCache()
    old, new = client(NARROW), Neighbor(IPv6Address("fe80::2"), NeighborType.STATIC, prefixes={NARROW: 300.0})
    cache.add(old)
    cache.add(new)
    cache.remove(old.address)
    assert cache.owner(NARROW[1]) is new


def test_data_takes_the_newest_of_the_most_preferred_usable_paths():
    node = client(NARROW, lladdr("192.0.2.1"), lladdr("192.0.2.2"), lladdr("192.0.2.3"))
    node.paths[0].preference = 0
    assert node.path is node.paths[2]
    node.paths[2].reachability = Reachability.FAILED
    assert node.path is node.paths[1]
    node.paths[1].preference = 0
    assert node.path is None


@given(st.lists(st.tuples(st.ip_addresses(v=6), st.integers(0, 64)), max_size=20), st.ip_addresses(v=6))
def test_match_is_the_longest_covering_prefix(entries, address):
    table = PrefixTable()
    prefixes = {IPv6Network((int(base), length), strict=False) for base, length in entries}
    for prefix in prefixes:
        table.put(prefix, Neighbor(prefix.network_address, NeighborType.STATIC))
    covering = [prefix for prefix in prefixes if address in prefix]
    longest = max(covering, key=lambda prefix: prefix.prefixlen, default=None)
    found = table.match(address)
    assert (found.address if found else None) == (longest.network_address if longest else None)
