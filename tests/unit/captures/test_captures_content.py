"""The check "content" and the comparison of runs, on a made-up run that is right, and on ones that are not."""

import json
from dataclasses import replace

import pytest
from record_world import CACHE, MINE, WALK, ContentWorld, classic_walk

from captures.checks import call
from captures.comparison import compare
from captures.content import figures
from captures.pcapng import CaptureError
from captures.verdict import judge

ENTRY = {"check": "content", "hops": 1, "hops_moved": 3, "max_stall_ms": 200}


@pytest.fixture
def world(tmp_path):
    return ContentWorld(tmp_path)


def judged(world, **entry):
    return {one.id: one for one in call(world.run(), {**ENTRY, **entry})}


@pytest.mark.requirement("SC-IETF87")
def test_a_right_run_passes(world):
    results = judged(world)
    for one in results.values():
        assert one.passed is True, f"{one.id}: {one.measured}"
        assert one.evidence
    assert set(results) == {
        "content.intact", "content.origin", "content.served.dgw1", "content.path.dgw1", "content.served.dgw2",
        "content.path.dgw2", "content.running.film-1", "content.path.film-1",
    }  # fmt: skip


def test_figures_count_hops_octets_and_latency(world):
    found = figures(world.run())
    assert found["downloads"]["film-1"]["hops"] == {"dgw1": 1, "dgw2": 3}
    assert found["downloads"]["film-1"]["tunnel"] == {"dgw1": None, "dgw2": "dgw1"}
    assert found["downloads"]["film-2"]["hops"] == {"dgw2": 1}
    assert found["handshake_ms_median"] == {"dgw1": pytest.approx(1, abs=0.01), "dgw2": pytest.approx(1, abs=0.01)}
    octets = found["tunnelled_octets"]
    assert octets["core–dgw1"] == octets["core–dgw2"] > 0
    assert found["downloads"]["film-2"]["tunnelled_octets"] == {"core–dgw1": 0, "core–dgw2": 0}


def test_a_tunnel_that_takes_its_hop_off_the_packet_counts_the_same(world):
    """ip6tnl lowers the packet's own hop limit at the entry, seg6 that of the copy outside."""
    for packet in [one for capture in world.captures.values() for one in capture.packets if one.tunnelled]:
        outer, inner = packet.layers
        object.__setattr__(packet, "layers", (outer, replace(inner, hop_limit=63)))
    for packet in world.captures["cache1-eth0"].packets:
        moved = packet.time > 1_760_000_000 + WALK[1][1]
        if moved and str(packet.inner.source) == MINE["dgw1"]:
            object.__setattr__(packet, "layers", (replace(packet.inner, hop_limit=62),))
    assert figures(world.run())["downloads"]["film-1"]["hops"] == {"dgw1": 1, "dgw2": 3}


def damaged(world):
    world.bodies["film-2"] = world.bodies["film-2"][:-1] + b"x"


def cut_off(world):
    world.bodies["film-1"] = world.bodies["film-1"][:100]


def nothing_kept(world):
    del world.bodies["film-1"]


def node_asks_the_origin(world):
    world.logged("cn1", MINE["dgw1"])


def cache_asks_twice(world):
    world.logged("cn1", CACHE["cache2"])


def wrong_cache(world):
    port = 40002
    world.segment(5.0, "dgw2", "dgw2", "cache1", port, True, tcp_flags=0x10)


def not_in_the_log(world):
    world.logs["cache2"].clear()


def logged_as_failed(world):
    world.logs["cache2"][0]["status"] = 502


def asked_from_the_old_prefix(world):
    for event in world.events:
        if event.get("flow") == "film-2" and event["event"] == "flow-started":
            event["source"] = MINE["dgw1"]


def request_tunnelled(world):
    ends = ("2001:db8:c:2::2", "2001:db8:c:1::2", 63)
    ports = {"source_port": 40002, "destination_port": 80, "protocol": 6}
    world.packet("dgw2-wan", 5.0, ends, (MINE["dgw2"], "2001:db8:cd::80"), **ports)


def longer_way(world):
    for packet in world.captures["cache2-eth0"].packets:
        object.__setattr__(packet, "layers", (replace(packet.inner, hop_limit=60),))


def longer_tunnel(world):
    capture = world.captures["dgw1-wan"]
    for packet in capture.packets:
        if packet.tunnelled:
            outer, inner = packet.layers
            object.__setattr__(packet, "layers", (replace(outer, hop_limit=outer.hop_limit - 2), inner))


