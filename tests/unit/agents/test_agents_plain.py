"""Closed configurations: every misfit is one line naming place, fault and remedy."""

import json
from dataclasses import asdict
from ipaddress import IPv6Network

import pytest

from agents.dgw.config import CmdConfig, GatewayConfig
from agents.dgw.gateway.state import GatewayState
from agents.dgw.pool import PrefixPool
from agents.plain import PlainError, build, plain
from topologies import catalog


def gateway_config():
    lab = catalog.load("basic")
    return next(dict(a.config) for a in lab.agents(lab.configure()) if a.node == "dgw1")


def test_lab_configurations_fit():
    lab = catalog.load("ietf83")
    for spec in lab.agents(lab.configure(mode="direct")):
        kind = CmdConfig if spec.config["role"] == "cmd" else GatewayConfig
        config = build(kind, spec.config)
        assert build(kind, json.loads(json.dumps(plain(config)))) == config


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"poool": "2001:db8::/48"}, "configuration: unknown key 'poool', did you mean 'pool'?"),
        ({"mode": "rely"}, "configuration.mode: 'rely' is not one of direct, relay"),
        ({"address": "2001:db8::zz"}, "configuration.address: "),
        ({"pool": "2001:db8::/65"}, "configuration: pool 2001:db8::/65 holds no /64"),
        ({"timing": {"lifetime": 301}}, "configuration.timing: lifetime 301 s is not a multiple of 4"),
        ({"timing": {"lifetme": 300}}, "configuration.timing: unknown key 'lifetme', did you mean 'lifetime'?"),
        ({"peers": [{"name": "x"}]}, "configuration.peers[0]: missing key 'index'"),
        ({"index": "1"}, "configuration.index: expected int, found '1'"),
        ({"index": True}, "configuration.index: expected int, found True"),
        ({"profiles": {}}, "configuration.profiles: expected a list"),
    ],
)
def test_misfits_are_named(change, said):
    with pytest.raises(PlainError) as caught:
        build(GatewayConfig, {**gateway_config(), **change})
    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)


def test_state_survives_the_round_trip():
    state = GatewayState(PrefixPool(IPv6Network("2001:db8:a1::/48")))
    state.pool.allocate("mn1@dmm.example", 0.0)
    state.pool.release(state.pool.prefix(1), 99.0)
    restored = build(GatewayState, json.loads(json.dumps(plain(state))))
    assert asdict(restored) == asdict(state)
