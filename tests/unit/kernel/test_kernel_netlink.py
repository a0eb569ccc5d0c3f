"""Our requests octet by octet, and as pyroute2 reads them; acknowledgements; names and gate elements."""

from __future__ import annotations

import errno
import struct
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_interface

import pytest
from pyroute2.netlink.rtnl.marshal import MarshalRtnl

from agents.kernel import gate, links, routing
from agents.kernel.netlink import KernelError, Request, acknowledgements
from agents.kernel.routing import Hop, Route, Rule, put_route
from agents.kernel.tunnels.ip6tnl import device

PEER = IPv6Address("2001:db8:c:2::2")
PREFIX = IPv6Network("2001:db8:a1:1::/64")


def packed(request: Request) -> bytes:
    return bytes(request.encode(7, 0))


def test_reduced_encapsulation_has_one_segment_and_mode_3() -> None:
    message = packed(put_route(Route(PREFIX, Hop(5, segment=PEER))))
    header = (3).to_bytes(4, "little") + bytes([0, 2, 4, 0, 0, 0, 0, 0]) + PEER.packed
    assert message.endswith(bytes.fromhex("0600150005000000 24001600 20000100") + header)
    assert len(message) == int.from_bytes(message[:4], "little")


def test_decapsulation_names_table_zero() -> None:
    message = packed(put_route(Route(PREFIX, Hop(5, decapsulate=True))))
    wanted = "0600150007000000 14001600 0800010007000000 0800030000000000"
    assert message.endswith(bytes.fromhex(wanted))


ROUTES = [
    Route(PREFIX, None, metric=4096),
    Route(PREFIX, Hop(5), table=1007),
    Route(IPv6Network("::/0"), Hop(5, segment=PEER), table=1000),
    Route(IPv6Network("2001:db8::7/128"), Hop(300, decapsulate=True), table=41, metric=64),
    Route(IPv4Network("192.0.2.0/24"), Hop(7, gateway=IPv4Address("198.51.100.1"))),
    Route(IPv4Network("0.0.0.0/0"), Hop(7), table=300, source=IPv4Address("192.0.2.9")),
    Route(PREFIX, Hop(5), source=IPv6Address("2001:db8:a1:1::9")),
]


@pytest.mark.parametrize("route", ROUTES)
def test_a_route_is_read_as_it_was_packed(route: Route) -> None:
    (message,) = MarshalRtnl().parse(packed(put_route(route)))
    assert routing._own_route(message) == route
    assert (message["proto"], message["header"]["flags"]) == (routing.OWN, 0x501)
    (message,) = MarshalRtnl().parse(packed(routing.drop_route(route.place)))
    assert (message["dst_len"], message["proto"]) == (route.prefix.prefixlen, routing.OWN)
    assert (message.get_attr("RTA_TABLE"), message.get_attr("RTA_PRIORITY")) == (route.table, route.metric)
    assert message.get_attr("RTA_OIF") is None, "wherever it leads"


RULES = [
    Rule(1000, 1007, source=PREFIX),
    Rule(10, 41, destination=IPv6Network("2001:db8:c:1::2/128"), protocol=41),
    Rule(900, 254, destination=PREFIX, interface="mn1dgw1"),
    Rule(990, 254, mark=0xD6),
    Rule(7, 300, source=IPv4Network("192.0.2.0/24"), version=4, unless_mark=5),
    Rule(8, 254, suppress=0),
]


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_is_read_as_it_was_packed(rule: Rule) -> None:
    (message,) = MarshalRtnl().parse(packed(routing.put_rule(rule)))
    assert routing._own_rule(message) == rule
    assert (message.get_attr("FRA_PROTOCOL"), message["action"]) == (routing.OWN, 1)
    (message,) = MarshalRtnl().parse(packed(routing.drop_rule(rule)))
    assert routing._own_rule(message) == rule


