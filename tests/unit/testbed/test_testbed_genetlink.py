"""Generic netlink: what goes out octet by octet, and the kernel's own controller, which every kernel has."""

from __future__ import annotations

import pytest

from testbed.genetlink import GENL_ID_CTRL, Generic, GenericError, attributes_of, encode, messages, text, u32


def test_a_request_octet_by_octet() -> None:
    octets = encode(0x1C, 4, [(22, bytes.fromhex("0272aabbccdd")), (3, b"\x07\0\0\0")], 9)
    assert octets.hex(" ", 4) == (
        "28000000 1c000500 09000000 00000000"  # length 40, family, REQUEST | ACK, sequence, port
        " 04010000"  # command 4, version 1
        " 0a001600 0272aabb ccdd0000"  # length 10 and two octets of padding
        " 08000300 07000000"
    )


def test_messages_and_attributes_come_back() -> None:
    one, two = (encode(0x1C, 4, [(kind, value)], kind) for kind, value in ((1, text("abc")), (2, u32(7))))
    found = [(kind, sequence, attributes_of(payload)) for kind, sequence, payload in messages(one + two)]
    assert found == [(0x1C, 1, {1: b"abc\0"}), (0x1C, 2, {2: u32(7)})]


@pytest.mark.parametrize("octets", [b"", b"\x04", bytes(16), bytes(19)])
def test_a_length_of_nonsense_ends_the_reading(octets: bytes) -> None:
    assert list(messages(octets)) == []
    assert attributes_of(bytes(4) + octets) == {}


def test_the_kernel_finds_families_by_name() -> None:
    with Generic() as generic:
        assert generic.family("nlctrl") == GENL_ID_CTRL
        assert generic.family("nonesuch") is None


def test_what_the_kernel_refuses_is_one_line() -> None:
    with Generic() as generic, pytest.raises(GenericError, match=r"^kernel refused: the impossible: ") as refused:
        generic.do(GENL_ID_CTRL, 99, [], "the impossible")
    assert refused.value.code > 0
