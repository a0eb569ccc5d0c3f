"""Token buckets: a burst after a rest, an average in the long run, everyone for himself and all together."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.limits import KEPT, ErrorRates, Limits, Rate, TokenBucket


def taken(bucket: TokenBucket, times: int, now: float) -> int:
    return sum(bucket.take(now) for _ in range(times))


def test_a_burst_then_the_average():
    bucket = TokenBucket(Rate(10, 25))
    assert taken(bucket, 100, 0.0) == 25
    assert taken(bucket, 100, 0.5) == 5
    assert taken(bucket, 100, 100.0) == 25, "a long rest gives no more than a burst"


@given(st.lists(st.floats(-5, 5), max_size=200))
def test_never_more_than_a_burst_and_the_average(steps):
    """Whatever the clock does: going back fills nothing, and takes nothing away."""
    bucket, now, forward, count = TokenBucket(Rate(3, 7)), 100.0, 0.0, 0
    for step in steps:
        now, forward = now + step, forward + max(0.0, step)
        count += bucket.take(now)
        assert count <= 7 + 3 * forward + 1e-6
    assert bucket.take(now + 1)


def test_one_source_takes_nothing_from_another_until_the_total_is_reached():
    limits = Limits(Rate(10, 10), Rate(100, 50))
    assert sum(limits.allow("loud", 0.0) for _ in range(1000)) == 10
    assert sum(limits.allow("quiet", 0.0) for _ in range(5)) == 5
    assert sum(limits.allow(number, 0.0) for number in range(1000)) == 35, "whoever they say they are"


def test_sources_that_come_once_are_forgotten():
    limits = Limits.of_errors(ErrorRates())
    for number in range(3 * KEPT):
        limits.allow(number, float(number))
    assert len(limits._sources) == KEPT


@pytest.mark.parametrize("rate", [(0, 5), (-1, 5), (5, 0.5)])
def test_a_rate_that_allows_nothing_is_a_mistake(rate):
    with pytest.raises(ValueError, match="at once"):
        Rate(*rate)
