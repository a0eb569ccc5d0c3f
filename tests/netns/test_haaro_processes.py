"""Real home agent and routers: register, find the direct path, change lines, leave, and leave nothing behind."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from haaro_net import HA, HOMES, HOSTS, OUTSIDE, PATIENCE, Running, Sites, kernel, line

from testbed.waiting import wait_until
from topologies.pings import Series

ROUTER = {"name": "a", "home_address": HOMES["a"]}
pytestmark = pytest.mark.netns


@pytest.fixture
def sites(network, tmp_path):
    made = Running(network(Sites()), tmp_path)
    yield made
    made.stop()


@pytest.mark.requirement(
    "SC-S1", "SC-S2", "SC-S11", "HA-16", "MR-16", "MR-22", "CR-13", "TUN-3", "TUN-8", "TUN-13", "HOV-8"
)
@pytest.mark.parametrize("udp", [False, True], ids=["ip-in-ip", "udp"])
def test_register_optimise_and_leave(sites, udp):
    before = {name: kernel(sites.net[name]) for name in ("ha", "a", "b")}
    sites.start_ha()
    sites.registered("a", "b", force_udp=udp)
    assert sites.state("a")["udp"] is udp
    assert sites.ping("a", "b") == 1, "over the home agent, from the first packet on"
    sites.until_direct()
    wait_until("signalling to come to rest", lambda: all(_settled(sites, one) for one in "ab"), timeout=PATIENCE)
    carried = sites.forwarded()
    assert sites.ping("a", "b", "-c20", "-i0.02") == 20
    assert sites.ping("b", "a", "-c3", "-i0.02", "-s", "3000") == 3
    assert sites.forwarded() - carried < 20 * 84, "no ping went over the home agent"
    assert sites.state("a")["dataplane"]["send_failures"] == 0
    big = sites.net["na"].run(["ping", "-c1", "-W2", "-n", "-Mdo", "-s", "1460", HOSTS["b"]])
    assert "mtu = 1468" in big.out + big.err, "fits only in fragments, which it forbids"
    assert sites.net["a"].sysctl("net.ipv4.conf.isp1.rp_filter") == "0"
    assert sites.agents["b"].stop() == 0
    wait_until("B to be forgotten", lambda: HOMES["b"] not in sites.state("ha")["bindings"], timeout=PATIENCE)
    assert "10.10.2.0" not in sites.routes("a")
    assert sites.agents["a"].stop() == 0
    assert sites.agents["ha"].stop() == 0
    assert {name: kernel(sites.net[name]) for name in before} == before


def _settled(sites, one):
    peers = sites.state(one)["correspondents"]
    return all(peer["registered_here"] and peer["registered_there"] for peer in peers)


@pytest.mark.requirement("SC-S9", "SC-S19", "HOV-1")
def test_another_line_without_a_loss(sites):
    sites.start_ha()
    sites.registered("a", "b")
    sites.until_direct()
    pings = Series(sites, "change", "nb", HOSTS["b"], "na", HOSTS["a"], interval=0.02)
    pings.go_on()
    sites.agents["a"].request({"request": "move", "interface": "isp2"})
    sites.until_moved("a", "b", line("a", 2)[0])
    pings.go_on(50)
    pings.end()
    assert sorted(pings.answered) == list(range(1, len(pings.answered) + 1)), "none is missing"


@pytest.mark.requirement("SC-S10", "SC-S19", "HOV-2")
def test_a_line_is_cut(sites):
    sites.start_ha()
    sites.registered("a", "b")
    sites.until_direct()
    sites.net["core"].run(["ip", "link", "set", "toa1", "down"], check=True)
    sites.until_moved("a", "b", line("a", 2)[0])
    assert sites.ping("a", "b", "-c5", "-i0.05") == 5


@pytest.mark.requirement("SC-S12", "SC-S13", "NAT-3", "NAT-5", "CR-15")
@pytest.mark.parametrize("kind", ["cone", "symmetric"])
def test_behind_a_nat(network, tmp_path, kind):
    sites = Running(network(Sites(nat=kind)), tmp_path)
    try:
        sites.start_ha()
        sites.registered("a", "b", lines=1)
        assert sites.state("a")["udp"] is True
        wait_until("the router to know", lambda: sites.state("a")["outbound_only"], timeout=PATIENCE)
        sites.until_direct()
        (peer,) = sites.state("b")["correspondents"]
        assert peer["tunnel"].split()[1].startswith(OUTSIDE)
        assert sites.ping("b", "a", "-c5", "-i0.05") == 5
    finally:
        sites.stop()


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"role": "fa"}, "configuration.role: 'fa' is not one of ha, mr"),
        ({"role": "ha", "name": "ha", "address": HA, "control": "c"}, "missing key 'routers'"),
        (
            {"role": "ha", "name": "h", "address": HA, "control": "c", "routers": [{**ROUTER, "key": "zz"}]},
            "secret and not shown",
        ),
    ],
)
def test_a_bad_configuration_is_one_line(config, words):
    argv = [sys.executable, "-m", "agents.haaro"]
    done = subprocess.run(argv, input=json.dumps(config), capture_output=True, text=True, timeout=30)
    assert done.returncode == 2
    assert done.stderr.startswith("haaro: ")
    assert words in done.stderr
    assert done.stderr.count("\n") == 1
