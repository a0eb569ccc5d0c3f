"""Keys stay where they belong: with the agents, and in one private file of the run (spec SEC-5)."""

import json

import pytest

from agents.dgw.config import CmdConfig, GatewayConfig
from agents.plain import PlainError, build
from testbed.agent import Agent
from testbed.rundir import RunDirectory
from topologies import catalog

pytestmark = pytest.mark.requirement("SEC-5")


def specs(**options):
    lab = catalog.load("basic")
    return lab.agents(lab.configure(protection="esp", **options))


def whole(spec):
    return {**spec.config, **spec.secrets}


def test_every_agent_gets_its_own_keys_apart_from_its_configuration():
    found = {spec.node: spec for spec in specs()}
    assert set(found) == {"cmd", "dgw1", "dgw2"}
    for spec in found.values():
        own = spec.config["address"]
        assert len(spec.secrets["associations"]) == 4
        assert all(own in (one["source"], one["destination"]) for one in spec.secrets["associations"])
        assert "key" not in json.dumps(spec.config)
        build(CmdConfig if spec.node == "cmd" else GatewayConfig, whole(spec))
    keys = {one["key"] for spec in found.values() for one in spec.secrets["associations"]}
    assert len(keys) == 6
    again = {one["key"] for spec in specs() for one in spec.secrets["associations"]}
    assert not keys & again, "every run has keys of its own"


def test_protection_without_keys_is_refused():
    [cmd, *_] = specs()
    with pytest.raises(PlainError, match="needs one association from"):
        build(CmdConfig, cmd.config)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda one: {**one, "key": one["key"][:-1] + "x"},
        lambda one: {**one, "key": one["key"][:-2]},
        lambda one: {**one, "key": [one["key"]]},
        lambda one: {**one, one["key"]: 1},
        lambda one: one["key"],
    ],
)
def test_no_refusal_shows_a_key(spoil):
    [cmd, *_] = specs()
    [first, *others] = cmd.secrets["associations"]
    with pytest.raises(PlainError, match=r"configuration\.associations") as refused:
        build(CmdConfig, {**cmd.config, "associations": [spoil(first), *others]})
    assert first["key"][:20] not in str(refused.value)
    assert refused.value.__cause__ is None


def test_files_of_a_run_are_private_and_without_keys(tmp_path):
    directory = RunDirectory.create(tmp_path / "run")
    assert directory.path.stat().st_mode & 0o777 == 0o700
    node = type("Node", (), {"name": "dgw1"})()
    config, secrets = {"role": "gateway"}, {"associations": ["k3y"]}
    agent = Agent(node, "dgw", "agents.dgw", config, directory.path, directory.log, secrets)
    [(path, text)] = agent.render().items()
    agent._write(path, text)
    assert path.stat().st_mode & 0o777 == 0o600
    assert json.loads(path.read_text()) == {"role": "gateway", "associations": "(secret)"}
    directory.write_secrets({"dgw1": secrets})
    assert (directory.path / "secrets.json").stat().st_mode & 0o777 == 0o600
    directory.close()
