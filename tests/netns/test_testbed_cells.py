"""Radio cells: association, moves, isolation, and what an unmodified mobile node keeps."""

import contextlib
import socket
import statistics
import time

import pytest

from testbed.mininet_api import Topo
from testbed.nodes import Air, Cell, MobileHost, Router
from testbed.validation import LabError
from testbed.waiting import wait_until

pytestmark = pytest.mark.netns

MACS = {"mn1": "02:00:00:00:00:11", "mn2": "02:00:00:00:00:12"}


class Radio(Topo):
    """Two gateways with one address, two cells, two mobile nodes; as gateways of one DLIF would look."""

    def build(self):
        self.addSwitch("air", cls=Air)
        for number in (1, 2):
            self.addHost(f"dgw{number}", cls=Router, role="gateway")
            self.addSwitch(f"cell{number}", cls=Cell, air="air")
            self.addLink(
                f"dgw{number}", f"cell{number}", intfName1="phy",
                params1={"addresses": ["2001:db8:a::1/64", "10.1.0.1/24"], "mac": "02:00:00:00:00:01"},
            )  # fmt: skip
        for number, (name, mac) in enumerate(MACS.items(), 11):
            self.addHost(name, cls=MobileHost)
            addresses = [f"2001:db8:a::{number}/64", f"10.1.0.{number}/24"]
            self.addLink(name, "air", intfName1="eth0", params1={"mac": mac, "addresses": addresses})


def ping(node, address, wait="1"):
    return node.run(["ping", "-n", "-c1", f"-W{wait}", address]).exit == 0


@pytest.fixture
def net(network):
    return network(Radio())


def test_association_events_name_the_gateway(net):
    heard = []
    net.listen_associations(heard.append)
    before = time.time()
    net.attach("mn1", "cell1")
    net.move("mn1", "cell2")
    net.detach("mn1")
    after = time.time()
    told = [(a.event, a.node, a.mac, a.cell, a.gateway, a.interface) for a in heard]
    mac = MACS["mn1"]
    assert told == [
        ("associated", "mn1", mac, "cell1", "dgw1", "phy"),
        ("disassociated", "mn1", mac, "cell1", "dgw1", "phy"),
        ("associated", "mn1", mac, "cell2", "dgw2", "phy"),
        ("disassociated", "mn1", mac, "cell2", "dgw2", "phy"),
    ]
    times = [a.t for a in heard]
    assert sorted(times) == times
    assert before <= times[0]
    assert times[-1] <= after


def test_reaches_the_gateway_of_its_cell_only(net):
    assert net.cell_of("mn1") is None
    assert not ping(net["mn1"], "10.1.0.1", "0.2")
    for number in (1, 2, 1):
        net.move("mn1", f"cell{number}")
        assert net.cell_of("mn1") == f"cell{number}"
        seen = counter(net[f"dgw{number}"])
        other = counter(net[f"dgw{3 - number}"])
        assert ping(net["mn1"], "10.1.0.1")
        assert counter(net[f"dgw{number}"]) > seen
        assert counter(net[f"dgw{3 - number}"]) == other
    net.detach("mn1")
    assert not ping(net["mn1"], "10.1.0.1", "0.2")


def counter(node):
    """Return the ICMP echo requests a node has answered."""
    out = node.run(["cat", "/proc/net/snmp"], check=True).out
    names, values = (line.split() for line in out.splitlines() if line.startswith("Icmp:"))
    return int(values[names.index("InEchos")])


def test_mobile_nodes_of_one_cell_do_not_hear_each_other(net):
    net.attach("mn1", "cell1")
    net.attach("mn2", "cell1")
    assert ping(net["mn1"], "10.1.0.1")
    assert ping(net["mn2"], "10.1.0.1")
    assert not ping(net["mn1"], "10.1.0.12", "0.2")
    # not even broadcasts: mn2 learnt nothing of mn1
    assert "10.1.0.11" not in net["mn2"].run(["ip", "neigh"]).out


