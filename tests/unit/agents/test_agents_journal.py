"""What agents write down: the last value of each key, over restarts and crashes, in a file that stays small."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.journal import SPARE, Journal
from agents.plain import PlainError


@given(st.lists(st.tuples(st.sampled_from(["a", "b", "c"]), st.integers(0, 2**64 - 1)), max_size=300))
def test_a_journal_has_the_last_value_of_each_key(tmp_path_factory, puts):
    path = tmp_path_factory.mktemp("journal") / "new" / "s1.replays"
    journal = Journal(path)
    assert journal.load("abc") == {}
    for key, value in puts:
        journal.put(key, value)
    assert Journal(path).load("abc") == dict(puts)
    assert Journal(path).load("a") == {key: value for key, value in dict(puts).items() if key == "a"}
    assert Journal(path).load("abc") == {key: value for key, value in dict(puts).items() if key == "a"}


def test_a_journal_is_written_anew_when_half_of_it_is_old(tmp_path):
    path = tmp_path / "s1.replays"
    journal = Journal(path)
    journal.load(["key"])
    longest = 0
    for value in range(10 * SPARE):
        journal.put("key", value)
        longest = max(longest, len(path.read_text().splitlines()))
    assert longest <= 2 + SPARE
    assert Journal(path).load(["key"]) == {"key": 10 * SPARE - 1}


def test_a_line_that_a_crash_cut_short_is_none(tmp_path):
    path = tmp_path / "s1.replays"
    path.write_text("a 1\na 12\nb 3")
    journal = Journal(path)
    assert journal.load("ab") == {"a": 12}
    journal.put("b", 4)
    assert Journal(path).load("ab") == {"a": 12, "b": 4}


@pytest.mark.parametrize("octets", [b"a\n", b"a b\n", b"a 1 2\n", b"\xff\xfe 1\n"])
def test_what_is_no_journal(tmp_path, octets):
    path = tmp_path / "s1.replays"
    path.write_bytes(octets)
    with pytest.raises(PlainError, match="remove the file"):
        Journal(path).load("a")
    assert path.read_bytes() == octets
