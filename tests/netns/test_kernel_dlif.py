"""DLIFs in the kernel: identity, ping-pong, deferred deletion; and radvd's first advertisement on a fresh one."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress
from dataclasses import replace
from ipaddress import IPv6Address, IPv6Network
from pathlib import Path

import pytest
from access_gateway import CLIENT, CLIENT_MAC, Gateway, advertisement, dlif, router_advertisement
from kernel_namespaces import Capture, wait_until

from agents.dgw.executor import Executor
from agents.dgw.forwarding import RouteInformation, SourceGate
from agents.kernel.netlink import KernelError
from agents.kernel.radvd import Radvd
from agents.kernel.watch import Advertised, Solicited, Watch

pytestmark = pytest.mark.netns


@pytest.mark.requirement("DLIF-2", "DLIF-3", "DLIF-4")
def test_dlif_has_the_anchors_identity_and_nothing_else(gateway: Gateway) -> None:
    item = dlif(1)
    gateway.do("install", item)
    shown = gateway.links()["mn1dgw1"]
    for expected in (f"link/ether {item.mac}", "macvlan mode private", "addrgenmode none", "group 183", "LOWER_UP"):
        assert expected in shown
    assert gateway.addresses("mn1dgw1") == {f"{item.link_local}/64", f"{item.address}/64"}
    assert gateway.addresses("phy") == set()
    routes = gateway.namespace.run("ip", "-6", "route", "show", "dev", item.name)
    assert f"{item.prefix} proto kernel metric 256" in routes


def test_removed_dlif_is_silent_at_once_and_gone_soon(gateway: Gateway) -> None:
    gateway.do("install", dlif(1))
    gateway.do("remove", dlif(1))
    with suppress(AssertionError):  # the reaper may have been quicker than ip
        assert gateway.addresses("mn1dgw1") == set()
    assert "mn1dgw1" not in gateway.namespace.run("ip", "-6", "route", "show", "root", "2001:db8:a1:1::/64")
    wait_until("the deletion", lambda: "mn1dgw1" not in gateway.links())


def test_ping_pong_right_after_removal_takes_the_same_interface_back(gateway: Gateway) -> None:
    for _turn in range(20):
        gateway.do("install", dlif(1))
        assert gateway.addresses("mn1dgw1") == {f"{dlif(1).link_local}/64", f"{dlif(1).address}/64"}
        gateway.do("remove", dlif(1))
    wait_until("the deletion", lambda: not gateway.links())
    gateway.do("install", dlif(1))
    assert "LOWER_UP" in gateway.links()["mn1dgw1"]


def test_same_link_layer_address_under_another_name_right_after_removal(gateway: Gateway) -> None:
    gateway.do("install", dlif(1))
    gateway.do("remove", dlif(1))
    renamed = replace(dlif(1), name="mn9dgw1")
    gateway.do("install", renamed)
    assert list(gateway.links()) == ["mn9dgw1"]


def test_new_identity_under_the_same_name(gateway: Gateway) -> None:
    gateway.do("install", dlif(1))
    gateway.do("install", replace(dlif(1), mac="02:d6:00:01:77:77"))
    assert "link/ether 02:d6:00:01:77:77" in gateway.links()["mn1dgw1"]
    moved = replace(dlif(1), mac="02:d6:00:01:77:77", prefix=IPv6Network("2001:db8:a1:99::/64"))
    gateway.do("install", moved)
    assert gateway.addresses("mn1dgw1") == {f"{moved.link_local}/64", "2001:db8:a1:99::1/64"}


def test_two_live_dlifs_cannot_share_a_link_layer_address(gateway: Gateway) -> None:
    gateway.do("install", dlif(1))
    with pytest.raises(KernelError, match=r"bring mn2dgw1 up: .*in use"):
        gateway.do("install", replace(dlif(2), mac=dlif(1).mac))
    gateway.do("install", dlif(2))
    assert set(gateway.links()) == {"mn1dgw1", "mn2dgw1"}


@pytest.mark.requirement("RA-1", "RA-8", "RA-9", "RA-13")
def test_first_advertisement_is_unicast_and_says_what_it_should(gateway: Gateway) -> None:
    item = dlif(1)
    local = RouteInformation(IPv6Network("2001:db8:a1:ffff::/64"), "high", 60)
    capture = Capture(gateway.mn, "eth0")
    with gateway.namespace.entered():
        watch = Watch("phy")
    gateway.do("install", item)
    gateway.do("advertise", [advertisement(item, preference="low", preferred=0, routes=(local,))])
    frame = capture.until("advertisement", router_advertisement(item.link_local))
    assert frame[0:6].hex(":") == CLIENT_MAC
    assert frame[6:12].hex(":") == item.mac
    assert IPv6Address(frame[38:54]) == CLIENT
    assert frame[21] == 255
    icmp = frame[54:]
    assert icmp[4:8] == bytes([64, 0x18, 0, 60])  # CurHopLimit 64, M=O=0, low; 60 s
    options = {}
    rest = icmp[16:]
    while rest:
        options[rest[0]] = rest[: rest[1] * 8]
        rest = rest[rest[1] * 8 :]
    assert options[1][2:8].hex(":") == item.mac
    assert options[5][4:8] == (1460).to_bytes(4, "big")
    assert options[3][2:4] == bytes([64, 0xC0])
    assert options[3][4:12] == (300).to_bytes(4, "big") + bytes(4)
    assert IPv6Address(options[3][16:32]) == item.prefix.network_address
    assert options[24][2:8] == bytes([64, 0x08]) + (60).to_bytes(4, "big")
    seen = wait_until("our own sight of it", lambda: [s for s in watch.read() if isinstance(s, Advertised)])
    assert (seen[0].mac, seen[0].link_local, seen[0].destination_mac) == (item.mac, item.link_local, CLIENT_MAC)
    watch.close()
    capture.close()
    shown = gateway.namespace.run("cat", "/proc/sys/net/ipv6/conf/mn1dgw1/mtu")
    assert shown.strip() == "1460"


def test_no_first_advertisement_is_lost_however_often(gateway: Gateway) -> None:
    """Facts: a peer daemon lost 5 of 41 because the macvlan was not ready. Fresh ones, revived ones, in turns."""
    capture = Capture(gateway.mn, "eth0")
    gateway.do("learn", CLIENT, CLIENT_MAC)
    for turn in range(60):
        item = dlif(1 + turn % 20)
        gateway.do("install", item)
        gateway.do("advertise", [advertisement(item)])
        # Well below the second after which radvd would try again by itself.
        capture.until(f"advertisement {turn}", router_advertisement(item.link_local), timeout=0.7)
        gateway.do("remove", item)
        if turn % 3 == 2:
            wait_until("the deletion", lambda: not gateway.links())
    capture.close()


def test_interface_indices_are_used_again_and_solicitations_still_answered(gateway: Gateway) -> None:
    """radvd's socket keeps a group membership per index for ever, and has room for a few hundred."""
    capture = Capture(gateway.mn, "eth0")
    indices = set()
    for number in range(1, 9):
        item = dlif(number)
        gateway.do("install", item)
        indices.add(int(gateway.links()[item.name].split(":")[0]))
        gateway.do("advertise", [advertisement(item)])
        capture.until("advertisement", router_advertisement(item.link_local))
        gateway.do("remove", item)
        wait_until("the deletion", lambda: not gateway.links())
    assert len(indices) == 1
    gateway.do("install", item)
    gateway.do("advertise", [advertisement(item)])
    capture.until("advertisement", router_advertisement(item.link_local))
    gateway.mn.batch("link set eth0 down", "link set eth0 up")
    capture.until("a solicitation", lambda frame: frame[12:14] == b"\x86\xdd" and frame[54] == 133)
    capture.until("its answer", router_advertisement(item.link_local), timeout=1)
    capture.close()


