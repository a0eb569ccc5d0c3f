"""A real Client attaches to a real Server with a real Kea, carries packets, and leaves nothing behind."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from testbed.agent import Agent, ControlError
from testbed.events import EventLog
from testbed.kea import Kea
from testbed.mininet_api import Topo
from testbed.nodes import Host
from testbed.waiting import wait_until
from topologies.aero.kea import KeaSettings, Pool

pytestmark = pytest.mark.netns

SERVER, SERVER4, CLIENT, CLIENT4 = "2001:db8:f::1", "203.0.113.1", "2001:db8:f::2", "203.0.113.2"
PREFIX = "2001:db8:1000:2000::/56"
OWN, OWN4 = "2001:db8:1000:2000::1", "192.0.2.17"
DUID, OTHER = "0003000102000000000001", "0003000102000000000002"


class Two(Topo):
    def build(self, **_opts):
        for name, addresses in (("s1", (SERVER, SERVER4)), ("c1", (CLIENT, CLIENT4))):
            self.addHost(name, cls=Host)
            setattr(self, name, [f"{addresses[0]}/64", f"{addresses[1]}/24"])
        self.addLink(
            "s1",
            "c1",
            intfName1="eth0",
            intfName2="eth0",
            params1={"addresses": self.s1},
            params2={"addresses": self.c1},
        )


class Link:
    def __init__(self, net, folder: Path) -> None:
        self.net, self.folder = net, folder
        self.events = EventLog(folder / "events.jsonl")
        self.kea = Kea(net["s1"], settings(DUID).dhcp6(), folder / "kea", folder / "kea.log")
        self.daemons = [self.kea]

    def reserve(self, duid: str) -> None:
        """Kea begins anew, without leases: the prefixes are this DUID's now."""
        self.kea.stop()
        self.kea.settings = settings(duid).dhcp6()
        self.kea.start()

    def said(self, event: str) -> list[dict]:
        return [one for one in self.events.events() if one["event"] == event]

    def start(self, node: str, config: dict) -> Agent:
        control = {
            "name": node,
            "control": str(self.folder / f"{node}.sock"),
            "state": str(self.folder / f"{node}.state"),
        }
        made = Agent(self.net[node], "aero", "agents.aero", {**config, **control}, self.folder, self.events)
        made.start()
        self.daemons.append(made)
        return made


def settings(duid: str) -> KeaSettings:
    pools = (Pool("2001:db8:1000::/44", 56), Pool("::ffff:192.0.2.0/121", 124))
    return KeaSettings("0200000000aa", pools, {duid: [PREFIX, "::ffff:192.0.2.16/124"]})


SERVER_CONFIG = {
    "role": "server",
    "address": "fe80::1",
    "links": [{"interface": "eth0", "addresses": [SERVER, SERVER4]}],
    "aggregates": ["2001:db8:1000::/40", "192.0.2.0/24"],
}
CLIENT_CONFIG = {
    "role": "client",
    "duid": DUID,
    "families": ["ipv6", "ipv4"],
    "links": [{"interface": "eth0", "addresses": [CLIENT, CLIENT4]}],
}


@pytest.fixture
def link(network, tmp_path):
    made = Link(network(Two()), tmp_path)
    made.daemons[0].start()
    yield made
    for daemon in reversed(made.daemons):
        daemon.stop()


def state(agent: Agent) -> dict:
    return agent.request({"request": "inspect"})["state"]


def kernel(node) -> list[str]:
    commands = ("ip -4 rule", "ip -6 rule", "ip -6 route show table all", "ip -4 route show table all", "ip -o link")
    return [line for command in commands for line in node.run(command.split(), check=True).out.splitlines()]


