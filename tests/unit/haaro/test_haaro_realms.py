"""Overlapping networks in two realms: told apart by advertisements, and never mixed on the way (spec S23, HA-20)."""

from __future__ import annotations

import pytest
from haaro_domain import Domain, home_of, host_of, network_of, router

from agents.haaro import inner
from agents.haaro.config import OwnedPrefix

ONE, TWO = "one.example", "two.example"
SHARED = network_of("a")


def four():
    """A and B have the same network in two realms; C and D are the other sites of each."""
    routers = (
        router("a", OwnedPrefix(SHARED, ONE)),
        router("b", OwnedPrefix(SHARED, TWO)),
        router("c", OwnedPrefix(network_of("c"), ONE)),
        router("d", OwnedPrefix(network_of("d"), TWO)),
    )
    changes = {letter: {"realms": (ONE,)} for letter in "ac"} | {letter: {"realms": (TWO,)} for letter in "bd"}
    changes["b"]["prefixes"] = (SHARED,)
    domain = Domain("abcd", routers=routers, changes=changes)
    domain.start()
    return domain


def asked(domain, one, seconds):
    """Who received what a host behind `one` sent to the shared address."""
    before = {letter: len(domain.nodes[letter].received) for letter in "ab"}
    domain.packet(host_of(one), host_of("a"))
    domain.run(seconds)
    return {letter for letter in "ab" if len(domain.nodes[letter].received) > before[letter]}


@pytest.mark.requirement("SC-S23", "HA-20", "MR-5")
def test_an_address_means_that_of_the_own_realm():
    domain = four()
    domain.answering = False
    assert domain.knows("d") == {
        "a": [str(SHARED)],
        "b": [str(SHARED)],
        "c": [str(network_of("c"))],
    }
    assert asked(domain, "c", 0.05) == {"a"}
    assert asked(domain, "d", 0.05) == {"b"}
    domain.run(3.0)
    assert domain.routes("c")[str(SHARED)] == "198.51.100.10"
    assert domain.routes("d")[str(SHARED)] == "198.51.100.20"
    assert asked(domain, "c", 0.5) == {"a"}
    assert asked(domain, "d", 0.5) == {"b"}


@pytest.mark.requirement("HA-20")
def test_one_realm_less_leaves_the_other_alone():
    domain = four()
    domain.answering = False
    domain.leave("a")
    domain.run(2.0)
    assert home_of("a") not in domain.ha.core.bindings
    assert asked(domain, "d", 0.05) == {"b"}
    assert asked(domain, "c", 0.05) == set(), "no way out of the realm"
    assert domain.ha.plane.counters["other_realm"] == 1


@pytest.mark.requirement("TUN-12")
def test_a_packet_grows_older_by_one_hop():
    packet = inner.push_udp(host_of("c"), host_of("a"), (1, 2), b"x")
    older = inner.aged(packet)
    assert (older[8], older[12:]) == (packet[8] - 1, packet[12:])
    assert inner.internet_checksum(older[:20]) == 0
    assert inner.aged(inner.push_ipv4(host_of("c"), host_of("a"), 17, b"", ttl=1)) is None
