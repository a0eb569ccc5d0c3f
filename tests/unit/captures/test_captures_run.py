"""Judging and reporting a whole run directory; reading broken ones; measuring flows exactly."""

import io
import json

import pytest
import synthetic as syn
import synthetic_wire as wire
from doctoring import MODES, run_of
from rich.console import Console
from synthetic import World

from captures import report, terminal
from captures.decode import decode_all
from captures.flows import analyse
from captures.pcapng import CaptureError, Frames
from captures.report.sequence import HOW
from captures.run import Run
from captures.verdict import judge


@pytest.fixture(scope="module", params=MODES)
def run(request, tmp_path_factory):
    world, directory = World(request.param), tmp_path_factory.mktemp(request.param)
    # One from its files, as every real run is read.
    return Run(world.write(directory)) if request.param == "relay" else run_of(world, directory)


@pytest.fixture(scope="module")
def verdict(run):
    return judge(run)


def test_verdict_file_has_the_public_format(run, verdict):
    stored = json.loads((run.directory / "verdict.json").read_text())
    assert stored == json.loads(json.dumps(verdict.as_json()))
    assert stored["passed"] is True
    assert set(stored) == {"lab", "passed", "checks", "metrics"}
    keys = {"id", "requirement", "title", "passed", "expected", "measured", "evidence"}
    assert all(set(one) == keys for one in stored["checks"])
    assert len({one["id"] for one in stored["checks"]}) == len(stored["checks"])


def test_metrics_are_what_the_generator_made(run, verdict):
    own = {"direct": 0.002, "relay": 0.005, "locator": 0.004, "proxy": 0.003}[run.mode]
    metrics = verdict.metrics
    assert metrics["l2_to_ra_ms"] == pytest.approx({"mn1.1": own * 1000 + 0.1, "mn1.2": own * 1000 + 0.1}, abs=0.01)
    exchange = {"direct": 1.0, "relay": 2.0, "locator": 1.1, "proxy": 0.4}[run.mode]
    assert metrics["pbu_to_pba_ms"] == pytest.approx({"mn1.1": exchange, "mn1.2": exchange}, abs=0.01)
    usable = exchange + 0.2  # one hop later
    assert metrics["pbu_to_tunnel_ms"] == pytest.approx({"mn1.1": usable, "mn1.2": usable}, abs=0.01)
    assert metrics["pbu_to_tunnel_ms_median"] == pytest.approx(usable, abs=0.01)
    assert metrics["gap_ms"]["ping1"] == pytest.approx({"mn1.1": 80.0, "mn1.2": 80.0}, abs=0.01)
    assert metrics["gap_ms"]["camera"] == pytest.approx({"mn1.1": 75.0, "mn1.2": 75.0}, abs=0.01)
    assert metrics["moves_without_ra"] == 0
    assert metrics["flows"]["probe"]["lost"] == 2
    assert set(metrics["tunnelled_bytes"]) == {"dgw2–dgw1", "dgw3–dgw1", "dgw3–dgw2"}


def test_flow_paths_follow_the_walk(run):
    reports = {one.flow.name: one for one in analyse(run)}
    assert [path.main for path in reports["camera"].paths] == ["local", "dgw1", "dgw1"]
    assert [path.main for path in reports["ping2"].paths] == ["local", "dgw2"]
    assert reports["camera"].holes == reports["camera"].retransmitted == 0
    assert reports["ping1"].lost_elsewhere == 0


def test_a_silence_belongs_to_one_move(tmp_path):
    world = World("direct")
    world.drop(lambda f: f.tag.startswith("pong:11") and f.capture == "mn1-eth0" and 4.98 < f.t - syn.T0 < 5.4)
    reports = {one.flow.name: one for one in analyse(run_of(world, tmp_path))}
    first, second = reports["ping1"].gaps
    assert first.seconds == pytest.approx(0.08, abs=0.001)
    assert second.seconds > 0.4


