"""NAT boxes translate as their kind says, forget when idle, and drop what they are told to drop."""

import contextlib
import socket

import pytest

from testbed.mininet_api import Topo
from testbed.nat import Firewall, NatBox
from testbed.nodes import Host, Router
from testbed.waiting import wait_until

pytestmark = pytest.mark.netns

INSIDE_PORT = 5000


class Behind(Topo):
    """in1, in2 (192.168.1.1, .2) – nat (wan 203.0.113.1) – r – out1, out2 (198.51.100.1, 198.51.101.1)"""

    def build(self, **options):
        self.addHost("nat", cls=NatBox, routes=[("default", "203.0.113.2")], **options)
        self.addHost("r", cls=Router)
        self.addLink(
            "nat", "r", intfName1="wan",
            params1={"addresses": ["203.0.113.1/30"]}, params2={"addresses": ["203.0.113.2/30"]},
        )  # fmt: skip
        for number in (1, 2):
            inside, gateway = f"192.168.{number}.1/24", f"192.168.{number}.254"
            self.addHost(f"in{number}", cls=Host, routes=[("default", gateway)])
            self.addLink(
                f"in{number}", "nat", intfName1="eth0",
                params1={"addresses": [inside]}, params2={"addresses": [f"{gateway}/24"]},
            )  # fmt: skip
            outside, router = f"198.51.{99 + number}.1/24", f"198.51.{99 + number}.254"
            self.addHost(f"out{number}", cls=Host, routes=[("default", router)])
            self.addLink(
                f"out{number}", "r", intfName1="eth0",
                params1={"addresses": [outside]}, params2={"addresses": [f"{router}/24"]},
            )  # fmt: skip


OUT1, OUT2, NAT = "198.51.100.1", "198.51.101.1", "203.0.113.1"


@pytest.fixture
def sockets():
    """Open UDP sockets in nodes."""
    with contextlib.ExitStack() as stack:

        def opened(node, port):
            with node.entered():
                made = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
                made.bind(("", port))
            made.settimeout(2)
            return made

        yield opened


def nothing(listener):
    """Tell that a datagram sent before on the same machine did not arrive (delivery here is synchronous)."""
    listener.setblocking(False)
    try:
        listener.recv(100)
    except BlockingIOError:
        return True
    return False


def test_cone_keeps_the_port_for_every_destination_and_lets_anyone_in(network, sockets):
    net = network(Behind(kind="cone"))
    inside = sockets(net["in1"], INSIDE_PORT)
    first, second = sockets(net["out1"], 7), sockets(net["out2"], 7)
    for destination, listener in ((OUT1, first), (OUT2, second)):
        inside.sendto(b"out", (destination, 7))
        assert listener.recvfrom(100) == (b"out", (NAT, INSIDE_PORT))
    stranger = sockets(net["out2"], 99)
    stranger.sendto(b"from a stranger", (NAT, INSIDE_PORT))
    assert inside.recvfrom(100) == (b"from a stranger", (OUT2, 99))
    inside.sendto(b"answer", (OUT2, 99))
    assert stranger.recvfrom(100) == (b"answer", (NAT, INSIDE_PORT))


def test_cone_with_two_owners_of_one_port_mixes_nothing_up(network, sockets):
    net = network(Behind(kind="cone"))
    insides = [sockets(net["in1"], INSIDE_PORT), sockets(net["in2"], INSIDE_PORT)]
    outside = sockets(net["out1"], 7)
    seen = []
    for number, inside in enumerate(insides):
        inside.sendto(b"%d" % number, (OUT1, 7))
        data, source = outside.recvfrom(100)
        seen.append(source)
        outside.sendto(b"to " + data, source)
        assert inside.recv(100) == b"to %d" % number
    assert seen[0] == (NAT, INSIDE_PORT)
    assert seen[1] != seen[0]


def test_symmetric_gives_each_destination_another_port_and_lets_nobody_else_in(network, sockets):
    net = network(Behind(kind="symmetric"))
    inside = sockets(net["in1"], INSIDE_PORT)
    listeners = [sockets(net["out1"], 7), sockets(net["out1"], 8), sockets(net["out2"], 7)]
    sources = []
    for listener, destination in zip(listeners, ((OUT1, 7), (OUT1, 8), (OUT2, 7)), strict=True):
        inside.sendto(b"out", destination)
        sources.append(listener.recvfrom(100)[1])
        listener.sendto(b"back", sources[-1])
        assert inside.recv(100) == b"back"
    assert {host for host, _ in sources} == {NAT}
    assert len({port for _, port in sources} - {INSIDE_PORT}) == 3  # by chance equal once in 20,000 runs
    stranger = sockets(net["out2"], 99)
    stranger.sendto(b"from a stranger", sources[0])
    assert nothing(inside)


def test_mappings_end_when_idle(network, sockets):
    net = network(Behind(kind="cone", idle={"udp": 3}))
    inside = sockets(net["in1"], INSIDE_PORT)
    outside = sockets(net["out1"], 7)
    inside.sendto(b"out", (OUT1, 7))
    source = outside.recvfrom(100)[1]
    assert "dport=5000" in net["nat"].mappings()
    wait_until("mapping gone", lambda: "dport=5000" not in net["nat"].mappings(), timeout=10)
    wait_until("cone entry gone", lambda: str(INSIDE_PORT) not in cone(net["nat"]), timeout=10)
    outside.sendto(b"late", source)
    assert nothing(inside)


