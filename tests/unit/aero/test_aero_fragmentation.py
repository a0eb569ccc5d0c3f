"""Cutting and putting together (spec §3.2-3.4, §3.10, §3.11)."""

from __future__ import annotations

import random
from ipaddress import ip_address

import pytest
from aero_packets import neighbor
from hypothesis import given
from hypothesis import strategies as st

from agents.aero.dataplane.encapsulation import FRAGMENT_OCTETS, IPV4, IPV6, Fragment, header
from agents.aero.dataplane.exits import exit_over
from agents.aero.dataplane.fragmentation import Reassembly, Refused, part_size, split
from agents.aero.lladdr import Encapsulation, LinkLayerAddress

UDP, MINIMAL, GUE = Encapsulation.UDP, Encapsulation.MINIMAL, Encapsulation.GUE
V4, V6 = "192.0.2.1", "2001:db8::1"


def packet(length: int) -> memoryview:
    return memoryview(b"\x60" + random.Random(length).randbytes(length - 1))


@pytest.mark.requirement("FRAG-2")
@pytest.mark.parametrize(
    ("encapsulation", "host", "length", "sizes"),
    [
        (UDP, V4, 1281, [1060, 293]),
        (UDP, V4, 1400, [1060, 412]),
        (UDP, V4, 1500, [1060, 512]),
        (UDP, V6, 1281, [1080, 313]),
        (UDP, V6, 1500, [1080, 532]),
        (MINIMAL, V4, 1281, [1052, 285]),
        (MINIMAL, V4, 1500, [1052, 504]),
        (MINIMAL, V6, 1281, [1072, 305]),
        (MINIMAL, V6, 1500, [1072, 524]),
        (GUE, V4, 1400, [1064, 416]),
        (GUE, V6, 1500, [1084, 536]),
        (UDP, V4, 1280, [1060, 292]),
        (UDP, V6, 1280, [1080, 312]),
        (MINIMAL, V4, 1280, [1052, 284]),
        (MINIMAL, V6, 1280, [1072, 304]),
        (GUE, V4, 1280, [1064, 296]),
        (GUE, V6, 1280, [1084, 316]),
    ],
)
def test_outer_sizes_of_the_sheet(encapsulation, host, length, sizes):
    overhead = LinkLayerAddress(encapsulation, ip_address(host), encapsulation.port).overhead
    parts = split(packet(length), IPV6, 1, part_size(overhead, 1280))
    assert [overhead + FRAGMENT_OCTETS + len(part) for _fragment, part in parts] == sizes


@pytest.mark.parametrize(
    ("mtu", "size"), [(1500, 1024), (1060, 1024), (1059, 1016), (576, 536), (300, 264), (200, 256)]
)
def test_part_size_on_narrow_paths(mtu, size):
    assert part_size(28, mtu) == size


def test_at_most_eight_parts():
    assert len(split(packet(2048), IPV6, 1, 256)) == 8
    with pytest.raises(ValueError, match="8 parts"):
        split(packet(2049), IPV6, 1, 256)


@pytest.mark.requirement("FRAG-6")
@given(st.integers(49, 9000), st.randoms(use_true_random=False), st.sampled_from([IPV4, IPV6]))
def test_parts_in_any_order_are_put_together(length, order, protocol):
    whole = b"\x45" + packet(length)[1:]
    parts = split(memoryview(whole), protocol, 7, 1200)
    order.shuffle(parts)
    reassembly = Reassembly()
    results = [reassembly.add("n", UDP, fragment, bytes(part), 0, 1.0) for fragment, part in parts]
    assert results[:-1] == [None] * (len(parts) - 1)
    assert results[-1] == (protocol, bytearray(whole), 0)
    assert len(reassembly) == 0


