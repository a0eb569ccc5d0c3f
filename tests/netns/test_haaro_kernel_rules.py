"""Rules of HAARO that only a real kernel can keep: refused routes, sources, sizes, errors, networks that change."""

from __future__ import annotations

import contextlib
import json
import socket
import sys
from ipaddress import IPv4Address

import pytest
from haaro_net import HOMES, HOSTS, PATIENCE, SITES, Running, Sites, line

from agents.haaro.inner import EchoMessage, push_echo, push_ipv4, push_udp
from agents.wire.mip4 import TUNNEL_IP
from testbed.waiting import wait_until

pytestmark = pytest.mark.netns
PORT, IPIP = 434, 4
LISTEN = """
import select, socket, sys
heard = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0800))
print("ready", flush=True)
sys.stdin.readline()
while select.select([heard], [], [], 0)[0]:
    print(heard.recv(65535).hex(), flush=True)
"""


@pytest.fixture
def sites(network, tmp_path):
    made = Running(network(Sites()), tmp_path)
    yield made
    made.stop()


@contextlib.contextmanager
def listening(node):
    """Every IPv4 packet that the node hears or sends while the block runs."""
    heard: list[bytes] = []
    process = node.popen([sys.executable, "-c", LISTEN], stdin=-1)
    assert process.stdout.readline() == b"ready\n"
    yield heard
    out, _err = process.communicate(b"\n", timeout=20)
    heard += [bytes.fromhex(each.decode()) for each in out.split()]


def send(node, destination, packet, by):
    order = {"by": by, "destination": destination, "packet": packet.hex()}
    argv = [sys.executable, "-m", "topologies.tools.raw_sender"]
    process = node.popen(argv, stdin=-1)
    out, _err = process.communicate(json.dumps(order).encode() + b"\n", timeout=20)
    assert out.split() == [b"ready", b"sent"]


@pytest.mark.requirement("HA-3", "HA-4", "ERR-13")
def test_a_route_that_the_kernel_refuses_is_acknowledged_as_refused(sites):
    sites.start_ha()
    sites.net["ha"].run(["ip", "link", "set", "haaro0", "down"], check=True)
    sites.start_mr("a")
    assert sites.said("registration-refused")[0]["code"] == 147, "no prefix works"
    sites.net["ha"].run(["ip", "link", "set", "haaro0", "up"], check=True)
    sites.registered("b")
    assert sites.state("b")["networks"] == [SITES["b"]]


@pytest.mark.requirement("MR-23")
def test_a_host_cannot_speak_for_the_router_or_for_others(sites):
    sites.start_ha()
    sites.registered("a", "b", capability=False)  # one way for all packets: none overtakes another
    host = sites.net["na"]
    router = HOSTS["a"].replace(".10", ".1")
    for number, source in enumerate((HOSTS["a"], HOMES["a"], router, line("a", 1)[0], "10.10.99.1"), 1):
        echo = push_echo(IPv4Address(source), IPv4Address(HOSTS["b"]), EchoMessage(True, 77, number, b""))
        with listening(sites.net["nb"]) as heard:
            send(host, HOSTS["b"], echo, HOSTS["a"])
            assert sites.ping("a", "b") == 1, "all that was sent before has arrived"
        numbers = {int.from_bytes(each[26:28], "big") for each in heard if each[9] == 1 and each[24:26] == b"\0M"}
        assert numbers == ({1} if number == 1 else set()), source


@pytest.mark.requirement("MR-23")
def test_not_even_a_neighbour_on_a_line_hears_hosts_outside_the_tunnel(sites):
    """What the router has a direct route for leaves it in the tunnel, too, and with a wrong source not at all."""
    sites.start_ha()
    sites.registered("a")
    neighbour = line("a", 1)[1]
    with listening(sites.net["core"]) as heard:
        for source in (HOSTS["a"], "10.10.99.1"):
            echo = push_echo(IPv4Address(source), IPv4Address(neighbour), EchoMessage(True, 78, 1, b""))
            send(sites.net["na"], neighbour, echo, HOSTS["a"])
        done = sites.net["na"].run(["ping", "-c2", "-i0.1", "-W2", "-n", neighbour])
        assert " 2 received" in done.out, "by the home agent"
    asked = IPv4Address(neighbour).packed
    outside = [each for each in heard if each[9] == socket.IPPROTO_ICMP and each[16:20] == asked]
    inside = [each for each in heard if each[9] == IPIP]
    assert inside
    sources = {str(IPv4Address(each[12:16])) for each in outside}
    assert sources == {HOSTS["a"]}
    assert {each[8] for each in outside} == {62}, "by two hops: the router and the home agent"
    assert sites.state("a")["dataplane"]["foreign_source"] == 1


