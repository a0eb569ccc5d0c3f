"""Plays hostile messages against the agents of a run and logs, for the check `haaro-attack`, what each must lead to.

Every attack has a source port of its own, by which the captures tell it and its answer from all others.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import secrets
import time
from dataclasses import replace
from ipaddress import IPv4Address
from typing import TYPE_CHECKING, Any

from agents.haaro.inner import push_ipv4, push_udp
from agents.haaro.items import TUNNEL_PORT
from agents.haaro.keys import correspondent_key
from captures.frames import decode_file
from captures.haaro.decode import read_frame
from testbed.waiting import NotYet, wait_until
from topologies import states
from topologies.haaro.hostile_messages import Account, Attack
from topologies.haaro.raw import Raw
from topologies.traffic import PATIENCE

if TYPE_CHECKING:
    from captures.haaro.records import Frame
    from topologies.runner import Run

IPIP = 4
KEPT = {
    "ha": ("bindings",),
    "mr": ("careof", "udp", "haaro", "networks", "outbound_only", "correspondents", "items"),
}
"""Role -> what of a dump no attack may move."""
MOVING = ("expires",)
"""Times of bindings, which honest routers renew."""


class Intruder:
    """Sends from a node; its counterparts' state is dumped before and after."""

    def __init__(self, run: Run, node: str, interface: str, account: Account) -> None:
        self.account = account
        self._run = run
        self._node, self._interface = node, interface
        self._raw = Raw(run, node)
        self._ports = itertools.count(20000)

    def play(
        self, attack: Attack, target: str, address: IPv4Address, *, octets: bytes = b"", same: bool = True
    ) -> bytes:
        """Send one, wait until it is counted, log it; not `same`: it may change the state, as an honest one does."""
        octets = octets or attack.make(self.account, time.time())
        before, counted = self._dump(target)
        port = self._send(address, octets)
        self._settle(attack, target, counted, port)
        after, now = self._dump(target)
        moved = {name: now[name] - counted.get(name, 0) for name in now if now[name] != counted.get(name, 0)}
        self._run.log(
            "attack",
            node=self._node,
            interface=self._interface,
            target=target,
            address=str(address),
            row=attack.name,
            requirement=attack.requirement,
            port=port,
            octets=octets.hex(),
            code=attack.code,
            counter=attack.counter,
            counted=moved,
            same=same and attack.code != 0,  # what is in order renews its binding
            before=before,
            after=after,
        )
        return octets

    def flood(self, target: str, address: IPv4Address, count: int) -> None:
        """CoTIs with other cookies, as fast as they go."""
        before, counted = self._dump(target)
        port = next(self._ports)
        for _ in range(count):
            self._put(address, b"\x19\0" + secrets.token_bytes(8), port)
        self._await(target, counted, "dropped_test_too_often")
        after, now = self._dump(target)
        dropped = now.get("dropped_test_too_often", 0) - counted.get("dropped_test_too_often", 0)
        facts = {"port": port, "count": count, "dropped": dropped, "before": before, "after": after}
        self._run.log("flood", node=self._node, interface=self._interface, target=target, address=str(address), **facts)

    def prove(self, peer: IPv4Address) -> Account:
        """Return routability as any router does it: the account with tokens of this peer."""
        account = self.account
        home, careof = secrets.token_bytes(8), secrets.token_bytes(8)
        self._put(peer, b"\x19\0" + careof, next(self._ports))
        inner = push_udp(account.home, peer, (TUNNEL_PORT, TUNNEL_PORT), b"\x18\0" + home)
        outer = push_ipv4(account.careof, account.agent, IPIP, inner)
        self._raw.send(str(account.careof), str(account.agent), outer)
        answers = [self._message("HoT", home), self._message("CoT", careof)]
        found = [one.message for one in answers if one.message]
        key = correspondent_key(found[0].token, found[1].token)
        return replace(account, indexes=(found[0].index, found[1].index), correspondent_key=key)

    def recorded(self, peer: IPv4Address) -> bytes:
        """The last request to a peer that left this node, read from the running capture."""
        return self._find(lambda one: one.kind == "RRQ" and one.inner.destination == peer)

    # --- how

    def _message(self, kind: str, cookie: bytes) -> Frame:
        return self._look(lambda one: bool(one.message and one.kind == kind and one.message.cookie == cookie))

    def _find(self, wanted: Any) -> bytes:
        message = self._look(wanted).message
        assert message
        return message.octets

    def _look(self, wanted: Any) -> Frame:
        path = self._run.directory.capture(self._node, self._interface)

        def look() -> Frame:
            found = [
                one for one in decode_file(read_frame, path, path.stem, self._node, self._interface) if wanted(one)
            ]
            if not found:
                raise NotYet(f"not in {path.name}")
            return found[-1]

        return wait_until(f"a message in {path.name}", look, timeout=PATIENCE)

    def _send(self, address: IPv4Address, octets: bytes) -> int:
        port = next(self._ports)
        self._put(address, octets, port)
        return port

    def _put(self, address: IPv4Address, octets: bytes, port: int) -> None:
        packet = push_udp(self.account.careof, address, (port, TUNNEL_PORT), octets)
        self._raw.send(str(self.account.careof), str(address), packet)

    def _settle(self, attack: Attack, target: str, before: dict[str, int], port: int) -> None:
        if attack.counter:
            self._await(target, before, attack.counter)
        else:
            self._look(lambda one: one.ports == (TUNNEL_PORT, port))

    def _await(self, target: str, before: dict[str, int], counter: str) -> None:
        """Wait until this counter has moved, or one whose name begins so: others move for other reasons."""

        def look() -> bool:
            now = self._dump(target)[1]
            if not any(count > before.get(name, 0) for name, count in now.items() if name.startswith(counter)):
                raise NotYet(json.dumps(now))
            return True

        wait_until(f"{target} to count {counter}", look, timeout=PATIENCE)

    def _dump(self, target: str) -> tuple[str, dict[str, int]]:
        state = states.state(self._run, target)
        counters: dict[str, int] = state["counters"]
        kept = {key: _still(state[key]) for key in KEPT[state["role"]]}
        return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest(), counters


def _still(value: Any) -> Any:
    """Without what moves by itself."""
    if isinstance(value, dict):
        return {key: _still(each) for key, each in value.items() if key not in MOVING}
    return [_still(each) for each in value] if isinstance(value, list) else value
