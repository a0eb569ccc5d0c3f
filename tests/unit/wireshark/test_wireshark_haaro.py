"""captures/wireshark/haaro/ in a real tshark: vectors, advertisements, random octets."""

from __future__ import annotations

import random
from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest
from haaro_vectors import (
    CAREOF_TOKEN,
    COA_A,
    COA_C,
    HOA_A,
    HOA_B,
    HOA_C,
    HOME_TOKEN,
    K6,
    K7,
    K8,
    K8_AUTH,
    K10,
    K10_AUTH,
    K11,
    K11_AUTH,
    owner,
)
from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw
from wireshark_lua import SCRIPT, Decode, tshark

from agents.haaro.compression import Network, Owner, encode_advertisement

TESTS = [
    bytes.fromhex("18001111111111111111"),
    bytes.fromhex("19002222222222222222"),
    bytes.fromhex("1a0000051111111111111111") + HOME_TOKEN,
    bytes.fromhex("1b0000062222222222222222") + CAREOF_TOKEN,
]


def udp(payload: bytes, port: int = 434) -> Packet:
    ethernet = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
    return ethernet / IP(src=str(COA_C), dst=str(HOA_A)) / UDP(sport=port, dport=434) / Raw(payload)


def reply_with(advertisement: bytes) -> bytes:
    """K11 with another advertisement."""
    return K11[:42] + b"\x32\x01" + len(advertisement).to_bytes(2, "big") + advertisement + K11_AUTH


def names(*fields: str) -> list[str]:
    return [f"roamlab.haaro.{field}" for field in fields]


def test_extensions_of_the_sheet(decode: Decode) -> None:
    payloads = (K6 + K7, K8 + K8_AUTH, K10 + K10_AUTH, K11 + K11_AUTH)
    wanted = names("extension", "extension.subtype", "mcae.home_index", "mcae.careof_index", "careof", "mhae.spi")
    rows = decode([udp(each, 40000) for each in payloads], *wanted, "_ws.malformed", "mip.type", "_ws.lua.error")
    assert rows == [
        ["49", "2", "5", "6", "", "", "", "1", ""],
        ["49|49", "3|2", "5", "6", str(COA_A), "", "", "3", ""],
        ["153", "1", "", "", "", "", "", "1", ""],
        ["49|50|32", "1|1", "", "", "", "0x00000100", "", "3", ""],
    ]


def test_what_tshark_alone_calls_malformed(record: Callable[..., Path], tmp_path: Path) -> None:
    path = record([udp(each) for each in (K11 + K11_AUTH, *TESTS)])
    alone = tshark("-n", "-r", path, home=tmp_path)
    assert alone.count("Malformed") == 5, "else the dissector is not needed any more"
    together = tshark("-n", "-X", f"lua_script:{SCRIPT}", "-r", path, home=tmp_path)
    assert "Malformed" not in together
    assert [line.split("HAARO ")[1][3:] for line in together.splitlines()[1:]] == [
        "Home Test Init",
        "Care-of Test Init",
        "Home Test",
        "Care-of Test",
    ]


def test_return_routability(decode: Decode) -> None:
    rows = decode([udp(each) for each in TESTS], *names("message", "nonce_index", "cookie", "token"))
    one, two = " ".join(["11"] * 8), " ".join(["22"] * 8)
    assert rows == [
        ["HoTI", "", one, ""],
        ["CoTI", "", two, ""],
        ["HoT", "5", one, HOME_TOKEN.hex(" ")],
        ["CoT", "6", two, CAREOF_TOKEN.hex(" ")],
    ]


@pytest.mark.parametrize(
    ("octets", "bits"),
    [
        ("990201c0", ["1", "1", "0", "0", ""]),
        ("99020190", ["1", "0", "0", "1", ""]),
        ("990601e0cb00710d", ["1", "1", "1", "0", str(HOA_C)]),
    ],
)
def test_capability(decode: Decode, octets: str, bits: list[str]) -> None:
    fields = [f"capability.{name}" for name in ("a", "r", "s", "o", "solicited")]
    (row,) = decode([udp(K10[:24] + bytes.fromhex(octets) + K10_AUTH)], *names(*fields))
    assert row == bits


def test_reply_bits(decode: Decode) -> None:
    octets = ("31020100", "31020140", "310201c0", "31020120", "31020110")
    packets = [udp(K11[:20] + bytes.fromhex(each) + K11_AUTH) for each in octets]
    rows = decode(packets, *names("reply.o", "reply.n", "reply.s", "reply.code"))
    assert rows == [
        ["0", "0", "0", "0"],
        ["0", "1", "0", "0"],
        ["1", "1", "0", "0"],
        ["0", "0", "1", "0"],
        ["0", "0", "0", "16"],
    ]


