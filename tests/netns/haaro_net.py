"""A backbone, a home agent, and sites on access lines, for tests of HAARO processes on the real kernel.

nX --- X ===lines=== core --- ha        X = a, b (c): 198.51.100.0/28 apart; home prefix and sites via ha
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from testbed.agent import Agent
from testbed.events import EventLog
from testbed.mininet_api import Topo
from testbed.nat import NatBox
from testbed.nodes import Host, Router
from testbed.waiting import NotYet, wait_until
from topologies.pings import next_identifier
from topologies.replies import Replies

HA = "203.0.113.1"
KEYS = {"a": "aa" * 16, "b": "bb" * 16}
HOMES = {"a": "203.0.113.11", "b": "203.0.113.12"}
SITES = {"a": "10.10.1.0/24", "b": "10.10.2.0/24"}
HOSTS = {"a": "10.10.1.10", "b": "10.10.2.10"}
BASES = {("a", 1): 0, ("a", 2): 16, ("b", 1): 32, ("b", 2): 48}
OUTSIDE = "192.0.2.2"
LATE = 5.0
"""Seconds that answers to pings may take."""
PATIENCE = 60.0
"""Seconds to wait for what must come; a machine may be slow."""


def line(site: str, number: int) -> tuple[str, str]:
    """(own address, the backbone's) of a site's line."""
    base = BASES[site, number]
    return f"198.51.100.{base + 2}", f"198.51.100.{base + 1}"


class Sites(Topo):
    """Two sites with two lines each; `nat` puts a box in front of the first line of A."""

    def build(self, nat: str = "", **_opts):
        inside = [(prefix, "198.18.0.2") for prefix in ("203.0.113.0/24", *SITES.values())]
        self.addHost("core", cls=Router, routes=inside)
        self.addHost("ha", cls=Router, addresses=[f"{HA}/32"], routes=[("default", "198.18.0.1")])
        self._link("core", "toha", "198.18.0.1/30", "ha", "eth0", "198.18.0.2/30")
        for site in SITES:
            router = SITES[site].replace("0/24", "1")
            self.addHost(site, cls=Router)
            self.addHost(f"n{site}", cls=Host, routes=[("default", router)])
            self._link(site, "lan", f"{router}/24", f"n{site}", "eth0", f"{HOSTS[site]}/24")
            for number in (1, 2):
                own, gateway = line(site, number)
                if nat and (site, number) == ("a", 1):
                    self.addHost("box", cls=NatBox, kind=nat, outside="wan", routes=[("default", "192.0.2.1")])
                    self._link("core", "tobox", "192.0.2.1/24", "box", "wan", f"{OUTSIDE}/24")
                    self._link("box", "lan", f"{gateway}/28", site, "isp1", f"{own}/28")
                else:
                    self._link("core", f"to{site}{number}", f"{gateway}/28", site, f"isp{number}", f"{own}/28")

    def _link(self, one, one_name, one_address, other, other_name, other_address):
        self.addLink(
            one,
            other,
            intfName1=one_name,
            intfName2=other_name,
            params1={"addresses": [one_address]},
            params2={"addresses": [other_address]},
        )


class Running:
    """The processes of one network."""

    def __init__(self, net, folder: Path) -> None:
        self.net, self.folder = net, folder
        self.events = EventLog(folder / "events.jsonl")
        self.agents: dict[str, Agent] = {}

    def start_ha(self, **changes) -> Agent:
        routers = [
            {"name": site, "home_address": HOMES[site], "key": KEYS[site], "prefixes": [{"prefix": SITES[site]}]}
            for site in SITES
        ]
        return self._start("ha", {"role": "ha", "address": HA, "routers": routers, **changes})

    def start_mr(self, site: str, *, lines: int = 2, **changes) -> Agent:
        config = {
            "role": "mr",
            "home_address": HOMES[site],
            "home_agent": HA,
            "key": KEYS[site],
            "prefixes": [SITES[site]],
            "lines": [
                {"interface": f"isp{n}", "address": line(site, n)[0], "gateway": line(site, n)[1], "preference": 9 - n}
                for n in range(1, lines + 1)
            ],
        }
        return self._start(site, {**config, **changes})

    def _start(self, node: str, config: dict) -> Agent:
        control = {"name": node, "control": str(self.folder / f"{node}.sock")}
        made = Agent(self.net[node], "haaro", "agents.haaro", {**config, **control}, self.folder, self.events)
        made.start()
        self.agents[node] = made
        return made

    def spawn(self, node: str, argv: list[str], **options):
        """Start a program in a node, as a lab does."""
        return self.net[node].popen(argv, **options)

    def stop(self) -> None:
        for agent in reversed(list(self.agents.values())):
            agent.stop()

    def state(self, node: str) -> dict:
        return self.agents[node].request({"request": "inspect"})["state"]

    def registered(self, *names: str, **changes) -> None:
        """Start routers, each when the one before is registered."""
        for site in names:
            self.start_mr(site, **changes)
            self.until_registered(site)

    def until_registered(self, site: str) -> None:
        wait_until(f"{site} to be registered", lambda: self.state(site)["registered"], timeout=PATIENCE)

    def until_direct(self, device: str = "haaro0") -> None:
        """Wait until both routers' kernels send to the other's network directly; hosts ping each other meanwhile.

        `device`: how the name of the tunnel's device begins.
        """

        def both() -> bool:
            self.ping("a", "b")
            routes = {one: self.routes(one) for one in SITES}
            wanted = [(one, f"{each[other]} dev {device}") for one, other in ("ab", "ba") for each in (HOMES, SITES)]
            if not all(route in routes[one] for one, route in wanted):
                raise NotYet(f"{routes}, {[self.state(one)['correspondents'] for one in SITES]}")
            return True

        wait_until("direct routes at both ends", both, timeout=PATIENCE)

    def until_moved(self, site: str, other: str, address: str) -> None:
        """Wait until a site's router uses this address: toward the home agent, and the other one in the tunnel."""
        wait_until(f"{site} to use {address}", lambda: self.state(site)["careof"] == address, timeout=PATIENCE)

        def follows() -> bool:
            found = [str(peer["tunnel"]) for peer in self.state(other)["correspondents"]]
            if not any(f" {address}:434 up" in tunnel for tunnel in found):
                raise NotYet(f"tunnels {found}")
            return True

        wait_until(f"{other} to reach {site} at {address}", follows, timeout=PATIENCE)

    def said(self, event: str) -> list[dict]:
        """Wait until an event of this name is in the log, which events come to later than to a state dump."""

        def found() -> list[dict]:
            return [each for each in self.events.events() if each["event"] == event]

        return wait_until(f"the event {event}", found, timeout=PATIENCE)

    def ping(self, one: str, other: str, *options: str) -> int:
        """Pings from a site's host to another's; how many were answered, be it when ping had ended."""
        identifier = next_identifier()
        argv = ["ping", "-W2", "-n", "-e", str(identifier), *(options or ("-c1",)), HOSTS[other]]
        with Replies(self.net[f"n{one}"], 4, identifier) as replies:
            done = self.net[f"n{one}"].run(argv)
            sent, answered = map(int, re.search(r"(\d+) packets transmitted, (\d+) received", done.out).groups())
            return answered if answered == sent else replies.until(sent, LATE)

    def routes(self, node: str) -> str:
        return self.net[node].run(["ip", "-4", "route", "show", "table", "434"]).out

    def forwarded(self) -> int:
        """Octets that the home agent has sent into its tunnels."""
        said = self.net["ha"].run(["ip", "-s", "-j", "link", "show", "haaro0"], check=True).out
        return int(json.loads(said)[0]["stats64"]["tx"]["bytes"]) + self.state("ha")["dataplane"]["relayed"]


def kernel(node) -> list[str]:
    commands = ("ip -4 rule", "ip -4 route show table all", "ip -o link", "ip -4 -o addr", "sysctl net.ipv4.ip_forward")
    return [each for command in commands for each in node.run(command.split(), check=True).out.splitlines()]