@pytest.mark.requirement("CLI-2", "CLI-4", "CLI-14", "CLI-17", "SRV-1", "SRV-2", "SRV-5")
@pytest.mark.parametrize("server", [SERVER, SERVER4])
def test_attach_carry_and_leave(link, server):
    before = {name: kernel(link.net[name]) for name in ("s1", "c1")}
    serving = link.start("s1", SERVER_CONFIG)
    client = link.start("c1", {**CLIENT_CONFIG, "servers": [{"addresses": [server]}]})
    wait_until("both prefixes", lambda: len(state(client)["prefixes"]) == 2)
    assert state(client)["nat"] is False
    assert set(state(client)["prefixes"]) == {PREFIX, "192.0.2.16/28"}
    for target in (OWN, OWN4):
        for size in ("56", "1252", "1440"):
            link.net["s1"].run(["ping", "-c1", "-W2", "-s", size, target], check=True)
    for target, source in ((SERVER, OWN), (SERVER4, OWN4)):
        link.net["c1"].run(["ping", "-c1", "-W2", "-I", source, target], check=True)
    assert state(client)["dataplane"]["send_failures"] == 0
    assert client.stop() == 0
    wait_until("the Server to forget the Client", lambda: not state(serving)["neighbors"])
    assert kernel(link.net["c1"]) == before["c1"]
    assert serving.stop() == 0
    assert kernel(link.net["s1"]) == before["s1"]


@pytest.mark.requirement("FRAG-1")
def test_large_packets_pass_where_the_underlay_takes_them(link):
    for name in ("s1", "c1"):
        link.net[name].run(["ip", "link", "set", "eth0", "mtu", "9000"], check=True)
    link.start("s1", SERVER_CONFIG)
    client = link.start("c1", {**CLIENT_CONFIG, "servers": [{"addresses": [SERVER]}]})
    wait_until("both prefixes", lambda: len(state(client)["prefixes"]) == 2)
    assert "mtu 8940" in link.net["c1"].run(["ip", "-o", "link", "show", "aero0"]).out
    for target in (OWN, OWN4):
        link.net["s1"].run(["ping", "-c1", "-W2", "-Mdo", "-s", "8000", target], check=True)


@pytest.mark.requirement("FRAG-1", "FRAG-3")
def test_a_wider_underlay_is_used_by_who_is_attached_already(link):
    link.start("s1", SERVER_CONFIG)
    client = link.start("c1", {**CLIENT_CONFIG, "servers": [{"addresses": [SERVER]}]})
    wait_until("both prefixes", lambda: len(state(client)["prefixes"]) == 2)
    for name in ("s1", "c1"):
        link.net[name].run(["ip", "link", "set", "eth0", "mtu", "9000"], check=True)
    show = ["ip", "-o", "link", "show", "aero0"]
    wait_until("wider AERO interfaces", lambda: all("mtu 8940" in link.net[n].run(show).out for n in ("s1", "c1")))
    for target in (OWN, OWN4):
        link.net["s1"].run(["ping", "-c1", "-W2", "-Mdo", "-s", "8000", target], check=True)


@pytest.mark.requirement("CLI-3")
def test_a_server_with_several_addresses_answers_with_the_one_that_was_asked(link):
    second = "203.0.113.11"
    link.net["s1"].run(["ip", "addr", "add", f"{second}/24", "dev", "eth0"], check=True)
    links = [{"interface": "eth0", "addresses": [SERVER, SERVER4, second]}]
    link.start("s1", {**SERVER_CONFIG, "links": links, "dataplane": {"encapsulation": "minimal"}})
    minimal = {"dataplane": {"encapsulation": "minimal"}}
    client = link.start("c1", {**CLIENT_CONFIG, **minimal, "servers": [{"addresses": [second]}]})
    wait_until("both prefixes", lambda: len(state(client)["prefixes"]) == 2)

    def paths():
        return {path["lladdr"] for neighbor in state(client)["neighbors"] for path in neighbor["paths"]}

    wait_until("minimal encapsulation", lambda: paths() == {f"udp {second}:8060", f"minimal {second}:0"})
    for size in ("56", "1440"):
        link.net["s1"].run(["ping", "-c1", "-W2", "-s", size, OWN], check=True)
    assert state(client)["counters"].get("dhcp_origin", 0) == 0


