"""Two nodes that left one gateway for the same other one talk to each other with the prefixes they kept."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest
from test_dgw_interoperator_kernel import visit

from topologies import traffic
from topologies.dgw.basic import BasicLab
from topologies.dgw.plan import CMD_ADDRESS, Gateway
from topologies.dgw.settling import wait_until_settled

pytestmark = pytest.mark.demo
NODES = ("mn1", "mn2")
MOST = 100
"""Frames from the core while they talk: each of 48 packets once, and signalling."""


class TwoNodesLab(BasicLab):
    """The smallest lab with a second node."""

    def plan(self, options):
        return replace(super().plan(options), mobiles=len(NODES))


def talk(run, addresses):
    """Pings both ways between the nodes' addresses of each kind; gives the hop limits that arrive."""
    left = set()
    for node, own in addresses.items():
        (others,) = (found for name, found in addresses.items() if name != node)
        for source in own:
            for target in others:
                argv = ["ping", "-6", "-n", "-c", "3", "-i", "0.1", "-W", "2", "-I", source, target]
                out = run.net[node].run(argv).out
                assert " 0% packet loss" in out, out
                left |= set(map(int, re.findall(r"ttl=(\d+)", out)))
    return left


def load(run, node):
    """Frames that went over a gateway's link to the core so far."""
    (wan,) = json.loads(run.net[node].run(["ip", "-s", "-j", "link", "show", "wan"], check=True).out)
    return wan["stats64"]["rx"]["packets"]


@pytest.mark.parametrize("mode", ["relay", "locator", "proxy", "direct", "classic"])
@pytest.mark.requirement("HO-6", "HO-9", "HO-10")
def test_both_served_where_neither_prefix_is_anchored(deploy, mode):
    """What the anchor sends back is for the other node, though its source has an uplink here"""
    lab = TwoNodesLab()
    run = deploy(lab, mode=mode)
    plan = lab.plan(lab.configure(mode=mode))
    addresses = {node: [] for node in NODES}
    for gateway in plan.gateway_list:
        mark = run.events.mark()
        for node in NODES:
            run.net.move(node, gateway.cell)
            address = traffic.address_in(run, node, plan.pool_at(gateway))
            addresses[node] = list(dict.fromkeys([*addresses[node], address]))
        for node in NODES if gateway.index == 2 else ():
            run.events.wait_for(
                lambda e, node=node: e["event"] == "anchor-active" and e["mn_id"].startswith(node),
                since=mark,
                what=f"{node}'s anchor",
                timeout=20,
            )
    wait_until_settled(run)  # proxy: what an anchor was promised for, it need not have done
    assert {len(found) for found in addresses.values()} == {1 if mode == "classic" else 2}
    before = load(run, "dgw2")
    left = talk(run, addresses)
    assert min(left) >= 58, "three gateways' hops and the core's, once"
    assert load(run, "dgw2") - before < MOST
    for node in ("dgw1", "dgw2"):
        dropped = run.agents[node].request({"request": "dropped"})["dropped"]
        assert dropped["outside_binding"] == dropped["unknown_peer"] == dropped["nested"] == 0


@pytest.mark.parametrize("mode", ["relay", "direct"])
@pytest.mark.requirement("INTER-2", "INTER-6")
def test_both_served_by_another_operator(deploy, mode):
    """The prefixes come by the LMA, which sends what is from one to the other back to where it came from"""
    run = deploy("inter-operator", mode=mode, mobiles=2)
    addresses = {}
    for number, node in enumerate(NODES, 1):
        visit(run, 1, {}, number)
        addresses[node] = [traffic.address_in(run, node, Gateway(1).pool)]
        visit(run, 2, {1: CMD_ADDRESS}, number)
        addresses[node].append(traffic.address_in(run, node, Gateway(2).pool))
    before = load(run, "dgw2")
    assert min(talk(run, addresses)) >= 56
    assert load(run, "dgw2") - before < MOST