def test_advertising_while_radvd_is_still_starting(gateway: Gateway) -> None:
    """It writes its pid file before it can take a SIGHUP."""
    conf = gateway.radvd_pid.with_name("radvd.conf")
    second_pid = gateway.radvd_pid.with_name("second.pid")
    for _turn in range(10):
        argv = ["radvd", "-n", "-m", "stderr", "-C", str(conf), "-p", str(second_pid)]
        with gateway.namespace.entered():
            starting = subprocess.Popen(argv, stderr=subprocess.DEVNULL)
        wait_until("the pid file", lambda own=str(starting.pid): second_pid.exists() and own in second_pid.read_text())
        Radvd(conf, second_pid).advertise([])
        assert starting.poll() is None
        Radvd(conf, second_pid).advertise([])
        starting.kill()
        assert starting.wait() == -signal.SIGKILL, "the SIGHUP ended it"
        second_pid.unlink()


@pytest.mark.requirement("RA-10", "RA-11")
def test_leaving_node_gets_no_final_advertisement(gateway: Gateway) -> None:
    first, second = dlif(1), dlif(2)
    capture = Capture(gateway.mn, "eth0")
    gateway.do("install", first)
    gateway.do("advertise", [advertisement(first)])
    capture.until("advertisement", router_advertisement(first.link_local))
    capture.frames.clear()
    gateway.do("remove", first)
    gateway.do("install", second)
    gateway.do("advertise", [advertisement(second)])
    capture.until("advertisement", router_advertisement(second.link_local))
    wait_until("the deletion", lambda: "mn1dgw1" not in gateway.links())
    gateway.do("advertise", [advertisement(second)])
    capture.until("another advertisement", router_advertisement(second.link_local))
    assert not [frame for frame in capture.frames if router_advertisement(first.link_local)(frame)]
    capture.close()