def cone(node):
    return node.run(["nft", "list", "map", "ip", "roamlab-nat", "cone"], check=True).out


def test_inside_reaches_out_and_not_the_other_way(network):
    net = network(Behind())
    assert net["in1"].run(["ping", "-n", "-c1", "-W1", OUT1]).exit == 0
    assert net["out1"].run(["ping", "-n", "-c1", "-W0.2", "192.168.1.1"]).exit != 0


def test_drops_protocols_and_ports(network, sockets):
    net = network(Behind(drop=["icmp", "udp/8060"]))
    inside, outside = sockets(net["in1"], INSIDE_PORT), sockets(net["out1"], 7)
    blocked = sockets(net["out1"], 8060)
    assert net["in1"].run(["ping", "-n", "-c1", "-W0.2", OUT1]).exit != 0
    inside.sendto(b"blocked", (OUT1, 8060))
    inside.sendto(b"passes", (OUT1, 7))
    assert outside.recv(100) == b"passes"
    assert nothing(blocked)
    net["nat"].set_drops(["udp"])
    assert net["in1"].run(["ping", "-n", "-c1", "-W1", OUT1]).exit == 0
    inside.sendto(b"blocked", (OUT1, 7))
    assert nothing(outside)


def test_drops_fragments_only(network, sockets):
    net = network(Behind())
    inside, outside = sockets(net["in1"], INSIDE_PORT), sockets(net["out1"], 7)
    large = bytes(3000)
    inside.sendto(large, (OUT1, 7))
    assert outside.recv(4000) == large
    net["nat"].set_drops(["fragments"])
    inside.sendto(large, (OUT1, 7))
    inside.sendto(b"small", (OUT1, 7))
    assert outside.recv(4000) == b"small"


@pytest.mark.parametrize("kind", ["cone", "symmetric"])
def test_rebinding_forgets_translations_and_takes_other_ports(network, sockets, kind):
    net = network(Behind(kind=kind))
    inside, outside = sockets(net["in1"], INSIDE_PORT), sockets(net["out1"], 7000)
    inside.sendto(b"before", (OUT1, 7000))
    before = outside.recvfrom(100)[1]
    net["nat"].rebind((30000, 30009))
    inside.sendto(b"after", (OUT1, 7000))
    after = outside.recvfrom(100)[1]
    assert after[0] == before[0] == NAT
    assert after[1] in range(30000, 30010)
    outside.sendto(b"back", after)
    assert inside.recv(100) == b"back"
    net["nat"].rebind()
    inside.sendto(b"again", (OUT1, 7000))
    again = outside.recvfrom(100)[1][1]
    assert again == INSIDE_PORT if kind == "cone" else again not in range(30000, 30010)


def test_restricted_keeps_the_port_and_lets_in_only_who_was_sent_something(network, sockets):
    net = network(Behind(kind="restricted"))
    inside = sockets(net["in1"], INSIDE_PORT)
    first, stranger = sockets(net["out1"], 7), sockets(net["out1"], 8)
    stranger.sendto(b"too early", (NAT, INSIDE_PORT))
    assert nothing(inside)
    with pytest.raises(TimeoutError):
        stranger.recv(100)  # not even an ICMP error came back: that would be ConnectionRefusedError
    inside.sendto(b"out", (OUT1, 7))
    assert first.recvfrom(100) == (b"out", (NAT, INSIDE_PORT))
    first.sendto(b"back", (NAT, INSIDE_PORT))
    assert inside.recv(100) == b"back"
    stranger.sendto(b"another port", (NAT, INSIDE_PORT))
    assert nothing(inside)


class Guarded(Topo):
    """in (192.0.2.1) – fw – out (198.51.100.1)"""

    def build(self, **options):
        self.addHost("fw", cls=Firewall, outside="wan")
        for name, interface, net in (("in", "lan", "192.0.2"), ("out", "wan", "198.51.100")):
            self.addHost(name, cls=Host, routes=[("default", f"{net}.254")])
            self.addLink(
                name, "fw", intfName1="eth0", intfName2=interface,
                params1={"addresses": [f"{net}.1/24"]}, params2={"addresses": [f"{net}.254/24"]},
            )  # fmt: skip


def test_firewall_translates_nothing_and_lets_in_answers_only(network, sockets):
    net = network(Guarded())
    inside, outside = sockets(net["in"], INSIDE_PORT), sockets(net["out"], 7)
    outside.sendto(b"too early", ("192.0.2.1", INSIDE_PORT))
    assert nothing(inside)
    inside.sendto(b"out", ("198.51.100.1", 7))
    assert outside.recvfrom(100) == (b"out", ("192.0.2.1", INSIDE_PORT))
    outside.sendto(b"back", ("192.0.2.1", INSIDE_PORT))
    assert inside.recv(100) == b"back"