@pytest.mark.parametrize("compress", [True, False])
@pytest.mark.requirement("SC-S23")
def test_advertisements_with_more_than_128_strings(decode: Decode, compress: bool) -> None:
    chance = random.Random(6521)
    words = [f"w{n}" for n in range(60)]
    owners = [
        Owner(
            IPv4Address(int(HOA_A) + n),
            tuple(
                Network(
                    IPv4Network((10 << 24 | chance.getrandbits(24), chance.randint(0, 32)), strict=False),
                    ".".join(chance.choices(words, k=chance.randint(0, 4))),
                )
                for _ in range(chance.randint(0, 6))
            ),
            bool(n % 2),
        )
        for n in range(60)
    ]
    fields = names("owner", "owner.info", "prefix", "prefix.length", "realm", "bad_advertisement")
    (row,) = decode([udp(reply_with(encode_advertisement(owners, compress=compress)))], *fields)
    networks = [network for each in owners for network in each.networks]
    assert len({network.realm for network in networks}) > 100
    assert row == [
        "|".join(str(each.home_address) for each in owners),
        "|".join(str(int(each.outbound_only)) for each in owners),
        "|".join(str(network.prefix.network_address) for network in networks),
        "|".join(str(network.prefix.prefixlen) for network in networks),
        "|".join(network.realm for network in networks),
        "",
    ]


def test_an_error_in_an_advertisement_is_said_and_the_rest_goes_on(decode: Decode) -> None:
    good = encode_advertisement([owner(HOA_B, ("10.10.2.0/24", "foo"))])
    bad = ["9801", "21c0000201", "18", "180a0a0103", "180a0a01ff00", "8701", "40cb00"]
    packets = [udp(reply_with(good + bytes.fromhex(each))) for each in bad]
    packets.append(udp(reply_with(bytes.fromhex("180a0a0100"))))
    rows = decode(packets, *names("prefix", "mhae.spi"), "_ws.expert.message")
    said = [
        "realm without its end mark",
        "prefix length 33",
        "prefix cut off",
        "label cut off",
        "realm names the empty slot 127",
        "shortened prefix of 7 bits",
        "home address cut off",
    ]
    for row, fault in zip(rows[:-1], said, strict=True):
        assert row[:2] == ["10.10.2.0", "0x00000100"]
        assert row[2] == f"Octet {len(good)}: {fault}"
    assert rows[-1] == ["", "0x00000100", "Octet 0: network before any owner"]


def test_lengths_nobody_should_send(decode: Decode) -> None:
    wrong = ["990201a0", "990501c0cb0071", "3103010000", "31050300c63364", "31020300", "31150200" + "00" * 19]
    packets = [udp(K6[:24] + bytes.fromhex(each) + K7) for each in wrong]
    rows = decode(packets, *names("wrong_length", "mcae.home_index"))
    assert [bool(length) for length, _index in rows] == [True] * 6
    assert [index for _length, index in rows] == ["5"] * 6


def test_registrations_cut_off_anywhere(decode: Decode) -> None:
    whole = K8 + K8_AUTH
    rows = decode([udp(whole[:size]) for size in range(1, len(whole) + 1)], "frame.number", *names("cut", "careof"))
    ends = {20, 30, 38, 46, 70}
    assert [bool(cut) for _, cut, _ in rows] == [size > 20 and size not in ends for size in range(1, 71)]
    assert [careof for _, _, careof in rows] == [str(COA_A) if size >= 46 else "" for size in range(1, 71)]


def test_plain_mobile_ip_and_tunnels_are_left_alone(decode: Decode) -> None:
    inner = IP(src="10.10.3.2", dst="10.10.1.2") / ICMP()
    signalling = IP(src=str(HOA_C), dst=str(HOA_A)) / UDP(sport=434, dport=434) / Raw(TESTS[0])
    packets = [
        udp(K10[:24] + K10_AUTH),
        udp(b"\x04\x04\0\0" + bytes(inner)),
        udp(b"\x04\x04\0\0" + bytes(signalling)),
    ]
    rows = decode(packets, "roamlab.haaro", "icmp.type", *names("message"))
    assert rows == [["", "", ""], ["", "8", ""], ["HAARO (RFC 6521), Home Test Init", "", "HoTI"]]


def test_random_octets_raise_nothing(decode: Decode) -> None:
    chance = random.Random(6521)
    vectors = [K6 + K7, K8 + K8_AUTH, K10 + K10_AUTH, K11 + K11_AUTH, *TESTS]
    payloads = []
    for _ in range(150):
        spoilt = bytearray(chance.choice(vectors))
        for _ in range(chance.randint(1, 6)):
            spoilt[chance.randrange(len(spoilt))] = chance.randrange(256)
        payloads.append(bytes(spoilt[: chance.choice((len(spoilt), chance.randint(1, len(spoilt))))]))
        payloads.append(bytes((chance.choice((1, 3, 24, 26)),)) + chance.randbytes(chance.randrange(120)))
        payloads.append(reply_with(b"\x40" + chance.randbytes(chance.randrange(80))))
    rows = decode([udp(each) for each in payloads], "frame.number", "_ws.lua.error", "roamlab.haaro")
    assert len(rows) == 450
    assert not [row for row in rows if row[1]]
    assert sum(bool(row[2]) for row in rows) > 200
