"""Which packets an ICMP error answers, and what scapy reads in it (RFC 4443 §2.4, RFC 1122 §3.2.2)."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

import pytest
from scapy.layers.inet import ICMP, IP, UDP, IPerror
from scapy.layers.inet6 import (
    ICMPv6DestUnreach,
    ICMPv6EchoRequest,
    ICMPv6PacketTooBig,
    ICMPv6TimeExceeded,
    IPerror6,
    IPv6,
    IPv6ExtHdrFragment,
)
from scapy.packet import Packet, Raw

from agents.aero.dataplane.icmp import Problem, error

OWN4, OWN6 = IPv4Address("203.0.113.1"), IPv6Address("2001:db8:f::1")
A4, B4 = "192.0.2.17", "192.0.2.33"
A6, B6 = "2001:db8:1000:a000::10", "2001:db8:1000:b000::20"
DATA = UDP(sport=1, dport=2) / Raw(bytes(20))

ABOUT = {
    "data": (IP(src=A4, dst=B4) / DATA, True),
    "a ping": (IP(src=A4, dst=B4) / ICMP(type=8), True),
    "an answer to a ping": (IP(src=A4, dst=B4) / ICMP(type=0), True),
    "a first fragment": (IP(src=A4, dst=B4, flags="MF") / DATA, True),
    "an error": (IP(src=A4, dst=B4) / ICMP(type=3), False),
    "a time exceeded": (IP(src=A4, dst=B4) / ICMP(type=11), False),
    "a later fragment": (IP(src=A4, dst=B4, frag=1) / DATA, False),
    "a much later fragment": (IP(src=A4, dst=B4, frag=4096) / DATA, False),
    "multicast": (IP(src=A4, dst="224.0.0.5") / DATA, False),
    "from multicast": (IP(src="224.0.0.5", dst=B4) / DATA, False),
    "broadcast": (IP(src=A4, dst="255.255.255.255") / DATA, False),
    "from nobody": (IP(src="0.0.0.0", dst=B4) / DATA, False),
    "data, IPv6": (IPv6(src=A6, dst=B6) / DATA, True),
    "a ping, IPv6": (IPv6(src=A6, dst=B6) / ICMPv6EchoRequest(), True),
    "a fragment, IPv6": (IPv6(src=A6, dst=B6) / IPv6ExtHdrFragment(offset=8) / DATA, True),
    "an error, IPv6": (IPv6(src=A6, dst=B6) / ICMPv6TimeExceeded(), False),
    "multicast, IPv6": (IPv6(src=A6, dst="ff0e::1") / DATA, False),
    "from multicast, IPv6": (IPv6(src="ff0e::1", dst=B6) / DATA, False),
    "from nobody, IPv6": (IPv6(src="::", dst=B6) / DATA, False),
}


def answer(problem: Problem, about: Packet, mtu: int = 0) -> Packet | None:
    """What the error says, its checksums proved."""
    made = error(problem, bytes(about), OWN6 if about.version == 6 else OWN4, mtu)
    if made is None:
        return None
    read = type(about)(made)
    again = type(about)(made)
    for layer in (again, again.payload):
        for checksum in ("chksum", "cksum"):
            if checksum in layer.fields:
                layer.delfieldval(checksum)
    assert bytes(again) == made
    return read


@pytest.mark.parametrize("name", ABOUT)
def test_what_is_answered(name):
    about, answered = ABOUT[name]
    assert (answer(Problem.TIME_EXCEEDED, about) is not None) == answered


def test_nobody_answers_in_the_name_of_the_other_family():
    assert error(Problem.TIME_EXCEEDED, bytes(ABOUT["data"][0]), OWN6) is None


@pytest.mark.requirement("FRAG-10")
def test_what_is_too_big_is_told_with_the_size():
    told = answer(Problem.TOO_BIG, IP(src=A4, dst=B4) / UDP() / Raw(bytes(2000)), 1400)
    assert (told.src, told.dst, told.ttl) == (str(OWN4), A4, 64)
    assert (told[ICMP].type, told[ICMP].code, told[ICMP].nexthopmtu) == (3, 4, 1400)
    assert (told[IPerror].src, told[IPerror].dst, told[IPerror].len) == (A4, B4, 2028)
    assert len(told) <= 576
    told = answer(Problem.TOO_BIG, IPv6(src=A6, dst=B6) / UDP() / Raw(bytes(2000)), 1400)
    assert (told.src, told.dst, told.hlim) == (str(OWN6), A6, 64)
    assert (told[ICMPv6PacketTooBig].code, told[ICMPv6PacketTooBig].mtu) == (0, 1400)
    assert (told[IPerror6].src, told[IPerror6].dst, told[IPerror6].plen) == (A6, B6, 2008)
    assert len(told) == 1280


def test_what_cannot_be_reached():
    told = answer(Problem.ADDRESS_UNREACHABLE, ABOUT["data, IPv6"][0])
    assert (told[ICMPv6DestUnreach].type, told[ICMPv6DestUnreach].code) == (1, 3)
    told = answer(Problem.ADDRESS_UNREACHABLE, ABOUT["data"][0])
    assert (told[ICMP].type, told[ICMP].code) == (3, 1)
