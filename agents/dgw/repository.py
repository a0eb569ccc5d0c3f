"""The direct mode's repository protocol: JSON over UDP, one request, one answer (stands for the HSS of spec §4).

A request is `{"id", "operation": "lookup"|"update"|"remove", "mn_id", ...}`; the answer repeats `id` and holds
`entry` (`{"serving", "anchors": [...]}`) or `error`.  Both ends are sans-IO.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from ipaddress import IPv6Address
from typing import Any

from agents.core import Outbox
from agents.dgw.actions import Consult
from agents.dgw.authority import Authority
from agents.dgw.config import Timing
from agents.dgw.freshness import TICKS, ticks
from agents.dgw.records import AnchorRecord
from agents.plain import PlainError, build, plain

MAX_DATAGRAM = 8192
"""Octets; a longer request is dropped."""


@dataclass(frozen=True)
class Entry:
    """What the repository knows of one mobile node."""

    serving: IPv6Address | None = None
    anchors: tuple[AnchorRecord, ...] = ()
    timestamp: int = 0
    """Of the last update, 1/65536 s: an older update changes nothing (spec HO-13)."""


@dataclass(eq=False)
class Query:
    """A request under way."""

    operation: str
    mn_id: str
    message: bytes
    answered: Callable[[Entry, float], None]
    """Called with the entry and the time of the answer."""
    sends: int = 0
    due: float = 0.0


class RepositoryClient:
    """A gateway's side: asks, repeats with back-off, matches answers by `id`."""

    def __init__(self, server: IPv6Address, port: int, timing: Timing, outbox: Outbox) -> None:
        self._server = server
        self._port = port
        self._timing = timing
        self._outbox = outbox
        self._last_id = 0
        self._queries: dict[int, Query] = {}

    def ask(
        self,
        operation: str,
        mn_id: str,
        now: float,
        answered: Callable[[Entry, float], None],
        **fields: Any,
    ) -> None:
        """Send a request; `answered` is called when its answer comes."""
        self._last_id += 1
        request = {"id": self._last_id, "operation": operation, "mn_id": mn_id, **plain(fields)}
        self._queries[self._last_id] = Query(operation, mn_id, json.dumps(request).encode(), answered, due=now)
        self.handle_timer(now)

    def cancel(self, mn_id: str, operation: str) -> None:
        """Forget requests of one kind about one node."""
        self._queries = {
            number: query
            for number, query in self._queries.items()
            if (query.mn_id, query.operation) != (mn_id, operation)
        }

    def pending(self, mn_id: str, operation: str) -> bool:
        """Whether a request of one kind about one node is still without an answer."""
        return any((query.mn_id, query.operation) == (mn_id, operation) for query in self._queries.values())

    @property
    def under_way(self) -> list[dict[str, Any]]:
        """The requests without an answer, as JSON-able data."""
        return [{"operation": q.operation, "mn_id": q.mn_id, "sent": q.sends} for q in self._queries.values()]

    def next_timer(self) -> float | None:
        """When the next transmission is due."""
        return min((query.due for query in self._queries.values()), default=None)

    def handle_timer(self, now: float) -> None:
        """Transmit what is due."""
        for query in self._queries.values():
            if query.due <= now:
                query.due = now + self._timing.timeout(query.sends)
                query.sends += 1
                self._outbox.do(Consult(self._server, self._port, query.message))
                if query.sends == self._timing.unreachable_after:
                    self._outbox.say("peer-unreachable", peer=self._server, mn_id=query.mn_id)

    def receive(self, data: bytes, source: IPv6Address, now: float) -> None:
        """Take an answer; anything that answers no request of ours is counted and dropped."""
        try:
            answer = json.loads(data)
            query = self._queries.pop(int(answer["id"])) if source == self._server else None
        except (ValueError, TypeError, KeyError, RecursionError):
            query = None
        if query is None:
            self._outbox.say("dropped", reason="repository answer that matches no request", source=source)
            return
        if "error" in answer:
            self._outbox.say("repository-refused", mn_id=query.mn_id, reason=str(answer["error"]))
            return
        try:
            entry = build(Entry, answer.get("entry", {}), "entry")
        except PlainError as error:
            self._outbox.say("dropped", reason=f"repository answer: {error}", source=source)
            return
        query.answered(entry, now)