def test_frames_for_one_mobile_node_reach_no_other(net):
    net.attach("mn1", "cell1")
    net.attach("mn2", "cell1")
    net["dgw1"].run(["ip", "neigh", "replace", "10.1.0.99", "lladdr", MACS["mn1"], "dev", "phy"], check=True)
    with ear(net["mn1"]) as first, ear(net["mn2"]) as second:
        net["dgw1"].run(["ping", "-n", "-c3", "-i0.01", "-W0.1", "10.1.0.99"])
        assert len(heard_for(first, MACS["mn1"])) == 3  # though mn1 has sent nothing the bridge could learn from
        assert heard_for(second, MACS["mn1"]) == []


def ear(node):
    """Return a packet socket on a node's eth0."""
    with node.entered():
        listener = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
        listener.bind(("eth0", 0x0800))
    listener.setblocking(False)
    return listener


def heard_for(listener, mac):
    """Return the frames a socket has got that are addressed to mac."""
    frames = []
    with contextlib.suppress(BlockingIOError):
        while True:
            frames.append(listener.recv(2048))
    return [frame for frame in frames if frame[:6] == bytes.fromhex(mac.replace(":", ""))]


def test_the_bridge_forgets_the_node_that_left(net):
    net.attach("mn1", "cell1")
    entry = f"{MACS['mn1']} dev air-eth1 master cell1"
    assert entry in net["air"].run(["bridge", "fdb"]).out
    net.move("mn1", "cell2")
    out = net["cell1"].run(["bridge", "fdb"]).out
    assert entry not in out
    assert f"{MACS['mn1']} dev air-eth1 master cell2" in out


def test_move_to_the_present_cell_tells_but_changes_nothing(net):
    net.attach("mn1", "cell1")
    heard = []
    net.listen_associations(heard.append)
    net.move("mn1", "cell1")
    assert [(a.event, a.cell) for a in heard] == [("disassociated", "cell1"), ("associated", "cell1")]
    assert ping(net["mn1"], "10.1.0.1")


def test_unknown_names_are_one_line_and_leave_the_node_where_it_was(net):
    net.attach("mn1", "cell1")
    with pytest.raises(LabError, match=r"^unknown cell 'cell3' \(did you mean 'cell[12]'\?\)$"):
        net.move("mn1", "cell3")
    with pytest.raises(LabError, match=r"^unknown mobile node 'mn3'"):
        net.move("mn3", "cell1")
    assert net.cell_of("mn1") == "cell1"
    assert ping(net["mn1"], "10.1.0.1")


def test_addresses_and_carrier_survive_a_move(net):
    mobile = net["mn1"]
    net.attach("mn1", "cell1")
    state = wait_until("duplicate address detection over", lambda: settled(mobile))
    net.move("mn1", "cell2")
    assert settled(mobile) == state
    assert "LOWER_UP" in mobile.run(["ip", "link", "show", "dev", "eth0"]).out


def settled(node):
    """Return the addresses of eth0 when none is tentative."""
    out = node.run(["ip", "-o", "address", "show", "dev", "eth0"], check=True).out
    return "" if "tentative" in out else out


def test_mobile_node_has_the_sheets_sysctls(net):
    """Spec dgw §7, MN sysctls."""
    wanted = {"accept_ra": "1", "autoconf": "1", "accept_ra_rt_info_max_plen": "128", "accept_ra_rtr_pref": "1"}
    wanted |= {"use_tempaddr": "0", "accept_dad": "1", "forwarding": "0"}
    have = {name: net["mn1"].sysctl(f"net.ipv6.conf.eth0.{name}") for name in wanted}
    assert have == wanted


def test_attaching_takes_less_than_a_millisecond(net):
    durations = []
    for number in range(40):
        net.detach("mn1")
        start = time.perf_counter()
        net.attach("mn1", f"cell{number % 2 + 1}")
        durations.append(time.perf_counter() - start)
    assert statistics.median(durations) < 0.001


def test_cells_are_described_with_their_gateways(net):
    assert net.describe()["cells"] == {
        "cell1": {"gateway": "dgw1", "interface": "phy"},
        "cell2": {"gateway": "dgw2", "interface": "phy"},
    }
