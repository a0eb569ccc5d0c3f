"""wait_until returns at once when true and says what it saw when it fails."""

import itertools

import pytest

from testbed.waiting import NotYet, WaitTimeout, wait_until


def test_returns_the_value_when_true():
    numbers = itertools.count()
    assert wait_until("three", lambda: (number := next(numbers)) >= 3 and number, interval=0) == 3


def test_timeout_names_what_and_last_value():
    with pytest.raises(WaitTimeout, match=r"door open: not after 0 s; last seen: 0") as caught:
        wait_until("door open", lambda: 0, timeout=0)
    assert caught.value.last == "0"


def test_not_yet_says_what_was_seen():
    def look():
        raise NotYet("2 of 3 nodes up")

    with pytest.raises(WaitTimeout, match="last seen: 2 of 3 nodes up"):
        wait_until("all up", look, timeout=0.01, interval=0.001)


def test_other_exceptions_pass_through():
    with pytest.raises(KeyError):
        wait_until("x", lambda: {}["x"])
