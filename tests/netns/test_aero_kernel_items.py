"""What an AERO node's kernel must hold: installed by difference, effective on packets, and gone without a trace."""

from __future__ import annotations

import contextlib
import select
import socket
from ipaddress import IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network, ip_address

import pytest
from kernel_namespaces import Namespace, wait_until, wire

from agents.aero.downstream import render
from agents.aero.interface import MARK, Kernel
from agents.aero.items import (
    Address,
    BlackHole,
    DefaultRoute,
    Defence,
    Downstream,
    PrefixRoute,
    Routing,
    StrongHost,
)
from agents.kernel.netlink import KernelError
from agents.kernel.tun import Tun
from agents.wire.icmp_errors import Problem, error

pytestmark = [pytest.mark.netns, pytest.mark.stock]

IP_MTU, IPV6_MTU = 14, 24
PREFIX, PREFIX4 = IPv6Network("2001:db8:1000:a000::/56"), IPv4Network("192.0.2.16/28")
OWN, OWN4 = "2001:db8:1000:a000::1", "192.0.2.17"
UNDERLAY, UNDERLAY4 = "2001:db8:9:1::2", "10.9.1.2"
FAR, FAR4 = "2001:db8:77::9", "198.51.100.9"
ADDRESSES = [
    Address("aero0", IPv6Interface("fe80::2001:db8:1000:a000/64")),
    Address("aero0", IPv6Interface(f"{OWN}/128")),
    Address("aero0", IPv4Interface(f"{OWN4}/32")),
]
DEFAULTS = [DefaultRoute("aero0", 6), DefaultRoute("aero0", 4)]
HOLES = [BlackHole(PREFIX), BlackHole(PREFIX4)]


@pytest.fixture
def node():
    """A node with an underlay interface eth0 toward `gate`, a LAN toward `host`, and the AERO interface."""
    made = Namespace("node")
    gate, host = Namespace("gate"), Namespace("host")
    wire(made, "eth0", gate, "to-node")
    wire(made, "lan", host, "eth0")
    made.batch(f"addr add {UNDERLAY}/64 dev eth0 nodad", "route add default via 2001:db8:9:1::1")
    made.run("ip", "addr", "add", f"{UNDERLAY4}/24", "dev", "eth0")
    made.run("ip", "route", "add", "default", "via", "10.9.1.1")
    gate.batch("addr add 2001:db8:9:1::1/64 dev to-node nodad", f"addr add {FAR}/128 dev lo")
    gate.run("ip", "addr", "add", "10.9.1.1/24", "dev", "to-node")
    gate.run("ip", "addr", "add", f"{FAR4}/32", "dev", "lo")
    made.gate, made.host = gate, host
    with made.entered():
        made.before = state(made)
        made.tun = Tun("aero0", 1500)
        made.kernel = Kernel([ip_address(UNDERLAY), ip_address(UNDERLAY4)], ["eth0"])
    made.gone = False
    yield made
    if not made.gone:
        leave(made)
    for each in (made, gate, host):
        each.close()


def leave(node) -> None:
    with node.entered():
        node.kernel.close()
        node.tun.close()
    node.gone = True


def state(namespace) -> list[str]:
    """Routes, rules, addresses, filter and settings of a namespace."""
    wanted = [
        "ip -4 rule",
        "ip -6 rule",
        "ip -4 route show table all",
        "ip -6 route show table all",
        "ip -o addr show scope global",
        "ip -6 neigh show proxy",
        "nft list ruleset",
        "sysctl net.ipv4.ip_forward net.ipv6.conf.all.forwarding net.ipv4.conf.all.send_redirects",
        "sysctl net.ipv6.conf.lan.proxy_ndp net.ipv6.neigh.lan.proxy_delay net.ipv6.conf.eth0.accept_ra",
    ]
    return [line for command in wanted for line in namespace.run(*command.split()).splitlines() if "fe80" not in line]


def install(node, *items) -> None:
    with node.entered():
        node.kernel.install(items)


def read(node, timeout: float = 2.0) -> bytes | None:
    """The next packet the kernel sent into the AERO interface, other than its own noise."""
    while select.select([node.tun], [], [], timeout)[0]:
        packet = node.tun.read()
        if packet is not None and not (packet[0] >> 4 == 6 and packet[24] == 0xFF):
            return bytes(packet)
    return None