class Unauthorised(Exception):
    """A gateway asked for what is not its business; the text says why."""

    answer = b""
    """What to tell it."""


@dataclass
class Repository:
    """The server's side: the entries, and how requests change them."""

    entries: dict[str, Entry] = field(default_factory=dict)
    """By MN-ID."""

    def answer(
        self,
        data: bytes,
        source: IPv6Address,
        authority: Authority,
        latest: float,
        told: Callable[[Entry], Entry] = lambda entry: entry,
    ) -> bytes | None:
        """The answer to one request of a gateway, its entry as `told` makes it for this one; None if it is none.

        `latest`: no timestamp may be after it, Unix seconds.  Unauthorised for a request out of the sender's powers.
        """
        try:
            request = json.loads(data[:MAX_DATAGRAM])
            number, operation, mn_id = int(request["id"]), request["operation"], str(request["mn_id"])
        except (ValueError, TypeError, KeyError, RecursionError):
            return None
        answer: dict[str, Any] = {"id": number}
        if not authority.knows(mn_id):
            return json.dumps({**answer, "error": f"no profile for {mn_id}"}).encode()
        try:
            if not authority.may_serve(source, mn_id):  # where it is and was is not for every gateway (spec SEC-5)
                raise Unauthorised(f"{source} may not serve {mn_id}")
            if operation == "update":
                self._update(mn_id, request, source, authority, ticks(latest))
            elif operation == "remove":
                address = build(IPv6Address, request.get("address"), "address")
                # At its own wish, or at the serving gateway's, whom it told that it anchors nothing.
                if source not in (address, self.entries.get(mn_id, Entry()).serving):
                    raise Unauthorised(f"{source} removes {address}, and serves the node as little")
                self.remove(mn_id, address)
            elif operation != "lookup":
                raise PlainError(f"operation {operation!r} is not one of lookup, update, remove")
        except PlainError as error:
            return json.dumps({**answer, "error": str(error)}).encode()
        except Unauthorised as error:
            error.answer = json.dumps({**answer, "error": f"not authorised: {error}"}).encode()
            raise
        return json.dumps({**answer, "entry": plain(told(self.entries.get(mn_id, Entry())))}).encode()

    def _update(
        self, mn_id: str, request: dict[str, Any], source: IPv6Address, authority: Authority, latest: int
    ) -> None:
        record = build(AnchorRecord, request.get("record"), "record")
        timestamp = build(int, request.get("timestamp"), "timestamp")
        if record.address != source or not authority.speaks_for(source, record.prefix):
            raise Unauthorised(f"{source} writes {record.prefix} at {record.address}")
        if timestamp > latest:  # all later updates of other gateways would be late against it
            raise Unauthorised(f"{source} stamps an update {(timestamp - latest) / TICKS:.1f} s ahead")
        record = replace(record, local_prefixes=authority.local_prefixes(source, record.local_prefixes))
        old = self.entries.get(mn_id, Entry())
        others = tuple(a for a in old.anchors if a.prefix != record.prefix)
        if timestamp > old.timestamp:
            self.entries[mn_id] = Entry(record.address, (record, *others), timestamp)
        elif len(others) == len(old.anchors):  # late, but the prefix is anchored there all the same
            self.entries[mn_id] = Entry(old.serving, (*others, record), old.timestamp)

    def remove(self, mn_id: str, address: IPv6Address) -> None:
        """A gateway no longer anchors anything for a node, nor serves it."""
        old = self.entries.get(mn_id, Entry())
        anchors = tuple(a for a in old.anchors if a.address != address)
        serving = None if old.serving == address else old.serving
        if anchors or serving:
            self.entries[mn_id] = Entry(serving, anchors, old.timestamp)
        else:
            self.entries.pop(mn_id, None)
