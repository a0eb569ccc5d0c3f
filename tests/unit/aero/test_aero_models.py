"""What host, router and hybrid Clients want of their kernels, and what a Client remembers (spec MODEL-*, CLI-11)."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

import pytest
from aero_domain import Link

from agents.aero.client.core import ClientCore
from agents.aero.client.models import ROUTER_LIFETIME, own_addresses, plan, subnet_of
from agents.aero.config import ClientConfig, DownstreamLink, ServerChoice, UnderlayLink
from agents.aero.inner_packets import pull_inner, pull_udp
from agents.aero.items import Address, BlackHole, DefaultRoute, Defence, Downstream, PrefixRoute, Routing, StrongHost
from agents.plain import PlainError
from agents.wire.dhcpv6 import MessageType, pull_dhcpv6
from agents.wire.dhcpv6_options import IaPd

NOW = 1000.0
PREFIX, PREFIX4, SINGLE = (
    IPv6Network("2001:db8:1000:a000::/56"),
    IPv4Network("192.0.2.16/28"),
    IPv6Network("2001:db8:1:2::/64"),
)
LANS = (
    DownstreamLink("lan", 1, "slaac"),
    DownstreamLink("lan2", 2, "dhcp"),
    DownstreamLink("lan3", 3, "off-link"),
)


def config(model="router", downstream=LANS, **more):
    links = (UnderlayLink("eth0", (ip_address("198.51.100.1"),)),)
    servers = (ServerChoice((ip_address("203.0.113.1"),)),)
    return ClientConfig(
        "client", "c1", "0001", links, servers, control="", state="", model=model, downstream=downstream, **more
    )


def items(configuration, *prefixes, attached=True):
    ends = dict.fromkeys(prefixes or (PREFIX,), NOW + 300)
    return list(plan(configuration, ends, attached=attached, now=NOW).values())


def of(kind, found):
    return [one for one in found if isinstance(one, kind)]


def addresses(found, interface):
    return {
        one.address.ip for one in of(Address, found) if one.interface == interface and not one.address.is_link_local
    }


@pytest.mark.requirement("MODEL-H1", "MODEL-H2", "MODEL-H3", "MODEL-H4", "MODEL-0")
def test_a_host_keeps_everything_to_itself():
    found = items(config("host", addresses=64), PREFIX, PREFIX4)
    assert of(Routing, found) == [Routing(False)]
    assert of(StrongHost, found)
    assert of(BlackHole, found) == [BlackHole(PREFIX), BlackHole(PREFIX4)]
    mine = addresses(found, "aero0")
    assert len([one for one in mine if one.version == 6]) == 64
    assert mine >= {IPv4Address("192.0.2.17"), IPv4Address("192.0.2.30")}
    assert len([one for one in mine if one.version == 4]) == 14
    assert all(
        one.address.max_prefixlen == one.address.network.prefixlen
        for one in of(Address, found)
        if one.address.ip in mine
    )
    assert not any(one.dad for one in of(Address, found))
    assert not of(Downstream, found)
    assert not of(Defence, found)


@pytest.mark.requirement("MODEL-R1", "MODEL-R2", "MODEL-R4", "MODEL-4")
def test_a_router_has_its_addresses_elsewhere():
    found = items(config())
    assert of(Routing, found) == [Routing(True)]
    assert not of(StrongHost, found)
    assert addresses(found, "aero0") == set()
    assert addresses(found, "lo") == {PREFIX[1]}
    assert of(DefaultRoute, found) == [DefaultRoute("aero0", 6, PREFIX[1])]
    lan = [one for one in of(Address, found) if one.interface == "lan"]
    assert [(one.address.ip, one.address.network.prefixlen, one.dad) for one in lan] == [
        (IPv6Address("2001:db8:1000:a001::1"), 64, True)
    ]


@pytest.mark.requirement("MODEL-R3")
def test_three_ways_downstream():
    found = {one.interface: one for one in of(Downstream, items(config()))}
    assert found["lan"] == Downstream("lan", IPv6Network("2001:db8:1000:a001::/64"), ROUTER_LIFETIME, 300)
    assert found["lan2"] == Downstream("lan2", None, ROUTER_LIFETIME, 300, managed=True)
    away = IPv6Network("2001:db8:1000:a003::/64")
    assert found["lan3"] == Downstream("lan3", away, ROUTER_LIFETIME, 300, on_link=False)
    everything = items(config())
    assert of(PrefixRoute, everything) == [PrefixRoute("lan3", away)]
    assert addresses(everything, "lan3") == set()


@pytest.mark.requirement("MODEL-R2", "MODEL-Y3")
@pytest.mark.parametrize("model", ["router", "hybrid"])
def test_without_a_server_there_is_no_router_and_without_a_lease_nothing(model):
    lost = items(config(model), attached=False)
    assert {one.lifetime for one in of(Downstream, lost)} == {0}
    assert not of(DefaultRoute, lost)
    assert of(Address, lost)
    over = list(plan(config(model), {}, attached=False, now=NOW).values())
    assert [(one.interface, one.prefix, one.lifetime) for one in of(Downstream, over)] == [
        (link.interface, None, 0) for link in LANS
    ]
    assert not of(Address, over)


@pytest.mark.requirement("MODEL-Y1", "MODEL-Y2")
@pytest.mark.parametrize("prefix", [PREFIX, SINGLE])
def test_a_hybrid_defends_its_addresses_and_has_another_on_the_link(prefix):
    found = items(config("hybrid", (DownstreamLink("lan", 0),), addresses=4), prefix)
    assert of(Routing, found) == [Routing(True)]
    assert not of(StrongHost, found)
    mine = {prefix[number] for number in range(1, 5)}
    assert addresses(found, "aero0") == mine
    assert {(one.interface, one.address) for one in of(Defence, found)} == {("lan", one) for one in mine}
    assert addresses(found, "lan") == {prefix[5]}


@pytest.mark.requirement("MODEL-R1")
def test_a_router_with_a_single_64_defends_its_own_address_on_the_link():
    found = items(config(downstream=(DownstreamLink("lan"),)), SINGLE)
    assert addresses(found, "lo") == {SINGLE[1]}
    assert addresses(found, "lan") == {SINGLE[2]}
    assert of(Defence, found) == [Defence("lan", SINGLE[1])]


def test_a_link_whose_64_the_prefix_does_not_have_stays_silent():
    found = items(config(downstream=(DownstreamLink("lan", 16),)), IPv6Network("2001:db8:1:20::/60"), PREFIX4)
    assert of(Downstream, found) == [Downstream("lan", None, 0, 0)]
    assert subnet_of(PREFIX, 255) == IPv6Network("2001:db8:1000:a0ff::/64")
    assert subnet_of(PREFIX, 256) is None
    assert subnet_of(PREFIX4, 0) is None


def test_own_addresses_stay_inside_the_prefix():
    assert own_addresses(config("host", addresses=100), IPv4Network("192.0.2.16/30")) == [
        IPv4Address("192.0.2.17"),
        IPv4Address("192.0.2.18"),
    ]
    assert own_addresses(config(addresses=9), PREFIX) == [PREFIX[1]]


@pytest.mark.requirement("MODEL-5")
def test_a_host_becomes_a_hybrid_and_keeps_its_addresses():
    link = Link()
    client = link.add_client(1, [link.add_server(1)], model="host", addresses=4, downstream=(DownstreamLink("lan", 0),))
    link.start(client)
    link.run(1.0)
    before = dict(client.items)
    prefixes = client.core.prefixes
    client.core.switch("hybrid", link.now)
    link._turn(client)
    kept = {key for key, item in before.items() if client.items.get(key) == item}
    assert {key for key in before if key[0] in ("address", "default", "black-hole")} <= kept
    assert client.items["routing", ""] == Routing(True)
    assert ("strong-host", "") not in client.items
    assert len([key for key in client.items if key[0] == "defence"]) == 4
    assert client.core.prefixes == prefixes
    assert client.core.router
    assert link.said("model") == [{"model": "hybrid"}]
    client.core.switch("host", link.now)
    link._turn(client)
    assert client.items == before


# --- what outlives the process


def solicited(core: ClientCore, now: float) -> list[tuple[int, list]]:
    """(IAID, prefixes) of the Solicits that a Client starts with."""
    core.start(now)
    found = []
    for action in core.actions():
        if hasattr(action, "packet"):
            message = pull_dhcpv6(pull_udp(pull_inner(action.packet)).payload)
            assert message.type == MessageType.SOLICIT
            found += [(each.iaid, [one.prefix for one in each.prefixes]) for each in message.every(IaPd)]
    return found


@pytest.mark.requirement("CLI-11")
def test_prefixes_held_before_are_asked_for_again():
    link = Link()
    client = link.add_client(1, [link.add_server(1)], families=("ipv6", "ipv4"))
    link.start(client)
    link.run(1.0)
    saved = client.core.saved_state()
    assert saved == {"prefixes": {"1": ["2001:db8:1000:2000::/56"], "4": ["192.0.2.16/28"]}}
    again = ClientCore(client.core.config)
    again.restore(saved, link.now)
    assert again.saved_state() == saved
    assert solicited(again, link.now) == [
        (1, [ip_network("2001:db8:1000:2000::/56")]),
        (4, [ip_network("::ffff:192.0.2.16/124")]),
    ]


def test_what_was_given_back_is_remembered_too():
    link = Link()
    client = link.add_client(1, [link.add_server(1)])
    link.start(client)
    link.run(1.0)
    link.stop(client)
    link.run(2.0)
    assert not client.core.prefixes
    assert client.core.saved_state() == {"prefixes": {"1": ["2001:db8:1000:2000::/56"]}}


def test_a_client_without_a_past_asks_for_any():
    core = ClientCore(config())
    core.restore(core.saved_state(), NOW)
    assert solicited(core, NOW) == [(1, [])]


@pytest.mark.parametrize("saved", [{}, {"prefixes": []}, {"prefixes": {"1": 7}}, {"prefixes": {"1": ["nowhere"]}}])
def test_unfit_state_is_refused(saved):
    with pytest.raises(PlainError, match="saved state: prefixes"):
        ClientCore(config()).restore(saved, NOW)


@pytest.mark.requirement("MODEL-H2", "MODEL-4")
@pytest.mark.parametrize("model", ["host", "router", "hybrid"])
@pytest.mark.parametrize("length", [30, 31, 32])
def test_the_smallest_ipv4_prefixes_have_addresses(model, length):
    prefix = IPv4Network(f"192.0.2.16/{length}")
    found = items(config(model, addresses=4), prefix)
    mine = {each for each in addresses(found, "lo" if model == "router" else "aero0") if each.version == 4}
    everything = {30: ["192.0.2.17", "192.0.2.18"], 31: ["192.0.2.16", "192.0.2.17"], 32: ["192.0.2.16"]}[length]
    assert mine == set(map(IPv4Address, everything[:1] if model == "router" else everything))
    assert of(DefaultRoute, found)