def sender(node, family, *, mark: int = 0, source: str = "") -> socket.socket:
    with node.entered():
        made = socket.socket(family, socket.SOCK_DGRAM)
    if mark:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, mark)
    if source:
        made.bind((source, 0))
    return made


def test_tun_life_cycle(node):
    link = node.run("ip", "-o", "link", "show", "aero0")
    assert "mtu 1500" in link
    assert "UP" in link
    assert node.run("ip", "-6", "addr", "show", "dev", "aero0") == ""  # no link-local address of the kernel's making
    settings = node.run("sysctl", "-n", "net.ipv6.conf.aero0.accept_ra", "net.ipv4.conf.aero0.send_redirects")
    assert settings.split() == ["0", "0"]
    with node.entered(), pytest.raises(KernelError, match="aero0"):
        Tun("aero0", 1500)
    leave(node)
    with node.entered(), contextlib.closing(Tun("aero0", 9000)):
        assert "mtu 9000" in node.run("ip", "-o", "link", "show", "aero0")
    assert "aero0" not in node.run("ip", "-o", "link")


@pytest.mark.requirement("CLI-5", "MODEL-0", "MODEL-H2")
def test_addresses_are_there_at_once_and_by_the_dozen(node):
    many = [Address("aero0", IPv6Interface(f"2001:db8:1000:a000::{number:x}/128")) for number in range(1, 65)]
    install(node, *ADDRESSES, *many)
    shown = node.run("ip", "-6", "-o", "addr", "show", "dev", "aero0")
    assert "tentative" not in shown
    assert sum("2001:db8:1000:a000::" in line for line in shown.splitlines()) == 64
    with node.entered():
        node.kernel.remove(many[1:])
    assert "2001:db8:1000:a000::2/" not in node.run("ip", "-6", "-o", "addr", "show", "dev", "aero0")


@pytest.mark.requirement("CLI-4", "CLI-14", "MODEL-4")
@pytest.mark.parametrize(("family", "far", "own"), [(socket.AF_INET6, FAR, OWN), (socket.AF_INET, FAR4, OWN4)])
def test_everything_but_outer_packets_goes_into_the_aero_interface(node, family, far, own):
    install(node, *HOLES, *ADDRESSES, *DEFAULTS)
    with sender(node, family) as plain:
        plain.sendto(b"inner", (far, 9))
    packet = read(node)
    assert packet
    assert packet.endswith(b"inner")
    source = packet[8:24] if family == socket.AF_INET6 else packet[12:16]
    assert str(ip_address(source)) == own
    with node.gate.entered():
        listener = socket.socket(family, socket.SOCK_DGRAM)
        listener.bind((far, 8060))
        listener.settimeout(2)
    with listener, sender(node, family, mark=MARK) as outer:
        outer.sendto(b"outer", (far, 8060))
        data, source = listener.recvfrom(100)
        assert (data, source[0]) == (b"outer", UNDERLAY if family == socket.AF_INET6 else UNDERLAY4)
    assert read(node, 0.1) is None


@pytest.mark.requirement("MODEL-4", "MODEL-R1", "CLI-13")
@pytest.mark.parametrize(("family", "far", "own"), [(socket.AF_INET6, FAR, OWN), (socket.AF_INET, FAR4, OWN4)])
def test_a_routers_own_packets_have_the_address_that_its_interface_lacks(node, family, far, own):
    version = ip_address(own).version
    host = IPv6Interface(f"{own}/128") if version == 6 else IPv4Interface(f"{own}/32")
    install(node, *HOLES, ADDRESSES[0], Address("lo", host), DefaultRoute("aero0", version, ip_address(own)))
    with sender(node, family) as plain:
        plain.sendto(b"inner", (far, 9))
    packet = read(node)
    assert packet
    source = packet[8:24] if version == 6 else packet[12:16]
    assert str(ip_address(source)) == own


@pytest.mark.requirement("MODEL-R4")
def test_duplicates_are_detected_downstream_even_where_that_was_switched_off(node):
    lan = IPv6Interface("2001:db8:1000:a001::1/64")
    node.sysctl(lan__accept_dad=0)
    node.sysctl(lan__dad_transmits=0)
    node.host.batch(f"addr add {lan.ip}/64 dev eth0 nodad")
    install(node, Routing(True), Address("lan", lan, dad=True))
    shown = ["ip", "-6", "-o", "addr", "show", "dev", "lan", "scope", "global"]
    wait_until("DAD to fail", lambda: "dadfailed" in node.run(*shown))
    leave(node)
    settings = node.run("sysctl", "-n", "net.ipv6.conf.lan.accept_dad", "net.ipv6.conf.lan.dad_transmits")
    assert settings.split() == ["0", "0"]


