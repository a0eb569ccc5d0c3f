"""Networks on the real kernel: connectivity, nodes' commands, links' properties, stopping."""

import contextlib
import os
import re
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from testbed.features import supports
from testbed.mininet_api import Topo
from testbed.network import Network
from testbed.nodes import Bridge, CommandError, Host, Router
from testbed.validation import LabError
from testbed.waiting import wait_until

pytestmark = pytest.mark.netns


class Star(Topo):
    """Hosts at one bridge."""

    def build(self, hosts=4, **options):
        self.addSwitch("s1", cls=Bridge)
        for number in range(1, hosts + 1):
            self.addHost(f"h{number}")
            self.addLink(
                f"h{number}", "s1", intfName1="eth0",
                params1={"addresses": [f"2001:db8::{number}/64", f"10.1.0.{number}/24"]}, **options,
            )  # fmt: skip


class Pair(Topo):
    """a 10.1.0.1, 2001:db8::1 – b 10.1.0.2, 2001:db8::2"""

    def build(self, **options):
        self.addHost("a")
        self.addHost("b")
        self.addLink(
            "a", "b", intfName1="eth0", intfName2="eth0",
            params1={"addresses": ["10.1.0.1/24", "2001:db8::1/64"], "mac": "02:00:00:00:00:0a"},
            params2={"addresses": ["10.1.0.2/24", "2001:db8::2/64"]}, **options,
        )  # fmt: skip


class Routed(Topo):
    """h1 – r – h2, addresses also on a loopback."""

    def build(self):
        self.addHost("r", cls=Router, addresses=["2001:db8:f::1/128"])
        for number in (1, 2):
            name = f"h{number}"
            self.addHost(name, routes=[("default", f"2001:db8:{number}::1"), ("default", f"10.{number}.0.1")])
            self.addLink(
                "r", name, intfName1=name, intfName2="eth0",
                params1={"addresses": [f"2001:db8:{number}::1/64", f"10.{number}.0.1/24"]},
                params2={"addresses": [f"2001:db8:{number}::2/64", f"10.{number}.0.2/24"]},
            )  # fmt: skip


def ping(node, address, *options):
    return node.run(["ping", "-n", "-c1", "-W2", *options, address]).exit == 0


def links_of(node):
    return node.run(["ip", "-o", "link"], check=True).out


def test_star_reaches_everyone_at_once_in_both_families(network):
    net = network(Star())
    for number in (2, 3, 4):  # the first packets: nothing may be lost to detection or carrier delays
        assert ping(net["h1"], f"2001:db8::{number}")
        assert ping(net["h1"], f"10.1.0.{number}")


def test_mininets_api_still_works(network):
    class Plain(Topo):
        def build(self):
            switch = self.addSwitch("s1")
            for number in (1, 2, 3):
                self.addLink(self.addHost(f"h{number}"), switch)

    net = network(Plain())
    assert net.pingAll() == 0
    assert net.get("h1").IP() == "10.0.0.1"
    assert "10.0.0.2" in net["h2"].cmd("ip -4 -o address show dev h2-eth0")
    out, err, code = net["h3"].pexec("sh -c exit")
    assert (out, err, code) == ("", "", 0)
    net["h1"].sendCmd("echo sent")
    assert net["h1"].waitOutput().strip() == "sent"
    assert [node.name for node in net.hosts] == ["h1", "h2", "h3"]


def test_shell_starts_on_first_command_only(network):
    net = network(Pair())
    assert net["a"].shell is None
    net["a"].cmd("true")
    assert net["a"].shell is not None
    assert net["b"].shell is None


def test_router_forwards_and_loopback_addresses_answer(network):
    net = network(Routed())
    assert ping(net["h1"], "2001:db8:2::2")
    assert ping(net["h1"], "10.2.0.2")
    assert ping(net["h2"], "2001:db8:f::1")


def test_run_gives_exit_code_output_and_errors_apart(network):
    node = network(Pair())["a"]
    result = node.run(["sh", "-c", "echo out; echo err >&2; exit 3"])
    assert (result.exit, result.out, result.err) == (3, "out\n", "err\n")
    assert node.run(["sh", "-c", "kill -9 $$"]).exit == -9
    assert node.run(["cat"], input="given").out == "given"
    assert node.run(["printf", r"before\177after"]).out == "before\x7fafter"
    with pytest.raises(CommandError, match=r"a: false: exit 1: no output"):
        node.run(["false"], check=True)
    with pytest.raises(CommandError, match=r"a: sleep 60: not done after 0.05 s"):
        node.run(["sleep", "60"], timeout=0.05)


