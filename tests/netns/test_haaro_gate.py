"""The gate in front of the kernel's tunnels follows networks that change at run time."""

from __future__ import annotations

import json
from ipaddress import IPv4Address, IPv4Network

import pytest

from agents.haaro.gate import TABLE, Gate
from agents.kernel.nft import Table

pytestmark = pytest.mark.netns
FIRST, SECOND = IPv4Network("10.10.1.0/24"), IPv4Network("10.10.101.0/24")


def elements(name):
    return json.dumps(Table(TABLE).elements(name))


@pytest.mark.requirement("HOV-7", "MR-23")
def test_own_networks_come_and_go():
    gate = Gate(IPv4Address("203.0.113.11"), (FIRST,), IPv4Address("203.0.113.1"))
    gate.prepare()
    try:
        assert "10.10.1.0" in elements("own")
        before = elements("inside")
        gate.own((FIRST, SECOND))
        assert "10.10.101.0" in elements("own")
        assert "203.0.113.11" in elements("own")
        assert elements("inside") != before
        gate.own((FIRST,))
        assert "10.10.101.0" not in elements("own")
        assert elements("inside") == before
    finally:
        gate.clear()
