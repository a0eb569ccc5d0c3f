"""Configurations that cannot work are refused when they are read: one line says where, what, and what to do."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from agents.haaro.config import HaConfig, MrConfig
from agents.plain import PlainError, build

BAD_REALMS = (
    ("foo..com", "label 2 is empty; put single dots, only between labels"),
    (".foo", "label 1 is empty; put single dots, only between labels"),
    ("foo.example.", "label 3 is empty; put single dots, only between labels"),
    ("x" * 128 + ".com", "label 1 has 128 octets; 127 can be written: shorten or divide it"),
    ("é" * 64, "label 1 has 128 octets; 127 can be written: shorten or divide it"),
    (".".join(["x" * 100] * 3), "has 302 octets; 253 can be written: shorten it"),
    ("foo.\ud800", "character 5 has no octets; leave it out"),
)


def home_agent(realm):
    prefix = {"prefix": "10.10.1.0/24", "realm": realm}
    router = {"name": "A", "home_address": "203.0.113.11", "key": "00" * 16, "prefixes": [prefix]}
    return {"role": "ha", "name": "HA", "address": "203.0.113.1", "control": "c", "routers": [router]}


def mobile_router(lines=(("isp1", "198.51.100.10"),), **changes):
    ends = {"home_address": "203.0.113.11", "home_agent": "203.0.113.1"}
    made = [{"interface": interface, "address": where} for interface, where in lines]
    return {"role": "mr", "name": "A", **ends, "key": "00" * 16, "control": "c", "lines": made, **changes}


@pytest.mark.requirement("HA-15")
@pytest.mark.parametrize(("realm", "fault"), BAD_REALMS, ids=range(len(BAD_REALMS)))
def test_a_realm_that_no_advertisement_can_hold(realm, fault):
    with pytest.raises(PlainError) as raised:
        build(HaConfig, home_agent(realm))
    assert str(raised.value).startswith("configuration.routers[0].prefixes[0]: realm ")
    assert str(raised.value).endswith(fault)
    with pytest.raises(PlainError) as raised:
        build(MrConfig, mobile_router(realms=[realm]))
    assert str(raised.value).startswith("configuration: realm ")
    assert str(raised.value).endswith(fault)


@pytest.mark.requirement("HA-15")
@pytest.mark.parametrize("realm", ["", "com", "foo.example.com", "x" * 127, "é" * 63, ".".join(["x" * 50] * 4)])
def test_a_realm_that_can_be_written(realm):
    assert build(HaConfig, home_agent(realm)).routers[0].prefixes[0].realm == realm


def test_the_agent_says_it_in_one_line_and_does_not_begin():
    command = [sys.executable, "-m", "agents.haaro"]
    done = subprocess.run(command, input=json.dumps(home_agent("foo..com")), capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    said = (done.stdout + done.stderr).splitlines()
    assert len(said) == 1
    assert "configuration.routers[0].prefixes[0]: realm 'foo..com': label 2 is empty" in said[0]


@pytest.mark.requirement("RR-11")
@pytest.mark.parametrize("lifetime", [0, -1, 240.1])
def test_nonces_last_240_seconds_at_most(lifetime):
    assert build(MrConfig, mobile_router(nonce_lifetime=240)).nonce_lifetime == 240.0
    with pytest.raises(PlainError, match="configuration: nonce_lifetime"):
        build(MrConfig, mobile_router(nonce_lifetime=lifetime))


def test_a_gateway_uses_no_other():
    with pytest.raises(PlainError, match="configuration: gateway and internet_via exclude each other"):
        build(MrConfig, mobile_router(gateway=True, internet_via="203.0.113.12"))


@pytest.mark.requirement("MR-22")
@pytest.mark.parametrize("what", ["interface", "address"])
def test_lines_are_told_apart(what):
    lines = [("isp1", "192.168.1.2"), ("isp2", "192.168.1.3")]
    build(MrConfig, mobile_router(lines))
    twice = [("isp1", "192.168.1.2"), ("isp1", "192.168.1.3")] if what == "interface" else [("isp1", "192.168.1.2")] * 2
    if what == "address":
        twice[1] = ("isp2", "192.168.1.2")
    with pytest.raises(PlainError, match=f"configuration: two lines have the {what} "):
        build(MrConfig, mobile_router(twice))
