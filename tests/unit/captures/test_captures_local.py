"""Checks of local networks and of Figure 4: right on a right walk, wrong on each doctored one."""

import pytest
import synthetic_wire as wire
from doctoring import decode_together
from synthetic import ADDRESS, CORE, LMAC, MN, MN_MAC, T0, WAN
from synthetic_local import ENDED, LOCALNET, PRINTER, SAME, LocalWorld

from captures.checks import call
from captures.run import Run

RIGHT = "a right walk"


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The right walk and all doctored ones; only captures that differ from the right one's are decoded again."""
    root = tmp_path_factory.mktemp("local")
    worlds = {RIGHT: LocalWorld(), **{name: make() for name, (make, *_) in {**WRONG, **FIGURE}.items()}}
    base = worlds[RIGHT].by_capture()
    jobs = []
    for name, world in worlds.items():
        world.write(root / name, only=())
        changed = {file for file, frames in world.by_capture().items() if name == RIGHT or frames != base[file]}
        jobs += [(name, file, frames) for file, frames in world.by_capture().items() if file in changed]
    decoded = decode_together(jobs)
    return {
        name: Run(
            root / name, [decoded.get((name, file)) or decoded[RIGHT, file] for file in LocalWorld.capture_names()]
        )
        for name in worlds
    }


def results(run, check):
    return {one.id: one for one in call(run, {"check": check})}


@pytest.mark.parametrize("check", ["local-access", "figure-four"])
def test_a_right_walk_passes(runs, check):
    found = results(runs[RIGHT], check)
    for one in found.values():
        assert one.passed is True, f"{one.id}: {one.measured}"
        assert one.evidence
        assert one.requirement
    if check == "figure-four":
        assert set(found) == {*(f"fig4.{n}" for n in range(1, 9)), "fig4.order"}
    else:
        kinds = {"routes", "lifetime", "closed", "home", "away", "apart", "source", "withdrawn"}
        assert {id_.split(".")[1] for id_ in found} == kinds


def ra(prefix, **changes):
    """Changes in RAs whose tag starts so."""

    def tweak(tag, fields):
        if not tag.startswith(prefix):
            return fields
        return {**fields, **{k: v(fields) if callable(v) else v for k, v in changes.items()}}

    return LocalWorld(tweak)


def without(prefix):
    return LocalWorld(lambda tag, fields: None if tag.startswith(prefix) else fields)


def bent(prefix, change):
    return LocalWorld(bend=lambda tag, frames: change(frames) if tag.startswith(prefix) else frames)


def natively(frames):
    """Instead of through the tunnel, over the core as it is."""
    plain = frames["mn1-eth0"][14:]
    out = {"dgw2-wan": wire.ether(WAN["dgw2"], CORE["dgw2"], plain)}
    return {**frames, **out, "dgw1-wan": wire.ether(CORE["dgw1"], WAN["dgw1"], plain)}


def events(name, **changes):
    world = LocalWorld()
    for event in world.events:
        if event["event"] == name:
            event.update(changes)
    return world


def let_in(frames):
    return {**frames, "printer1-eth0": frames["dgw1-wan"]}


def answered(frames):
    reply = wire.echo(PRINTER, ADDRESS["cn1"], 1, 99, reply=True)
    return {**frames, "cn1-eth0": wire.ether(CORE["cn1"], WAN["cn1"], reply)}


def from_the_other_prefix(frames):
    packet = wire.udp(MN["dgw1"], PRINTER, 6003, 7, 1)
    return {**frames, "mn1-eth0": wire.ether(MN_MAC, LMAC["dgw1"], packet)}


def not_announced():
    world = LocalWorld()
    world.events = [event for event in world.events if event["event"] != "attempt-started"]
    return world


def other_preference(fields):
    return [(network, "medium", seconds) for network, _, seconds in fields["routes"]]


def lifetime(seconds):
    return lambda fields: [(network, preference, seconds) for network, preference, _ in fields["routes"]]


def after_the_end(routes):
    return lambda fields: routes if fields["t"] >= ENDED else fields["routes"]


