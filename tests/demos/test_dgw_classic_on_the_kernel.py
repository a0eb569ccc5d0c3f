"""Classic mode with real processes: the anchor killed in the middle, and what is left when the node has gone."""

from __future__ import annotations

import pytest

from testbed.waiting import wait_until
from topologies import traffic
from topologies.dgw.classic import HOME_POOL

pytestmark = pytest.mark.demo


def talk(run):
    """Attach mn1, open a session to cn1 and wait until it flows."""
    traffic.echo_server(run, "cn1")
    run.net.attach("mn1", "cell1")
    flow = traffic.echo(run, "session", "mn1", traffic.address_in(run, "mn1", HOME_POOL), "cn1")
    traffic.wait_for_progress([flow], 10)
    return flow


def binding(run):
    (found,) = run.inspect("lma")["agents"]["lma"]["bindings"].values()
    return found


def forwarding(run, node):
    """The node's routes for the home network and its tunnels, and its policy rules."""
    argvs = (["ip", "-6", "rule"], ["ip", "-6", "route", "show", "table", "all"])
    lines = [line for argv in argvs for line in run.net[node].run(argv, check=True).out.splitlines()]
    return sorted(line for line in lines if "2001:db8:100:" in line)


def test_the_killed_anchor_forwards_on_and_knows_its_bindings(deploy):
    run = deploy("basic", mode="classic")
    flow = talk(run)
    before, state = forwarding(run, "lma"), binding(run)
    run.agents["lma"].kill()
    traffic.wait_for_progress([flow], 25)
    assert forwarding(run, "lma") == before
    run.restart_agent("lma")
    assert binding(run) == state
    assert forwarding(run, "lma") == before
    run.net.move("mn1", "cell2")
    traffic.wait_for_progress([flow], 25)
    assert binding(run)["care_of"] == "2001:db8:c:2::2"


@pytest.mark.requirement("DEREG-6", "DLIF-9")
def test_nothing_of_a_node_stays_where_it_was(deploy):
    """At the gateways nothing at once, at the anchor nothing but the held entry (RFC 5213 §5.3.5, §6.9.1.4)."""
    run = deploy("basic", mode="classic")
    clean = {node: forwarding(run, node) for node in ("dgw1", "dgw2", "lma")}
    flow = talk(run)
    assert forwarding(run, "dgw1") != clean["dgw1"]
    run.net.move("mn1", "cell2")
    traffic.wait_for_progress([flow], 10)
    wait_until("dgw1 clean", lambda: forwarding(run, "dgw1") == clean["dgw1"])
    wait_until("dgw1 without interfaces", lambda: not [n for n in run.inspect("dgw1")["interfaces"] if n[:2] == "mn"])
    flow.stop()
    run.net.detach("mn1")
    wait_until("dgw2 clean", lambda: forwarding(run, "dgw2") == clean["dgw2"])
    wait_until("the anchor clean", lambda: forwarding(run, "lma") == clean["lma"])
    assert binding(run)["deleting"]
