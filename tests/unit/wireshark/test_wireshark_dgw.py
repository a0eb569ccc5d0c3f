"""captures/wireshark/dgw.lua in a real tshark: spec §2.4's vectors, malformed options, random octets."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable
from pathlib import Path

from scapy.layers.inet6 import IPv6, IPv6ExtHdrFragment
from scapy.layers.l2 import Ether
from scapy.packet import Raw
from wireshark_lua import SCRIPT, Decode, around, tshark

from topologies.cli import observe

DGW1, DGW2, CMD = "2001:db8:c:1::2", "2001:db8:c:2::2", "2001:db8:c:9::2"
PBU, PBA = 5, 6

# Spec §2.4. The head of all four after the fixed part: MN-ID; the same echoes in each.
MN_ID = "0810016d6e3140646d6d2e6578616d706c65 010400000000"
PREF_A, PREF_B = "004020010db800a100010000000000000000", "004020010db800b200010000000000000000"
LOCALNET = "004020010db800a1ffff0000000000000000"
STAMP = "1b08000068e778008000"
DLIF = "4510fe80000000000000021122fffe330101 46080000001122330101"
DIRECT_PBU = bytes.fromhex(
    f"3b0c0500be7601018210004b{MN_ID}1612{PREF_A}17020003180200031908 0000020000000011{STAMP}4112{PREF_B}"
)
DIRECT_PBA = bytes.fromhex(
    f"3b140600fa5300220101004b{MN_ID}1612{PREF_A}17020003180200031908 0000020000000011{STAMP}4112{PREF_A}"
    f"01020000 4212{LOCALNET} 010400000000{DLIF}010400000000"
)
RELAYED_PBU = bytes.fromhex(
    f"3b0e0500659901018210004b{MN_ID}1612{PREF_A}1702000318020003 0100{STAMP}4112{PREF_B}"
    "010400000000 441020010db8000c00020000000000000002"
)
AGGREGATED_PBA = bytes.fromhex(
    f"3b140600e58100220101004b{MN_ID}1612{PREF_B}1702000318020003 0100{STAMP}"
    f"4322004020010db8000c0001000000000000000220010db800a100010000000000000000 010400000000{DLIF} 0100 4212{LOCALNET}"
)
VECTORS = (DIRECT_PBU, DIRECT_PBA, RELAYED_PBU, AGGREGATED_PBA)
OPTION_LENGTHS = {65: 18, 66: 18, 67: 34, 68: 16, 69: 16, 70: 8}


def message(kind: int, *options: tuple[int, str | bytes], flags: int | None = None) -> bytes:
    """A PBU or PBA with these options (type, data), ended by padding; the checksum is left out."""
    data = b"".join(
        bytes([number, len(octets)]) + octets
        for number, octets in ((n, bytes.fromhex(o) if isinstance(o, str) else o) for n, o in options)
    )
    data += bytes(-(12 + len(data)) % 8)
    word = flags if flags is not None else {PBU: 0x8210, PBA: 0x22}[kind]
    head = bytes([59, (12 + len(data)) // 8 - 1, kind, 0, 0, 0])
    fixed = (b"\x00\x01" + word.to_bytes(2, "big")) if kind == PBU else (bytes([0, word]) + b"\x00\x01")
    return head + fixed + b"\x00\x4b" + data


def tree(said: str) -> list[str]:
    """The lines of our own tree in `-V` text, indentation kept."""
    lines = said.splitlines()
    begin = next(index for index, line in enumerate(lines) if line.startswith("Distributed Mobility"))
    inside = [line for line in lines[begin + 1 :] if line]
    end = next((index for index, line in enumerate(inside) if not line.startswith(" ")), len(inside))
    return [lines[begin], *inside[:end]]


def test_messages_of_the_sheet(decode: Decode) -> None:
    options = ("anchored_prefix", "anchored_prefix.length", "local_prefix", "local_prefix.length")
    maars = ("previous_maar", "previous_maar.prefix", "previous_maar.prefix.length", "serving_maar")
    wrong = ("cut", "wrong_length", "wrong_prefix_length", "not_link_local", "d_missing")
    names = ("d", "option", "option.length", *options, *maars, "dlif_link_local", "dlif_link_layer", *wrong)
    rows = decode(VECTORS, *(f"roamlab.mip6.{name}" for name in names), "_ws.malformed")
    own, none = ["2001:db8:b2:1::", "64"], ["", ""]
    local, anchored = ["2001:db8:a1:ffff::", "64"], ["2001:db8:a1:1::", "64"]
    identity, fine = ["fe80::211:22ff:fe33:101", "00:11:22:33:01:01"], [""] * 6
    assert rows == [
        ["1", "65", "18", *own, *none, "", *none, "", *none, *fine],
        ["1", "65|66|69|70", "18|18|16|8", *anchored, *local, "", *none, "", *identity, *fine],
        ["1", "65|68", "18|16", *own, *none, "", *none, DGW2, *none, *fine],
        ["1", "67|69|70|66", "34|16|8|18", *none, *local, DGW1, *anchored, "", *identity, *fine],
    ]


def test_anchor_group_is_a_subtree(record: Callable[..., Path], tmp_path: Path) -> None:
    second = (67, "0040 20010db8000c00030000000000000002 20010db800c300010000000000000000")
    path = record([AGGREGATED_PBA, message(PBA, (65, PREF_B), second, (70, "0000001122330301"), second)])
    said = tshark("-n", "-V", "-X", f"lua_script:{SCRIPT}", "-r", path, home=tmp_path)
    one, two = (tree(part) for part in said.split("Frame 2:"))
    assert one[0] == "Distributed Mobility (RFC 8885), Proxy Binding Acknowledgement"
    assert [line for line in one if not line.startswith(" " * 12)][1:] == [
        "    .... ..1. = Distributed gateway (D) flag: Distributed gateway",
        "    Anchor: 2001:db8:c:1::2, 2001:db8:a1:1::/64",
        "        Previous MAAR: 2001:db8:c:1::2, 2001:db8:a1:1::/64",
        "        DLIF Link-Local Address: fe80::211:22ff:fe33:101",
        "        DLIF Link-Layer Address: 00:11:22:33:01:01",
        "        Local Prefix: 2001:db8:a1:ffff::/64",
    ]
    headings = [line.strip() for line in two if ": " in line and "Option" not in line]
    assert "    Anchored Prefix: 2001:db8:b2:1::/64" in two, "ahead of the first group: the sender's own"
    assert headings.count("Anchor: 2001:db8:c:3::2, 2001:db8:c3:1::/64") == 2
    assert two.count("        DLIF Link-Layer Address: 00:11:22:33:03:01") == 1


def test_display_filters(decode: Decode) -> None:
    wanted = (
        "roamlab.mip6.previous_maar == 2001:db8:c:1::2 && roamlab.mip6.previous_maar.prefix == 2001:db8:a1::/48"
        " && roamlab.mip6.dlif_link_layer == 00:11:22:33:01:01 && roamlab.mip6.anchor"
    )
    assert decode(VECTORS, "frame.number", options=["-Y", wanted]) == [["4"]]


def test_flag_position_is_a_preference(decode: Decode) -> None:
    """Spec §2.1: 0x0100 and 0x10 in draft-03, where RFC 8885 has 0x0010 and 0x02"""
    messages = [message(kind, flags=flags) for kind, flags in ((PBU, 0x8300), (PBA, 0x30), (PBU, 0x8210), (PBA, 0x22))]
    update, ack = "Binding Update", "Binding Acknowledgement"
    rows = decode(messages, "roamlab.mip6.d", "_ws.col.Info")
    assert rows == [["0", update], ["0", ack], ["1", f"{update} [D]"], ["1", f"{ack} [D]"]]
    rows = decode(messages, "roamlab.mip6.d", "_ws.col.Info", options=["-o", "roamlab.mip6.d_flag:draft03"])
    assert rows == [["1", f"{update} [D]"], ["1", f"{ack} [D]"], ["0", update], ["0", ack]]


def test_plain_mobile_ipv6_is_left_alone(decode: Decode) -> None:
    plain = [message(PBU, flags=0xC000), message(PBA, flags=0x00), bytes.fromhex("3b00000000000000")]
    assert decode(plain, "roamlab.mip6", "mip6.mhtype") == [["", "5"], ["", "6"], ["", "0"]]


def test_wrong_length_is_said_and_the_rest_goes_on(decode: Decode) -> None:
    """An option of another length shows no value; the one behind it is decoded."""
    cases = [
        (number, length) for number, right in OPTION_LENGTHS.items() for length in (right, 0, 1, 2, right - 1, 200)
    ]
    cases = [case for case in cases if case != (70, 7)]  # some link layers have addresses of five octets
    messages = [message(PBA, (number, bytes(length)), (68, "fd" + "00" * 15)) for number, length in cases]
    names = ("wrong_length", "option", "serving_maar", "dlif_link_layer")
    rows = decode(messages, *(f"roamlab.mip6.{name}" for name in names), "_ws.expert.message")
    for (number, length), (wrong, options, maar, link_layer, text) in zip(cases, rows, strict=True):
        right = length == OPTION_LENGTHS[number] or (number, length) == (70, 200)
        assert bool(wrong) != right, (number, length)
        assert (f"has length {length}, must be" in text) != right, text
        assert options == f"{number}|68"
        assert maar.split("|")[-1] == "fd00::"
        assert bool(link_layer) == (right and number == 70)


def test_values_nobody_should_send(decode: Decode) -> None:
    prefix = "20010db800a100010000000000000000"
    messages = [
        message(PBU, (65, "0081" + prefix)),
        message(PBA, (67, "0000" + "20010db8000c00010000000000000002" + prefix)),
        message(PBA, (69, "20010db8000c00010000000000000002")),
        message(PBU, (65, PREF_B), flags=0x8200),
        message(PBU, (65, PREF_B)),
    ]
    kinds = ("wrong_prefix_length", "not_link_local", "d_missing")
    rows = decode(messages, *(f"roamlab.mip6.{kind}" for kind in kinds))
    assert [[bool(text) for text in row] for row in rows] == [
        [True, False, False],
        [True, False, False],
        [False, True, False],
        [False, False, True],
        [False, False, False],
    ]


def test_messages_cut_off_anywhere(decode: Decode) -> None:
    """The Header Len promises more: said in every case where flags are there; what is whole is shown."""
    whole = AGGREGATED_PBA
    rows = decode([whole[:size] for size in range(len(whole) + 1)], "roamlab.mip6.cut", "roamlab.mip6.previous_maar")
    assert len(rows) == len(whole) + 1
    assert [bool(cut) for cut, _ in rows] == [12 <= size < len(whole) for size in range(len(whole) + 1)]
    end = whole.index(bytes.fromhex("4322")) + 36
    assert [maar for _, maar in rows] == [DGW1 if size >= end else "" for size in range(len(whole) + 1)]


def test_option_that_overruns_the_message(decode: Decode) -> None:
    overrun, lengthless = bytearray(message(PBU, (65, PREF_B))), bytearray(message(PBU, (65, PREF_B)))
    overrun[13] = 40
    lengthless[-8:] = bytes([1, 5, 0, 0, 0, 0, 0, 67])
    lengthless[13] = 10
    rows = decode(
        [bytes(overrun), bytes(lengthless)], "roamlab.mip6.cut", "roamlab.mip6.anchored_prefix", "_ws.expert.message"
    )
    assert [(bool(cut), prefix) for cut, prefix, _ in rows] == [(True, ""), (True, "")]
    assert "Option 65 of 40 octets has only 18 left" in rows[0][2]
    assert "Option 67 has no length octet" in rows[1][2]


def test_inside_fragments_and_tunnels(decode: Decode) -> None:
    outer = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
    header = IPv6(src=CMD, dst=DGW2)
    pieces = [
        outer / header / IPv6ExtHdrFragment(nh=135, id=7, offset=at // 8, m=int(at == 0)) / Raw(AGGREGATED_PBA[at:to])
        for at, to in ((0, 80), (80, 168))
    ]
    tunnelled = outer / IPv6(src=DGW1, dst=CMD, nh=41) / header.copy() / Raw(AGGREGATED_PBA)
    tunnelled[IPv6:2].nh = 135
    rows = decode([*pieces, tunnelled], "roamlab.mip6.d", "roamlab.mip6.previous_maar", "roamlab.mip6.cut")
    assert rows == [["", "", ""], ["1", DGW1, ""], ["1", DGW1, ""]]


def noise(random_: random.Random) -> Iterable[bytes]:
    """Random octets, then messages which are right in ever more respects."""
    for _ in range(100):
        yield random_.randbytes(random_.randrange(0, 120))
        yield bytes([59, random_.randrange(20), random_.choice((PBU, PBA)), 0]) + random_.randbytes(
            random_.randrange(0, 160)
        )
        spoilt = bytearray(random_.choice(VECTORS))
        for _ in range(random_.randrange(1, 9)):
            spoilt[random_.randrange(len(spoilt))] = random_.randrange(256)
        yield bytes(spoilt[: random_.choice((len(spoilt), random_.randrange(len(spoilt))))])
        options = [
            (random_.randrange(63, 73), random_.randbytes(random_.choice((0, 1, 3, 8, 16, 18, 34, 255))))
            for _ in range(random_.randrange(1, 7))
        ]
        yield message(random_.choice((PBU, PBA)), *options)


def test_random_octets_raise_nothing(record: Callable[..., Path], tmp_path: Path) -> None:
    """No Lua error, and Wireshark's own decoding of every packet as if we were not there."""
    packets = [around(octets) for octets in (*VECTORS, *noise(random.Random(8885)))]
    for packet in packets[len(VECTORS) :: 7]:
        packet[IPv6].plen = len(packet[Raw]) + 100 if Raw in packet else 100
        packet.wirelen = len(packet) + 100  # cut by the capture's snapshot length
    path = record(packets)
    said = tshark("-n", "-V", "-X", f"lua_script:{SCRIPT}", "-r", path, home=tmp_path)
    assert "Lua" not in said
    assert said.count("\nFrame ") + said.startswith("Frame ") == len(packets) == 404
    for seen in ("Distributed Mobility", ", must be ", " octets has only ", " are here", "    Anchor: "):
        assert said.count(seen) >= 10, f"too little of '{seen}': this test would see nothing"
    assert "MIPv6 Option - Mobile Node Identifier: mn1@dmm.example" in said
    without = tshark("-n", "-V", "-r", path, home=tmp_path)
    said = re.sub(r"^Distributed Mobility.*\n( .*\n)*", "", said, flags=re.MULTILINE)
    assert said.replace(":roamlab.mip6", "") == without


