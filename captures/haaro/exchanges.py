"""Registrations and return routability of a run, put together from what each end's captures show (spec §1.5)."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from captures.haaro.operator import MobileRouter, Operator
from captures.haaro.records import CorrespondentAuth, Frame, HomeAuth, Message

CLOCK = 0.001
"""Captures of two interfaces may order a frame's two records by some microseconds."""
TESTS = {"HoTI": "HoT", "CoTI": "CoT"}


@dataclass(frozen=True, slots=True)
class Registration:
    """A request as it left its router, and what came back to it."""

    router: MobileRouter
    asked: Frame
    answer: Frame | None
    """On the router's line."""
    peer: MobileRouter | None
    """None: to the home agent."""

    @property
    def request(self) -> Message:
        """What was asked."""
        assert self.asked.message
        return self.asked.message

    @property
    def reply(self) -> Message | None:
        """What was answered."""
        return self.answer.message if self.answer else None

    @property
    def title(self) -> str:
        """ "mrc to mra"."""
        return f"{self.router.name} to {self.peer.name if self.peer else 'the home agent'}"


@dataclass(frozen=True, slots=True)
class Test:
    """A HoTI or CoTI at each place it should pass, and its answer likewise; None where the captures show nothing."""

    router: MobileRouter
    peer: MobileRouter
    kind: str
    asked: Frame
    """On the router's line."""
    arrived: Frame | None
    """On the peer's."""
    answered: Frame | None
    """There."""
    received: Frame | None

    @property
    def title(self) -> str:
        """ "HoTI of mrc to mra"."""
        return f"{self.kind} of {self.router.name} to {self.peer.name}"

    @property
    def token(self) -> bytes:
        """What the router got; empty when nothing."""
        return self.received.message.token if self.received and self.received.message else b""

    @property
    def frames(self) -> list[Frame]:
        """Those there are."""
        return [one for one in (self.asked, self.arrived, self.answered, self.received) if one]


def registrations(operator: Operator) -> Iterator[Registration]:
    """Every request that a router sent, by router and time."""
    for router in operator.routers.values():
        received = [one for one in operator.received(router) if one.kind == "RRP"]
        for asked in operator.sent(router):
            if asked.kind != "RRQ" or asked.message is None:
                continue
            answer = next((one for one in received if one.time >= asked.time - CLOCK and _answers(one, asked)), None)
            yield Registration(router, asked, answer, operator.router_at(asked.inner.destination))


def _answers(answer: Frame, asked: Frame) -> bool:
    assert answer.message
    assert asked.message
    low = (answer.message.identification ^ asked.message.identification) & 0xFFFFFFFF == 0
    return low and answer.inner.source == asked.inner.destination


def tests(operator: Operator) -> Iterator[Test]:
    """Every HoTI and CoTI that a router sent."""
    for router in operator.routers.values():
        received = operator.received(router)
        for asked in operator.sent(router):
            peer = operator.router_at(asked.inner.destination)
            if asked.kind in TESTS and peer:
                yield _follow(operator, router, peer, asked, received)


def _follow(operator: Operator, router: MobileRouter, peer: MobileRouter, asked: Frame, received: list[Frame]) -> Test:
    assert asked.message
    cookie, kind = asked.message.cookie, asked.message.kind
    arrived = _find(operator.received(peer), kind, cookie)
    answered = _find(operator.sent(peer), TESTS[kind], cookie)
    return Test(router, peer, kind, asked, arrived, answered, _find(received, TESTS[kind], cookie))


def _find(frames: Iterable[Frame], kind: str, cookie: bytes) -> Frame | None:
    return next((one for one in frames if one.message and one.kind == kind and one.message.cookie == cookie), None)


def genuine_home(message: Message, key: bytes) -> bool:
    """Whether the first authenticator is an MHAE made with this key (spec §3.1)."""
    auth = message.auths[0] if message.auths else None
    return isinstance(auth, HomeAuth) and hmac.digest(key, auth.covered, hashlib.md5) == auth.authenticator


def genuine_peer(message: Message, key: bytes) -> bool:
    """Whether the first authenticator is an MCAE made with this KRm (spec §3.1)."""
    auth = message.auths[0] if message.auths else None
    made = isinstance(auth, CorrespondentAuth) and hmac.digest(key, auth.covered, hashlib.sha1)[:16]
    return isinstance(auth, CorrespondentAuth) and made == auth.authenticator


def key_of(home: Test, careof: Test | None) -> bytes:
    """KRm that the tokens of the captures make (spec §3.3)."""
    return hashlib.sha1(home.token + (careof.token if careof else b"")).digest()
