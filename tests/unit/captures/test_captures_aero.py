"""AERO's decoder reads every format, and its checks fail on what is wrong and see nothing where nothing is."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from aero_wire import C1, INNER, S1, Wire, carried, discovery, echo, fragment, split
from scapy.layers.inet import ICMP, IP, UDP
from scapy.packet import Raw

from captures.checks.aero.encapsulation import aero_encapsulation
from captures.checks.aero.fragments import aero_fragments, aero_sizes
from captures.checks.aero.pings import aero_pings
from captures.checks.aero.tuning import aero_tuning

NONCE = b"abcdef"


def outcome(results, name):
    (found,) = [one for one in results if one.id.endswith(name)]
    return found.passed


def proven(wire, size=1500):
    """A probe of this outer size, answered."""
    ns = discovery(135, NONCE)
    wire.put(carried(discovery(135, NONCE, pad=size - 28 - len(ns)), df=True))
    return wire.put(carried(discovery(136, NONCE, reply=True), back=True), after=0.001)


@pytest.mark.parametrize(
    ("port", "front", "code", "whole"),
    [
        (8060, b"", "0", True),
        (8060, fragment(1, 7), "0F", False),
        (6080, b"", "3", True),
        (6080, bytes.fromhex("00290000"), "2", True),
        (6080, bytes.fromhex("012900000badcafe"), "2", True),
        (6080, bytes.fromhex("002c0000") + fragment(0, 7), "2F", True),
        (6080, bytes.fromhex("20290000"), "", False),
        (8060, b"\xff", "", False),
    ],
)
def test_formats_over_udp(port, front, code, whole):
    packet = bytes(IP(src=C1, dst=S1) / UDP(sport=port, dport=port) / Raw(front + echo(400)))
    frame = Wire().put(packet).last
    assert frame.code == code
    if code:
        assert frame.innermost.source == ip_address(INNER)
        assert frame.echo == ("request", 77, 1)
        assert (frame.fragment is None or frame.fragment.atomic) == whole


def test_formats_without_udp():
    for protocol, front, code in ((41, b"", "1"), (44, fragment(0, 9), "1F")):
        frame = Wire().put(bytes(IP(src=C1, dst=S1, proto=protocol) / Raw(front + echo(400)))).last
        assert (frame.code, frame.carried, frame.inner.size) == (code, 400, 400)


def test_probe_and_error():
    probe = Wire().put(carried(discovery(135, NONCE, pad=500), df=True)).last
    assert (probe.padding, probe.discovery.name, probe.discovery.nonce) == (500, "NS", NONCE)
    quoted = carried(echo(1400), df=True)
    error = IP(src="198.51.100.6", dst=C1) / ICMP(type=3, code=4, nexthopmtu=1300) / Raw(quoted[:68])
    frame = Wire().put(bytes(error)).last
    assert frame.icmp == (3, 4, 1300)
    assert frame.quoted.destination == ip_address(S1)


def test_fragments_of_the_sheet_pass():
    results = aero_fragments(Wire().put(*split(echo(1400), 5)).put(*split(echo(1500, 2), 6)).run())
    assert [one.passed for one in results] == [True] * 3


@pytest.mark.parametrize(
    ("wire", "name"),
    [
        (Wire().put(*split(echo(1400), 5, at=1016)), "parts"),
        (Wire().put(split(echo(1400), 5)[0]), "parts"),
        (Wire().put(*split(echo(1400), 5)).put(*split(echo(1400), 5)), "fresh"),
        (Wire().put(*split(echo(1400), 5)).put(*split(echo(1400), 9)), "fresh"),
        (Wire().put(split(echo(1400), 5)[0], carried(fragment(1024, 5) + echo(1400)[1024:], ttl=63)), "alike"),
        (Wire().put(split(echo(1400), 5)[0], carried(fragment(1024, 5) + echo(1400)[1024:], df=True)), "alike"),
    ],
)
def test_wrong_fragments_fail(wire, name):
    assert outcome(aero_fragments(wire.run()), name) is False


def test_sizes_are_exact():
    wire = Wire().put(*split(echo(1400), 5))
    assert aero_sizes(wire.run(), {"some": {"c1": [1060, 412]}})[0].passed is True
    assert aero_sizes(wire.run(), {"some": {"c1": [1428]}})[0].passed is False
    assert aero_sizes(wire.run(), {"some": {"s1": [1060, 412]}})[0].passed is False
    assert aero_sizes(wire.run(), {"other": {"c1": [1]}})[0].passed is None


def test_whole_after_the_proof_and_cut_before_pass():
    wire = proven(Wire().put(*split(echo(1400), 5))).put(carried(echo(1400), df=True))
    assert outcome(aero_tuning(wire.run(), ["c1"]), "c1") is True


@pytest.mark.parametrize(
    "wire",
    [
        Wire().put(carried(echo(1400), df=True)),
        proven(Wire()).put(*split(echo(1400), 5)),
        proven(Wire(), 1400).put(carried(echo(1400), df=True)),
    ],
)
def test_whole_before_the_proof_or_cut_after_it_fails(wire):
    assert outcome(aero_tuning(wire.run(), ["c1"]), "c1") is False


def test_too_big_takes_the_proof_back():
    error = IP(src="198.51.100.6", dst=C1) / ICMP(type=3, code=4, nexthopmtu=1300) / Raw(carried(echo(1400))[:68])
    told = proven(Wire()).put(carried(echo(1400), df=True)).put(bytes(error))
    told.put(*split(echo(1400), 5))
    assert outcome(aero_tuning(told.run(), ["c1"]), "c1") is True
    deaf = proven(Wire()).put(bytes(error)).put(carried(echo(1400), df=True))
    assert outcome(aero_tuning(deaf.run(), ["c1"]), "c1") is False


@pytest.mark.parametrize(
    ("packet", "name"),
    [
        (carried(echo(400), ttl=63), "outer"),
        (carried(echo(400) + b"x"), "format"),
        (carried(echo(400), tos=4), "fields"),
        (carried(echo(1400)), "fields"),
        (bytes(IP(src=C1, dst=S1, proto=41) / Raw(echo(400))), "codes"),
        (bytes(IP(src=C1, dst=S1, proto=4) / Raw(echo(400))), "format"),
        (bytes(IP(src=C1, dst=S1) / UDP(sport=4444, dport=8060) / Raw(echo(400))), "outer"),
        (carried(echo(400).replace(ip_address(INNER).packed, ip_address("2001:db8::bad").packed)), "recursion"),
    ],
)
def test_wrong_encapsulation_fails(packet, name):
    good = aero_encapsulation(Wire().put(carried(echo(400))).run())
    assert [one.passed for one in good] == [True] * 5
    assert outcome(aero_encapsulation(Wire().put(packet).run()), name) is False


def test_checks_that_see_nothing_say_so():
    empty = Wire().run()
    for results in (aero_fragments(empty), aero_tuning(empty), aero_encapsulation(empty)):
        assert {one.passed for one in results} == {None}
    assert aero_pings(empty)[0].passed is not True
