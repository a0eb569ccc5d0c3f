"""AERO addresses and prefixes in IPv6-only fields (spec §4)."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.aero.addresses import ANYCAST, PRE_ATTACH, AddressKind, aero_address, kind, mapped, unmapped


@pytest.mark.parametrize(
    ("prefix", "address"),
    [
        ("2001:db8:1000:2000::/56", "fe80::2001:db8:1000:2000"),
        ("2001:db8:1000:a000::/64", "fe80::2001:db8:1000:a000"),
        ("192.0.2.16/28", "fe80::ffff:192.0.2.16"),
    ],
)
def test_address_of_a_prefix(prefix, address):
    assert aero_address(ip_network(prefix)) == IPv6Address(address)


def test_prefix_longer_than_64_has_no_address():
    with pytest.raises(ValueError, match="not longer than /64"):
        aero_address(IPv6Network("2001:db8::/80"))


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        (ANYCAST, AddressKind.ANYCAST),
        (IPv6Address("fe80::1"), AddressKind.ADMINISTRATIVE),
        (IPv6Address("fe80::ffff:ffff"), AddressKind.ADMINISTRATIVE),
        (IPv6Address("fe80::ffff:c000:210"), AddressKind.IPV4_PREFIX),
        (IPv6Address("fe80::2001:db8:1000:2000"), AddressKind.IPV6_PREFIX),
        (PRE_ATTACH, AddressKind.PRE_ATTACH),
    ],
)
def test_kinds_by_interface_identifier(address, expected):
    assert kind(address) is expected


def test_other_addresses_are_no_aero_addresses():
    with pytest.raises(ValueError, match="no AERO address"):
        kind(IPv6Address("fe80:1::1"))


def test_ipv4_prefix_in_an_ipv6_field():
    assert mapped(IPv4Network("192.0.2.16/28")) == IPv6Network("::ffff:192.0.2.16/124")


@given(st.ip_addresses(v=4), st.integers(0, 32))
def test_mapped_ipv4_prefixes_return(address, length):
    prefix = IPv4Network((int(address), length), strict=False)
    assert unmapped(mapped(prefix)) == prefix


@given(st.ip_addresses(v=6), st.integers(1, 64))
def test_ipv6_prefixes_are_themselves(address, length):
    prefix = IPv6Network((int(address), length), strict=False)
    assert unmapped(mapped(prefix)) == prefix
