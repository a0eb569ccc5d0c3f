"""What is written for radvd, when it is told, and the programs downstream that DHCPv6 needs (spec MODEL-R2, -R3)."""

from __future__ import annotations

import struct
from ipaddress import IPv6Address, IPv6Network
from pathlib import Path

import pytest

from agents.aero.downstream import Advertiser, render
from agents.aero.items import Downstream
from agents.wire.dhcpv6 import Message, MessageType
from agents.wire.dhcpv6_options import IaPd, IaPrefix, Unknown
from topologies.aero import downstream
from topologies.aero.members import Client, Lan
from topologies.tools.delegated_route import commands
from topologies.tools.dhcp6_client import granted

FIRST, SECOND = IPv6Network("2001:db8:1000:a001::/64"), IPv6Network("2001:db8:1000:b001::/64")
DELEGATED = {
    "LEASES6_SIZE": "2",
    "LEASES6_AT0_TYPE": "IA_NA",
    "LEASES6_AT0_ADDRESS": "2001:db8:1000:b002::100",
    "LEASES6_AT0_PREFIX_LEN": "128",
    "LEASES6_AT1_TYPE": "IA_PD",
    "LEASES6_AT1_ADDRESS": "2001:db8:1000:b020::",
    "LEASES6_AT1_PREFIX_LEN": "60",
    "DELETED_LEASES6_SIZE": "1",
    "DELETED_LEASES6_AT0_TYPE": "IA_PD",
    "DELETED_LEASES6_AT0_ADDRESS": "2001:db8:1000:b030::",
    "DELETED_LEASES6_AT0_PREFIX_LEN": "60",
    "QUERY6_REMOTE_ADDR": "fe80::7",
    "QUERY6_IFACE_NAME": "lan2",
}


class Told:
    """Stands where radvd is: what it was told, and how often."""

    def __init__(self):
        self.texts = []

    def load(self, text):
        self.texts.append(text)


@pytest.fixture
def advertiser():
    made = Advertiser(Path("radvd.conf"), Path("radvd.pid"))
    made._radvd = Told()
    return made


def test_all_changes_are_told_at_once(advertiser):
    told = advertiser._radvd.texts
    for number in range(3):
        advertiser.put(Downstream(f"lan{number}", FIRST, 60, 300))
    assert told == []
    advertiser.settle()
    advertiser.settle()
    (text,) = told
    assert text.count("AdvDefaultLifetime 60") == 3


@pytest.mark.requirement("MODEL-Y3", "MODEL-R2")
@pytest.mark.parametrize(("on_link", "flag"), [(True, "on"), (False, "off")])
def test_a_prefix_is_taken_back_as_it_was_offered(advertiser, on_link, flag):
    item = Downstream("lan", FIRST, 60, 300, on_link=on_link)
    advertiser.put(item)
    advertiser.settle()
    advertiser.drop(item)
    advertiser.settle()
    text = advertiser._radvd.texts[-1]
    assert "AdvDefaultLifetime 0;" in text
    assert f"prefix {FIRST} {{ AdvOnLink {flag};" in text
    assert "AdvValidLifetime 0; AdvPreferredLifetime 0" in text


def test_a_prefix_that_comes_back_is_not_taken_back(advertiser):
    for item in (
        Downstream("lan", FIRST, 60, 300),
        Downstream("lan", SECOND, 60, 300),
        Downstream("lan", FIRST, 60, 9),
    ):
        advertiser.put(item)
    advertiser.settle()
    (text,) = advertiser._radvd.texts
    assert text.count(f"prefix {FIRST}") == 1
    assert "AdvValidLifetime 0" in text.split(f"prefix {SECOND}")[1]


def test_lifetimes_leave_room_for_a_slow_count():
    """radvd may take off three seconds where four have passed: it begins with three quarters of the lease."""
    assert "AdvValidLifetime 225; AdvPreferredLifetime 225" in render([(Downstream("lan", FIRST, 60, 300), {})])


@pytest.mark.requirement("MODEL-R3")
def test_a_delegation_becomes_a_route_to_who_has_it():
    gone, route = commands("leases6_committed", DELEGATED)
    assert gone == ["ip", "-6", "route", "delete", "2001:db8:1000:b030::/60"]
    assert route == ["ip", "-6", "route", "replace", "2001:db8:1000:b020::/60", "via", "fe80::7", "dev", "lan2"]
    lease = {"LEASE6_TYPE": "IA_PD", "LEASE6_ADDRESS": "2001:db8:1000:b020::", "LEASE6_PREFIX_LEN": "60"}
    for event in ("lease6_release", "lease6_expire"):
        assert list(commands(event, lease)) == [["ip", "-6", "route", "delete", "2001:db8:1000:b020::/60"]]
        assert list(commands(event, {**lease, "LEASE6_TYPE": "IA_NA"})) == []
    assert list(commands("lease6_decline", lease)) == []


def test_what_a_reply_grants():
    held = struct.pack("!III", 1, 60, 100) + struct.pack("!HH", 5, 24) + IPv6Address("2001:db8::1").packed + bytes(8)
    prefix = IaPrefix(IPv6Network("2001:db8:0:20::/60"), 200, 300)
    reply = Message(MessageType.REPLY, 1, (Unknown(3, held), IaPd(1, options=(prefix,))))
    assert granted(reply) == {"prefix": "2001:db8:0:20::/60", "address": "2001:db8::1"}
    refused = Message(MessageType.REPLY, 1, (Unknown(3, held[:12]), IaPd(1)))
    assert granted(refused) == {}


def test_the_downstream_server_gives_what_is_the_clients():
    client, lan = Client(2), Lan("r2", "lan2", "dhcp", 2)
    (subnet,) = downstream.dhcp6(client, lan)["subnet6"]
    whole = IPv6Network(client.prefixes["ipv6"])
    pool = subnet["pd-pools"][0]
    assert IPv6Network(f"{pool['prefix']}/{pool['prefix-len']}").subnet_of(whole)
    assert IPv6Network(subnet["subnet"]).subnet_of(whole)
    assert not IPv6Network(subnet["subnet"]).overlaps(IPv6Network(f"{pool['prefix']}/{pool['prefix-len']}"))