def test_loaded_twice_is_loaded_once(record: Callable[..., Path], tmp_path: Path) -> None:
    """Installed in the plugin folder, and given on the command line, as `roamlab capture` does."""
    assert observe.DISSECTOR == SCRIPT
    plugins = tmp_path / ".local" / "lib" / "wireshark" / "plugins"
    plugins.mkdir(parents=True)
    (plugins / "roamlab").symlink_to(SCRIPT.parent)
    path = record([DIRECT_PBU])
    for again in ([], ["-X", f"lua_script:{SCRIPT}"]):
        said = tshark("-n", "-V", "-r", path, *again, home=tmp_path)
        assert said.count("Distributed Mobility") == 1
        assert "Lua" not in said
        known = tshark("-G", "protocols", home=tmp_path)
        assert all(f"\troamlab.{name}\n" in known for name in ("mip6", "aero", "aero_dhcp", "haaro"))


def test_installed_without_its_folder(record: Callable[..., Path], tmp_path: Path) -> None:
    """As it was installed when it was one file: it says what to do, and Wireshark works without it."""
    plugins = tmp_path / ".local" / "lib" / "wireshark" / "plugins"
    plugins.mkdir(parents=True)
    (plugins / SCRIPT.name).symlink_to(SCRIPT)
    said = tshark("-n", "-V", "-r", record([DIRECT_PBU]), home=tmp_path)
    assert f"no {plugins}/dgw.lua: install the whole folder, not this file alone (docs/wireshark.md)" in said
    assert "Mobile IPv6" in said
    assert "Distributed Mobility" not in said
