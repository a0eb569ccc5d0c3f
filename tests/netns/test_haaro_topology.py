"""The operator's network without agents: lines work, NATs translate, home addresses and networks lead to the agent."""

from __future__ import annotations

import pytest

from testbed.network import Network
from topologies.haaro.plan import CORRESPONDENT, HOME_AGENT, HaaroPlan, site

pytestmark = pytest.mark.netns


def reaches(node, source, target):
    return node.run(["ping", "-n", "-q", "-c", "1", "-W", "1", "-I", source, target]).exit == 0


def way(node, target):
    """Interface and next hop toward an address."""
    words = node.run(["ip", "-4", "route", "get", target], check=True).out.split()
    return words[words.index("dev") + 1], words[words.index("via") + 1] if "via" in words else None


@pytest.fixture
def operator():
    plan = HaaroPlan((site("a", isps=(1, 2)), site("b", isps=(1,), nat="symmetric"), site("c", isps=(2,), nat="cone")))
    with Network(plan.topo()) as net:
        yield plan, net


def test_lines_reach_agent_and_internet(operator):
    plan, net = operator
    for one in plan.sites:
        for target in (HOME_AGENT, CORRESPONDENT):
            assert reaches(net[one.router], one.lines[0].address, target), (one.letter, target)
    assert reaches(net["mra"], plan.sites[0].lines[0].address, plan.sites[1].lines[0].public)


@pytest.mark.requirement("HA-16")
def test_home_addresses_and_networks_lead_to_the_agent_from_everywhere(operator):
    plan, net = operator
    for one in plan.sites:
        for target in (one.home_address, one.host):
            assert way(net["core"], target) == ("ha", HOME_AGENT)
            for other in plan.sites:
                if other is not one:
                    assert way(net[other.router], target)[1] == other.lines[0].gateway


def test_nothing_unsolicited_gets_through_a_nat(operator):
    plan, net = operator
    inside = plan.sites[1].lines[0]
    assert not reaches(net["cn"], CORRESPONDENT, inside.address)
    assert reaches(net["cn"], CORRESPONDENT, inside.public), "the NAT itself answers"


def test_hosts_reach_their_routers(operator):
    plan, net = operator
    for one in plan.sites:
        assert reaches(net[one.letter], one.host, one.host.removesuffix("2") + "1")


def test_a_firewall_translates_nothing_and_lets_in_answers_only():
    plan = HaaroPlan((site("a", nat="firewall"), site("b")))
    with Network(plan.topo()) as net:
        guarded, open_line = (one.lines[0].address for one in plan.sites)
        assert not reaches(net["mrb"], open_line, guarded)
        assert reaches(net["mra"], guarded, open_line)
        assert guarded == plan.sites[0].lines[0].public


def test_two_sites_behind_one_nat_reach_each_other_inside():
    plan = HaaroPlan((site("a", nat="restricted", shared=True), site("b", nat="restricted", shared=True)))
    with Network(plan.topo()) as net:
        one, two = (each.lines[0] for each in plan.sites)
        assert one.public == two.public
        assert reaches(net["mra"], one.address, two.address)
        assert reaches(net["mrb"], two.address, HOME_AGENT)
