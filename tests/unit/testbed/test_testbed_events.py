"""The event log: complete, ordered, thread-safe, and waitable for past and future events."""

import json
import threading
from pathlib import Path

import pytest

from testbed.events import EventLog
from testbed.validation import LabError
from testbed.waiting import WaitTimeout


def test_file_has_one_object_a_line(tmp_path):
    log = EventLog(tmp_path / "events.jsonl")
    log.record("attached", cell="cell1", mac="02:00:00:00:00:11")
    log.append({"t": 5.0, "node": "dgw1", "agent": "dgw", "event": "ready"})
    log.close()
    first, second = map(json.loads, (tmp_path / "events.jsonl").read_text().splitlines())
    assert first.keys() == {"t", "node", "agent", "event", "cell", "mac"}
    assert (first["node"], first["agent"]) == ("lab", "lab")
    assert second == {"t": 5.0, "node": "dgw1", "agent": "dgw", "event": "ready"}


def test_waits_for_a_past_event_and_since_skips_it():
    log = EventLog()
    log.record("ready")
    assert log.wait_for(lambda e: e["event"] == "ready", timeout=0)["event"] == "ready"
    with pytest.raises(WaitTimeout, match="second ready: not after 0 s; last seen: no event"):
        log.wait_for(lambda e: e["event"] == "ready", timeout=0, since=log.mark(), what="second ready")


def test_waits_for_a_future_event_of_another_thread():
    log = EventLog()
    waiting = threading.Event()

    def predicate(event):
        waiting.set()
        return event["event"] == "wanted"

    def write():
        waiting.wait(10)
        log.record("wanted", number=7)

    log.record("other")
    writer = threading.Thread(target=write)
    writer.start()
    assert log.wait_for(predicate, timeout=10)["number"] == 7
    writer.join()


def test_timeout_shows_the_last_event():
    log = EventLog()
    log.record("only", node="mn1")
    with pytest.raises(WaitTimeout, match='"event": "only"'):
        log.wait_for(lambda e: False, timeout=0)


def test_many_threads_lose_nothing(tmp_path):
    log = EventLog(tmp_path / "events.jsonl")
    seen = []
    end = log.subscribe(seen.append)
    threads = [
        threading.Thread(target=lambda n=n: [log.record("e", thread=n, number=i) for i in range(200)]) for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    end()
    log.record("after")
    log.close()
    lines = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    assert len(lines) == 1601
    assert lines == log.events()
    assert len(seen) == 1600
    for thread in range(8):
        assert [line["number"] for line in lines if line.get("thread") == thread] == list(range(200))


def test_a_full_disk_is_one_error_for_who_waits_and_who_closes():
    log = EventLog(Path("/dev/full"))
    heard = []
    log.subscribe(heard.append)
    log.record("first")  # in an agent's thread nobody could catch an error
    log.record("second")
    assert [event["event"] for event in heard] == ["first", "second"]
    for told in (lambda: log.wait_for(lambda e: True, timeout=0), log.close):
        with pytest.raises(LabError, match=r"^/dev/full: No space left on device: .*lost.*$"):
            told()
    log.close()  # told
