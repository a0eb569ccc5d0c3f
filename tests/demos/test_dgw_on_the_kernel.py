"""Faults of real processes and real packets: killed agents, lost and doubled signalling, labs side by side."""

from __future__ import annotations

import sys
from ipaddress import IPv6Address, IPv6Network
from pathlib import Path

import pytest

from testbed.waiting import NotYet, wait_until
from topologies import traffic
from topologies.dgw.plan import CMD_ADDRESS, Gateway

pytestmark = pytest.mark.demo
POOLS = {i: Gateway(i).pool for i in (1, 2)}


def talk(run, cell="cell1"):
    """Attach mn1, open a session to cn1 and wait until it flows."""
    traffic.echo_server(run, "cn1")
    run.net.attach("mn1", cell)
    source = traffic.address_in(run, "mn1", POOLS[int(cell[-1])])
    flow = traffic.echo(run, "session", "mn1", source, "cn1")
    traffic.wait_for_progress([flow], 10)
    return flow


def event(run, name, node, since=0):
    return run.events.wait_for(
        lambda e: e["event"] == name and e["node"] == node, since=since, what=f"{name} of {node}", timeout=20
    )


def own_state(run, node):
    return run.inspect(node)["agents"]["dgw"]["nodes"]["mn1@dmm.example"]


def interfaces(run, node):
    return {name for name in run.inspect(node)["interfaces"] if name.startswith("mn")}


def wait_until_deleted(run, node):
    """A gateway without nodes: its retired DLIFs are deleted a moment after they fell silent"""

    def gone():
        left = interfaces(run, node)
        if left:
            raise NotYet(f"{', '.join(sorted(left))} still there")
        return True

    wait_until(f"{node} without DLIFs", gone)


def kernel_view(run, node):
    """Rules, routes and DLIFs that the gateway holds, as text that two moments can be compared by."""
    argvs = (["ip", "-6", "rule"], ["ip", "-6", "route", "show", "table", "all"])
    lines = [line for argv in argvs for line in run.net[node].run(argv, check=True).out.splitlines()]
    kept = [line for line in lines if "proto 183" in line or "encap" in line]
    return sorted(kept), sorted(interfaces(run, node))


@pytest.mark.parametrize("mode", ["direct", "relay"])
def test_killed_agent_forwards_on_and_recovers(deploy, mode):
    """SIGKILL of a gateway's agent: the flow goes on; the restarted agent knows its bindings (spec §4)"""
    run = deploy("basic", mode=mode)
    flow = talk(run)
    run.net.move("mn1", "cell2")
    event(run, "anchor-active", "dgw2")
    traffic.wait_for_progress([flow], 10)
    wait_until_deleted(run, "dgw1")
    for node in ("dgw1", "dgw2"):
        before = kernel_view(run, node)
        state = own_state(run, node)["own"]
        assert before[0]
        run.agents[node].kill()
        traffic.wait_for_progress([flow], 25)
        assert kernel_view(run, node) == before
        run.restart_agent(node)
        traffic.wait_for_progress([flow], 25)
        assert own_state(run, node)["own"] == state
        wait_until(f"{node} as before", lambda node=node, before=before: kernel_view(run, node) == before)
    mark = run.events.mark()
    run.net.move("mn1", "cell1")
    event(run, "anchor-active", "dgw1", mark)
    traffic.wait_for_progress([flow], 25)
    assert interfaces(run, "dgw1") == {"mn1dgw1", "mn1dgw2"}


@pytest.mark.parametrize("mode", ["direct", "relay"])
@pytest.mark.requirement("RETX-1", "RETX-2", "RETX-11")
def test_lost_acknowledgements(deploy, mode):
    """RETX-1, RETX-2, RETX-11 on the wire: PBAs dropped by nft, one tunnel and one pair of DLIFs in the end"""
    run = deploy("basic", mode=mode)
    flow = talk(run)
    rules = "add table ip6 loss; add chain ip6 loss in { type filter hook input priority 0; }; "
    rules += "add rule ip6 loss in mh type binding-acknowledgement quota until 250 bytes counter drop"
    run.net["dgw2"].run(["nft", rules], check=True)
    run.net.move("mn1", "cell2")
    event(run, "retransmitted", "dgw2")
    event(run, "anchor-active", "dgw2")
    traffic.wait_for_progress([flow], 25)
    assert "packets 0" not in run.net["dgw2"].run(["nft", "list", "table", "ip6", "loss"]).out
    assert interfaces(run, "dgw2") == {"mn1dgw1", "mn1dgw2"}
    items = run.inspect("dgw2")["agents"]["dgw"]["items"]
    assert [item for item in items if item.startswith("tunnel ")] == [f"tunnel {Gateway(1).address}"]


