"""Duplicate detection by identification (spec §3.9)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.aero.dataplane.duplicates import DuplicateWindow, Judgement

pytestmark = pytest.mark.requirement("FRAG-11", "FRAG-12")
NEW, LATE, DUPLICATE, GROSS = Judgement.NEW, Judgement.LATE, Judgement.DUPLICATE, Judgement.GROSS


def judge(window, *identifications, now=1.0):
    return [window.judge(identification & 0xFFFFFFFF, now) for identification in identifications]


def test_order_duplicates_and_lateness():
    assert judge(DuplicateWindow(), 5, 6, 6, 9, 7, 7, 8, 5) == [
        NEW,
        NEW,
        DUPLICATE,
        NEW,
        LATE,
        DUPLICATE,
        LATE,
        DUPLICATE,
    ]


def test_identifications_wrap():
    assert judge(DuplicateWindow(), -2, -1, 0, 1, -1) == [NEW, NEW, NEW, NEW, DUPLICATE]


def test_edge_of_the_window():
    window = DuplicateWindow()
    assert judge(window, 5000, 5000 - 1023, 5000 - 1023, 5000 - 1024) == [NEW, LATE, DUPLICATE, GROSS]


def test_a_jump_beyond_the_window_forgets_everything():
    assert judge(DuplicateWindow(), 1, 5000, 5000 - 1023) == [NEW, NEW, LATE]


def test_a_restarted_sender_is_recognised():
    window = DuplicateWindow()
    judge(window, 100000)
    assert judge(window, *range(1, 9)) == [GROSS] * 8
    assert judge(window, 9, 9) == [NEW, DUPLICATE]


def test_a_restarted_sender_is_recognised_where_packets_are_doubled():
    window = DuplicateWindow()
    judge(window, 100000)
    doubled = [number for number in range(1, 9) for _twice in range(2)]
    assert judge(window, *doubled) == [GROSS, DUPLICATE] * 8
    assert judge(window, 3, 9, 9) == [DUPLICATE, NEW, DUPLICATE]


def test_gross_lateness_without_order_is_no_restart():
    window = DuplicateWindow()
    judge(window, 100000)
    assert judge(window, *range(20, 0, -1)) == [GROSS] * 20
    assert judge(window, 100001) == [NEW]


def test_old_bits_are_forgotten():
    window = DuplicateWindow()
    assert judge(window, 7, 8) == [NEW, NEW]
    assert judge(window, 7, now=15.9) == [DUPLICATE]
    assert judge(window, 7, now=16.0) == [LATE]


@given(st.lists(st.integers(0, 900), max_size=200), st.integers(0, 2**32 - 1))
def test_within_the_window_every_packet_passes_once(offsets, base):
    window = DuplicateWindow()
    seen: set[int] = set()
    for offset in offsets:
        repeated = window.judge((base + offset) & 0xFFFFFFFF, 1.0) is DUPLICATE
        assert repeated == (offset in seen)
        seen.add(offset)