@pytest.mark.requirement("ERR-35")
@pytest.mark.parametrize("how", ["udp", "ip"])
def test_tunnel_packets_before_any_registration_are_met_with_silence(sites, how):
    sites.start_mr("a")  # and no home agent
    own, gateway = line("a", 1)
    stray = push_udp(IPv4Address(HOSTS["b"]), IPv4Address(HOSTS["a"]), (5000, 5000), b"x")
    ends = (IPv4Address(gateway), IPv4Address(own))
    udp = push_udp(*ends, (PORT, PORT), TUNNEL_IP + stray)
    with listening(sites.net["core"]) as heard:
        send(sites.net["core"], own, udp if how == "udp" else push_ipv4(*ends, IPIP, stray), gateway)
        wait_until("the packet", lambda: sites.state("a")["dataplane"].get("unknown_outer") == 1, timeout=PATIENCE)
        assert sites.net["core"].run(["ping", "-c1", "-W2", "-I", gateway, own]).exit == 0
    errors = [each for each in heard if each[9] == socket.IPPROTO_ICMP and each[20] == 3]
    assert heard
    assert not errors
    (dropped,) = sites.said("packet-dropped")
    assert (dropped["reason"], dropped["remote"], dropped["local"]) == ("unknown_outer", gateway, own)


@pytest.mark.requirement("TUN-13")
def test_packets_are_divided_before_they_enter_a_tunnel_of_a_narrow_line(sites):
    """RFC 3519 §4.8: the inner packet in fragments that fit, not the outer one."""
    for node, interface in (("a", "isp1"), ("core", "toa1")):
        sites.net[node].run(["ip", "link", "set", interface, "mtu", "1400"], check=True)
    sites.start_ha()
    sites.registered("b")
    sites.registered("a", force_udp=True)
    with listening(sites.net["core"]) as heard:
        assert sites.ping("a", "b", "-c1", "-s", "3000") == 1
        refused = sites.net["na"].run(["ping", "-c1", "-W2", "-n", "-Mdo", "-s", "1460", HOSTS["b"]])
        assert "mtu = 1368" in refused.out + refused.err
    own = IPv4Address(line("a", 1)[0]).packed
    sent = [each for each in heard if each[12:16] == own and each[9] == socket.IPPROTO_UDP]
    assert 1392 < max(len(each) for each in sent) <= 1400
    assert not [each for each in sent if int.from_bytes(each[6:8], "big") & 0x3FFF], "no outer fragments"


@pytest.mark.requirement("HOV-8")
def test_reverse_path_filters_are_off_where_ways_differ(sites):
    sites.net["a"].run(["sysctl", "-q", "-w", "net.ipv4.conf.default.rp_filter=1"], check=True)
    sites.net["a"].run(["sysctl", "-q", "-w", "net.ipv4.conf.isp1.rp_filter=1"], check=True)
    sites.start_ha()
    sites.registered("a")
    for interface in ("all", "isp1", "isp2", "haaro0"):
        assert sites.net["a"].sysctl(f"net.ipv4.conf.{interface}.rp_filter") == "0", interface
    sites.agents["a"].stop()
    assert sites.net["a"].sysctl("net.ipv4.conf.isp1.rp_filter") == "1"


@pytest.mark.requirement("SC-S24", "HOV-7", "HA-5")
def test_a_network_comes_and_goes_at_run_time(sites):
    new, host = "10.10.102.0/24", "10.10.102.10"
    routers = [
        {"name": each, "home_address": HOMES[each], "key": each * 2 * 16, "prefixes": [{"prefix": SITES[each]}]}
        for each in "ab"
    ]
    routers[1]["prefixes"].append({"prefix": new})
    sites.net["core"].run(["ip", "route", "add", new, "via", "198.18.0.2"], check=True)
    sites.net["b"].run(["ip", "addr", "add", "10.10.102.1/24", "dev", "lan"], check=True)
    sites.net["nb"].run(["ip", "addr", "add", f"{host}/24", "dev", "eth0"], check=True)
    sites.start_ha(routers=routers)
    sites.registered("a", "b")
    sites.until_direct()
    ping = ["ping", "-c1", "-W1", "-n", host]
    assert sites.net["na"].run(ping).exit != 0
    sites.agents["b"].request({"request": "networks", "prefixes": [SITES["b"], new]})
    wait_until("the new network, directly", lambda: new in sites.routes("a"), timeout=PATIENCE)
    assert sites.net["na"].run(ping).exit == 0
    sites.agents["b"].request({"request": "networks", "prefixes": [SITES["b"]]})
    wait_until("its end at A", lambda: new not in sites.routes("a"), timeout=PATIENCE)
    ways = ["ip", "-4", "route", "show", "table", "all"]
    wait_until("its end at the home agent", lambda: new not in sites.net["ha"].run(ways).out, timeout=PATIENCE)
    assert sites.net["na"].run(ping).exit != 0
    assert sites.ping("a", "b") == 1
    with pytest.raises(Exception, match="prefixes"):
        sites.agents["b"].request({"request": "networks", "prefixes": ["nonsense"]})
