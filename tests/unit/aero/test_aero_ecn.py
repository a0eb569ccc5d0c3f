"""DSCP and ECN (spec §2.5, RFC 6040)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.aero.dataplane.ecn import DROP, EGRESS, adjust_checksum, set_ecn, traffic_class
from agents.wire.buffer import internet_checksum

NAMES = {"Not-ECT": 0, "ECT(1)": 1, "ECT(0)": 2, "CE": 3, "drop": DROP}
TABLE = """
Not-ECT: Not-ECT Not-ECT Not-ECT drop
ECT(0): ECT(0) ECT(0) ECT(1) CE
ECT(1): ECT(1) ECT(1) ECT(1) CE
CE: CE CE CE CE
"""
OUTER = ("Not-ECT", "ECT(0)", "ECT(1)", "CE")


@pytest.mark.requirement("ENC-6")
@pytest.mark.parametrize("line", TABLE.strip().splitlines())
def test_egress_table(line):
    inner, _colon, row = line.partition(": ")
    for outer, result in zip(OUTER, row.split(), strict=True):
        assert EGRESS[NAMES[inner]][NAMES[outer]] == NAMES[result]


def ipv4(tos: int) -> bytearray:
    packet = bytearray(b"\x45" + bytes([tos]) + bytes.fromhex("0014000100004011") + bytes(10))
    packet[10:12] = internet_checksum(bytes(packet)).to_bytes(2, "big")
    return packet


@given(st.integers(0, 255), st.integers(0, 3))
def test_ipv4_keeps_its_dscp_and_a_right_checksum(tos, ecn):
    packet = ipv4(tos)
    set_ecn(packet, ecn)
    assert traffic_class(packet) == tos & 0xFC | ecn
    assert internet_checksum(bytes(packet)) == 0


@given(st.integers(0, 255), st.integers(0, 3), st.integers(0, 0xFFFFF))
def test_ipv6_keeps_dscp_and_flow_label(tclass, ecn, label):
    packet = bytearray((6 << 28 | tclass << 20 | label).to_bytes(4, "big") + bytes(36))
    set_ecn(packet, ecn)
    assert traffic_class(packet) == tclass & 0xFC | ecn
    assert int.from_bytes(packet[:4], "big") & 0xFFFFF == label


@given(st.binary(min_size=20, max_size=20), st.integers(0, 0xFFFF))
def test_checksum_follows_a_changed_word(octets, word):
    packet = bytearray(octets)
    packet[10:12] = b"\0\0"
    packet[10:12] = internet_checksum(bytes(packet)).to_bytes(2, "big")
    before = packet[8] << 8 | packet[9]
    packet[8:10] = word.to_bytes(2, "big")
    adjust_checksum(packet, 10, before, word)
    if any(octets[:8] + octets[12:]):
        assert internet_checksum(bytes(packet)) == 0
