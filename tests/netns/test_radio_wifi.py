"""Real 802.11 cells: association, roaming, who is told of what, and what an unmodified mobile node keeps."""

from __future__ import annotations

import shutil

import pytest

from testbed.features import refusal
from testbed.mininet_api import Topo
from testbed.nodes import Cell, MobileHost, Router, WifiAir
from testbed.radio import hwsim
from testbed.validation import LabError
from testbed.waiting import wait_until

pytestmark = pytest.mark.netns

MAC = "02:00:00:00:00:11"


class Radio(Topo):
    """Two gateways with one address, two cells of 802.11, one mobile node."""

    def build(self, security="open"):
        self.addSwitch("air", cls=WifiAir, security=security)
        for number in (1, 2):
            self.addHost(f"dgw{number}", cls=Router, role="gateway")
            self.addSwitch(f"cell{number}", cls=Cell, air="air")
            self.addLink(
                f"dgw{number}", f"cell{number}", intfName1="phy",
                params1={"addresses": ["2001:db8:a::1/64"], "mac": "02:00:00:00:00:01"},
            )  # fmt: skip
        self.addHost("mn1", cls=MobileHost)
        self.addLink("mn1", "air", intfName1="eth0", params1={"mac": MAC, "addresses": ["2001:db8:a::11/64"]})


@pytest.fixture
def wifi() -> None:
    if refusal("wifi"):
        pytest.skip(f"this kernel has no 802.11: {refusal('wifi')}")
    if hwsim.missing_programs():
        pytest.skip(f"not installed: {', '.join(hwsim.missing_programs())}")


def reached(net, timeout=20):
    """Wait until mn1 reaches the gateway of its cell."""
    argv = ["ping", "-n", "-c1", "-W1", "2001:db8:a::1"]
    return wait_until("mn1 to reach its gateway", lambda: net["mn1"].run(argv).exit == 0, timeout=timeout)


def echoes(node):
    """Return the echo requests a node has got."""
    out = node.run(["cat", "/proc/net/snmp6"], check=True).out
    return next(int(line.split()[1]) for line in out.splitlines() if line.startswith("Icmp6InEchos "))


@pytest.mark.stock
@pytest.mark.parametrize("security", ["open", "wpa2", "wpa2-ft"])
@pytest.mark.usefixtures("wifi")
def test_a_node_roams_and_every_gateway_hears_what_its_access_point_noticed(network, security):
    net = network(Radio(security=security))
    heard = []
    net.listen_associations(heard.append)
    net.attach("mn1", "cell1")
    reached(net)
    net.move("mn1", "cell2")
    assert net.cell_of("mn1") == "cell2"
    reached(net)
    told = [(a.event, a.mac, a.cell, a.gateway, a.interface, a.noticed) for a in heard]
    assert told == [
        ("associated", MAC, "cell1", "dgw1", "phy", "now"),
        ("disassociated", MAC, "cell1", "dgw1", "phy", "never"),
        ("associated", MAC, "cell2", "dgw2", "phy", "now"),
    ]
    assert [a.t for a in heard] == sorted(a.t for a in heard)
    assert heard[2].t - heard[1].t < 5, "seconds between the two access points"


@pytest.mark.stock
@pytest.mark.usefixtures("wifi")
def test_to_and_fro_again_and_away(network):
    net = network(Radio())
    heard = []
    net.listen_associations(heard.append)
    for number in (1, 2, 1, 2):
        before = {n: echoes(net[f"dgw{n}"]) for n in (1, 2)}
        net.move("mn1", f"cell{number}")
        reached(net)
        assert echoes(net[f"dgw{number}"]) > before[number]
        assert echoes(net[f"dgw{3 - number}"]) == before[3 - number], "only the gateway of its cell hears a node"
    came = [a.cell for a in heard if a.event == "associated"]
    assert came == ["cell1", "cell2", "cell1", "cell2"]
    heard.clear()
    net.move("mn1", "cell2")
    assert [(a.event, a.cell) for a in heard][-1] == ("associated", "cell2"), "it associates again"
    reached(net)
    heard.clear()
    net.detach("mn1")
    assert [(a.event, a.cell, a.noticed) for a in heard] == [("disassociated", "cell2", "now")]
    assert net.cell_of("mn1") is None
    net.attach("mn1", "cell1")
    reached(net)


@pytest.mark.stock
@pytest.mark.usefixtures("wifi")
def test_its_interface_is_as_the_lab_names_it_and_keeps_what_it_has(network):
    net = network(Radio())
    mobile = net["mn1"]
    net.attach("mn1", "cell1")
    reached(net)
    before = mobile.run(["ip", "-o", "-6", "address", "show", "dev", "eth0"], check=True).out
    assert "2001:db8:a::11/64" in before
    assert "fe80::ff:fe00:11/64" in before
    assert mobile.sysctl("net.ipv6.conf.eth0.accept_ra_rt_info_max_plen") == "128"
    net.move("mn1", "cell2")
    assert mobile.run(["ip", "-o", "-6", "address", "show", "dev", "eth0"], check=True).out == before
    assert net.describe()["nodes"]["mn1"]["interfaces"]["eth0"]["mac"] == MAC
    with pytest.raises(LabError, match=r"^unknown cell 'cell3'"):
        net.move("mn1", "cell3")
    assert net.cell_of("mn1") == "cell2"


def test_where_there_is_no_802_11_the_error_is_one_line_that_says_what_to_do(network):
    if not refusal("wifi"):
        pytest.skip("this kernel has 802.11")
    with pytest.raises(LabError, match=r"^tests/netns/test_radio_wifi.py: this kernel has no 802.11 .*--kernel stock"):
        network(Radio())


@pytest.mark.stock
@pytest.mark.usefixtures("wifi")
def test_without_hostapd_the_error_is_one_line(network, monkeypatch):
    real = shutil.which
    monkeypatch.setattr(shutil, "which", lambda name, **given: None if name == "hostapd" else real(name, **given))
    with pytest.raises(LabError, match=r"802.11 needs hostapd: sudo apt-get install .*hostapd"):
        network(Radio())