def not_tunnelled_after_the_move(world):
    for name in ("dgw1-wan", "dgw2-wan"):
        world.captures[name].packets.clear()


def stalled(world):
    for name in ("mn1-eth0", "cache1-eth0"):
        capture = world.captures[name]
        start = 1_760_000_000 + WALK[1][1] - 0.01
        capture.packets = [one for one in capture.packets if not start < one.time < start + 0.5]


def hole(world):
    capture = world.captures["mn1-eth0"]
    victim = next(one for one in capture.packets if one.tcp_length and one.time > 1_760_000_000 + 4.0)
    capture.packets.remove(victim)


def another_cache_after_the_move(world):
    world.segment(4.0, "dgw1", "dgw2", "cache2", 40001, True, tcp_flags=0x10)


WRONG = {
    damaged: ("content.intact", "film-2"),
    cut_off: ("content.intact", "film-1: 100 of 400"),
    nothing_kept: ("content.intact", "film-1: 0 of 400"),
    node_asks_the_origin: ("content.origin", "asked the origin"),
    cache_asks_twice: ("content.origin", "cache2 asked 2 times"),
    wrong_cache: ("content.served.dgw2", "served by cache1, cache2"),
    not_in_the_log: ("content.served.dgw2", "does not know"),
    logged_as_failed: ("content.served.dgw2", "failed"),
    asked_from_the_old_prefix: ("content.served.dgw2", "film-2"),
    request_tunnelled: ("content.path.dgw2", "in a tunnel to dgw1"),
    longer_way: ("content.path.dgw2", "4 routers"),
    longer_tunnel: ("content.path.film-1", "5 routers"),
    not_tunnelled_after_the_move: ("content.path.film-1", "tunnel to None"),
    stalled: ("content.running.film-1", "→dgw2"),
    hole: ("content.running.film-1", "never arrived"),
    another_cache_after_the_move: ("content.running.film-1", "packets of it at cache1, cache2"),
}


@pytest.mark.parametrize("doctor", WRONG, ids=lambda doctor: doctor.__name__)
def test_a_wrong_run_fails(world, doctor):
    doctor(world)
    result, text = WRONG[doctor]
    one = judged(world)[result]
    assert one.passed is False, one.measured
    assert text in one.measured


def test_a_download_that_ended_before_the_move_proves_nothing(world):
    for capture in world.captures.values():
        capture.packets = [one for one in capture.packets if one.source_port != 40001 != one.destination_port]
    assert judged(world)["content.running"].passed is None


def test_a_missing_access_log_is_said_so(world):
    run = world.run()
    (run.directory / "logs" / "cache1-access.jsonl").unlink()
    with pytest.raises(CaptureError, match=r"cache1-access\.jsonl"):
        call(run, ENTRY)


def test_a_lab_without_content_cannot_be_asked(tmp_path):
    with pytest.raises(CaptureError, match="no content network"):
        call(classic_walk().run(tmp_path), ENTRY)


# --- comparison


@pytest.fixture
def two(tmp_path):
    directories = []
    for name in ("one", "two"):
        directory = tmp_path / name
        directory.mkdir()
        world = ContentWorld(directory)
        world.checks = [ENTRY]
        world.hop_at_core = 1
        judge(world.run())
        directories.append(directory)
    verdict = json.loads((directories[1] / "verdict.json").read_text())
    content = verdict["metrics"]["content"]
    content["downloads"]["film-2"]["hops"]["dgw2"] = 5
    content["tunnelled_octets"] = {"core–dgw2": 7, "elsewhere": 1}
    (directories[1] / "verdict.json").write_text(json.dumps(verdict))
    return directories


def test_two_runs_side_by_side(two):
    found = compare(*two).as_json()
    assert [side["mode"] for side in found["runs"]] == ["relay", "relay"]
    assert all(side["passed"] for side in found["runs"])
    rows = {(row["subject"], row["figure"]): row["values"] for row in found["rows"]}
    assert rows["hops", "routers to the cache, asked for at dgw2"] == (1, 5)
    assert rows["hops", "routers to the cache, moved to dgw2 meanwhile"] == (3, 3)
    assert rows["tunnelled", "elsewhere"] == (None, 1)
    assert rows["tunnelled", "all core links"][1] == 8
    assert rows["latency", "TCP handshake at dgw1, median"] == (pytest.approx(1, abs=0.01),) * 2


def test_a_run_that_was_not_judged_cannot_be_compared(two):
    (two[0] / "verdict.json").unlink()
    with pytest.raises(CaptureError, match="roamlab check"):
        compare(*two)
