"""Checks across mobile nodes and returns: what a run with one node walking onwards cannot show."""

import pytest
import synthetic as syn
import synthetic_wire as wire
from doctoring import MODES, runs_of
from synthetic import ADDRESS, MN, PREFIX, World

from captures.checks import call

MN2_MAC = "02:00:00:00:00:12"
MN2_PREFIX = "2001:db8:a1:2::/64"
MN2_LMAC = "02:d6:00:01:00:02"
PINGPONG = (("dgw1", 1.0, 3.0), ("dgw2", 3.005, 5.0), ("dgw1", 5.005, 7.0))


class TwoNodes(World):
    """mn1 walks as always; mn2 stays at dgw1 all the time."""

    def __init__(self, **doctored):
        super().__init__("direct")
        self.event(1.0, "attached", node="mn2", cell="cell1", gateway="dgw1", mac=MN2_MAC)
        fields = {
            "lmac": MN2_LMAC,
            "source": str(syn.eui64(MN2_LMAC)),
            "dst_mac": MN2_MAC,
            "destination": str(syn.eui64(MN2_MAC)),
            "prefixes": [(MN2_PREFIX, 300, 300)],
            **doctored,
        }
        frame = wire.router_advertisement(**fields)
        self.put("dgw1-phy", 1.1, frame, "ra2")
        self.put("mn2-eth0", 1.1001, frame, "ra2")
        self.hear(wire.udp(ADDRESS["cn1"], "2001:db8:a1:2:0:ff:fe00:12", 7000, 5000, 1))

    def hear(self, packet):
        """A packet that reaches mn2."""
        self.put("mn2-eth0", 2.0, wire.ether(MN2_LMAC, MN2_MAC, packet), "heard")

    @staticmethod
    def capture_names():
        return [*World.capture_names(), "mn2-eth0"]

    def lab(self):
        lab = super().lab()
        lab["nodes"]["mn2"] = {"role": "mobile", "interfaces": {"eth0": {"mac": MN2_MAC, "addresses": [], "mtu": 1500}}}
        lab["domain"]["mobiles"]["mn2"] = {"mn_id": "mn2@dmm.example", "mac": MN2_MAC, "interface": "eth0"}
        return lab

    def tunnel_late(self, t):
        """dgw1 sends a packet for mn1 to dgw2."""
        packet = wire.echo(ADDRESS["cn1"], MN["dgw1"], 9999, 11)
        self.core("dgw1", "dgw2", t, wire.tunnelled(ADDRESS["dgw1"], ADDRESS["dgw2"], packet), "late")


SAME_PREFIX = {"prefixes": [(PREFIX["dgw1"], 300, 300)]}
SAME_MAC = {"lmac": syn.LMAC["dgw1"], "source": str(syn.eui64(syn.LMAC["dgw1"]))}
TO_MN2 = "2001:db8:a1:2:0:ff:fe00:12"


def overhearing(wait):
    """mn2 hears what mn1 sends to a router that is not there, some time after it attached."""
    world = TwoNodes()
    packet = wire.udp(MN["dgw1"], ADDRESS["cn1"], 5000, 7000, 3)
    world.put("mn2-eth0", 1.0 + wait, wire.ether(syn.MN_MAC, "02:d6:00:02:00:01", packet), "flooded")
    return world


def hearing(source):
    world = TwoNodes()
    world.hear(wire.udp(source, TO_MN2 if source == MN["dgw1"] else MN["dgw1"], 7000, 5000, 2))
    return world


def tunnelled_late(when):
    world = World("direct")
    TwoNodes.tunnel_late(world, 5.005 + when)
    return world


def spoken_late(when):
    """dgw2 still speaks as dgw1's DLIF, which is back at dgw1 already."""
    world = World("direct")
    packet = wire.echo(ADDRESS["cn1"], MN["dgw1"], 9999, 11)
    world.put("dgw2-phy", 5.005 + when, wire.ether(syn.LMAC["dgw1"], syn.MN_MAC, packet), "late")
    return world


