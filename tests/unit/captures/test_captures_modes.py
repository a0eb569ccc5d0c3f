"""What the signalling modes change beyond the checks: times measured, repetitions, the sequence chart."""

import pytest
from doctored_cmd_modes import refused
from doctoring import MODES, run_of, tweaked, without
from synthetic import World

from captures.checks import call
from captures.pcapng import CaptureError
from captures.report.sequence import Arrow, Chart
from captures.verdict import pbu_to_pba, pbu_to_tunnel


def test_the_slowest_anchor_decides_when_tunnels_are_usable(tmp_path):
    world = tweaked("locator", "pba:dgw1:dgw3", t=lambda fields: fields["t"] + 0.003)
    assert pbu_to_pba(run_of(world, tmp_path))["mn1.2"] == pytest.approx(4.1, abs=0.01)


def test_a_late_group_of_the_relay_counts(tmp_path):
    """Two PBAs for one PBU (spec CMD-RELAY-4): the tunnels are complete with the second."""
    world = World("relay", partly := Partly())
    fields = partly.late
    world.message("late", fields.pop("t") + 0.6, fields.pop("source"), fields.pop("destination"), **fields)
    run = run_of(world, tmp_path)
    assert pbu_to_pba(run) == pytest.approx({"mn1.1": 2.0, "mn1.2": 602.0}, abs=0.01)
    assert pbu_to_tunnel(run) == pytest.approx({"mn1.1": 2.2, "mn1.2": 602.2}, abs=0.01)


class Partly:
    """Splits the CMD's answer to dgw3 in two, keeping the second part for later."""

    def __call__(self, tag, fields):
        if tag != "pba:cmd:dgw3":
            return fields
        first, second = fields["groups"]
        self.late = {**fields, "groups": [second]}
        return {**fields, "groups": [first]}


@pytest.mark.parametrize(("mode", "gone"), [("locator", "pba:dgw1:dgw3"), ("relay", "pba:cmd:dgw3")])
def test_a_tunnel_that_was_never_possible_has_no_time(tmp_path, mode, gone):
    run = run_of(without(mode, gone), tmp_path)
    assert set(pbu_to_pba(run)) == set(pbu_to_tunnel(run)) == {"mn1.1"}


def test_an_answer_lost_on_the_way_makes_no_tunnel(tmp_path):
    world = World("locator")
    world.drop(lambda frame: frame.tag == "pba:dgw1:dgw2" and frame.capture == "dgw2-wan")
    run = run_of(world, tmp_path)
    assert set(pbu_to_pba(run)) == {"mn1.1", "mn1.2"}
    assert set(pbu_to_tunnel(run)) == {"mn1.2"}


@pytest.mark.parametrize("mode", ["locator", "relay", "proxy"])
def test_a_cmd_that_repeats_itself_is_understood(tmp_path, mode):
    """The CMD keeps the sequence number and renews the Timestamp (spec RETX-4); the first PBU was lost."""
    world = World(mode, lost := Lost())
    asked = lost.asked
    asked["ts"] += 1.0
    world.message("again", asked["t"] + 1.0, "cmd", "dgw1", "PBU", **lost.rest(asked))
    for tag, fields in sorted(lost.answers.items()):
        fields["ts"] = asked["ts"]
        world.message(f"again:{tag}", fields["t"] + 1.0, "dgw1", fields["destination"], "PBA", **lost.rest(fields))
    if mode == "relay":
        fields = lost.final
        world.message("late", fields["t"] + 1.0, "cmd", "dgw2", "PBA", **lost.rest(fields))
    results = {one.id: one for one in call(run_of(world, tmp_path), {"check": "signalling"})}
    assert results["signalling.mn1.1"].passed is True, results["signalling.mn1.1"].measured
    assert results["signalling.echo"].passed is True, results["signalling.echo"].measured


class Lost:
    """Keeps back what follows from the CMD's PBU to dgw1 when that is lost."""

    def __init__(self):
        self.asked, self.answers, self.final = None, {}, None

    def __call__(self, tag, fields):
        if tag == "pbu:cmd:dgw1:dgw2":
            self.asked = dict(fields)
        elif tag in ("pba:dgw1:cmd:dgw2", "pba:dgw1:dgw2"):
            self.answers[tag] = dict(fields)
            return None
        elif tag == "pba:cmd:dgw2" and fields["groups"]:
            self.final = dict(fields)
            return None if self.answers else fields  # a proxy answers before the anchors
        return fields

    @staticmethod
    def rest(fields):
        return {key: value for key, value in fields.items() if key not in ("t", "source", "destination", "kind")}


def test_an_unknown_mode_is_refused(tmp_path):
    run = run_of(World("direct"), tmp_path)
    run.mode = "relais"
    with pytest.raises(CaptureError) as caught:
        call(run, {"check": "signalling"})
    assert (
        str(caught.value) == "check signalling: unknown mode 'relais' (known: direct, relay, locator, proxy, classic)"
    )


def arrows(run):
    """(source, destination, head, detail) of the chart's messages between gateways and CMD after the first move."""
    begin = run.moves()[0].start
    rows = [row for row in Chart(run).rows if isinstance(row, Arrow) and row.head.startswith("PB")]
    return [(row.source, row.destination, row.head, row.detail) for row in rows if row.time > begin]


@pytest.mark.parametrize("mode", MODES)
def test_the_chart_tells_who_answers_whom(tmp_path, mode):
    run = run_of(World(mode), tmp_path)
    ends = [(source, destination, head[:3]) for source, destination, head, _ in arrows(run)]
    expected = {
        "direct": [("dgw2", "dgw1", "PBU"), ("dgw1", "dgw2", "PBA")],
        "relay": [
            ("dgw2", "cmd", "PBU"),
            ("cmd", "dgw1", "PBU"),
            ("dgw1", "cmd", "PBA"),
            ("cmd", "dgw2", "PBA"),
        ],
        "locator": [
            ("dgw2", "cmd", "PBU"),
            ("cmd", "dgw1", "PBU"),
            ("dgw1", "cmd", "PBA"),
            ("dgw1", "dgw2", "PBA"),
        ],
        "proxy": [
            ("dgw2", "cmd", "PBU"),
            ("cmd", "dgw2", "PBA"),
            ("cmd", "dgw1", "PBU"),
            ("dgw1", "cmd", "PBA"),
        ],
    }[run.mode]
    assert ends[: len(expected)] == expected
    details = [detail for *_, detail in arrows(run)]
    assert sum("answers the PBU to cmd" in detail for detail in details) == (3 if run.mode == "locator" else 0)
    told = 0 if run.mode == "direct" else 3
    assert sum("for dgw" in detail for detail in details) == 2 * told


def test_the_chart_marks_a_withdrawn_anchor(tmp_path):
    row = arrows(run_of(refused("proxy", 0.002), tmp_path))[4]
    assert row[:2] == ("cmd", "dgw2")
    assert "status 153" in row[2]
    assert "withdraws dgw1" in row[3]
