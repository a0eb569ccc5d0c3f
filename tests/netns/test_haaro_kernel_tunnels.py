"""Tunnels in IP by the kernel: the same paths, the same gate, nothing left behind (spec TUN-*, HA-16)."""

from __future__ import annotations

import json
import socket
from ipaddress import IPv4Address

import pytest
from haaro_net import HOMES, HOSTS, PATIENCE, Running, Sites, kernel, line

from agents.haaro.backend import choose
from agents.haaro.inner import push_udp
from agents.kernel.netlink import KernelError
from testbed.features import refusal
from testbed.waiting import wait_until

pytestmark = [pytest.mark.netns, pytest.mark.stock]
IP_IN_IP, SIGNALLING = 4, 434


@pytest.fixture
def sites(network, tmp_path):
    if refusal("ipip"):
        pytest.skip(f"this kernel has no ipip: {refusal('ipip')}")
    made = Running(network(Sites()), tmp_path)
    yield made
    made.stop()


def optimised(sites):
    sites.start_ha(tunnel="ipip")
    sites.registered("a", "b", lines=1, encapsulation="ipip", tunnel="ipip")
    sites.until_direct("i-")


def carried(sites):
    """Octets that the home agent's kernel has sent into tunnels."""
    said = sites.net["ha"].run(["ip", "-s", "-j", "link", "show", "type", "ipip"], check=True).out
    return sum(int(one["stats64"]["tx"]["bytes"]) for one in json.loads(said))


def counted(sites, node, name):
    return sites.state(node)["dataplane"].get(name, 0)


def spoof(sites, node, source, target, inner):
    """A packet in IP from one of a node's addresses."""
    with sites.net[node].entered(), socket.socket(socket.AF_INET, socket.SOCK_RAW, IP_IN_IP) as raw:
        raw.bind((source, 0))
        raw.sendto(inner, (target, 0))


@pytest.mark.requirement("HA-16", "MR-7", "MR-16", "MR-23", "TUN-2", "TUN-5", "TUN-6", "TUN-12", "TUN-13", "TUN-14")
def test_paths_gate_and_end(sites):
    before = {name: kernel(sites.net[name]) for name in ("ha", "a", "b")}
    optimised(sites)
    assert {sites.state(node)["tunnel"] for node in ("ha", "a", "b")} == {"ipip"}
    sent = carried(sites)
    assert sites.ping("a", "b", "-c20", "-i0.05") == 20
    assert sites.ping("b", "a", "-c3", "-i0.05", "-s", "3000") == 3
    assert carried(sites) - sent < 20 * 84, "no ping went over the home agent"
    big = sites.net["na"].run(["ping", "-c1", "-W2", "-n", "-Mdo", "-s", "1460", HOSTS["b"]])
    assert "mtu = 1468" in big.out + big.err, "fits only in fragments, which it forbids"
    _gate(sites)
    for node in ("b", "a", "ha"):
        assert sites.agents[node].stop() == 0
    assert {name: kernel(sites.net[name]) for name in before} == before
    assert not sites.net["a"].run(["nft", "list", "ruleset"]).out.strip()


def _gate(sites):
    """What may not come out of a tunnel, or go in, does not, and is counted."""
    a, b = (line(site, 1)[0] for site in "ab")
    host_a, host_b, home_a = IPv4Address(HOSTS["a"]), IPv4Address(HOSTS["b"]), IPv4Address(HOMES["a"])
    cases = {
        "foreign_inner_source": push_udp(IPv4Address("10.10.9.9"), host_a, (1, 2), b"x"),
        "foreign_inner_destination": push_udp(host_b, IPv4Address("198.18.0.2"), (1, 2), b"x"),
        "signalling_in_peer_tunnel": push_udp(IPv4Address(HOMES["b"]), home_a, (SIGNALLING, SIGNALLING), b"\x18" * 10),
    }
    for name, inner in cases.items():
        spoof(sites, "b", b, a, inner)
        wait_until(name, lambda name=name: counted(sites, "a", name) == 1, timeout=PATIENCE)
    spoof(sites, "core", line("a", 1)[1], a, cases["foreign_inner_source"])
    wait_until("a stranger's packet's end", lambda: counted(sites, "a", "unknown_outer") == 1, timeout=PATIENCE)
    sites.net["na"].run(["ip", "address", "add", "10.77.0.1/32", "dev", "lo"], check=True)
    sites.net["na"].run(["ping", "-c1", "-W1", "-I", "10.77.0.1", HOSTS["b"]])
    assert counted(sites, "a", "foreign_source") == 1


@pytest.mark.parametrize("again", ["ipip", "tun"])
def test_what_a_killed_node_left_does_not_stay(sites, again):
    before = kernel(sites.net["a"])
    optimised(sites)
    sites.agents["a"].kill()
    assert "i-" in sites.net["a"].run(["ip", "link"]).out
    sites.registered("a", lines=1, encapsulation="ipip", tunnel=again)
    wait_until("a to reach b", lambda: sites.ping("a", "b"), timeout=PATIENCE)
    assert sites.agents["a"].stop() == 0
    assert kernel(sites.net["a"]) == before
    assert not sites.net["a"].run(["nft", "list", "ruleset"]).out.strip()


@pytest.mark.requirement("SC-S19", "HOV-1", "MR-22")
def test_another_line(sites):
    sites.start_ha(tunnel="ipip")
    sites.registered("a", "b", encapsulation="ipip", tunnel="ipip")
    sites.until_direct("i-")
    sites.agents["a"].request({"request": "move", "interface": "isp2"})
    sites.until_moved("a", "b", line("a", 2)[0])
    assert sites.ping("b", "a", "-c5", "-i0.1") == 5


def test_realms_that_share_prefixes_are_the_programs_affair():
    assert choose("tun").kind == "tun"
    assert "realm" in choose("auto", ambiguous=True).lacking
    with pytest.raises(KernelError, match="realm"):
        choose("ipip", ambiguous=True)
