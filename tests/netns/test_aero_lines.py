"""A Client with two lines uses the preferred one that has an address, and its Server hears of each change."""

from __future__ import annotations

import pytest
from test_aero_processes import CLIENT_CONFIG, OWN4, SERVER4, SERVER_CONFIG, Link, state

from testbed.mininet_api import Topo
from testbed.nodes import Host
from testbed.waiting import wait_until

pytestmark = pytest.mark.netns

FIRST, NEXT, THIRD = "203.0.113.2", "203.0.113.3", "203.0.113.4"
OTHER, OTHER_SERVER = "198.51.100.2", "198.51.100.1"
BEHIND = "198.18.0.1"
"""Of the Server, and none of its underlay addresses: what is for those goes into no tunnel (spec ENC-8)."""


class TwoLines(Topo):
    """Both lines end at the Server."""

    def build(self, **_opts):
        for name in ("s1", "c1"):
            self.addHost(name, cls=Host)
        for interface, server, client in (("eth0", SERVER4, FIRST), ("eth1", OTHER_SERVER, OTHER)):
            ends = {"params1": {"addresses": [f"{server}/24"]}, "params2": {"addresses": [f"{client}/24"]}}
            self.addLink("s1", "c1", intfName1=interface, intfName2=interface, **ends)


def ip(node, *commands):
    node.run(["ip", "-batch", "-"], input="\n".join([*commands, ""]), check=True)


@pytest.fixture
def link(network, tmp_path):
    made = Link(network(TwoLines()), tmp_path)
    made.daemons[0].start()
    ip(made.net["s1"], f"address add {BEHIND}/32 dev lo")
    ip(made.net["c1"], f"route add default via {OTHER_SERVER} dev eth1 metric 200")
    made.net["c1"].run(["sysctl", "-qw", "net.ipv4.conf.all.promote_secondaries=1"], check=True)
    yield made
    for daemon in reversed(made.daemons):
        daemon.stop()


def started(link, *lines):
    serving = link.start(
        "s1", {**SERVER_CONFIG, "links": [{"interface": "eth0", "addresses": [SERVER4, OTHER_SERVER]}]}
    )
    config = {**CLIENT_CONFIG, "links": list(lines), "servers": [{"addresses": [SERVER4]}]}
    client = link.start("c1", config)
    wait_until("both prefixes", lambda: len(state(client)["prefixes"]) == 2)
    return serving, client


def seen(serving):
    """Where the Server sees its Client."""
    return [path["lladdr"] for each in serving["neighbors"] for path in each["paths"]]


def moved_to(link, serving, client, address):
    """Data flows there and back, from and to this address only."""
    wait_until(f"the Server to see {address}", lambda: seen(state(serving)) == [f"udp {address}:8060"])
    wait_until("its Reply", lambda: set(state(client)["delegations"].values()) == {"bound"})
    link.net["s1"].run(["ping", "-c3", "-i0.05", "-W2", "-I", BEHIND, OWN4], check=True)
    assert state(client)["nat"] is False
    assert state(client)["lladdr"] == f"udp {address}:8060"


PREFERRED = {"interface": "eth0", "addresses": [FIRST], "link_id": 1, "preference": 200}
SPARE = {"interface": "eth1", "addresses": [OTHER], "link_id": 2, "preference": 100}


@pytest.mark.requirement("MOB-1", "MOB-2", "MOB-6")
def test_the_preferred_line_gets_another_address_loses_it_and_has_one_again(link):
    serving, client = started(link, PREFERRED, SPARE)
    moved_to(link, serving, client, FIRST)
    ip(link.net["c1"], f"address add {NEXT}/24 dev eth0", f"address delete {FIRST}/24 dev eth0")
    moved_to(link, serving, client, NEXT)
    ip(link.net["c1"], f"address delete {NEXT}/24 dev eth0")
    moved_to(link, serving, client, OTHER)
    ip(link.net["c1"], f"address add {THIRD}/24 dev eth0")
    moved_to(link, serving, client, THIRD)
    assert [f["own"] for f in link.said("moved")] == [f"udp {each}:8060" for each in (NEXT, OTHER, THIRD)]
    assert not link.said("kernel-refused")


@pytest.mark.requirement("MOB-1")
def test_what_happens_to_a_line_that_is_not_used_is_no_move(link):
    serving, client = started(link, PREFERRED, SPARE)
    again = "198.51.100.3"
    ip(link.net["c1"], f"address add {again}/24 dev eth1", f"address delete {OTHER}/24 dev eth1")
    moved_to(link, serving, client, FIRST)
    ip(link.net["c1"], f"address delete {FIRST}/24 dev eth0")
    moved_to(link, serving, client, again)
    assert [f["own"] for f in link.said("moved")] == [f"udp {again}:8060"]


@pytest.mark.requirement("MOB-1", "CLI-14")
def test_a_spare_line_that_the_kernel_would_choose_is_not_taken(link):
    """Preferences are the Client's: its packets leave by the line they are of, whatever the routes say."""
    started_ = started(link, {**PREFERRED, "preference": 50}, SPARE)
    moved_to(link, *started_, OTHER)
    ip(link.net["c1"], f"address delete {OTHER}/24 dev eth1")
    moved_to(link, *started_, FIRST)


def test_without_any_address_nothing_is_sent_and_the_next_one_is_used(link):
    serving, client = started(link, PREFERRED, SPARE)
    for address, interface in ((FIRST, "eth0"), (OTHER, "eth1")):
        ip(link.net["c1"], f"address delete {address}/24 dev {interface}")
    wait_until("the Client to notice", lambda: len(link.said("moved")) == 1)
    link.net["c1"].run(["ping", "-c1", "-W1", "-I", OWN4, SERVER4])
    ip(link.net["c1"], f"address add {NEXT}/24 dev eth0")
    moved_to(link, serving, client, NEXT)


@pytest.mark.requirement("MOB-1")
def test_two_addresses_of_one_line(link):
    ip(link.net["c1"], f"address add {NEXT}/24 dev eth0")
    serving, client = started(link, {**PREFERRED, "addresses": [FIRST, NEXT]})
    moved_to(link, serving, client, FIRST)
    ip(link.net["c1"], f"address add {THIRD}/24 dev eth0", f"address delete {FIRST}/24 dev eth0")
    wait_until("to move", lambda: link.said("moved"))
    [moved] = link.said("moved")
    moved_to(link, serving, client, moved["own"].split()[1].removesuffix(":8060"))
