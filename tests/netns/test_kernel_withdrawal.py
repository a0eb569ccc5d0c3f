"""What a real host makes of RAs that withdraw a route or a whole router (spec RA-11, RA-15, LIPA-9, §6 S5)."""

from __future__ import annotations

import json
from dataclasses import replace
from ipaddress import IPv6Network

import pytest
from access_gateway import Gateway, advertisement, dlif, router_advertisement
from kernel_namespaces import Capture, wait_until

from agents.dgw.forwarding import Advertisement, Dlif, RouteInformation

pytestmark = pytest.mark.netns

OWN, ANCHOR = dlif(1, 2), dlif(1, 1)
NETWORKS = (IPv6Network("2001:db8:a1:ffff::/64"), IPv6Network("fd00:10ca:1::/64"))


def routes(lifetime: int) -> tuple[RouteInformation, ...]:
    return tuple(RouteInformation(network, "high", lifetime) for network in NETWORKS)


def table(gateway: Gateway) -> dict[str, list[dict[str, str]]]:
    """The node's routes by destination."""
    found: dict[str, list[dict[str, str]]] = {}
    for route in json.loads(gateway.mn.run("ip", "-j", "-6", "route", "show")):
        found.setdefault(route["dst"], []).append(route)
    return found


@pytest.fixture
def said(gateway: Gateway) -> list[Advertisement]:
    """State S2 in lowpref: the node heard its own DLIF and an anchor's, with routes."""
    gateway.mn.sysctl(eth0__accept_ra_rt_info_max_plen=128, eth0__accept_ra_rtr_pref=1, eth0__autoconf=1)
    own = advertisement(OWN)
    anchor = advertisement(ANCHOR, preference="low", routes=routes(60))
    for item in (OWN, ANCHOR):
        gateway.do("install", item)
    gateway.do("advertise", [own, anchor])
    wait_until("routes", lambda: {str(network) for network in NETWORKS} <= set(table(gateway)))
    return [own, anchor]


def heard(capture: Capture, of: Dlif) -> None:
    capture.until("the advertisement", router_advertisement(of.link_local))


@pytest.mark.requirement("RA-7", "LIPA-3", "LIPA-10")
def test_node_takes_the_routes_with_preference_high_through_the_anchors_dlif(
    gateway: Gateway, said: list[Advertisement]
) -> None:
    for network in NETWORKS:
        [route] = table(gateway)[str(network)]
        assert (route["gateway"], route["protocol"], route["pref"]) == (str(ANCHOR.link_local), "ra", "high")
        assert 50 <= int(route["expires"]) <= 60


@pytest.mark.requirement("RA-11")
def test_a_route_that_is_only_left_out_stays(gateway: Gateway, said: list[Advertisement]) -> None:
    """Why withdrawing takes an RA with lifetime 0."""
    own, anchor = said
    capture = Capture(gateway.mn, "eth0")
    gateway.do("advertise", [own, replace(anchor, routes=())])
    heard(capture, ANCHOR)
    heard(capture, OWN)
    assert {str(network) for network in NETWORKS} <= set(table(gateway))
    capture.close()


@pytest.mark.requirement("RA-11", "LIPA-9")
def test_lifetime_0_takes_the_routes_away_and_nothing_else(gateway: Gateway, said: list[Advertisement]) -> None:
    own, anchor = said
    gateway.do("advertise", [own, replace(anchor, routes=routes(0))])
    wait_until("their end", lambda: not {str(network) for network in NETWORKS} & set(table(gateway)))
    assert len(table(gateway)["default"]) == 2
    assert str(ANCHOR.prefix) in table(gateway)


@pytest.mark.requirement("RA-15", "RA-6", "RA-12")
def test_farewell_takes_router_routes_and_prefix_away(gateway: Gateway, said: list[Advertisement]) -> None:
    """S5; the address itself may live on for two hours at most (RA-12), deprecated."""
    own, anchor = said
    parting = {"router_lifetime": 0, "preference": "medium", "valid": 0, "preferred": 0, "routes": routes(0)}
    gateway.do("advertise", [own, replace(anchor, **parting)])
    wait_until("the router's end", lambda: len(table(gateway)["default"]) == 1)
    left = table(gateway)
    assert left["default"][0]["gateway"] == str(OWN.link_local)
    assert not {str(ANCHOR.prefix), *map(str, NETWORKS)} & set(left)
    shown = gateway.mn.run("ip", "-6", "address", "show", "dev", "eth0", "scope", "global")
    address = next(line for line in shown.splitlines() if "2001:db8:a1:1:" in line)
    assert "deprecated" in address