def test_addresses_and_neighbours_are_read_as_they_were_packed() -> None:
    for text, flags in (("2001:db8::7/64", 0x02), ("192.0.2.7/24", None)):
        address = ip_interface(text)
        (message,) = MarshalRtnl().parse(packed(links.add_address(7, "wan", address, owner=183)))
        assert (message["index"], message["prefixlen"]) == (7, address.network.prefixlen)
        assert {message.get_attr("IFA_LOCAL"), message.get_attr("IFA_ADDRESS")} == {str(address.ip)}
        assert (message.get_attr("IFA_FLAGS"), message.get_attr("IFA_PROTO")) == (flags, 183)
    (message,) = MarshalRtnl().parse(packed(links.add_address(7, "wan", ip_interface("fe80::1/64"), dad=True)))
    assert (message.get_attr("IFA_FLAGS"), message.get_attr("IFA_PROTO")) == (None, None)
    (message,) = MarshalRtnl().parse(packed(links.hint_neighbour(7, "wan", PEER, "02:d6:00:01:00:0f")))
    assert (message["ifindex"], message["state"]) == (7, 4)
    assert (message.get_attr("NDA_DST"), message.get_attr("NDA_LLADDR")) == (str(PEER), "02:d6:00:01:00:0f")
    (message,) = MarshalRtnl().parse(packed(links.set_up(7, "wan")))
    assert (message["index"], message["flags"], message["change"]) == (7, 1, 1)


def test_acknowledgements_of_earlier_requests_and_cut_ones_do_not_count() -> None:
    def answer(number: int, code: int, length: int = 36) -> bytes:
        return struct.pack("=IHHIIi", length, 2, 0, number, 0, -code).ljust(length + 3 & ~3, b"\0")

    data = answer(4, 2) + answer(5, 0) + answer(6, errno.ENODEV, 53) + answer(7, 0)
    found = list(acknowledgements(data, 5))
    assert [(code, len(message)) for code, message in found] == [(0, 36), (errno.ENODEV, 53), (0, 36)]
    assert list(acknowledgements(data[:-17], 7)) == []
    assert list(acknowledgements(bytes(64), 0)) == [], "a message without length ends somewhere, too"


def test_a_request_can_be_sent_again_under_another_number() -> None:
    request = links.new_macvlan(10000, "mn1dgw1", 3, "02:d6:00:01:00:01")
    first, second = bytes(request.encode(1, 4)), bytes(request.encode(2, 4))
    assert first[:8] + first[12:] == second[:8] + second[12:]
    (message,) = MarshalRtnl().parse(second)
    assert message["header"]["sequence_number"] == 2
    assert message["header"]["flags"] == 0x605
    assert message["index"] == 10000
    assert message.get_attr("IFLA_ADDRESS") == "02:d6:00:01:00:01"
    assert message.get_nested("IFLA_LINKINFO", "IFLA_INFO_KIND") == "macvlan"
    assert message.get_nested("IFLA_LINKINFO", "IFLA_INFO_DATA", "IFLA_MACVLAN_MODE") == "private"


def test_device_names_fit() -> None:
    assert device(PEER, "dgw2") == "t-dgw2"
    for name in (None, "a-gateway-with-a-long-name"):
        assert len(device(PEER, name)) <= 15
        assert device(PEER, name) != device(IPv6Address("2001:db8:c:3::2"), name)


def test_gate_elements() -> None:
    assert gate.source_element("mn1dgw1", PREFIX)[:2] == ("sources", '"mn1dgw1" . 0x20010db800a10001')
    assert gate.tunnel_element(PEER, PREFIX, "source")[:2] == ("tunnel_source", f"{PEER} . 0x20010db800a10001")
    with pytest.raises(KernelError, match="/64"):
        gate.source_element("mn1dgw1", IPv6Network("2001:db8:a1::/48"))
    with pytest.raises(KernelError, match="source or destination"):
        gate.tunnel_element(PEER, PREFIX, "both")
