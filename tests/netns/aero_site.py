"""Two AERO Servers with a Kea each, a Client and an outsider, all on one router; every process is real."""

from __future__ import annotations

from pathlib import Path

from testbed.agent import Agent
from testbed.events import EventLog
from testbed.kea import Kea
from testbed.mininet_api import Topo
from testbed.nodes import Host, Router
from topologies.aero.kea import KeaSettings, Pool

NODES = ("s1", "s2", "c1", "x")
ADDRESS = {name: f"10.0.{number}.2" for number, name in enumerate(NODES, start=1)}
DUID = "0003000102000000000001"
PREFIX, OWN = "2001:db8:1000:2000::/56", "2001:db8:1000:2000::1"
SERVICE = "2001:db8:99::1"
"""An address behind both Servers."""


class Star(Topo):
    def build(self, **_opts):
        core = self.addHost("core", cls=Router)
        for number, name in enumerate(NODES, start=1):
            near = f"10.0.{number}.1"
            addresses = [f"{SERVICE}/128"] if name.startswith("s") else []
            self.addHost(name, cls=Host, routes=[("default", near)], addresses=addresses)
            ends = {"params1": {"addresses": [f"{near}/24"]}, "params2": {"addresses": [f"{ADDRESS[name]}/24"]}}
            self.addLink(core, name, intfName1=name, intfName2="eth0", **ends)


class Site:
    def __init__(self, net, folder: Path) -> None:
        self.net, self.folder = net, folder
        self.events = EventLog(folder / "events.jsonl")
        self.keas: dict[str, Kea] = {}
        self.agents: dict[str, Agent] = {}

    def kea(self, name: str, **times: int) -> Kea:
        identifier = f"0200000000{name[1:]:0>2}"
        settings = KeaSettings(identifier, [Pool("2001:db8:1000::/44", 56)], {DUID: [PREFIX]}, **times)
        made = Kea(self.net[name], settings.dhcp6(), self.folder / f"kea-{name}", self.folder / f"kea-{name}.log")
        made.start()
        self.keas[name] = made
        return made

    def server(self, name: str, **more) -> Agent:
        return self._start(
            name, {"role": "server", "address": f"fe80::{name[1:]}", "aggregates": ["2001:db8:1000::/40"], **more}
        )

    def client(self, servers: tuple[str, ...] = ("s1",), **more) -> Agent:
        choices = [{"addresses": [ADDRESS[server]]} for server in servers]
        return self._start("c1", {"role": "client", "duid": DUID, "servers": choices, **more})

    def _start(self, name: str, config: dict) -> Agent:
        files = {"control": str(self.folder / f"{name}.sock"), "state": str(self.folder / f"{name}.state")}
        links = [{"interface": "eth0", "addresses": [ADDRESS[name]]}]
        config = {"name": name, "links": links, **files, **config}
        made = Agent(self.net[name], "aero", "agents.aero", config, self.folder, self.events)
        made.start()
        self.agents[name] = made
        return made

    def close(self) -> None:
        for daemon in (*reversed(self.agents.values()), *self.keas.values()):
            daemon.stop()

    def state(self, name: str) -> dict:
        return self.agents[name].request({"request": "inspect"})["state"]

    def said(self, event: str) -> list[dict]:
        return [each for each in self.events.events() if each["event"] == event]

    def reaches(self, target: str = SERVICE) -> bool:
        return not self.net["c1"].run(["ping", "-c1", "-W1", "-I", OWN, target]).exit