@pytest.mark.requirement("MODEL-R3")
def test_a_prefix_of_a_node_downstream_is_routed_without_an_address_in_it(node):
    away = IPv6Network("2001:db8:1000:a003::/64")
    near = IPv6Interface("2001:db8:1000:a001::1/64")
    node.host.batch(f"addr add {away[7]}/128 dev eth0 nodad", f"addr add {near.network[2]}/64 dev eth0 nodad")
    install(node, Routing(True), BlackHole(PREFIX), Address("lan", near), PrefixRoute("lan", away))
    node.run("ping", "-6", "-c1", "-W2", "-I", str(near.ip), str(away[7]))
    assert str(away.network_address)[:-2] not in node.run("ip", "-6", "-o", "addr", "show", "dev", "lan")


@pytest.mark.requirement("FRAG-10")
@pytest.mark.parametrize(
    ("family", "far", "own", "level", "option"),
    [
        (socket.AF_INET6, FAR, OWN, socket.IPPROTO_IPV6, IPV6_MTU),
        (socket.AF_INET, FAR4, OWN4, socket.IPPROTO_IP, IP_MTU),
    ],
)
def test_an_error_from_an_own_address_reaches_the_application(node, family, far, own, level, option):
    install(node, *ADDRESSES, *DEFAULTS)
    with sender(node, family) as plain:
        plain.connect((far, 9))
        plain.send(bytes(1400))
        about = read(node)
        answer = error(Problem.TOO_BIG, about, ip_address(own), 1400)
        assert node.tun.write(answer)

        def mtu():
            plain.connect((far, 9))  # it looks at the route: one in use just when the error came keeps the old one
            return plain.getsockopt(level, option)

        wait_until("the path's MTU", lambda: mtu() == 1400)


@pytest.mark.requirement("CLI-14")
@pytest.mark.parametrize(("version", "near", "far"), [(6, UNDERLAY, FAR), (4, UNDERLAY4, FAR4)])
def test_the_underlay_address_still_answers(node, version, near, far):
    install(node, *ADDRESSES, *DEFAULTS)
    node.gate.run("ping", f"-{version}", "-c1", "-W2", "-I", far, near)


@pytest.mark.requirement("CLI-15", "MODEL-H3")
@pytest.mark.parametrize(
    ("family", "unused"), [(socket.AF_INET6, "2001:db8:1000:a0ff::1"), (socket.AF_INET, "192.0.2.30")]
)
def test_unused_parts_of_a_prefix_are_unreachable(node, family, unused):
    install(node, *HOLES, *ADDRESSES, *DEFAULTS)
    with sender(node, family) as plain, pytest.raises(OSError, match=r"unreachable|No route"):
        plain.sendto(b"x", (unused, 9))
    assert read(node, 0.1) is None


def test_a_servers_aggregate_leads_into_the_aero_interface(node):
    install(
        node, PrefixRoute("aero0", IPv6Network("2001:db8:1000::/40")), PrefixRoute("aero0", IPv4Network("192.0.2.0/24"))
    )
    for family, inside in ((socket.AF_INET6, "2001:db8:1000:b000::1"), (socket.AF_INET, "192.0.2.99")):
        with sender(node, family) as plain:
            plain.sendto(b"inner", (inside, 9))
        packet = read(node)
        assert packet
        assert packet.endswith(b"inner")


@pytest.mark.requirement("MODEL-H1", "MODEL-R1", "MODEL-Y1", "SRV-7")
def test_routing_on_and_off(node):
    for on in (True, False, True):
        install(node, Routing(on))
        values = node.run("sysctl", "-n", "net.ipv6.conf.all.forwarding", "net.ipv4.ip_forward")
        assert values.split() == [str(int(on))] * 2
        assert node.run("sysctl", "-n", "net.ipv4.conf.all.send_redirects").strip() == "0"


