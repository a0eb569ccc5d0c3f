"""Saved state: whatever moment an agent is killed at, the next one finds the old state or the new one."""

from __future__ import annotations

import json
import os

import pytest

from agents.plain import PlainError
from agents.store import ROOM, StateFile


@pytest.fixture
def path(tmp_path):
    return tmp_path / "made" / "state.json"


def test_the_last_state_saved_is_loaded(path):
    assert StateFile(path).load() is None
    state = StateFile(path)
    for number in range(5):
        state.save({"number": number})
        assert StateFile(path).load() == {"number": number}
    later = StateFile(path)
    later.save({"number": 7})
    assert path.read_text() == '{"number": 7}\n', "an agent's first line replaces those of the one before"


def test_what_did_not_change_is_not_written(path):
    state = StateFile(path)
    state.save({"number": 1})
    state.save({"number": 2})
    octets = path.stat().st_size
    state.save({"number": 2})
    assert path.stat().st_size == octets


def test_a_crash_at_any_octet_leaves_the_old_or_the_new_state(path):
    state = StateFile(path)
    state.save({"node": "ä", "number": 1})
    before = path.stat().st_size
    state.save({"node": "ö", "number": 2})
    whole = path.read_bytes()
    for octets in range(before, len(whole) + 1):
        path.write_bytes(whole[:octets])
        assert StateFile(path).load()["number"] == (2 if octets == len(whole) else 1)


def test_a_line_that_did_not_go_whole_is_written_again(path, monkeypatch):
    state = StateFile(path)
    state.save({"number": 1})
    write = os.write
    monkeypatch.setattr(os, "write", lambda file, octets: write(file, octets[:5]))
    state.save({"number": 2})
    monkeypatch.undo()
    assert path.read_text() == '{"number": 2}\n'
    state.save({"number": 3})
    assert StateFile(path).load() == {"number": 3}


@pytest.mark.parametrize("size", [100, ROOM // 2, 3 * ROOM])
def test_the_file_stays_bounded(path, size):
    state, largest = StateFile(path), 0
    for number in range(3 * ROOM // size + 20):
        state.save({"number": number, "rest": "x" * size})
        largest = max(largest, path.stat().st_size)
        assert StateFile(path).load()["number"] == number
    assert largest <= max(ROOM, 5 * size)


def test_a_file_that_was_removed_begins_anew(path):
    state = StateFile(path)
    state.save({"number": 1})
    path.unlink()
    state.save({"number": 2})
    assert StateFile(path).load() == {"number": 2}


@pytest.mark.parametrize("content", ["{", "[1]\n", "words\n", '{"a": 1}\nwords\n'])
def test_what_was_never_written_here_is_refused_in_one_line(path, content):
    path.parent.mkdir()
    path.write_text(content)
    with pytest.raises(PlainError, match="remove the file to start afresh") as caught:
        StateFile(path).load()
    assert "\n" not in str(caught.value)


def test_a_state_that_ends_without_a_line_end_is_one(path):
    path.parent.mkdir()
    path.write_text(json.dumps({"number": 1}))
    assert StateFile(path).load() == {"number": 1}
