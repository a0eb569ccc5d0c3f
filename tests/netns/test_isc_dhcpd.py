"""An AERO Client attaches at a Server whose DHCPv6 server is ISC dhcpd instead of Kea (spec §6.9, LDRA-6)."""

from __future__ import annotations

import shutil

import pytest
from aero_site import DUID

from testbed.agent import Agent
from testbed.dhcpd import Dhcpd
from testbed.events import EventLog
from testbed.mininet_api import Topo
from testbed.nodes import Host
from testbed.waiting import wait_until
from topologies.aero.dhcpd import DhcpdSettings

pytestmark = [
    pytest.mark.netns,
    pytest.mark.skipif(not shutil.which("dhcpd"), reason="needs dhcpd (Debian: isc-dhcp-server)"),
]

SERVER, CLIENT, DHCPD = "10.0.1.1", "10.0.1.2", "fd00:547::1"
SETTINGS = DhcpdSettings("fd00:547::/64", "2001:db8:1000::/40", 56, t1=2, t2=5, preferred=9, valid=12)


class Three(Topo):
    """c1 --- s1 --- d1: dhcpd has a link of its own, which nobody else is on (spec SRV-1)."""

    def build(self, **_opts):
        for name in ("c1", "s1", "d1"):
            self.addHost(name, cls=Host)
        for near, far, own, other in (
            ("dhcp0", "d1", "fd00:547::2/64", f"{DHCPD}/64"),
            ("eth0", "c1", f"{SERVER}/24", f"{CLIENT}/24"),
        ):
            ends = {"params1": {"addresses": [own]}, "params2": {"addresses": [other]}}
            self.addLink("s1", far, intfName1=near, intfName2="eth0", **ends)


@pytest.mark.requirement("LDRA-5", "LDRA-6", "LDRA-7", "LDRA-8", "CLI-2", "CLI-6", "CLI-8", "CLI-17", "SRV-5")
def test_attach_renew_and_leave_with_dhcpd(network, tmp_path):
    net, events = network(Three()), EventLog(tmp_path / "events.jsonl")

    def agent(name, config):
        files = {"control": str(tmp_path / f"{name}.sock"), "state": str(tmp_path / f"{name}.state")}
        made = Agent(net[name], "aero", "agents.aero", {"name": name, **files, **config}, tmp_path, events)
        daemons.append(made)
        made.start()
        return made

    def state(of):
        return of.request({"request": "inspect"})["state"]

    daemons = [Dhcpd(net["d1"], "eth0", SETTINGS.text(), tmp_path / "dhcpd", tmp_path / "dhcpd.log")]
    try:
        daemons[0].start()
        dhcp = {"address": DHCPD, "relay_port": 547}
        links = [{"interface": "eth0", "addresses": [SERVER]}]
        more = {"role": "server", "address": "fe80::1", "aggregates": ["2001:db8:1000::/40"]}
        server = agent("s1", {**more, "links": links, "dhcp": dhcp})
        links = [{"interface": "eth0", "addresses": [CLIENT]}]
        client = agent("c1", {"role": "client", "duid": DUID, "links": links, "servers": [{"addresses": [SERVER]}]})
        prefixes = wait_until("a prefix", lambda: state(client)["prefixes"])
        ((prefix, ends),) = prefixes.items()
        assert prefix.startswith("2001:db8:10")
        assert prefix.endswith("::/56")
        assert (state(client)["lladdr"], state(client)["nat"]) == (f"udp {CLIENT}:8060", False)
        assert not [each for each in events.events() if each["event"] == "lladdr-unknown"], "option 79 came back"
        own = prefix.replace("::/56", "::1")
        wait_until("the way", lambda: not net["s1"].run(["ping", "-c1", "-W1", own]).exit)
        wait_until("the lease to be extended", lambda: state(client)["prefixes"][prefix] > ends)
        assert client.stop() == 0
        wait_until("the Server to forget the Client", lambda: not state(server)["neighbors"])
    finally:
        for daemon in reversed(daemons):
            daemon.stop()