@pytest.mark.parametrize("mode", ["direct", "relay"])
@pytest.mark.requirement("RETX-11")
def test_doubled_signalling(deploy, mode):
    """RETX-11: every Mobility Header to the anchor comes twice; the second of each changes nothing"""
    run = deploy("basic", mode=mode)
    flow = talk(run)
    target = Gateway(1).address
    rules = "add table ip6 double; add chain ip6 double pre { type filter hook prerouting priority 0; }; "
    rules += f'add rule ip6 double pre ip6 daddr {target} mh type binding-update counter dup to {target} device "dgw1"'
    run.net["core"].run(["nft", rules], check=True)
    run.net.move("mn1", "cell2")
    event(run, "anchor-active", "dgw2")
    rejected = event(run, "binding-rejected", "dgw1")
    assert rejected["status"] == 157
    traffic.wait_for_progress([flow], 25)
    items = run.inspect("dgw1")["agents"]["dgw"]["items"]
    assert len([item for item in items if item.startswith("tunnel ")]) == 1


@pytest.mark.requirement("SC-PINGPONG")
def test_everything_is_as_before_after_a_round_trip(deploy):
    """SC-PINGPONG on the kernel: D1 -> D2 -> D1 leaves no rule, table, tunnel or interface behind"""
    run = deploy("basic", mode="relay")
    flow = talk(run)
    for cell, gateway in (("cell2", "dgw2"), ("cell1", "dgw1"), ("cell2", "dgw2")):
        mark = run.events.mark()
        run.net.move("mn1", cell)
        event(run, "anchor-active", gateway, mark)
        traffic.wait_for_progress([flow], 25)
    wait_until_deleted(run, "dgw1")
    first = kernel_view(run, "dgw1"), kernel_view(run, "dgw2")
    for cell, gateway in (("cell1", "dgw1"), ("cell2", "dgw2")):
        mark = run.events.mark()
        run.net.move("mn1", cell)
        event(run, "anchor-active", gateway, mark)
        traffic.wait_for_progress([flow], 25)

    def same():
        now = kernel_view(run, "dgw1"), kernel_view(run, "dgw2")
        if now != first:
            raise NotYet(f"{now} instead of {first}")
        return True

    wait_until("the kernels to be as after the first round", same)


def test_two_labs_do_not_disturb_each_other(deploy):
    runs = [deploy("basic", mode="relay"), deploy("basic", mode="direct")]
    flows = [talk(run) for run in runs]
    runs[0].net.move("mn1", "cell2")
    traffic.wait_for_progress(flows, 25)
    runs[1].net.move("mn1", "cell2")
    traffic.wait_for_progress(flows, 25)
    runs[0].stop()
    traffic.wait_for_progress(flows[1:], 25)


def test_idle_agents_cost_little(deploy):
    """Idle agent: at most 45 MB resident, no CPU"""
    run = deploy("basic", mode="relay")
    talk(run).stop()
    for node, agent in run.agents.items():
        status = Path(f"/proc/{agent.pid}/status").read_text().splitlines()
        resident = next(int(line.split()[1]) for line in status if line.startswith("VmRSS:"))
        assert resident <= 45 * 1024, f"{node}: {resident} kB"


def test_outsiders_cannot_tunnel_or_spoof(deploy):
    """Spec §10 last row: an unknown outer source, or a foreign inner source, is dropped and counted"""
    run = deploy("basic", mode="relay")
    talk(run)
    inner = "IPv6(src='2001:db8:f::2', dst='2001:db8:a1:1:0:ff:fe00:11')/UDP(dport=9)"
    packet = f"IPv6(src='2001:db8:f::2', dst='{Gateway(1).address}')/{inner}"
    code = f"from scapy.all import IPv6, UDP, send; send({packet}, verbose=False)"
    run.net["cn1"].run([sys.executable, "-c", code], check=True)
    dropped = run.agents["dgw1"].request({"request": "dropped"})["dropped"]
    assert dropped["unknown_peer"] >= 1


def test_addresses_come_from_the_pools(deploy):
    run = deploy("basic", mode="direct")
    flow = talk(run)
    assert IPv6Address(flow.fields["source"]) in IPv6Network(POOLS[1])
    assert run.inspect("cmd")["agents"]["cmd"]["repository"]["mn1@dmm.example"]["serving"] == Gateway(1).address
    assert run.address("cmd") == CMD_ADDRESS