def test_commands_of_many_threads_stay_in_their_nodes(network):
    net = network(Star(hosts=8))
    seen = {}

    def look(name):
        seen[name] = {net[name].run(["ip", "-o", "-4", "address", "show", "dev", "eth0"]).out for _ in range(5)}

    threads = [threading.Thread(target=look, args=(f"h{number}",)) for number in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number in range(1, 9):
        assert len(seen[f"h{number}"]) == 1
        assert f"10.1.0.{number}/24" in seen[f"h{number}"].pop()


def test_sysctls_before_and_after_interfaces(network):
    class Lab(Topo):
        def build(self):
            self.addHost("a", sysctls={"net.ipv6.conf.a-eth0.hop_limit": 33, "net.ipv4.ip_default_ttl": 44})
            self.addHost("b")
            self.addLink("a", "b")

    node = network(Lab())["a"]
    assert node.sysctl("net.ipv6.conf.a-eth0.hop_limit") == "33"
    assert node.sysctl("net.ipv4.ip_default_ttl") == "44"
    assert node.sysctl("net.ipv4.ip_default_ttl", 55) == "55"
    with pytest.raises(LabError, match=r"a: sysctl kernel.hostname: not a net"):
        node.sysctl("kernel.hostname", "x")
    with pytest.raises(LabError, match=r"a: sysctl net.nonesuch: No such file"):
        node.sysctl("net.nonesuch")


def test_link_properties(network):
    node = network(Pair(mtu=1600))["a"]
    assert re.search(r"eth0@.*UP.* mtu 1600 .*02:00:00:00:00:0a", links_of(node))
    assert ping(node, "2001:db8::2", "-M", "do", "-s", str(1600 - 48))
    assert not ping(node, "2001:db8::2", "-M", "do", "-s", str(1600 - 47))


@pytest.mark.stock
def test_loss(network):
    ends = ends_of(network(Pair(loss=30)))
    resolve(ends)
    received = sum(datagram_arrives(ends) for _ in range(1000))
    assert 0.63 < received / 1000 < 0.77  # 70 %, standard deviation 1.45 %


def ends_of(net):
    """Return UDP sockets of a and b, b's bound to port 9; delivery on one machine is synchronous."""
    with net["a"].entered():
        sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with net["b"].entered():
        receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        receiver.bind(("10.1.0.2", 9))
    receiver.settimeout(0.005)
    return sender, receiver


def resolve(ends):
    """Send until one datagram arrives (address resolution suffers loss too), and take those that waited for it."""
    wait_until("a datagram arrives", lambda: datagram_arrives(ends), timeout=60)  # the kernel asks once a second
    with contextlib.suppress(TimeoutError):
        while True:
            ends[1].recv(10)


def datagram_arrives(ends):
    sender, receiver = ends
    sender.sendto(b"x", ("10.1.0.2", 9))
    try:
        return receiver.recv(10) == b"x"
    except TimeoutError:
        return False


def test_rate(network):
    net = network(Pair(rate=20))
    assert "tbf" in net["a"].run(["tc", "qdisc", "show", "dev", "eth0"]).out or supports("netem")
    server = "import socket; s=socket.create_server(('10.1.0.2',9)); print(flush=True); c=s.accept()[0]\n"
    server += "while c.recv(65536): pass\n"
    client = "import socket,time; s=socket.create_connection(('10.1.0.2',9)); t=time.time()\n"
    client += "s.sendall(bytes(2_500_000)); s.shutdown(1); s.recv(1); print(2.5e6*8/(time.time()-t)/1e6)\n"

    def measured():
        receiver = net["b"].popen([sys.executable, "-c", server])
        receiver.stdout.readline()
        rate = float(net["a"].run([sys.executable, "-c", client], check=True).out)
        receiver.communicate()
        assert rate < 26  # a burst may pass at once
        return rate

    # Who is kept from sending for half a second is slow for that alone: once in three times, nobody is.
    assert any(measured() > 12 for _ in range(3))


def test_delay_or_a_clear_refusal(network):
    if supports("netem"):
        out = network(Pair(delay=30))["a"].run(["ping", "-n", "-c3", "-i0.01", "10.1.0.2"]).out
        assert float(re.search(r"= ([\d.]+)/", out)[1]) >= 60
        return
    with pytest.raises(LabError, match=r"this kernel cannot delay \(no netem\): link a eth0–b eth0 asks for 30 ms"):
        network(Pair(delay=30))


def test_errors_of_the_kernel_name_what_failed_and_leave_nothing(network):
    class Lab(Topo):
        def build(self):
            self.addHost("a", routes=[("default", "2001:db8:99::1")])
            self.addHost("b")
            self.addLink("a", "b")

    net = Network(Lab())
    with pytest.raises(LabError, match="route default via 2001:db8:99::1 on a: ") as caught:
        net.start()
    assert "\n" not in str(caught.value)
    assert all(node.namespace is None for node in net.values())


def test_route_via_an_unknown_interface(network):
    class Lab(Topo):
        def build(self):
            self.addHost("a", routes=[("2001:db8:9::/48", "fe80::1%eth")])
            self.addHost("b")
            self.addLink("a", "b", intfName1="eth0")

    with pytest.raises(LabError, match=r"node a: routes: unknown interface 'eth' \(did you mean 'eth0'\?\)"):
        network(Lab())


def test_links_can_be_added_while_it_runs(network):
    net = network(Pair())
    net.addHost("c")
    net.addLink("a", "c", params1={"addresses": ["10.9.0.1/24"]}, params2={"addresses": ["10.9.0.2/24"]})
    assert ping(net["c"], "10.9.0.1")
    net["c"].intf("c-eth0").setIP("10.9.0.3/24")
    assert ping(net["a"], "10.9.0.3")
    assert not ping(net["a"], "10.9.0.2", "-W0.2")


def test_two_networks_at_once_do_not_disturb_each_other(network):
    first, second = network(Pair()), network(Pair(mtu=1400))
    assert ping(first["a"], "10.1.0.2")
    assert ping(second["a"], "10.1.0.2")
    second.stop()
    assert ping(first["a"], "10.1.0.2")
    assert "mtu 1500" in links_of(first["a"])


def members(inodes):
    """Return the processes whose network namespace is one of inodes."""
    found = set()
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdecimal() and (entry / "ns/net").stat().st_ino in inodes:
                found.add(int(entry.name))
        except OSError:
            continue
    return found


def descriptors():
    """Return what this process has open."""
    found = []
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # the one the listing itself uses
            found.append(str(entry.readlink()))
    return sorted(found)


def test_stop_leaves_no_process_descriptor_or_link():
    before = descriptors()
    own_links = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout
    net = Network(Star())
    net.start()
    inodes = {node.namespace.inode for node in net.values()}
    processes = [net["h1"].popen("sleep 1000"), net["h2"].popen(["sleep", "1000"])]
    net["h1"].cmd("sleep 1000 &")
    net["h3"].run(["sh", "-c", "setsid nohup sleep 1000 >/dev/null 2>&1 </dev/null &"])  # has left its parent
    stubborn = net["h4"].popen(["sh", "-c", "trap '' TERM; echo; sleep 1000"])
    stubborn.stdout.readline()
    assert len(members(inodes)) >= 6
    net.stop()
    assert members(inodes) == set()
    assert [process.poll() for process in processes] == [-15, -15]
    assert stubborn.poll() == -9
    for process in (*processes, stubborn):
        process.stdout.close()
        process.stderr.close()
    assert descriptors() == before
    assert subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout == own_links
    net.stop()  # safe to repeat
    with pytest.raises(LabError, match="h1: the network is not started"):
        net["h1"].run(["true"])


def test_kernel_frees_the_namespaces_after_stop():
    """A veth end kept in a namespace of our own goes when its peer's namespace goes."""
    net = Network(Pair())
    net.start()
    keeper = Host("keeper")
    keeper.namespace = net["b"].namespace
    net["b"].namespace = None
    net.stop()
    try:
        wait_until("peer of a's eth0 gone", lambda: "eth0" not in links_of(keeper))
    finally:
        keeper.close()


def test_describe_has_what_lab_json_needs(network):
    facts = network(Pair(mtu=1600, loss=1)).describe()
    assert facts["nodes"]["a"] == {
        "role": "host",
        "interfaces": {
            "eth0": {"mac": "02:00:00:00:00:0a", "addresses": ["10.1.0.1/24", "2001:db8::1/64"], "mtu": 1600}
        },
    }
    assert facts["links"] == [
        {"a": ["a", "eth0"], "b": ["b", "eth0"], "mtu": 1600, "delay": None, "loss": 1, "rate": None}
    ]
    assert facts["cells"] == {}


def test_mininets_console_works(network, tmp_path, caplog):
    from mininet.cli import CLI  # after testbed.mininet_api has made mininet importable

    net = network(Pair())
    script = tmp_path / "script"
    script.write_text("nodes\nnet\na ping -c1 -W1 b\nexit\n")
    reading, writing = os.pipe()  # a terminal where nobody types
    with os.fdopen(reading) as keyboard, os.fdopen(writing, "w"):
        CLI(net, stdin=keyboard, script=str(script))
    assert "1 received" in caplog.text
