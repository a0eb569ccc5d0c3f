"""captures/wireshark/aero/ in a real tshark: formats of §2.1, options of §6, random octets."""

from __future__ import annotations

import random

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw
from wireshark_lua import Decode

C1, S1 = "198.51.100.5", "203.0.113.1"
FIELDS = ("code", "inner_size", "padding", "fragment.next_header", "fragment.offset", "fragment.more", "fragment.id")
INNER = bytes(IPv6(src="2001:db8:1000:a000::1", dst="2001:db8:9::2", nh=59, plen=1000) / Raw(bytes(1000)))
SLLAO = "0103 0800 0180 9c41 0000 0000 0000 0000 0000 ffff c633 6405"
OBSERVED = "fd04 ae60 0300 9c41 0000 0000 0000 0000 0000 ffff c633 6405 05dc 0000 0000 0000"
TOKEN = "fd03 ae60 0100 0001 1011 1213 1415 1617 1819 1a1b 1c1d 1e1f"
PREDIRECT = bytes.fromhex(
    """60000000 00983a08 fe800000 00000000 00000000 00000001 fe800000 00000000 20010db8 1000b000
    890082c4 80000000 fe800000 00000000 20010db8 1000a000 fe800000 00000000 20010db8 1000a000
    02030800 01809c41 00000000 00000000 0000ffff c6336405 18023800 0000012c 20010db8 1000a000
    fd03ae60 01000001 10111213 14151617 18191a1b 1c1d1e1f 04060000 00000000
    60000000 00403a3f 20010db8 1000a000 00000000 00000010 20010db8 1000b000 00000000 00000020"""
)


def udp(payload: bytes | str, port: int = 8060) -> Packet:
    octets = bytes.fromhex(payload) if isinstance(payload, str) else payload
    return frame() / IP(src=C1, dst=S1) / UDP(sport=port, dport=port) / Raw(octets)


def frame() -> Packet:
    return Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")


def discovery(kind: int, *options: str) -> bytes:
    body = bytes([kind, 0, 0, 0, 0, 0, 0, 0]) + bytes.fromhex("fe800000000000000000000000000001")
    body += b"".join(map(bytes.fromhex, options))
    return bytes(IPv6(src="fe80::2001:db8:1000:a000", dst="fe80::1", nh=58, hlim=255) / Raw(body))


@pytest.mark.requirement("ENC-2", "ENC-3", "ENC-4")
def test_every_format_says_what_it_is(decode: Decode) -> None:
    first, second = "29000001deadbeef", "29000400deadbeef"
    packets = [
        udp(INNER),
        udp(INNER + bytes(60)),
        udp(bytes.fromhex(first) + INNER[:1024]),
        udp(bytes.fromhex(second) + INNER[1024:]),
        udp(bytes.fromhex("00290000") + INNER, port=6080),
        udp(bytes.fromhex("002c0000" + first) + INNER[:1024], port=6080),
        udp(INNER, port=6080),
        frame() / IP(src=C1, dst=S1, proto=44) / Raw(bytes.fromhex(second) + INNER[1024:]),
    ]
    rows = decode(packets, *(f"roamlab.aero.{name}" for name in FIELDS))
    head, tail = ["41", "0", "1", "0xdeadbeef"], ["41", "1024", "0", "0xdeadbeef"]
    none = [""] * 4
    assert rows == [
        ["0", "1040", "", *none],
        ["0", "1040", "60", *none],
        ["0F", "", "", *head],
        ["0F", "", "", *tail],
        ["2", "1040", "", *none],
        ["2F", "", "", *head],
        ["3", "1040", "", *none],
        ["1F", "", "", *tail],
    ]


def test_options_of_neighbor_discovery(decode: Decode) -> None:
    names = ("nd", "lladdr.encapsulation", "lladdr.nat", "lladdr.port", "lladdr.address", "observed.size", "token")
    fields = [f"roamlab.aero.{name}" for name in names]
    rows = decode([udp(discovery(135, SLLAO)), udp(discovery(136, OBSERVED)), udp(PREDIRECT)], *fields)
    where = "::ffff:198.51.100.5"
    assert rows == [
        ["NS", "0", "1", "40001", where, "", ""],
        ["NA", "0", "", "40001", where, "1500", ""],
        ["Predirect", "0", "1", "40001", where, "", " ".join(f"{n:02x}" for n in range(16, 32))],
    ]