def test_a_changed_mtu_is_noticed(link):
    client = link.start("c1", {**CLIENT_CONFIG, "servers": [{"addresses": [SERVER4]}]})
    assert state(client)["mtus"] == {"eth0": 1500}
    link.net["c1"].run(["ip", "link", "set", "eth0", "mtu", "1400"], check=True)
    wait_until("the new MTU", lambda: state(client)["mtus"] == {"eth0": 1400})


def test_what_the_kernel_refuses_does_not_keep_the_rest(link):
    link.start("s1", SERVER_CONFIG)
    lan = {"model": "router", "downstream": [{"interface": "nowhere"}]}
    client = link.start("c1", {**CLIENT_CONFIG, **lan, "servers": [{"addresses": [SERVER4]}]})
    wait_until("both prefixes", lambda: len(state(client)["prefixes"]) == 2)
    refused = [event for event in link.events.events() if event["event"] == "kernel-refused"]
    assert any("nowhere" in event["reason"] for event in refused)
    assert "default dev aero0" in link.net["c1"].run(["ip", "-6", "route", "show", "table", "8060"]).out


def test_stops_without_a_server_in_bounded_time(link):
    client = link.start("c1", {**CLIENT_CONFIG, "servers": [{"addresses": [SERVER4]}]})
    assert client.stop(timeout=5) == 0
    assert "aero0" not in link.net["c1"].run(["ip", "-o", "link"]).out


def test_a_server_that_vanished_does_not_keep_the_client_from_leaving(link):
    serving = link.start("s1", SERVER_CONFIG)
    client = link.start("c1", {**CLIENT_CONFIG, "servers": [{"addresses": [SERVER4]}]})
    wait_until("both prefixes", lambda: len(state(client)["prefixes"]) == 2)
    serving.kill()
    assert "8060" in link.net["c1"].run(["ip", "-6", "rule"]).out
    assert client.stop(timeout=6) == 0
    assert "8060" not in link.net["c1"].run(["ip", "-6", "rule"]).out


@pytest.mark.requirement("CLI-11")
@pytest.mark.parametrize("end", ["kill", "stop"])
def test_the_prefix_held_before_is_asked_for_again(link, end):
    """Kea has no lease any more, and nothing reserved: the Client gets its prefix because it says which."""
    link.reserve(OTHER)
    link.start("s1", SERVER_CONFIG)
    held = "2001:db8:1000:4200::/56"
    (link.folder / "c1.state").write_text(json.dumps({"prefixes": {"1": [held]}}))
    client = link.start("c1", {**CLIENT_CONFIG, "families": ["ipv6"], "servers": [{"addresses": [SERVER4]}]})
    wait_until("the prefix asked for", lambda: list(state(client)["prefixes"]) == [held])
    getattr(client, end)()
    link.daemons[1].restart()
    link.reserve(OTHER)
    client.start()
    wait_until("the same prefix again", lambda: list(state(client)["prefixes"]) == [held])


@pytest.mark.requirement("MODEL-5")
def test_a_model_is_switched_by_request(link):
    link.start("s1", SERVER_CONFIG)
    client = link.start("c1", {**CLIENT_CONFIG, "servers": [{"addresses": [SERVER]}]})
    wait_until("both prefixes", lambda: len(state(client)["prefixes"]) == 2)
    forwarding = ["sysctl", "-n", "net.ipv6.conf.all.forwarding", "net.ipv4.ip_forward"]
    assert link.net["c1"].run(forwarding).out.split() == ["0", "0"]
    client.request({"request": "model", "model": "hybrid"})
    assert state(client)["model"] == "hybrid"
    assert link.net["c1"].run(forwarding).out.split() == ["1", "1"]
    for target in (OWN, OWN4):
        link.net["s1"].run(["ping", "-c1", "-W2", target], check=True)
    with pytest.raises(ControlError, match="'bridge' is not one of host, router, hybrid"):
        client.request({"request": "model", "model": "bridge"})


