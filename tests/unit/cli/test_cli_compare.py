"""`roamlab compare`: a table for people, JSON for programs, one line when a run was not judged."""

from __future__ import annotations

import json

import pytest

from topologies.cli.app import main

METRICS = {
    "gap_ms": {"film-1": {"mn1.1": 263.9}},
    "l2_to_ra_ms_median": 16.6,
    "tunnelled_bytes": {},
    "content": {
        "downloads": {"film-1": {"gateway": "dgw1", "hops": {"dgw1": 1, "dgw2": 3}}},
        "handshake_ms_median": {"dgw1": 0.079},
        "core_octets": {"core–dgw1": 1157524},
        "tunnelled_octets": {"core–dgw1": 1157524},
        "fill_octets": {"core–dgw1": 0},
    },
}


@pytest.fixture
def runs(tmp_path):
    for name, hops in (("ietf87", 1), ("central-anchor", 5)):
        run = tmp_path / name
        run.mkdir()
        lab = {"format": 1, "lab": name, "title": name, "nodes": {}, "domain": {"mode": name[:5]}}
        (run / "lab.json").write_text(json.dumps(lab))
        metrics = json.loads(json.dumps(METRICS))
        metrics["content"]["downloads"]["film-1"]["hops"]["dgw1"] = hops
        (run / "verdict.json").write_text(json.dumps({"passed": name == "ietf87", "metrics": metrics}))
    return [str(tmp_path / name) for name in ("ietf87", "central-anchor")]


def test_json_holds_every_figure_of_both(runs, capsys):
    assert main(["compare", *runs, "-f", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [side["lab"] for side in found["runs"]] == ["ietf87", "central-anchor"]
    rows = {row["figure"]: row["values"] for row in found["rows"]}
    assert rows["routers to the cache, asked for at dgw1"] == [1, 5]
    assert rows["longest silence of any flow"] == [263.9, 263.9]


def test_the_table_shows_both_and_what_failed(runs, capsys):
    assert main(["compare", *runs]) == 0
    page = capsys.readouterr().out
    for text in ("ietf87", "central-anchor", "checks failed", "1,157,524", "routers to the cache", "0.079"):
        assert text in page


def test_a_run_without_verdict_is_one_line(runs, tmp_path, capfd):
    (tmp_path / "ietf87" / "verdict.json").unlink()
    assert main(["compare", *runs]) == 1
    assert "roamlab check" in capfd.readouterr().err