@pytest.mark.requirement("MODEL-H4")
def test_a_strong_host_answers_for_an_address_on_its_own_interface_only(node):
    node.gate.batch(f"route add {OWN}/128 via {UNDERLAY}")
    install(node, *ADDRESSES)
    ping = ["ping", "-6", "-c3", "-i0.3", "-W1", "-I", "2001:db8:9:1::1", OWN]
    node.gate.run(*ping)  # Linux's weak model
    install(node, StrongHost())
    with pytest.raises(AssertionError):
        node.gate.run(*ping)
    node.gate.run("ping", "-6", "-c1", "-W2", UNDERLAY)


@pytest.mark.requirement("MODEL-Y1", "MODEL-Y2")
def test_a_downstream_node_cannot_claim_a_defended_address(node):
    claim = f"add {OWN}/64 dev eth0"
    node.host.sysctl(eth0__accept_dad=1)
    node.host.sysctl(eth0__dad_transmits=1)
    install(node, Routing(True), *ADDRESSES)
    node.host.batch(f"addr {claim}")
    shown = ["ip", "-6", "-o", "addr", "show", "dev", "eth0", "scope", "global"]
    wait_until("DAD to end", lambda: "tentative" not in node.host.run(*shown))
    assert OWN in node.host.run(*shown)  # undefended, the claim succeeds
    node.host.batch(f"addr del {OWN}/64 dev eth0")
    install(node, Defence("lan", IPv6Address(OWN)))
    node.host.batch(f"addr {claim}")
    wait_until("DAD to fail", lambda: "dadfailed" in node.host.run(*shown))


@pytest.mark.requirement("CLI-17")
def test_everything_is_gone_at_the_end(node):
    everything = [Routing(True), *HOLES, StrongHost(), *ADDRESSES, Defence("lan", IPv6Address(OWN)), *DEFAULTS]
    install(node, *everything)
    assert len(state(node)) > len(node.before)
    leave(node)
    assert state(node) == node.before


def test_installing_again_changes_nothing_and_what_an_earlier_node_left_is_cleared(node):
    install(node, *HOLES, *ADDRESSES, *DEFAULTS)
    once = state(node)
    install(node, *HOLES, *ADDRESSES, *DEFAULTS)
    assert state(node) == once
    install(
        node, Address("lo", IPv6Interface("2001:db8:1000:a000::9/128")), Address("lan", IPv4Interface("192.0.2.18/32"))
    )
    with node.entered():
        node.tun.close()  # as if killed: rules and black holes stay
        assert "unreachable" in node.run("ip", "-6", "route")
        again = Kernel([ip_address(UNDERLAY), ip_address(UNDERLAY4)], ["eth0"])
        again.clear_leftovers()
        again.close()
        left = node.run("ip", "-o", "addr", "show", "scope", "global")
        assert "a000::9/128" not in left
        assert "192.0.2.18" not in left
        node.kernel.close()
    node.gone = True
    assert state(node) == node.before


@pytest.mark.requirement("MODEL-R2", "MODEL-R3", "MODEL-Y3")
def test_radvd_takes_what_is_rendered(tmp_path):
    subnet = IPv6Network("2001:db8:1000:a001::/64")
    links = [
        (Downstream("lan0", subnet, 60, 290), {}),
        (Downstream("lan1", subnet, 60, 290, on_link=False), {}),
        (Downstream("lan2", None, 60, 290, managed=True), {}),
        (Downstream("lan3", None, 0, 0), {subnet: False}),
    ]
    text = render(links)
    blocks = {block.split()[0]: block for block in text.split("interface ")[1:]}
    assert "AdvOnLink on; AdvAutonomous on" in blocks["lan0"]
    assert "AdvDefaultLifetime 60" in blocks["lan0"]
    assert "AdvValidLifetime 217; AdvPreferredLifetime 217" in blocks["lan0"]  # radvd counts 290 s too slowly
    assert "AdvOnLink off; AdvAutonomous on" in blocks["lan1"]
    assert "AdvManagedFlag on" in blocks["lan2"]
    assert "prefix" not in blocks["lan2"]
    assert "AdvDefaultLifetime 0;" in blocks["lan3"]
    assert "AdvValidLifetime 0; AdvPreferredLifetime 0" in blocks["lan3"]
    assert "AdvOnLink off" in blocks["lan3"]
    config = tmp_path / "radvd.conf"
    config.write_text(text)
    namespace = Namespace("radvd")
    try:
        namespace.run("radvd", "-c", "-C", str(config), "-n", "-m", "stderr")
    finally:
        namespace.close()