def feed(reassembly: Reassembly, offset: int, length: int, more: bool, now: float = 1.0, ident: int = 1, who="n"):
    data = bytes([0x60] + [offset // 8 % 251] * (length - 1))
    return reassembly.add(who, UDP, Fragment(IPV6, offset, more, ident), data, 0, now)


@pytest.mark.requirement("FRAG-7")
@pytest.mark.parametrize("second", [(8, 64, True), (48, 64, True), (0, 128, True), (56, 8, True)])
def test_an_overlap_abandons_the_packet(second):
    reassembly = Reassembly()
    feed(reassembly, 0, 64, True)
    with pytest.raises(Refused, match="fragment_overlap"):
        feed(reassembly, *second)
    with pytest.raises(Refused, match="fragment_abandoned"):
        feed(reassembly, 64, 64, False)
    assert feed(reassembly, 64, 64, False, now=62.0) is None  # its timer ended: a new packet
    assert reassembly.expired == 0


def test_an_exact_duplicate_is_dropped_alone():
    reassembly = Reassembly()
    feed(reassembly, 0, 64, True)
    with pytest.raises(Refused, match="fragment_duplicate"):
        feed(reassembly, 0, 64, True)
    assert feed(reassembly, 64, 64, False) is not None


@pytest.mark.parametrize(
    ("offset", "length", "more", "reason"),
    [
        (0, 60, True, "fragment_size"),
        (0, 40, True, "fragment_tiny"),
        (9216, 8, False, "fragment_beyond_cap"),
        (9000, 300, False, "fragment_beyond_cap"),
    ],
)
def test_unfit_parts(offset, length, more, reason):
    with pytest.raises(Refused, match=reason):
        feed(Reassembly(), offset, length, more)


def test_an_empty_part_is_unfit():
    with pytest.raises(Refused, match="fragment_size"):
        Reassembly().add("n", UDP, Fragment(IPV6, 8, False, 1), b"", 0, 1.0)


def test_the_ninth_part_abandons():
    reassembly = Reassembly()
    for number in range(8):
        feed(reassembly, 64 * number, 64, True)
    with pytest.raises(Refused, match="fragment_too_many"):
        feed(reassembly, 512, 64, True)


def test_a_second_end_is_an_overlap():
    reassembly = Reassembly()
    feed(reassembly, 128, 64, False)
    with pytest.raises(Refused, match="fragment_overlap"):
        feed(reassembly, 0, 64, False)


@pytest.mark.requirement("FRAG-8")
def test_timer_and_quotas():
    reassembly = Reassembly(per_neighbor=2, per_node=3)
    for ident in range(3):
        feed(reassembly, 0, 64, True, ident=ident)
    assert len(reassembly) == 2
    assert reassembly.evicted == 1
    feed(reassembly, 0, 64, True, who="m")
    feed(reassembly, 0, 64, True, ident=9)  # the oldest of the same neighbor makes room
    assert len(reassembly) == 3
    assert reassembly.evicted == 2
    feed(reassembly, 0, 64, True, who="l")  # who has none is not kept out by those who have many
    assert len(reassembly) == 3
    assert feed(reassembly, 64, 8, False, who="l")
    feed(reassembly, 0, 64, True, who="l")
    reassembly.expire(60.9)
    assert len(reassembly) == 3
    reassembly.expire(61.0)
    assert len(reassembly) == 0
    assert reassembly.expired == 3


def test_congestion_marks_of_any_part_count():
    reassembly = Reassembly()
    reassembly.add("n", UDP, Fragment(IPV6, 64, False, 1), bytes(8), 3, 1.0)
    done = reassembly.add("n", UDP, Fragment(IPV6, 0, True, 1), b"\x60" + bytes(63), 2, 1.0)
    assert done is not None
    assert done[2] == 3


def test_forgotten_neighbors_leave_nothing():
    reassembly = Reassembly()
    feed(reassembly, 0, 64, True)
    feed(reassembly, 0, 64, True, who="m")
    reassembly.forget("n")
    assert len(reassembly) == 1
    assert feed(reassembly, 64, 8, False, who="m")
    for number in range(3):
        feed(reassembly, 0, 64, True, who=f"stranger {number}")
    reassembly.expire(1e6)
    assert not reassembly._pending
    assert not reassembly._keys


@pytest.mark.requirement("FRAG-2")
@pytest.mark.parametrize("encapsulation", Encapsulation)
@pytest.mark.parametrize("mtu", range(700, 1100, 3))
def test_parts_fit_narrow_paths_in_every_encapsulation(encapsulation, mtu):
    """Fragments of GUE variant 1 go as variant 0, whose header is four octets longer."""
    to = neighbor(None, "203.0.113.7", encapsulation=encapsulation, mtu=mtu)
    assert to.path
    out = exit_over(to, to.path)
    udp = 8 if out.fragments.port else 0
    front = 20 + udp + len(header(out.fragments.encapsulation, IPV6, Fragment(IPV6, 0, True, 1)))
    assert mtu - 8 < front + out.part <= mtu or out.part == 1024
    assert front + out.part <= mtu
