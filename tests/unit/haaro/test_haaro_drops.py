"""Packets that come out of no tunnel are logged by reason, at a rate that they cannot raise (spec §10)."""

from __future__ import annotations

import pytest
from haaro_domain import HA, PORT, START, address, host_of

from agents.haaro import inner
from agents.haaro.drops import EVERY, DropLog
from agents.haaro.plane import Plane
from agents.haaro.sink import Ends
from agents.wire.mip4 import TUNNEL_IP

OWN, STRANGER = address("198.51.100.10"), address("192.0.2.66")


@pytest.mark.requirement("ERR-34")
def test_a_flood_of_stray_packets_is_a_few_lines():
    said = []
    log = DropLog(lambda now, **fields: said.append((now - START, fields)))
    plane = Plane(None, Ends(address("203.0.113.11"), (), HA))
    clock = iter(range(10**6))
    plane.when_dropped = lambda *what: log.dropped(*what, now=START + next(clock) / 100)
    packet = inner.push_udp(host_of("c"), host_of("a"), (1, 2), b"x")
    for _packet in range(2500):
        plane.from_udp(OWN, STRANGER, PORT, TUNNEL_IP + packet)
    assert [(at, fields["packets"]) for at, fields in said] == [(0.0, 1), (EVERY, 1000), (2 * EVERY, 1000)]
    assert said[0][1] == {"reason": "unknown_outer", "local": OWN, "remote": STRANGER, "packets": 1}
    plane.from_udp(OWN, STRANGER, PORT, b"\x04\x2f\0\0" + packet)
    assert said[-1][1]["reason"] == "next_header", "each reason for itself"
    assert plane.counters == {"unknown_outer": 2500, "next_header": 1}
