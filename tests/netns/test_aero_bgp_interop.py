"""Real Servers and Relays speak BGP by real ExaBGP; BIRD, which nobody here wrote, says when it has what routes."""

from __future__ import annotations

import re
import sys
import time
from pathlib import Path

import pytest

from testbed.agent import Agent
from testbed.bird import Bird
from testbed.events import EventLog
from testbed.exabgp import BgpPeer, BgpSpeaker, ExaBgp
from testbed.kea import Kea
from testbed.mininet_api import Topo
from testbed.nodes import Host
from testbed.validation import LabError
from testbed.waiting import wait_until
from topologies.aero.kea import KeaSettings, Pool

pytestmark = pytest.mark.netns

ASNS = {"s1": 4200000001, "s2": 4200000002}
RELAY_ASN = 65000
UNDERLAY = {"s1": ("203.0.113.1", "2001:db8:f::1"), "s2": ("203.0.113.2", "2001:db8:f::2")}
RELAY = ("203.0.113.9", "2001:db8:f::9")
CLIENT = ("203.0.113.7", "2001:db8:f::7")
PREFIX, PREFIX4 = "2001:db8:1000:2000::/56", "192.0.2.16/28"
DUID = "0003000102000000000001"
AGGREGATES = ["2001:db8:1000::/40", "192.0.2.0/24"]
SOON = 10.0


class Star(Topo):
    """Two Servers, a Client, and BIRD where a Relay would be, on one link."""

    def build(self, **_opts):
        self.addHost("sw", cls=Host)
        for name, addresses in {**UNDERLAY, "bird": RELAY, "c1": CLIENT}.items():
            self.addHost(name, cls=Host)
            self.addLink(
                name,
                "sw",
                intfName1="eth0",
                intfName2=name,
                params1={"addresses": [f"{addresses[0]}/24", f"{addresses[1]}/64"]},
            )