def test_report_is_one_self_contained_page(run, verdict):
    page = report.write(run).read_text()
    assert page.count("<svg") == 4
    assert "http://" not in page.replace("http://www.w3.org/2000/svg", "")
    assert "https://" not in page
    assert "<script" not in page
    for text in (
        "tunnel to dgw1",
        "PBU #",
        "mn1 moves to dgw3",
        HOW[run.mode],
        "2001:db8:c:9::2",
        "Passed",
        "prefers-color-scheme: dark",
    ):
        assert text in page


def test_terminal_table_ends_with_the_outcome(verdict):
    out = io.StringIO()
    terminal.show(verdict, Console(file=out, width=140))
    assert f"PASSED: {len(verdict.checks)} checks" in out.getvalue()


def test_a_silent_check_fails_the_run_unless_optional(tmp_path):
    world = World("direct")
    world.drop(lambda frame: frame.capture == "cmd-eth0")
    world.checks = [{"check": "cmd-interface"}]
    run = run_of(world, tmp_path)
    assert [one.passed for one in judge(run).checks] == [None]
    assert judge(run).passed is False
    run.lab["checks"] = [{"check": "cmd-interface", "optional": True}]
    assert judge(run).passed is True
    run.lab["checks"] = []
    assert judge(run).passed is False


def test_lowpref_profile_passes_with_its_own_lifetimes(tmp_path):
    world = World("direct", lambda tag, fields: lowpref(tag, fields))
    world.profile = "lowpref"
    world.checks = [{"check": "ra"}]
    assert judge(run_of(world, tmp_path)).passed is True


def lowpref(tag, fields):
    if tag.startswith("ra"):
        return {**fields, "prefixes": [(fields["prefixes"][0][0], 300, 300)]}
    return fields


def test_ping_pong_reuses_prefix_and_identity(tmp_path, monkeypatch):
    monkeypatch.setattr(syn, "WALK", (("dgw1", 1.0, 3.0), ("dgw2", 3.005, 5.0), ("dgw1", 5.005, 7.0)))
    world = World("direct")
    world.checks = [{"check": name} for name in ("signalling", "ra", "identity", "prefixes")]
    verdict = judge(run_of(world, tmp_path))
    assert [one.measured for one in verdict.checks if one.passed is not True] == []
    assert {one.id for one in verdict.checks} >= {"prefixes.mn1.2", "signalling.mn1.2"}


def test_ra_with_route_option_and_icmp_error_are_read(tmp_path):
    from scapy.layers.inet6 import ICMPv6NDOptRouteInfo

    lmac = syn.LMAC["dgw1"]
    fields = {
        "lmac": lmac,
        "source": str(syn.eui64(lmac)),
        "dst_mac": syn.MN_MAC,
        "destination": "fe80::ff:fe00:11",
    }
    advertisement = wire.router_advertisement(prefixes=[(syn.PREFIX["dgw1"], 300, 0)], preference="low", **fields)
    route = bytes(ICMPv6NDOptRouteInfo(len=3, plen=64, prf=1, rtlifetime=60, prefix="2001:db8:a1:ffff::"))
    body = advertisement[54:] + route
    packet = wire.ipv6(fields["source"], fields["destination"], 58, wire.with_checksum(
        fields["source"], fields["destination"], 58, body[:2] + b"\0\0" + body[4:], 2), 255)  # fmt: skip
    inner = wire.udp(syn.MN["dgw1"], syn.ADDRESS["cn1"], 5000, 7000, 3)
    error = wire.ipv6(syn.ADDRESS["dgw1"], syn.MN["dgw1"], 58, b"\x02\0\0\0\0\0\x05\0" + inner)
    path = tmp_path / "x.pcapng"
    path.write_bytes(
        wire.pcapng([(1.0, wire.ether(lmac, syn.MN_MAC, packet)), (2.0, wire.ether(lmac, syn.MN_MAC, error))])
    )
    (capture,) = decode_all(tmp_path, [("x.pcapng", "n", "i")])
    (ra,) = capture.advertisements
    assert [(str(r.prefix), r.preference, r.lifetime) for r in ra.routes] == [("2001:db8:a1:ffff::/64", "high", 60)]
    assert [(str(p.prefix), p.preferred) for p in ra.prefixes] == [(syn.PREFIX["dgw1"], 0)]
    quoted = capture.packets[1]
    assert (quoted.protocol, quoted.icmp_type, len(quoted.layers), quoted.source_port) == (58, 2, 1, 0)


