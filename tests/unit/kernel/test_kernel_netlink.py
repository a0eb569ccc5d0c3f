"""Packing and reading netlink attributes, and the shape of the two seg6 encapsulations."""

from __future__ import annotations

from ipaddress import IPv6Address, IPv6Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.kernel import gate
from agents.kernel.netlink import KernelError, attribute, attributes, nest, u32
from agents.kernel.tunnels.ip6tnl import device
from agents.kernel.tunnels.seg6 import encapsulation

PEER = IPv6Address("2001:db8:c:2::2")


@given(st.dictionaries(st.integers(1, 0x3FFF), st.binary(max_size=40), max_size=8))
def test_attributes_survive_packing(wanted: dict[int, bytes]) -> None:
    packed = b"".join(attribute(kind, value) for kind, value in wanted.items())
    assert len(packed) % 4 == 0
    assert attributes(packed) == wanted
    assert attributes(nest(7, packed))[7] == packed


@given(st.binary(max_size=64))
def test_garbage_is_read_without_error(data: bytes) -> None:
    attributes(data)


def test_numbers_and_texts() -> None:
    assert u32(attributes(attribute(1, 70000))[1]) == 70000
    assert u32(None, 5) == 5
    assert attributes(attribute(3, "wan"))[3] == b"wan\0"


def test_reduced_encapsulation_has_one_segment_and_mode_3() -> None:
    srh = attributes(encapsulation(PEER))[1]
    assert u32(srh) == 3
    assert srh[4:12] == bytes([0, 2, 4, 0, 0, 0, 0, 0])
    assert srh[12:] == PEER.packed


def test_device_names_fit() -> None:
    assert device(PEER, "dgw2") == "t-dgw2"
    for name in (None, "a-gateway-with-a-long-name"):
        assert len(device(PEER, name)) <= 15
        assert device(PEER, name) != device(IPv6Address("2001:db8:c:3::2"), name)


def test_gate_elements() -> None:
    prefix = IPv6Network("2001:db8:a1:1::/64")
    assert gate.source_element("mn1dgw1", prefix) == ("sources", '"mn1dgw1" . 0x20010db800a10001')
    assert gate.tunnel_element(PEER, prefix, "source") == ("tunnel_source", f"{PEER} . 0x20010db800a10001")
    with pytest.raises(KernelError, match="/64"):
        gate.source_element("mn1dgw1", IPv6Network("2001:db8:a1::/48"))
    with pytest.raises(KernelError, match="source or destination"):
        gate.tunnel_element(PEER, prefix, "both")
