"""Messages keep their distance from when the one before really left (spec CMD-6, RETX-5)."""

from ipaddress import IPv6Address

import pytest

from agents.dgw.exchanges import Pacer

ONE, OTHER = IPv6Address("2001:db8:c:1::2"), IPv6Address("2001:db8:c:2::2")


@pytest.mark.requirement("CMD-6")
def test_what_was_kept_in_its_turn_counts_from_when_it_left():
    pacer = Pacer(rate=3, spacing=0.01)
    pacer.record(ONE, 100.0)
    assert pacer.earliest(OTHER, 100.0) == pytest.approx(100.01)
    pacer.departed(ONE, 100.008)
    assert pacer.earliest(OTHER, 100.01) == pytest.approx(100.018)


@pytest.mark.requirement("CMD-6")
def test_an_answer_that_leaves_changes_nothing():
    pacer = Pacer(rate=3, spacing=0.01)
    pacer.record(ONE, 100.0)
    pacer.departed(OTHER, 100.008)
    pacer.departed(ONE, 99.0)
    assert pacer.earliest(OTHER, 100.0) == pytest.approx(100.01)
