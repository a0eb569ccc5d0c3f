"""Configurations that the labs give are ones the agents read, and say what the plan says."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

import pytest

from agents.haaro.config import HaConfig, MrConfig
from agents.plain import build
from topologies import catalog
from topologies.haaro.plan import HaaroPlan, site

LABS = catalog.FAMILIES["haaro"]


def configured(agents):
    """Configurations by node, with their secrets."""
    kinds = {"ha": HaConfig, "mr": MrConfig}
    return {one.node: build(kinds[one.config["role"]], {**one.config, **one.secrets}) for one in agents}


@pytest.mark.parametrize("name", LABS)
def test_agents_read_what_the_labs_give_them(name):
    lab = catalog.load(name)
    for variant in lab.variants:
        agents = lab.agents(lab.configure(**variant))
        assert agents[0].node == "ha"
        assert len(configured(agents)) == len(agents)


def test_home_agent_and_routers_agree():
    sites = (site("a", isps=(1, 2)), site("b", nat="symmetric", force_udp=True), site("c", isps=(2,)))
    found = configured(HaaroPlan(sites, home={"nat_lifetime": 30}).agents())
    assert found["ha"].nat_lifetime == 30
    for router in found["ha"].routers:
        mine = found[router.name]
        assert (mine.key, mine.spi, mine.home_address) == (router.key, router.spi, router.home_address)
        assert mine.prefixes == tuple(owned.prefix for owned in router.prefixes)
    assert len({router.key for router in found["ha"].routers}) == 3
    assert [line.address for line in found["mra"].lines] == [IPv4Address("198.51.100.10"), IPv4Address("192.0.2.10")]
    assert found["mra"].lines[0].preference > found["mra"].lines[1].preference
    assert found["mrb"].lines[0].address == IPv4Address("10.82.1.2")
    assert found["mrb"].force_udp
    assert found["mrc"].prefixes == (IPv4Network("10.10.3.0/24"),)


def test_no_file_shows_a_key():
    for agent in HaaroPlan((site("a"),)).agents():
        assert "key" not in str(agent.config)
        assert "key" in str(agent.secrets)