NOTHING = "no attempt at all"
WRONG = {
    "routes on the wrong DLIF": (
        lambda: ra("ra:dgw2:dgw2", routes=[(LOCALNET, "high", 60)]), "local.routes", "on the DLIF of dgw2"),
    "no routes on the right one": (
        lambda: ra("ra:dgw2:dgw1", routes=[]), "local.routes", "does not offer"),
    "routes with another preference": (
        lambda: ra("ra:dgw2:dgw1", routes=other_preference), "local.routes", "another preference"),
    "routes that outlive the binding": (
        lambda: ra("ra:dgw3:dgw1:0", routes=lifetime(301)), "local.lifetime", "301 s, binding"),
    "local traffic of home on the core": (
        lambda: bent("up:print-1", lambda f: {**f, "dgw1-wan": f["dgw1-phy"]} if "dgw1-phy" in f else f),
        "local.home.mn1.0", "on the core link of dgw1"),
    "local traffic natively from afar": (
        lambda: bent("up:print-1:30", natively), "local.away.mn1.1.dgw1", "natively"),
    NOTHING: (not_announced, "local.closed", "nobody tried"),
    "no way back": (
        lambda: bent("down:print-2", lambda frames: {}), "local.away.mn1.1.dgw1", "up, 0 down"),
    "an outsider let in": (lambda: bent("knock:3", let_in), "local.closed", "printer1 got a packet of cn1"),
    "an outsider answered": (lambda: bent("knock:3", answered), "local.closed", "cn1 got an answer"),
    "an outsider that never tried": (
        lambda: bent("knock", lambda frames: {}), "local.closed", "no attempt of cn1 came as far as dgw1"),
    "the wrong printer": (
        lambda: bent("up:shared-1", lambda frames: {"printer2-eth0": frames.get("printer1-eth0", b"")}),
        "local.apart.fd00:10ca:1::/64", "shared-1 arrived at printer2"),
    "the wrong source": (
        lambda: bent("up:print-2", from_the_other_prefix), f"local.source.mn1.{PRINTER}", "of dgw1"),
    "routes not withdrawn": (
        lambda: ra("ra:dgw3:dgw1", routes=after_the_end([])), "local.withdrawn.mn1", "0 RAs of"),
    "routes offered again": (
        lambda: ra("ra:dgw3:dgw1", routes=after_the_end([(LOCALNET, "high", 60)])),
        "local.withdrawn.mn1", "is offered again"),
    "routes withdrawn late": (
        lambda: events("local-access-ended", t=T0 + ENDED - 1.2), "local.withdrawn.mn1", "is withdrawn after 1."),
    "a route that stays in the table": (
        lambda: events("routes", routes=[{"dst": LOCALNET, "protocol": "ra", "pref": "high"}]),
        "local.withdrawn.mn1", "still there"),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(WRONG))
def test_a_doctored_walk_fails(runs, name):
    _, wanted, text = WRONG[name]
    result = results(runs[name], "local-access")[wanted]
    assert result.passed is (None if name == NOTHING else False), result.measured
    assert text in result.measured


def pba(**changes):
    return ra("pba:dgw1:dgw2", **changes)


def drop_tunnelled(prefix):
    def change(frames):
        return {name: frame for name, frame in frames.items() if not name.endswith("-wan")}

    return bent(prefix, change)


FIGURE = {
    "no look-up": (lambda: dropped("lookup"), "fig4.1"),
    "a deprecated own prefix": (
        lambda: ra("ra:dgw1:dgw1:0", prefixes=[("2001:db8:a1:1::/64", 300, 0)]), "fig4.2"),
    "no answer of the local network": (lambda: bent("down:", lambda frames: {}), "fig4.4"),
    "no RA of the new gateway": (lambda: without("ra:dgw2:dgw2"), "fig4.6"),
    "no binding update": (lambda: without("pbu:dgw2:dgw1"), "fig4.7"),
    "no option 66": (lambda: pba(extra=[]), "fig4.7"),
    "no options 69 and 70": (lambda: pba(dlif=None), "fig4.7"),
    "another prefix in option 65": (lambda: pba(anchored=["2001:db8:a1:7::/64"]), "fig4.7"),
    "no route options": (lambda: ra("ra:dgw2:dgw1:0", routes=[]), "fig4.8"),
    "an anchored prefix preferred": (
        lambda: ra("ra:dgw2:dgw1:0", prefixes=[("2001:db8:a1:1::/64", 300, 300)]), "fig4.8"),
    "a local session that stopped": (lambda: drop_tunnelled("up:"), "fig4.8"),
    "an update before the look-up": (lambda: pbu_early(), "fig4.order"),
}  # fmt: skip


def dropped(tag):
    world = LocalWorld()
    world.drop(lambda frame: frame.tag == tag)
    return world


def pbu_early():
    return ra("pbu:dgw2:dgw1", t=2.0)


@pytest.mark.parametrize("name", sorted(FIGURE))
def test_a_walk_that_is_not_figure_four(runs, name):
    _, wanted = FIGURE[name]
    result = results(runs[name], "figure-four")[wanted]
    assert result.passed is False, result.measured


def test_the_shared_address_is_the_same_for_both_printers():
    """Otherwise the walk would prove nothing about equal prefixes."""
    packets = {frame.capture for frame in LocalWorld().frames if frame.tag.startswith("up:shared")}
    assert {"printer1-eth0", "printer2-eth0"} <= packets
    assert SAME.startswith("fd00:10ca:1::")