def test_watch_sees_the_node_solicit(gateway: Gateway) -> None:
    with gateway.namespace.entered():
        watch = Watch("phy")
    gateway.mn.batch("link set eth0 down", "link set eth0 up")
    found: list[object] = []

    def solicited() -> list[Solicited]:
        found.extend(watch.read())
        return [one for one in found if isinstance(one, Solicited) and one.kind == "rs" and one.link_local]

    seen = wait_until("a router solicitation", solicited)
    assert (seen[0].mac, seen[0].link_local) == (CLIENT_MAC, CLIENT)
    watch.close()


def test_advertising_without_radvd_is_one_clear_line(gateway: Gateway) -> None:
    os.kill(int(gateway.radvd_pid.read_text()), signal.SIGKILL)
    pid = int(gateway.radvd_pid.read_text())
    wait_until("its end", lambda: Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z")
    with pytest.raises(KernelError, match="radvd"):
        gateway.do("advertise", [])
    gateway.radvd_pid.write_text(str(os.getpid()))
    with pytest.raises(KernelError, match=f"process {os.getpid()} is"):
        gateway.do("advertise", [])
    gateway.radvd_pid.unlink()
    with pytest.raises(KernelError, match="no pid file"):
        gateway.do("advertise", [])


def restarted(gateway: Gateway, *items: object) -> None:
    """The agent dies without cleaning up, and a new one adopts."""
    with gateway.namespace.entered():
        old = gateway.executor
        gateway.executor = Executor(old._settings)
        gateway.executor.prepare()
        gateway.executor.adopt(items)


def test_restart_keeps_what_matches_and_sweeps_the_rest(gateway: Gateway) -> None:
    keep, drop, change = dlif(1), dlif(2), dlif(3)
    for item in (keep, drop, change, SourceGate("mn1dgw1", keep.prefix), SourceGate("mn2dgw1", drop.prefix)):
        gateway.do("install", item)
    gateway.namespace.batch(
        "route add 2001:db8:77::/64 dev wan metric 64 proto 183",
        "route add default dev wan table 1044 proto 183",
        "route add 2001:db8:78::/64 dev wan",
        "rule add pref 1000 from 2001:db8:77::/64 lookup 1044 protocol 183",
        "rule add pref 1001 from 2001:db8:78::/64 lookup 1044",
    )
    before = gateway.links()
    changed = replace(change, mac="02:d6:00:01:66:66")
    restarted(gateway, keep, changed, SourceGate("mn1dgw1", keep.prefix))
    after = gateway.links()
    assert set(after) == {"mn1dgw1", "mn3dgw1"}
    assert after["mn1dgw1"].split(":")[0] == before["mn1dgw1"].split(":")[0], "the same interface index"
    assert f"link/ether {changed.mac}" in after["mn3dgw1"]
    routes = gateway.namespace.run("ip", "-6", "route", "show", "table", "all")
    rules = gateway.namespace.run("ip", "-6", "rule", "show")
    assert "2001:db8:77::/64" not in routes + rules
    assert "table 1044" not in routes
    assert "2001:db8:78::/64 dev wan" in routes
    assert "from 2001:db8:78::/64 lookup 1044" in rules
    assert "unreachable 2001:db8:a1::/48" in routes
    table = gateway.namespace.run("nft", "list", "set", "ip6", "roamlab", "sources")
    assert "mn1dgw1" in table
    assert "mn2dgw1" not in table


def test_clearing_leaves_nothing_of_ours(gateway: Gateway) -> None:
    gateway.do("install", dlif(1))
    gateway.do("adopt", ())
    with gateway.namespace.entered():
        gateway.executor.close(clear=True)
    assert gateway.links() == {}
    assert "183" not in gateway.namespace.run("ip", "-6", "route", "show", "table", "all", "proto", "183")
    rules = gateway.namespace.run("ip", "-6", "rule", "show")
    assert rules.splitlines()[0] == "0:\tfrom all lookup local"
    assert gateway.namespace.run("nft", "list", "tables") == ""
    with gateway.namespace.entered():
        gateway.executor = Executor(gateway.executor._settings)
        gateway.executor.prepare()


@pytest.mark.requirement("DEREG-11")
def test_the_gate_counts_what_a_node_sends(gateway: Gateway) -> None:
    """Idle prefixes are found by these counts: user packets only, by prefix"""
    used, unused = dlif(1), dlif(2)
    gateway.do("install", used, SourceGate(used.name, used.prefix), SourceGate(used.name, unused.prefix))
    assert gateway.do("passed") == {used.prefix: 0, unused.prefix: 0}
    gateway.mn.batch(f"addr add {used.prefix[0x11]}/64 dev eth0 nodad")
    gateway.mn.run("ping", "-6", "-c", "5", "-i", "0.02", str(used.address))
    assert gateway.do("passed") == {used.prefix: 5, unused.prefix: 0}
    assert gateway.do("dropped")["foreign_source"] == 0
    gateway.do("remove", SourceGate(used.name, used.prefix))
    assert gateway.do("passed") == {unused.prefix: 0}
    ping = ["ping", "-6", "-c", "1", "-W", "0.2", str(used.address)]
    with gateway.mn.entered():
        assert subprocess.run(ping, capture_output=True).returncode
    assert gateway.do("dropped")["foreign_source"] >= 1


@pytest.mark.requirement("DLIF-6")
def test_a_dlif_takes_another_identity(gateway: Gateway) -> None:
    first = dlif(1)
    other = replace(first, mac="02:d6:00:01:c0:01", link_local=IPv6Address("fe80::d6:c:1"))
    gateway.do("install", first)
    gateway.do("install", other)
    assert other.mac in gateway.links()[first.name]
    assert gateway.addresses(first.name) == {f"{other.link_local}/64", f"{other.address}/64"}