class Domain:
    """What runs in it; the nodes' files in one folder."""

    def __init__(self, net, folder: Path) -> None:
        self.net, self.folder = net, folder
        self.events = EventLog(folder / "events.jsonl")
        self.daemons = []
        sw = net["sw"]
        sw.run(["ip", "link", "add", "name", "lan", "type", "bridge"], check=True)
        for name in (*UNDERLAY, "bird", "c1"):
            sw.run(["ip", "link", "set", "dev", name, "master", "lan"], check=True)
        sw.run(["ip", "link", "set", "lan", "up"], check=True)

    def start(self, daemon):
        daemon.start()
        self.daemons.append(daemon)
        return daemon

    def bird(self) -> Bird:
        session = (
            "protocol bgp {name} from peer {{ local {own}; neighbor {peer} as {asn}; passive on; "
            "ipv4 {{ import all; export where source = RTS_STATIC; }}; "
            "ipv6 {{ import all; export where source = RTS_STATIC; next hop address {own6}; }}; }}\n"
        )
        body = (
            "protocol static { ipv4; route 0.0.0.0/0 unreachable; }\n"
            "protocol static { ipv6; route ::/0 unreachable; }\n"
        )
        for name, (address, _six) in UNDERLAY.items():
            body += session.format(name=name, own=RELAY[0], own6=RELAY[1], peer=address, asn=ASNS[name])
        return self.start(
            Bird(self.net["bird"], RELAY[0], RELAY_ASN, body, self.folder / "bird", self.folder / "bird.log")
        )

    def exabgp(self, name: str) -> ExaBgp:
        own = UNDERLAY[name][0]
        program = (sys.executable, "-m", "agents.aero.bgp", str(self.folder / f"{name}.bgp"))
        speaker = BgpSpeaker(own, ASNS[name], (BgpPeer(RELAY[0], RELAY_ASN, own),), program)
        return self.start(ExaBgp(self.net[name], speaker, self.folder / f"{name}-exabgp", self.folder / f"{name}.log"))

    def kea(self, name: str, valid: int = 300) -> Kea:
        number = name[1]
        pools = (Pool(f"2001:db8:10{number}0::/44", 56), Pool(f"::ffff:192.0.2.{64 * int(number)}/122", 124))
        reserved = {DUID: [PREFIX, "::ffff:192.0.2.16/124"]}
        times = (valid // 5, valid // 3, valid // 2, valid)
        settings = KeaSettings(f"0200000000a{number}", pools, reserved, *times)
        return self.start(Kea(self.net[name], settings.dhcp6(), self.folder / f"{name}-kea", self.folder / "kea.log"))

    def agent(self, name: str, **config) -> Agent:
        common = {"name": name, "control": str(self.folder / f"{name}.sock")}
        if config["role"] != "relay":  # which has nothing to remember
            common["state"] = str(self.folder / f"{name}.state")
        return self.start(Agent(self.net[name], "aero", "agents.aero", {**config, **common}, self.folder, self.events))

    def server(self, name: str, addresses=None) -> Agent:
        relay = {"name": "b", "address": "fe80::ff01", "addresses": RELAY, "asn": RELAY_ASN, "peer": RELAY[0]}
        own = list(addresses or UNDERLAY[name])
        return self.agent(
            name,
            role="server",
            address=f"fe80::{name[1]}",
            links=[{"interface": "eth0", "addresses": own}],
            aggregates=AGGREGATES,
            relays=[relay],
            bgp=str(self.folder / f"{name}.bgp"),
        )

    def relay(self) -> Agent:
        """Our own in BIRD's place."""
        program = (sys.executable, "-m", "agents.aero.bgp", str(self.folder / "bird.bgp"))
        peers = tuple(BgpPeer(own, ASNS[name], RELAY[0], listens=True) for name, (own, _six) in UNDERLAY.items())
        speaker = BgpSpeaker(RELAY[0], RELAY_ASN, peers, program)
        self.start(ExaBgp(self.net["bird"], speaker, self.folder / "relay-exabgp", self.folder / "relay.log"))
        servers = [
            {"name": name, "address": f"fe80::{name[1]}", "addresses": [own], "asn": ASNS[name], "peer": own}
            for name, (own, _six) in UNDERLAY.items()
        ]
        return self.agent(
            "bird",
            role="relay",
            address="fe80::ff01",
            links=[{"interface": "eth0", "addresses": [RELAY[0]]}],
            aggregates=AGGREGATES,
            servers=servers,
            bgp=str(self.folder / "bird.bgp"),
        )

    def client(self, *servers: str, duid: str = DUID) -> Agent:
        return self.agent(
            "c1",
            role="client",
            duid=duid,
            families=["ipv6", "ipv4"],
            links=[{"interface": "eth0", "addresses": list(CLIENT)}],
            servers=[{"addresses": [UNDERLAY[server][1]]} for server in servers],
        )


@pytest.fixture
def domain(network, tmp_path):
    made = Domain(network(Star()), tmp_path)
    yield made
    for daemon in reversed(made.daemons):
        daemon.stop()


def best(bird):
    """Prefix -> (whose, next hop, MED) of the routes that BIRD would use."""
    return {route.prefix: (route.protocol, route.next_hop, route.med) for route in bird.routes() if route.best}


def until(what, holds, within=SOON):
    """Seconds until it was so."""
    begin = time.time()
    wait_until(what, holds, timeout=within, interval=0.005)
    return time.time() - begin


def attached(client):
    return set(client.request({"request": "inspect"})["state"]["delegations"].values()) == {"bound"}


@pytest.fixture
def one(domain):
    """One Server in session with BIRD, and its Client attached."""
    bird = domain.bird()
    exabgp, kea, server = domain.exabgp("s1"), domain.kea("s1"), domain.server("s1")
    until("the session to be up", lambda: bird.up("s1"))
    before = time.time()
    client = domain.client("s1")
    until("c1 to be attached", lambda: attached(client))
    return bird, exabgp, kea, server, client, before


@pytest.mark.requirement("SRV-2", "MOB-8", "RLY-8")
def test_bird_holds_what_a_client_has_once_it_has_it(one):
    bird, _exabgp, _kea, server, _client, before = one
    assert until("BIRD to have both prefixes", lambda: set(best(bird)) >= {PREFIX, PREFIX4}, 1) < 1
    for prefix, hop in ((PREFIX, UNDERLAY["s1"][1]), (PREFIX4, UNDERLAY["s1"][0])):
        protocol, next_hop, med = best(bird)[prefix]
        assert (protocol, next_hop) == ("s1", hop)
        assert before - 1 <= 4294967295 - med <= time.time() + 1
    (path,) = {route.as_path for route in bird.routes() if route.prefix == PREFIX}
    assert path == (ASNS["s1"],)
    until("s1 to use the Relay that offers a default", lambda: state(server)["relay"] == "fe80::ff01")


def state(agent):
    return agent.request({"request": "inspect"})["state"]


@pytest.mark.requirement("SRV-5")
def test_bird_loses_it_with_the_release(one):
    bird, *_others, client, _before = one
    until("BIRD to have it", lambda: PREFIX in best(bird))
    client.stop()
    assert until("BIRD to lose it", lambda: not {PREFIX, PREFIX4} & set(best(bird))) < 0.5


@pytest.mark.requirement("SRV-5")
def test_bird_loses_it_with_the_lease(domain):
    bird = domain.bird()
    domain.exabgp("s1")
    domain.kea("s1", valid=6)
    domain.server("s1")
    client = domain.client("s1")
    until("BIRD to have it", lambda: {PREFIX, PREFIX4} <= set(best(bird)), 20)
    client.kill()
    killed = time.time()
    until("BIRD to lose it", lambda: not {PREFIX, PREFIX4} & set(best(bird)))
    assert 3 <= time.time() - killed <= 8


@pytest.mark.requirement("SRV-12")
def test_bird_loses_it_when_the_server_dies_and_has_it_again_after_a_renew(one):
    bird, _exabgp, _kea, server, client, _before = one
    until("BIRD to have it", lambda: PREFIX in best(bird))
    server.kill()
    assert until("BIRD to lose it", lambda: PREFIX not in best(bird)) < 0.5
    assert bird.up("s1")
    server.start()
    until("the program to be back", lambda: state(server)["bgp"]["connected"])
    assert PREFIX not in best(bird)
    client.kill()
    client.start()
    until("BIRD to have it again", lambda: PREFIX in best(bird))


def test_bird_loses_everything_with_exabgp_and_has_it_again_with_it(one):
    bird, exabgp, _kea, server, _client, _before = one
    until("BIRD to have it", lambda: {PREFIX, PREFIX4} <= set(best(bird)))
    exabgp.kill()
    assert until("BIRD to lose it", lambda: PREFIX not in best(bird)) < 0.5
    until("the Server to notice", lambda: not state(server)["bgp"]["connected"])
    exabgp.start()
    until("BIRD to have it again", lambda: {PREFIX, PREFIX4} <= set(best(bird)), 30)


def test_exabgp_ends_with_its_program_which_ends_with_exabgp(one):
    bird, exabgp, _kea, server, _client, _before = one
    (program,) = programs(server.node, exabgp)
    server.node.run(["kill", "-KILL", program], check=True)
    until("ExaBGP to end", lambda: not exabgp.running)
    until("BIRD to lose everything", lambda: PREFIX not in best(bird))
    exabgp.start()
    until("its new program", lambda: state(server)["bgp"]["connected"])
    (program,) = programs(server.node, exabgp)
    exabgp.kill()
    until("the program to end", lambda: server.node.run(["kill", "-0", program]).exit)


def programs(node, exabgp):
    found = node.run(["ps", "-o", "pid=,args=", "--ppid", str(exabgp.pid)], check=True).out
    return [line.split()[0] for line in found.splitlines() if "agents.aero.bgp" in line]


@pytest.mark.requirement("MOB-8", "MOB-13")
def test_of_two_servers_the_newest_attachment_wins(domain):
    bird = domain.bird()
    for name in UNDERLAY:
        domain.exabgp(name)
        domain.kea(name)
        domain.server(name)
    until("both sessions", lambda: all(map(bird.up, UNDERLAY)))
    first = domain.client("s1")
    until("s1 to have it", lambda: best(bird).get(PREFIX, ("",))[0] == "s1")
    med = best(bird)[PREFIX][2]
    first.kill()
    wait_until("the next second", lambda: time.time() > 4294967295 - med + 1)
    second = domain.client("s2")
    assert until("s2 to have it", lambda: best(bird).get(PREFIX, ("",))[0] == "s2", 5) < 3
    assert {route.protocol for route in bird.routes() if route.prefix == PREFIX} == {"s1", "s2"}
    second.stop()
    until("the older one to return", lambda: best(bird).get(PREFIX, ("",))[0] == "s1")


def test_half_a_command_of_a_program_that_died_is_no_announcement(domain):
    """ExaBGP outlives its program for a moment only: the program waits until the session is up before it dies."""
    bird = domain.bird()
    script = domain.folder / "half.py"
    half = "announce route 192.0.2.16/28 next-hop 203.0.113.1 med 7"
    script.write_text(f"import sys\nsys.stdout.write({half!r})\nsys.stdout.flush()\nsys.stdin.read()\n")
    own = UNDERLAY["s1"][0]
    speaker = BgpSpeaker(own, ASNS["s1"], (BgpPeer(RELAY[0], RELAY_ASN, own),), (sys.executable, str(script)))
    exabgp = domain.start(ExaBgp(domain.net["s1"], speaker, domain.folder / "half", domain.folder / "half.log"))
    until("the session to be up", lambda: bird.up("s1"))
    (program,) = children(exabgp)
    exabgp.node.run(["kill", "-KILL", program], check=True)
    until("ExaBGP to notice", lambda: not children(exabgp))
    assert not bird.count("s1")
    assert "route added" not in exabgp.log.read_text()


def children(exabgp):
    return exabgp.node.run(["ps", "-o", "pid=", "--ppid", str(exabgp.pid)]).out.split()


def test_what_exabgp_and_bird_refuse_is_the_labs_error(domain):
    net, folder = domain.net, domain.folder
    speaker = BgpSpeaker("nowhere", 1, (BgpPeer(RELAY[0], RELAY_ASN, "nowhere"),), ("/bin/cat",))
    with pytest.raises(LabError):
        ExaBgp(net["s1"], speaker, folder / "bad", folder / "bad.log").start()
    with pytest.raises(LabError, match="bird"):
        Bird(net["bird"], RELAY[0], 1, "protocol bgp { }", folder / "bad", folder / "bad.log").start()


@pytest.mark.requirement("RLY-2", "SRV-2")
def test_ipv6_prefixes_over_an_underlay_of_ipv4_alone(domain):
    """The next hop is the Server's IPv4 address, mapped; between two ExaBGPs (BIRD refuses it, spec §8)."""
    relay = domain.relay()
    domain.exabgp("s1")
    domain.kea("s1")
    server = domain.server("s1", addresses=UNDERLAY["s1"][:1])
    until("the Relay to be offered", lambda: state(server)["bgp"]["sessions"] == {"fe80::ff01": True})
    domain.agent(
        "c1",
        role="client",
        duid=DUID,
        families=["ipv6", "ipv4"],
        links=[{"interface": "eth0", "addresses": [CLIENT[0]]}],
        servers=[{"addresses": [UNDERLAY["s1"][0]]}],
    )
    until("the Relay to have both prefixes", lambda: state(relay)["routes"] == 2)
    (one,) = [each for each in state(relay)["neighbors"] if each["prefixes"]]
    assert (one["address"], set(one["prefixes"])) == ("fe80::1", {PREFIX, PREFIX4})
    assert not state(relay)["bgp"]["counters"]


def test_bird_shows_its_sessions_and_counts(one):
    bird, *_others = one
    until("BIRD to have it", lambda: {PREFIX, PREFIX4} <= set(best(bird)))
    assert bird.count("s1") == 2
    assert re.search(r"s1\s+BGP", bird.ask("show protocols s1"))
    assert "Network not found" in bird.ask("show route 198.51.100.0/24")