def new_prefix_at_return(tag, fields):
    late = tag.startswith("ra:dgw1:dgw1") and fields["t"] > 5
    return {**fields, "prefixes": [("2001:db8:a1:9::/64", 300, 300)]} if late else fields


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """All runs of this file: with two nodes, and with one that returns to its first gateway."""
    root = tmp_path_factory.mktemp("several")
    found = runs_of(
        root,
        {
            "two": TwoNodes(),
            "same-prefix": TwoNodes(**SAME_PREFIX),
            "same-mac": TwoNodes(**SAME_MAC),
            "leak": hearing(ADDRESS["cn1"]),
            "talk": hearing(MN["dgw1"]),
            "joining": overhearing(0.005),
            "overhearing": overhearing(0.05),
        },
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(syn, "WALK", PINGPONG)
        returns = {f"return-{mode}": World(mode) for mode in MODES}
        returns["return-elsewhere"] = World("direct", new_prefix_at_return)
        returns |= {f"spoken-{when}": spoken_late(when) for when in (0.003, 0.06)}
        returns |= {f"return-{when}": tunnelled_late(when) for when in (0.1, 0.4)}
        return found | runs_of(root, returns)


def results(run, check):
    return {one.id: one for one in call(run, {"check": check})}


@pytest.mark.parametrize("check", ["prefixes", "ra", "identity"])
def test_two_nodes_pass(runs, check):
    for one in results(runs["two"], check).values():
        assert one.passed is True, f"{one.id}: {one.measured}"


@pytest.mark.parametrize(
    ("name", "check", "result", "text"),
    [
        ("same-prefix", "prefixes", "prefixes.exclusive", "given to mn1 and mn2"),
        ("same-prefix", "ra", "ra.receiver", f"{PREFIX['dgw1']} of mn1 sent to mn2"),
        ("same-mac", "ra", "ra.receiver", "serves two nodes"),
        ("same-mac", "identity", "identity.unique", "serves dgw1 and dgw1"),
        ("leak", "prefixes", "prefixes.leak", "mn2 hears a packet of mn1"),
        ("overhearing", "prefixes", "prefixes.leak", "mn2 hears a packet of mn1"),
        ("return-elsewhere", "prefixes", "prefixes.mn1.2", "another prefix than before"),
        ("spoken-0.06", "identity", "identity.one-place", "speaks at dgw2 after it spoke at dgw1"),
        ("return-0.4", "flows", "flows.ping1.path", "at dgw1 1 dgw2"),
        ("return-0.4", "tunnel", "tunnel.local", "dgw1 tunnels its own prefix"),
    ],
)
def test_what_must_not_be(runs, name, check, result, text):
    found = results(runs[name], check)[result]
    assert found.passed is False, found.measured
    assert text in found.measured


@pytest.mark.parametrize(
    ("name", "check", "result"),
    [
        ("talk", "prefixes", "prefixes.leak"),
        ("joining", "prefixes", "prefixes.leak"),
        ("spoken-0.003", "identity", "identity.one-place"),
        ("return-0.1", "flows", "flows.ping1.path"),
        ("return-0.1", "tunnel", "tunnel.local"),
    ],
)
def test_what_may_be(runs, name, check, result):
    found = results(runs[name], check)[result]
    assert found.passed is True, found.measured


@pytest.mark.parametrize("mode", MODES)
def test_kernels_and_nodes_after_a_return(runs, mode):
    for check in ("order", "modes", "leftovers", "mobile-view"):
        for one in call(runs[f"return-{mode}"], {"check": check}):
            assert one.passed is True, f"{one.id}: {one.measured}"
    assert "order.own.mn1.2" not in results(runs[f"return-{mode}"], "order")


def test_an_injected_message_is_not_the_agents(runs):
    run = runs["two"]
    assert [(one.kind, one.status) for one in run.injected] == [("PBU", -1), ("PBA", 157), ("PBU", -1)]
    assert not set(run.injected) & set(run.signalling)
    assert sorted([*run.injected, *run.signalling], key=lambda one: one.time) == run.mobility