REDIRECT_FIELDS = (
    "nd", "framing", "predirect", "nd.destination", "route", "route.length", "route.lifetime", "redirected",
)  # fmt: skip


def rfc6706() -> bytes:
    """The sheet's Predirect in its other framing: UDP 8060 inside, type 0, no checksum of its own."""
    message = b"\0\0\0\0" + PREDIRECT[44:]
    datagram = bytes.fromhex("1f7c1f7c00a0cc4d") + message
    return bytes(IPv6(src="fe80::1", dst="fe80::2001:db8:1000:b000", nh=17, hlim=8) / Raw(datagram))


@pytest.mark.parametrize(("framing", "packet"), [("nd", PREDIRECT), ("rfc6706", rfc6706())])
def test_predirect_in_both_framings(decode: Decode, framing: str, packet: bytes) -> None:
    (row,) = decode([udp(packet)], *(f"roamlab.aero.{name}" for name in REDIRECT_FIELDS), "roamlab.aero.bad_first")
    trigger = "60 00 00 00 00 40 3a 3f"
    own = "fe80::2001:db8:1000:a000"
    assert row[:-2] == ["Predirect", framing, "1", own, "2001:db8:1000:a000::", "56", "300"]
    assert row[-2].startswith(trigger)
    assert not row[-1]


def test_redirect_is_no_predirect(decode: Decode) -> None:
    redirect = PREDIRECT[:44] + bytes(4) + PREDIRECT[48:]
    (row,) = decode([udp(redirect)], "roamlab.aero.nd", "roamlab.aero.predirect")
    assert row == ["Redirect", "0"]


def test_authentication(decode: Decode) -> None:
    """AUTH of Neighbor Discovery (§6.5) and of DHCPv6 (§6.11)."""
    mac = "719b5a0ac068db982c30548328961311"
    auth = "fd04ae60020100016553f10000000000" + mac
    (row,) = decode(
        [udp(discovery(136, auth))], *(f"roamlab.aero.{one}" for one in ("key_id", "auth.timestamp", "auth.mac"))
    )
    assert row == ["1", str(0x6553F10000000000), bytes.fromhex(mac).hex(" ")]
    option = bytes.fromhex("000b001b" + "fa0200" + "0000000000000007" + mac)
    message = bytes.fromhex("010000a1") + bytes.fromhex("000e0000") + option
    inner = IPv6(src="fe80::ffff:ffff:ffff:ffff", dst="ff02::1:2", hlim=255) / UDP(sport=546, dport=547) / Raw(message)
    (row,) = decode(
        [udp(bytes(inner))], *(f"roamlab.aero.{one}" for one in ("dhcp.option", "dhcp.auth.replay", "auth.mac"))
    )
    assert row == ["Authentication", "7", bytes.fromhex(mac).hex(" ")]


@pytest.mark.parametrize(
    ("payload", "port", "expert"),
    [
        ("ff00", 8060, "bad_first"),
        ("2900", 8060, "cut"),
        ("60000000", 8060, "cut"),
        ("20290000" + "60" * 40, 6080, "gue"),
        ("00060000" + "60" * 40, 6080, "gue"),
        ("80290000" + "60" * 40, 6080, "gue"),
    ],
)
def test_bad_input_is_marked(decode: Decode, payload: str, port: int, expert: str) -> None:
    (row,) = decode([udp(payload, port)], f"roamlab.aero.{expert}")
    assert row[0]


def test_option_of_length_0_and_wrong_length_are_marked(decode: Decode) -> None:
    wrong = [discovery(135, "0100" + "00" * 6), discovery(135, "fd02ae6003000000" + "00" * 8)]
    rows = decode(map(udp, wrong), "roamlab.aero.option_length")
    assert all(row[0] for row in rows)


def test_random_octets_never_break_the_dissector(decode: Decode) -> None:
    some = random.Random(8060)
    starts = (b"", b"\x60", b"\x45", b"\x29\0", b"\x04\0", discovery(135, SLLAO)[:60], discovery(136, OBSERVED)[:70])
    payloads = [some.choice(starts) + some.randbytes(some.randrange(120)) for _ in range(300)]
    packets = [udp(payload, some.choice((8060, 6080))) for payload in payloads]
    rows = decode(packets, "frame.number", "_ws.lua.error")
    assert len(rows) == 300
    assert not [row for row in rows if row[1]]
