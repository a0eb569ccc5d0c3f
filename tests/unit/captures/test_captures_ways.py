"""Ways of flows between AERO Clients as a function of time: spans, gaps at moves, and their drawing in the report."""

import pytest
from aero_direct_world import H2, SIZE, DirectWorld
from aero_doctored import without
from aero_move_world import MoveWorld
from aero_transfer_world import CHANGED, MOVED, ServedWorld, TransferWorld
from aero_world import H1, T0

from captures.aero.transfers import Stream, segments, stream, transfers
from captures.aero.ways import moves, travels
from captures.report.ways import Ways

BY_RELAY = ("s2", "r1", "s1")


def travel(world, name):
    return next(each for each in travels(world.run().aero) if each.name == name)


def test_each_direction_of_a_transfer_is_a_flow():
    found = travels(TransferWorld().run().aero)
    assert [(each.name, each.kind) for each in found] == [("file, data", "TCP"), ("file, acknowledgements", "TCP")]
    assert [[client.name for client in each.ends] for each in found] == [["c2", "c1"], ["c1", "c2"]]


def test_a_way_is_who_is_in_between():
    spans = travel(TransferWorld(), "file, data").spans()
    assert [span.way for span in spans] == [BY_RELAY, ()]
    assert [span.packets for span in spans] == [4, 38]
    assert all(span.first.node == "c1" for span in spans)


def test_a_segment_sent_again_does_not_inherit_a_way():
    """The same octets, once by Servers and directly a moment later"""
    world = TransferWorld()
    world.part("again:2", 2, 1.035)
    world.segment("directly:2", "c2", 0xFFFFF000 + 2000, 16, 1.036, 1000)
    ways = [way for _time, way, frame in travel(world, "file, data").arrivals if frame.segment.sequence == 0xFFFFF7D0]
    assert ways == [BY_RELAY, (), BY_RELAY]  # overtaken


def test_pings_by_a_server_and_directly():
    spans = travel(DirectWorld(), "switch, requests").spans()
    assert [span.way for span in spans][:2] == [("s1",), ()]


@pytest.mark.parametrize(
    ("event", "moment", "silence"), [("moving", MOVED, 0.02), ("changing", CHANGED, 0.01)], ids=["moving", "changing"]
)
def test_a_gap_begins_at_a_move(event, moment, silence):
    world = TransferWorld()
    link = world.run().aero
    gaps = {gap.event: gap for gap in travel(world, "file, data").gaps(moves(link))}
    assert gaps[event].client == "c1"
    assert gaps[event].moved == pytest.approx(T0 + moment)
    assert gaps[event].seconds == pytest.approx(silence, abs=0.006)


def test_a_gap_begins_when_a_server_fails():
    link = ServedWorld().run().aero
    gaps = {gap.event: gap for gap in travel(ServedWorld(), "file, data").gaps(moves(link))}
    assert (gaps["failing"].client, gaps["failing"].seconds) == ("s1", pytest.approx(0.02, abs=0.006))
    assert "s1 fails" in Ways(link, 0.1).draw()


def test_what_was_silent_before_is_not_a_moves_gap():
    world = without(TransferWorld, *(f"part:{number}" for number in range(22, 30)))
    gaps = {gap.event: gap.seconds for gap in travel(world, "file, data").gaps(moves(world.run().aero))}
    assert gaps["changing"] < 0.03 < gaps["moving"]


def test_a_flow_without_moves_has_no_gaps():
    world = DirectWorld()
    assert travel(world, "switch, requests").gaps(moves(world.run().aero)) == []


def test_octets_of_a_stream_whose_numbers_wrap():
    link = TransferWorld().run().aero
    (one,) = transfers(link)
    arrived = stream(segments(link, "h1", one), one)
    assert arrived.octets == 40_000
    assert arrived.repeated() == [(pytest.approx(T0 + 1.181), 1000)]  # out of order: what was lost comes afterwards
    left = stream(segments(link, "h2", one), one)
    assert [octets for _time, octets in left.repeated()] == [1000]
    assert Stream().octets == 0


def test_a_stream_without_its_beginning_is_not_judged():
    world = TransferWorld(lambda tag, fields: None if tag.startswith("opened") and "@" in tag else fields)
    link = world.run().aero
    (one,) = transfers(link)
    assert stream(segments(link, "h1", one), one) == Stream()


def test_a_connection_that_just_lasts_is_no_file():
    """As in aero-models: the event says who talks to whom, and nothing of octets."""
    link = TransferWorld().run().aero
    lasting = {"t": T0, "node": "c1", "agent": "lab", "event": "transfer", "source": "2001:db8::1", "peer": "g"}
    link.events.append(lasting)
    assert len(transfers(link)) == 1


def test_the_report_draws_ways_moves_and_gaps():
    ways = Ways(TransferWorld().run().aero, 0.25)
    assert [label for label, _colour, _striped in ways.legend] == ["directly", "through Servers and a Relay"]
    drawn = ways.draw()
    for words in ("c1 moves", "c1 changes Server", "file, data", "by s2 r1 s1, 4 packets"):
        assert words in drawn
    assert drawn.count("gap-dot") == 4


def test_a_crowd_is_drawn_in_low_rows():
    world = MoveWorld()
    ends = {"source": H1, "destination": H2, "node": "h1", "peer": "h2"}
    for number in range(11):  # beside the world's own
        world.say("pings", 1.0, name=f"more-{number}", end=T0 + 3, size=SIZE, icmp_id=90, count=1, **ends)
    ways = Ways(world.run().aero, 0.25)
    assert ways.crowded
    assert len(ways.travels) == 24
    assert "c1 moves, silence of" in ways.draw()


def test_flows_of_a_moment_are_not_drawn():
    assert Ways(TransferWorld().run().aero, 5.0).travels == []