def test_an_empty_capture_is_read_as_empty(tmp_path):
    frame = wire.ether(syn.MN_MAC, syn.LMAC["dgw1"], wire.echo(syn.MN["dgw1"], syn.ADDRESS["cn1"], 1, 1))
    files = {"empty": b"", "none": wire.pcapng([]), "one": wire.pcapng([(1.0, frame)])}
    for name, octets in files.items():
        (tmp_path / name).write_bytes(octets)
    read = decode_all(tmp_path, [(name, "n", "i") for name in files])
    assert [len(capture.packets) for capture in read] == [0, 0, 1]


def test_a_cut_off_capture_keeps_its_whole_frames(tmp_path):
    frame = wire.ether(syn.MN_MAC, syn.LMAC["dgw1"], wire.echo(syn.MN["dgw1"], syn.ADDRESS["cn1"], 1, 1))
    path = tmp_path / "cut.pcapng"
    path.write_bytes(wire.pcapng([(1.0, frame), (2.0, frame)])[:-20])
    frames = Frames(path)
    assert len(frames) == 1
    frames.close()
    with pytest.raises(CaptureError, match="it ends in the middle of a block"):
        decode_all(tmp_path, [("cut.pcapng", "n", "i")])


def test_frames_read_in_one_pass_are_those_of_their_capture(tmp_path):
    echoes = [wire.echo(syn.MN["dgw1"], syn.ADDRESS["cn1"], number, 1) for number in range(9)]
    frames = [(float(n), wire.ether(syn.MN_MAC, syn.LMAC["dgw1"], echo)) for n, echo in enumerate(echoes)]
    parts = {"a": frames[:2], "b": frames[2:3], "c": frames[3:]}
    for name, part in parts.items():
        (tmp_path / name).write_bytes(wire.pcapng(part))
    for capture in decode_all(tmp_path, [(name, "n", name) for name in parts]):
        told = [(one.file, one.number, one.time, one.icmp_sequence) for one in capture.packets]
        first = int(parts[capture.file][0][0])
        assert told == [(capture.file, n + 1, first + n, first + n) for n in range(len(parts[capture.file]))]


@pytest.mark.parametrize(
    ("file", "content", "text"),
    [
        ("lab.json", "{", "lab.json is not JSON"),
        ("lab.json", '{"format": 2}', "lab.json: format 2, only 1 is known: read it with the roamlab that wrote it"),
        ("lab.json", '{"format": 1, "lab": "x"}', "lab.json lacks nodes: play the lab again"),
        ("lab.json", b"\xff", "lab.json is not text: octet 0"),
        ("events.jsonl", b"{}\xff", "events.jsonl is not text: octet 2"),
        ("lab.json", "[]", "one JSON object expected"),
        ("lab.json", None, "cannot read"),
        ("events.jsonl", '{"t": 1, "event": "x"}\n{"t"', "events.jsonl line 2 is not JSON"),
        ("events.jsonl", '{"event": "x"}', "no `t` or no `event`"),
        ("pcap/cmd-eth0.pcapng", None, "cannot read capture"),
        ("pcap/cmd-eth0.pcapng", "this is no capture", "not a pcapng file"),
    ],
)
def test_broken_run_directories_are_named(tmp_path, file, content, text):
    world = World.__new__(World)
    world.mode, world.profile, world.checks, world.events, world.frames = "direct", "deprecate", [], [], []
    world.with_dumps = True
    world.write(tmp_path)
    (tmp_path / file).unlink()
    if content is not None:
        (tmp_path / file).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(CaptureError, match=text):
        _ = Run(tmp_path).captures
