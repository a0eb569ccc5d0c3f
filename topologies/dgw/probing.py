"""Sends bad messages to running agents and writes down, for the check `bad-input`, what each must lead to.

Every probe is one event: the octets sent, the reply that must be seen on the wire, and the receiver's state before
and after (its `inspect` answer without counters, as a digest) with the counters that moved.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import struct
import sys
import time
from collections.abc import Collection, Iterable
from dataclasses import asdict, replace
from ipaddress import IPv6Address, IPv6Network
from typing import Any

from agents.dgw.config import Timing
from agents.dgw.identity import link_local_of
from agents.wire.buffer import ipv6_checksum
from agents.wire.mobility_codes import DFlagProfile
from testbed.validation import LabError
from testbed.waiting import wait_until
from topologies.dgw.bad_messages import Ground, Row
from topologies.runner import Run

MOBILITY, ICMPV6, IN_IPV6, ECHO_REQUEST = 135, 58, 41, 128
CHECKSUM_AT = 4
ERROR_SPACING = 1.5 / Timing().errors.source.average
"""Seconds between two rows that an error answers, so that none is one too many."""
VOLATILE = ("counters", "exchanges")
"""What of a dump may move: counters by design, transmissions under way with time."""


class Sender:
    """A raw sender in a node."""

    def __init__(self, run: Run, node: str) -> None:
        self.node = node
        argv = [sys.executable, "-m", "topologies.tools.raw_sender"]
        self._process = run.spawn(node, argv, stdin=-1)
        self._expect("ready")

    def send(self, **order: Any) -> None:
        """Send one datagram; it has left when this returns (LabError when the kernel refuses)."""
        assert self._process.stdin
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        self._process.stdin.flush()
        self._expect("sent")

    def _expect(self, word: str) -> None:
        assert self._process.stdout
        said = self._process.stdout.readline().decode().strip()
        if said != word:
            raise LabError(f"{self.node}: the raw sender said {said!r} instead of {word!r}")


class Prober:
    """Plays rows against the agents of a run."""

    def __init__(self, run: Run, draft03: Collection[str] = ()) -> None:
        """`draft03`: nodes whose D flag is expected where the seed draft drew it (spec AMB-5)."""
        self._run = run
        self._draft03 = draft03
        self._senders: dict[str, Sender] = {}
        self._numbers = itertools.count(20000)
        self._next_error = 0.0

    def sender(self, node: str) -> Sender:
        """The sender in this node."""
        if node not in self._senders:
            self._senders[node] = Sender(self._run, node)
        return self._senders[node]

    def play(self, rows: Iterable[Row], ground: Ground, target: str, senders: dict[str, str]) -> int:
        """Send these rows to the agent of node `target`; `senders` says which node is peer, cmd ...; how many."""
        count = 0
        for row in rows:
            self._play(row, ground, target, senders[row.sender])
            count += 1
        return count

    def _play(self, row: Row, ground: Ground, target: str, node: str) -> None:
        sender = self.sender(node)
        source = IPv6Address(self._run.address(node))
        profile = DFlagProfile.DRAFT03 if node in self._draft03 else DFlagProfile.RFC8885
        error = bool(row.reply and row.reply.kind in ("error", "problem"))
        if error:  # an agent answers few of these a second
            wait_until("the next error answer to be due", lambda: time.monotonic() > self._next_error or None)
        before, counted = self._dump(target)
        here = replace(ground, source=source, now=time.time(), sequence=next(self._numbers), profile=profile)
        octets, reply = row.octets(here), row.reply_at(here.role)
        if row.good_checksum:
            sender.send(destination=str(here.target), protocol=MOBILITY, octets=octets.hex(), checksum=CHECKSUM_AT)
        else:
            spoilt = octets[:4] + bytes((octets[4] ^ 0x55, octets[5])) + octets[6:]
            octets = spoilt
            sender.send(destination=str(here.target), protocol=MOBILITY, octets=octets.hex())
        after, now = self._counted(target, row, counted)
        if error:
            self._next_error = time.monotonic() + ERROR_SPACING
        moved = {name: now[name] - counted.get(name, 0) for name in now if now[name] != counted.get(name, 0)}
        self._run.log(
            "probe",
            node=node,
            row=row.name,
            role=here.role,
            requirement=row.requirement,
            target=target,
            source=str(here.source),
            destination=str(here.target),
            octets=octets.hex(),
            reply=asdict(reply) if reply else None,
            counter=row.counter,
            counted=moved,
            before=before,
            after=after,
            tolerated=bool(reply and reply.kind == "ack" and reply.status < 128),
        )

    def _dump(self, target: str) -> tuple[str, dict[str, int]]:
        state = self._run.agents[target].request({"request": "inspect"})["state"]
        counters: dict[str, int] = state["counters"]
        kept = {key: value for key, value in state.items() if key not in VOLATILE}
        digest = hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()
        return digest, counters

    def _counted(self, target: str, row: Row, before: dict[str, int]) -> tuple[str, dict[str, int]]:
        """The dump once the message was counted; at once for a message that nobody counts."""

        def counted() -> tuple[str, dict[str, int]] | None:
            digest, counters = self._dump(target)
            return (digest, counters) if row.counter is None or counters != before else None

        found = wait_until(f"{target} to count {row.name}", counted)
        assert found
        return found

    # --- what is no Mobility Header

    def tunnelled(self, why: str, node: str, target: str, outer: str, inner: tuple[str, str], counter: str) -> None:
        """An encapsulated echo request that must go nowhere; `counter` is the gate's that tells of it."""
        number = next(self._numbers)
        source, destination = map(IPv6Address, inner)
        packet = _ipv6(source, destination, ICMPV6, _echo(source, destination, number))
        before = self._dropped(target)
        self.sender(node).send(destination=outer, protocol=IN_IPV6, octets=packet.hex())
        wait_until(f"{target} to drop it: {why}", lambda: self._dropped(target) != before)
        after = self._dropped(target)
        self._run.log(
            "tunnel-probe",
            node=node,
            row=why,
            target=target,
            inner_source=inner[0],
            inner_destination=inner[1],
            icmp_id=number,
            counter=counter,
            counted={name: after[name] - before[name] for name in after if after[name] != before[name]},
        )

    def _dropped(self, target: str) -> dict[str, int]:
        dropped: dict[str, int] = self._run.agents[target].request({"request": "dropped"})["dropped"]
        return dropped

    def solicit(self, node: str, interface: str, mac: str, target: str) -> None:
        """A Router Solicitation from a station that nobody knows, in the cell of a node."""
        source, routers = link_local_of(mac), IPv6Address("ff02::2")
        own = b"\x01\x01" + bytes.fromhex(mac.replace(":", ""))
        body = _summed(source, routers, struct.pack("!BBHI", 133, 0, 0, 0) + own)
        frame = bytes.fromhex("333300000002" + mac.replace(":", "") + "86dd")
        frame += _ipv6(source, routers, ICMPV6, body, hops=255)
        seen = len(self._not_served(mac))
        self.sender(node).send(frame=frame.hex(), interface=interface)
        wait_until(f"{target} to see the stranger", lambda: len(self._not_served(mac)) > seen)
        self._run.log("solicitation-probe", node=node, mac=mac, target=target)

    def _not_served(self, mac: str) -> list[Any]:
        return [e for e in self._run.events.events() if e["event"] == "not-served" and e.get("mac") == mac]


def _ipv6(source: IPv6Address, destination: IPv6Address, protocol: int, body: bytes, hops: int = 64) -> bytes:
    return struct.pack("!IHBB", 6 << 28, len(body), protocol, hops) + source.packed + destination.packed + body


def _echo(source: IPv6Address, destination: IPv6Address, number: int) -> bytes:
    return _summed(source, destination, struct.pack("!BBHHH", ECHO_REQUEST, 0, 0, number, 1) + bytes(16))


def _summed(source: IPv6Address, destination: IPv6Address, body: bytes) -> bytes:
    return body[:2] + ipv6_checksum(source, destination, ICMPV6, body).to_bytes(2, "big") + body[4:]


def network(text: str) -> IPv6Network:
    """The /64 of an address."""
    return IPv6Network((IPv6Address(text), 64), strict=False)
