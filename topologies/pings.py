"""Series of echo requests by ping, announced in the event log, judged from the captures."""

from __future__ import annotations

import contextlib
import itertools
import re
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from testbed.validation import LabError
from testbed.waiting import NotYet, wait_until
from topologies.replies import Replies
from topologies.traffic import PATIENCE

if TYPE_CHECKING:
    from topologies.runner import Run

HEADERS = {4: 28, 6: 48}
"""Octets of IP and ICMP headers in front of a ping's data."""
DATA = 36
"""Octets behind them in a series that goes on."""
LINGERING = 0.5
"""Seconds that replies may be late in the end, of requests that go on while other things happen."""
AFTERWARDS = 10
"""Answers to wait for when what was waited for has come about: it must be seen on the wire, too."""
ANSWER = re.compile(rb"^\[([\d.]+)\].* icmp_seq=(\d+) .*time=([\d.]+) ms")
"""When it came, to which request, after how long."""
SENT = re.compile(r"(\d+) packets transmitted")
_identifiers = itertools.count(5000)


def next_identifier() -> int:
    """An ICMP identifier that no other program of the run has."""
    return next(_identifiers)


def announce(run: Run, node: str, begin: float, **fields: Any) -> None:
    """Say in the event log what a program sent that has ended."""
    run.events.append({"t": begin, "end": time.time(), "node": node, "agent": "lab", "event": "pings", **fields})


def pings(
    run: Run,
    name: str,
    node: str,
    source: str,
    peer: str,
    target: str,
    *,
    size: int = 84,
    count: int = 5,
    interval: float = 0.02,
    expect: str = "reply",
    fragment: bool = False,
    tos: int = 0,
    patience: float = 2.0,
    **more: Any,
) -> None:
    """`node` pings a target: `count` packets of `size` octets with their IP header, at once after each other.

    `expect` "reply" or "none" is what the captures must show; `fragment` leaves IPv4's DF off; `tos`: its class;
    `patience`: seconds to wait for answers that are late.
    """
    version = ip_address(target).version
    identifier = next_identifier()
    argv = ["ping", f"-{version}", "-n", "-q", "-e", str(identifier), "-c", str(count), "-i", str(interval)]
    argv += ["-W", str(patience), "-I", source, "-s", str(size - HEADERS[version])]
    argv += [*(("-Q", str(tos)) if tos else ()), "-M", "dont" if fragment else "do", target]
    with Replies(run.net[node], version, identifier) as heard:
        begin = time.time()
        run.net[node].run(argv, timeout=PATIENCE)
        if expect == "reply":
            heard.until(count, patience)
    ends = {"peer": peer, "source": source, "destination": target, "icmp_id": identifier}
    announce(run, node, begin, name=name, **ends, count=count, size=size, expect=expect, **more)


class Series:
    """Echo requests, `interval` seconds apart, from the moment it is made until it is ended, or `count` of them."""

    def __init__(
        self,
        run: Run,
        name: str,
        node: str,
        source: str,
        peer: str,
        target: str,
        *,
        interval: float,
        count: int | None = None,
    ) -> None:
        version, identifier = ip_address(target).version, next_identifier()
        argv = ["ping", f"-{version}", "-n", "-D", "-e", str(identifier), "-i", str(interval), "-W", str(LINGERING)]
        argv += [*(("-c", str(count)) if count else ()), "-I", source, "-s", str(DATA), target]
        self._run, self._name, self._node, self._count = run, name, node, count
        ends = {"peer": peer, "source": source, "destination": target, "icmp_id": identifier}
        self._fields: dict[str, Any] = {"name": name, **ends, "size": DATA + HEADERS[version], "expect": "reply"}
        self.answered: dict[int, float] = {}
        """Number of each request that was answered -> when it left."""
        self._last_words = ""
        self._replies = Replies(run.net[node], version, identifier)
        self._begin = time.time()
        self._process = run.spawn(node, argv, stderr=subprocess.DEVNULL)
        self._reader = threading.Thread(target=self._read, name=f"answers to {name}", daemon=True)
        self._reader.start()

    def go_on(self, count: int = AFTERWARDS) -> None:
        """Wait until so many requests that leave from now on are answered (LabError)."""
        begin = time.time()

        def answered() -> bool:
            found = sum(sent >= begin for sent in list(self.answered.values()))
            if found < count and self._process.poll() is not None:
                raise LabError(f"pings {self._name} ended by themselves: {self._last_words.strip()}")
            if found < count:
                raise NotYet(f"{found} of {count} requests since are answered, {len(self.answered)} in all")
            return True

        wait_until(f"pings {self._name} to go on", answered, timeout=PATIENCE)

    def end(self, **more: Any) -> None:
        """End it, or wait until it ends, and say in the event log what it sent (LabError)."""
        if self._count is None:
            self._process.send_signal(signal.SIGINT)
        self._process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        said = SENT.search(self._last_words)
        if said is None:
            raise LabError(f"pings {self._name} do not say how many they were: {self._last_words.strip()!r}")
        count = self._count or int(said[1])
        with self._replies:
            self._replies.until(count, LINGERING)  # it may be under way
        announce(self._run, self._node, self._begin, **{**self._fields, "count": count, **more})

    def _read(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            if answer := ANSWER.match(line):
                self.answered[int(answer[2])] = float(answer[1]) - float(answer[3]) / 1000
            else:
                self._last_words += line.decode(errors="replace")


@contextlib.contextmanager
def pinging(series: Series, ahead: int = AFTERWARDS) -> Iterator[Series]:
    """A series goes on while other things happen, which begin when `ahead` of its requests are answered."""
    series.go_on(ahead)
    yield series
    series.end()
