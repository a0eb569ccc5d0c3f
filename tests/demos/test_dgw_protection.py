"""Protected signalling in a running lab: killed agents, and where keys can be read afterwards."""

from __future__ import annotations

import json

import pytest

from captures.checks import call
from captures.run import Run as Judged
from topologies import traffic
from topologies.dgw.plan import Gateway

pytestmark = pytest.mark.demo


@pytest.mark.requirement("SEC-1")
def test_a_killed_agent_goes_on_with_its_associations(deploy):
    """Restarted gateway and CMD are no replay to each other, and old packets still are one to them"""
    run = deploy("basic", mode="relay", protection="esp")
    traffic.echo_server(run, "cn1")
    run.net.attach("mn1", "cell1")
    flow = traffic.echo(run, "session", "mn1", traffic.address_in(run, "mn1", Gateway(1).pool), "cn1")
    traffic.wait_for_progress([flow], 10)
    for node, cell, gateway in (("dgw1", "cell2", "dgw2"), ("cmd", "cell1", "dgw1"), ("dgw2", "cell2", "dgw2")):
        run.agents[node].kill()
        run.restart_agent(node)
        mark = run.events.mark()
        run.net.move("mn1", cell)
        run.events.wait_for(
            lambda e, g=gateway: e["event"] == "anchor-active" and e["node"] == g,
            since=mark,
            what=f"anchor-active of {gateway}",
            timeout=30,
        )
        traffic.wait_for_progress([flow], 10)
    refused = [event for event in run.events.events() if event["event"] == "dropped" and "sequence" in event["reason"]]
    assert not refused
    flow.stop()
    run.stop()
    results = call(Judged(run.directory.path), {"check": "protection"})
    assert [(result.id, result.passed) for result in results if not result.passed] == []


@pytest.mark.requirement("SEC-5")
def test_keys_are_in_one_private_file_only(deploy):
    run = deploy("basic", mode="direct", protection="auto")
    run.net.attach("mn1", "cell1")
    traffic.address_in(run, "mn1", Gateway(1).pool)
    shown = json.dumps([run.inspect(node) for node in run.agents])
    run.stop()
    root = run.directory.path
    secrets = json.loads((root / "secrets.json").read_text())
    keys = {one["key"] for node in secrets.values() for one in node["associations"]}
    assert len(keys) == 6
    files = [path for path in root.rglob("*") if path.is_file()]
    assert len(files) > 10
    told = [path.name for path in files if any(key.encode() in path.read_bytes() for key in keys)]
    assert told == ["secrets.json"]
    assert not any(key in shown for key in keys)
    for path in (root, root / "secrets.json", *root.glob("agents/*.json")):
        assert path.stat().st_mode & 0o077 == 0, path
