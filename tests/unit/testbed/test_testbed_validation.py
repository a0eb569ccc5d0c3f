"""Closed validation: one line naming place, key and nearest valid key."""

import pytest

from testbed import validation as v
from testbed.mininet_api import Topo
from testbed.nat import NatBox
from testbed.network import Network
from testbed.nodes import Air, Cell, Host, Router
from testbed.validation import LabError, check_options, nearest, unknown


def refusal(build):
    class Lab(Topo):
        def build(self):
            build(self)

    with pytest.raises(LabError) as caught:
        Network(Lab())
    text = str(caught.value)
    assert "\n" not in text
    assert __file__.rsplit("/", 1)[1] in text
    return text


def test_unknown_node_option_names_file_node_key_and_nearest():
    text = refusal(lambda lab: lab.addHost("dgw1", cls=Router, adresses=["2001:db8::1/64"]))
    assert "node dgw1" in text
    assert "'adresses'" in text
    assert "did you mean 'addresses'" in text


def link(lab, **options):
    lab.addHost("a")
    lab.addHost("b")
    lab.addLink("a", "b", **options)


def test_unknown_link_option():
    text = refusal(lambda lab: link(lab, latency=5))
    assert "link a–b" in text
    assert "unknown option 'latency'" in text


@pytest.mark.parametrize("ends", [("dgw", "core"), ("core", "dgw")])
def test_link_to_a_node_that_was_not_added(ends):
    def build(lab):
        lab.addHost("dgw1")
        lab.addHost("core")
        lab.addLink(*ends, port1=1, port2=1)

    text = refusal(build)
    assert f"link {ends[0]}–{ends[1]}" in text
    assert "unknown node 'dgw' (did you mean 'dgw1'?)" in text


def test_unknown_interface_option():
    text = refusal(lambda lab: link(lab, params1={"adress": []}))
    assert "params1" in text
    assert "'addresses'" in text


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"mtu": "big"}, "mtu must be a whole number"),
        ({"mtu": 20}, "mtu must be"),
        ({"loss": 101}, "loss must be a number from 0 to 100 percent"),
        ({"delay": -1}, "delay must be"),
        ({"rate": 0}, "rate must be"),
        ({"intfName1": "far-too-long-a-name"}, "interface name"),
        ({"params1": {"mac": "01:00:00:00:00:01"}}, "unicast MAC"),
        ({"params1": {"addresses": ["2001:db8::1"]}}, "prefix length"),
        ({"params1": {"addresses": "2001:db8::1/64"}}, "list of addresses"),
        ({"params1": {"addresses": ["2001:zz::/64"]}}, "2001:zz"),
        ({"params2": 7}, "params2 must be a mapping"),
    ],
)
def test_bad_link_values(options, words):
    assert words in refusal(lambda lab: link(lab, **options))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"routes": [("default",)]}, "(destination, via)"),
        ({"routes": [("2001:db8::1/64", "fe80::1%eth0")]}, "host bits"),
        ({"routes": [("10.0.0.0/8", "2001:db8::1")]}, "family"),
        ({"sysctls": {"kernel.hostname": "x"}}, "net.*"),
        ({"sysctls": {"net/../kernel/hostname": "x"}}, "net.*"),
    ],
)
def test_bad_node_values(options, words):
    assert words in refusal(lambda lab: lab.addHost("r", cls=Router, **options))


def test_bad_nat_values():
    assert "kind must be one of cone, symmetric" in refusal(lambda lab: lab.addHost("n", cls=NatBox, kind="round"))
    assert "drop must be" in refusal(lambda lab: lab.addHost("n", cls=NatBox, drop=["carrier-pigeon"]))
    assert "idle must be" in refusal(lambda lab: lab.addHost("n", cls=NatBox, idle={"udp": 0}))


def test_cell_of_unknown_air():
    def build(lab):
        lab.addSwitch("air", cls=Air)
        lab.addSwitch("cell1", cls=Cell, air="aire")

    assert "unknown air 'aire' (did you mean 'air'?)" in refusal(build)


def test_long_default_interface_name():
    def build(lab):
        lab.addHost("a-very-long-name")
        lab.addHost("b")
        lab.addLink("a-very-long-name", "b")

    assert "give intfName1" in refusal(build)


def test_foreign_node_class():
    class Foreign:
        pass

    assert "cls must be a node class of the testbed, not 'Foreign'" in refusal(
        lambda lab: lab.addHost("x", cls=Foreign)
    )


def test_unknown_node_of_a_network():
    class Lab(Topo):
        def build(self):
            self.addHost("dgw1", cls=Host)

    with pytest.raises(LabError, match=r"unknown node 'dgw' \(did you mean 'dgw1'\?\)"):
        Network(Lab())["dgw"]


def test_good_options_pass():
    check_options("here", {"role": "x", "mtu": None}, {"role": v.text, "mtu": v.integer(68, 9000)})


def test_unknown_without_a_near_name_lists_all():
    assert nearest("zzz", ["air", "cell"]) is None
    assert unknown("cell", "zzz", ["b", "a"]) == "unknown cell 'zzz' (valid: a, b)"