@pytest.mark.requirement("MODEL-4", "MODEL-R1")
def test_a_router_pings_from_its_prefix(link):
    link.start("s1", SERVER_CONFIG)
    client = link.start("c1", {**CLIENT_CONFIG, "model": "router", "servers": [{"addresses": [SERVER]}]})
    wait_until("both prefixes", lambda: len(state(client)["prefixes"]) == 2)
    link.net["s1"].run(["ip", "-6", "address", "add", "2001:db8:9::1/128", "dev", "lo"], check=True)
    link.net["s1"].run(["ip", "address", "add", "198.18.9.1/32", "dev", "lo"], check=True)
    for target in ("2001:db8:9::1", "198.18.9.1"):
        link.net["c1"].run(["ping", "-c1", "-W2", target], check=True)
    shown = ["ip", "-6", "-o", "address", "show", "scope", "global", "dev"]
    assert PREFIX[:18] not in link.net["c1"].run([*shown, "aero0"]).out
    assert OWN in link.net["c1"].run([*shown, "lo"]).out
    assert state(client)["dataplane"].get("foreign_source", 0) == 0
    assert client.stop() == 0
    assert OWN not in link.net["c1"].run([*shown, "lo"]).out


@pytest.mark.requirement("SRV-4")
def test_a_prefix_is_not_given_to_another_client_while_its_entry_lives(link):
    serving = link.start("s1", SERVER_CONFIG)
    client = link.start("c1", {**CLIENT_CONFIG, "servers": [{"addresses": [SERVER]}]})
    wait_until("both prefixes", lambda: len(state(client)["prefixes"]) == 2)
    entry = state(serving)["neighbors"][0]
    client.kill()
    link.reserve(OTHER)  # Kea, which has lost its leases, would give the prefix to somebody else
    (link.folder / "c1.state").unlink()
    second = link.start("c1", {**CLIENT_CONFIG, "duid": OTHER, "servers": [{"addresses": [SERVER]}]})
    wait_until("the refusal", lambda: link.said("lease-refused"))
    assert DUID in link.said("lease-refused")[0]["reason"]
    now = state(serving)["neighbors"][0]
    assert (now["duid"], set(now["prefixes"])) == (DUID, set(entry["prefixes"]))
    assert state(second)["prefixes"] == {}


@pytest.mark.requirement("SRV-13")
def test_only_who_has_the_key_is_answered(link):
    key = "00112233445566778899aabbccddeeff"
    serving = link.start("s1", {**SERVER_CONFIG, "auth_keys": {DUID: key}})
    choice = {"servers": [{"addresses": [SERVER4]}]}
    stranger = link.start("c1", {**CLIENT_CONFIG, **choice, "auth_key": key[::-1]})
    wait_until("two refusals", lambda: state(serving)["counters"].get("auth_wrong", 0) >= 2)
    assert state(stranger)["prefixes"] == {}
    stranger.kill()
    client = link.start("c1", {**CLIENT_CONFIG, **choice, "auth_key": key})
    wait_until("both prefixes", lambda: len(state(client)["prefixes"]) == 2)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"role": "bridge"}, "configuration.role: 'bridge' is not one of client, server, relay"),
        ({**CLIENT_CONFIG, "name": "c1", "control": "c", "state": "s"}, "missing key 'servers'"),
    ],
)
def test_a_bad_configuration_is_one_line(config, words):
    argv = [sys.executable, "-m", "agents.aero"]
    done = subprocess.run(argv, input=json.dumps(config), capture_output=True, text=True, timeout=30)
    assert done.returncode == 2
    assert done.stderr.startswith("aero: ")
    assert words in done.stderr
    assert done.stderr.count("\n") == 1


def test_an_interface_that_is_not_there_is_one_line(link):
    config = {**CLIENT_CONFIG, "servers": [{"addresses": [SERVER4]}], "name": "c1", "control": "c", "state": "s"}
    config["links"] = [{"interface": "wlan9", "addresses": [CLIENT4]}]
    done = link.net["c1"].run([sys.executable, "-m", "agents.aero"], input=json.dumps(config))
    assert (done.exit, done.err.count("\n")) == (1, 1)
    assert "wlan9" in done.err
