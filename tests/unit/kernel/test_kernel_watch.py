"""What the packet socket on phy lets through, and what it makes of it."""

from __future__ import annotations

import struct
from ipaddress import IPv6Address

import pytest

from agents.kernel.watch import FILTER, Advertised, Solicited, parse

MN, DLIF = "02:00:00:00:00:11", "02:d6:00:01:00:01"
MN_LL, DLIF_LL = IPv6Address("fe80::ff:fe00:11"), IPv6Address("fe80::d6ff:fe01:1")
GLOBAL, NONE = IPv6Address("2001:db8:a1:1::11"), IPv6Address("::")
ALL_ROUTERS, ALL_ROUTERS_MAC = IPv6Address("ff02::2"), "33:33:00:00:00:02"


def frame(kind: int, mac: str, source: IPv6Address, *, body: bytes = b"", header: int = 58) -> bytes:
    ethernet = bytes.fromhex((ALL_ROUTERS_MAC + mac).replace(":", "")) + b"\x86\xdd"
    icmp = bytes([kind, 0, 0, 0, 0, 0, 0, 0]) + body
    fixed = struct.pack("!IHBB", 6 << 28, len(icmp), header, 255) + source.packed + ALL_ROUTERS.packed
    return ethernet + fixed + icmp


def accepted(packet: bytes) -> bool:
    """A classic BPF machine, as far as the filter uses it."""
    accumulator, position = 0, 0
    while True:
        code, true, false, operand = FILTER[position]
        position += 1
        if code == 0x06:
            return operand > 0
        if code in (0x28, 0x30):
            size = 2 if code == 0x28 else 1
            if operand + size > len(packet):
                return False
            accumulator = int.from_bytes(packet[operand : operand + size], "big")
        else:
            holds = {0x15: accumulator == operand, 0x35: accumulator >= operand, 0x25: accumulator > operand}[code]
            position += true if holds else false


@pytest.mark.parametrize("kind", range(256))
def test_filter_takes_solicitations_and_advertisements_of_routers_only(kind: int) -> None:
    assert accepted(frame(kind, MN, MN_LL)) is (kind in (133, 134, 135))


def test_filter_rejects_other_traffic() -> None:
    assert not accepted(frame(133, MN, MN_LL, header=17))
    assert not accepted(frame(133, MN, MN_LL).replace(b"\x86\xdd", b"\x08\x00", 1))
    assert not accepted(frame(133, MN, MN_LL)[:40])


@pytest.mark.parametrize(("source", "told"), [(MN_LL, MN_LL), (NONE, None)])
def test_router_solicitation(source: IPv6Address, told: IPv6Address | None) -> None:
    seen = parse(frame(133, MN, source), outgoing=False, t=1.5)
    assert seen == Solicited(1.5, "rs", MN, told, ALL_ROUTERS_MAC)


@pytest.mark.parametrize(
    ("source", "target", "told"),
    [(MN_LL, DLIF_LL, MN_LL), (NONE, MN_LL, MN_LL), (NONE, GLOBAL, None), (GLOBAL, DLIF_LL, None)],
)
def test_neighbour_solicitation(source: IPv6Address, target: IPv6Address, told: IPv6Address | None) -> None:
    seen = parse(frame(135, MN, source, body=target.packed), outgoing=False, t=1.5)
    assert seen == Solicited(1.5, "ns", MN, told, ALL_ROUTERS_MAC)


def test_only_our_own_router_advertisements_count() -> None:
    packet = frame(134, DLIF, DLIF_LL)
    assert parse(packet, outgoing=True, t=2.0) == Advertised(2.0, DLIF, DLIF_LL, ALL_ROUTERS, ALL_ROUTERS_MAC)
    assert parse(packet, outgoing=False, t=2.0) is None


def test_our_own_solicitations_do_not_count() -> None:
    assert parse(frame(135, DLIF, DLIF_LL, body=MN_LL.packed), outgoing=True, t=2.0) is None


def test_any_cut_of_a_frame_is_read_without_error() -> None:
    whole = frame(135, MN, NONE, body=MN_LL.packed)
    for length in range(len(whole)):
        parse(whole[:length], outgoing=False, t=0.0)
