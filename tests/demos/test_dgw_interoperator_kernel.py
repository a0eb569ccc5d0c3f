"""The home LMA's own process and kernel: killed in the data path, restarted, and traffic between two visitors."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from testbed.waiting import NotYet, wait_until
from topologies import traffic
from topologies.dgw.plan import CMD_ADDRESS, Gateway
from topologies.dgw.settling import wait_until_settled

pytestmark = pytest.mark.demo


def anchors(run, gateway, number=1):
    """prefix -> anchor's address of the active anchors of a node served there."""
    node = run.inspect(gateway)["agents"]["dgw"]["nodes"].get(f"mn{number}@dmm.example") or {"anchors": []}
    return {anchor["prefix"]: anchor["address"] for anchor in node["anchors"] if anchor["active"]}


def visit(run, index, expected, number=1):
    """Move a node and wait until its gateway has these anchors, {gateway number: address}, and all have settled."""
    run.net.move(f"mn{number}", Gateway(index).cell)
    wanted = {Gateway(anchor).pool.removesuffix("::/48"): address for anchor, address in expected.items()}

    def there():
        found = anchors(run, Gateway(index).name, number)
        if {prefix.rsplit(":", 3)[0]: address for prefix, address in found.items()} != wanted:
            raise NotYet(f"{found} instead of {wanted}")
        return True

    wait_until(f"mn{number}'s anchors at dgw{index}", there)
    wait_until_settled(run)


def lma_kernel(run):
    """Rules and routes of the LMA that are ours, and the gate's elements without what they counted."""
    argvs = (["ip", "-6", "rule"], ["ip", "-6", "route", "show", "table", "all"], ["nft", "list", "sets"])
    lines = [line.strip() for argv in argvs for line in run.net["lma"].run(argv, check=True).out.splitlines()]
    lines = [re.sub(r" counter packets \d+ bytes \d+", "", line) for line in lines]
    return sorted(line for line in lines if "proto 183" in line or "encap" in line or "2001:db8:c:" in line)


def relayed(run):
    """Prefixes that the LMA has source rules for."""
    rules = run.net["lma"].run(["ip", "-6", "rule"], check=True).out.splitlines()
    return {line.split("from ")[1].split()[0] for line in rules if line.startswith("1000:")}


@pytest.mark.parametrize("mode", ["relay", "direct"])
@pytest.mark.requirement("INTER-6", "INTER-9", "INTER-10")
def test_killed_lma_forwards_on_and_recovers(deploy, mode):
    """SIGKILL of the LMA's agent: flows of both prefixes go on; restarted, it knows what it relays"""
    run = deploy("inter-operator", mode=mode)
    traffic.echo_server(run, "cn1")
    visit(run, 1, {})
    flows = [traffic.echo(run, "a", "mn1", traffic.address_in(run, "mn1", Gateway(1).pool), "cn1")]
    visit(run, 2, {1: CMD_ADDRESS})
    flows.append(traffic.echo(run, "b", "mn1", traffic.address_in(run, "mn1", Gateway(2).pool), "cn1"))
    traffic.wait_for_progress(flows, 10)
    before = lma_kernel(run)
    assert relayed(run) == {"2001:db8:a1:1::/64"}
    run.agents["lma"].kill()
    traffic.wait_for_progress(flows, 25)
    assert lma_kernel(run) == before
    run.restart_agent("lma")
    traffic.wait_for_progress(flows, 25)
    assert lma_kernel(run) == before
    visit(run, 3, {1: CMD_ADDRESS, 2: Gateway(2).address})
    traffic.wait_for_progress(flows, 10)
    assert relayed(run) == {"2001:db8:a1:1::/64"}
    visit(run, 1, {2: CMD_ADDRESS, 3: CMD_ADDRESS})
    traffic.wait_for_progress(flows, 10)
    assert relayed(run) == {"2001:db8:b2:1::/64", "2001:db8:c3:1::/64"}
    status = Path(f"/proc/{run.agents['lma'].pid}/status").read_text().splitlines()
    resident = next(int(line.split()[1]) for line in status if line.startswith("VmRSS:"))
    assert resident <= 45 * 1024, f"{resident} kB"
    dropped = run.agents["lma"].request({"request": "dropped"})["dropped"]
    assert dropped["nested"] == dropped["fragment"] == dropped["unknown_peer"] == 0


@pytest.mark.requirement("INTER-6")
def test_two_visitors_talk_with_relayed_prefixes(deploy):
    """Both nodes have left operator A, one is at dgw2 and one at dgw3: what goes from one relayed prefix to the other
    must not turn back at the LMA to where it came from"""
    run = deploy("inter-operator", mode="relay", mobiles=2)
    addresses = []
    for number, index in ((1, 2), (2, 3)):
        visit(run, 1, {}, number)
        addresses.append(traffic.address_in(run, f"mn{number}", Gateway(1).pool))
        visit(run, index, {1: CMD_ADDRESS}, number)
    for here, there, node in ((*addresses, "mn1"), (*addresses[::-1], "mn2")):
        result = run.net[node].run(["ping", "-6", "-n", "-c", "5", "-i", "0.1", "-W", "2", "-I", here, there])
        assert " 0% packet loss" in result.out, result.out


@pytest.mark.requirement("INTER-6")
def test_lma_relays_nothing_but_what_was_agreed(deploy):
    """Spec §10, last row at the LMA: a gateway's tunnelled packet from a prefix that is not relayed is dropped"""
    run = deploy("sc-fig5", mode="relay")
    visit(run, 1, {})
    traffic.address_in(run, "mn1", Gateway(1).pool)
    visit(run, 2, {1: CMD_ADDRESS})
    source = traffic.address_in(run, "mn1", Gateway(2).pool)
    # From prefB, which dgw2 anchors itself, by force into the tunnel to the LMA.
    run.net["dgw2"].run(["ip", "-6", "rule", "add", "pref", "500", "from", source, "lookup", "1001"], check=True)
    run.net["mn1"].run(["ping", "-6", "-n", "-c", "3", "-i", "0.1", "-W", "1", "-I", source, run.address("cn1")])
    dropped = run.agents["lma"].request({"request": "dropped"})["dropped"]
    assert dropped["outside_binding"] >= 3
