"""Series of echo requests that go on while the script does something, and until that has come about."""

from __future__ import annotations

import itertools
import re
import signal
import subprocess
import threading
import time
from typing import TYPE_CHECKING, Any

from testbed.validation import LabError
from testbed.waiting import NotYet, wait_until
from topologies.haaro import waiting
from topologies.traffic import PATIENCE

if TYPE_CHECKING:
    from topologies.haaro.plan import Site
    from topologies.runner import Run

_identifiers = itertools.count(6000)
SIZE = 84
AFTERWARDS = 10
"""Answers to wait for when what was waited for has come about: it must be seen on the wire, too."""
ANSWER = re.compile(rb"^\[([\d.]+)\].* icmp_seq=(\d+) .*time=([\d.]+) ms")
"""When it came, to which request, after how long."""
SENT = re.compile(r"(\d+) packets transmitted")


class Stream:
    """Echo requests, `interval` seconds apart, from the moment it is made until it is ended."""

    def __init__(self, run: Run, name: str, node: str, source: str, peer: str, target: str, *, interval: float) -> None:
        identifier = next(_identifiers)
        argv = ["ping", "-4", "-n", "-D", "-e", str(identifier), "-i", str(interval), "-I", source, target]
        self._run = run
        self._node = node
        self._fields: dict[str, Any] = {
            "name": name,
            "peer": peer,
            "source": source,
            "destination": target,
            "icmp_id": identifier,
            "size": SIZE,
            "expect": "reply",
        }
        self.answered: dict[int, float] = {}
        """Number of each request that was answered -> when it left."""
        self._last_words = ""
        self._begin = time.time()
        self._process = run.spawn(node, argv, stderr=subprocess.DEVNULL)
        self._reader = threading.Thread(target=self._read, name=f"answers to {name}", daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            if answer := ANSWER.match(line):
                self.answered[int(answer[2])] = float(answer[1]) - float(answer[3]) / 1000
            else:
                self._last_words += line.decode(errors="replace")

    def go_on(self, count: int = AFTERWARDS) -> None:
        """Wait until so many requests that leave from now on are answered (LabError)."""
        begin = time.time()

        def answered() -> bool:
            found = sum(sent >= begin for sent in list(self.answered.values()))
            if found < count and self._process.poll() is not None:
                raise LabError(f"pings {self._fields['name']} ended by themselves: {self._last_words.strip()}")
            if found < count:
                raise NotYet(f"{found} of {count} requests since are answered, {len(self.answered)} in all")
            return True

        wait_until(f"pings {self._fields['name']} to go on", answered, timeout=PATIENCE)

    def end(self, **more: Any) -> None:
        """End it, and say in the event log what it sent; the answer to its last request may be under way (LabError)."""
        self._process.send_signal(signal.SIGINT)
        self._process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        sent = SENT.search(self._last_words)
        if sent is None:
            raise LabError(f"pings {self._fields['name']} do not say how many they were: {self._last_words.strip()!r}")
        fields = {"t": self._begin, "end": time.time(), "node": self._node, "agent": "lab", "event": "pings"}
        self._run.events.append({**fields, **self._fields, "count": int(sent[1]), **more})


def until_direct(
    run: Run, name: str, one: Site, other: Site, *, interval: float = 0.01, via: str = "mixed", **more: Any
) -> None:
    """A site's host pings another's until both routers send directly, however long that takes, and some times then."""
    stream = Stream(run, name, one.letter, one.host, other.letter, other.host, interval=interval)
    waiting.direct(run, [(one.router, other.router), (other.router, one.router)])
    stream.go_on()
    stream.end(via=via, **more)
