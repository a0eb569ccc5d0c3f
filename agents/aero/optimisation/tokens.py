"""Tokens that two Clients share through their Servers, and the AUTH options made with them (spec §6.5, §10)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv6Address

from agents.core import WallClock
from agents.wire.nd import NdMessage
from agents.wire.nd_auth import genuine, seal
from agents.wire.nd_options import Auth, Token

REPLACED = 10.0
"""Seconds that a token still counts once its successor is known to both ends."""
TOLERANCE = 30.0
"""Seconds that the clocks of two Clients may differ."""
UNITS = 65536
"""Of a timestamp in a second."""
KEPT = 8
"""Tokens of one neighbor; the oldest is given up for a new one."""


@dataclass(slots=True, eq=False)
class _Held:
    token: Token
    expires: float
    source: bool
    """It came with a Redirect: we are the source of its pair. Each direction has tokens of its own, and Predirects of
    both may cross: one of them does not replace the other's."""
    shared: bool = False
    """The peer is known to hold it, too."""


class Tokens:
    """The tokens shared with one neighbor, oldest first.

    Timestamps rise from message to message whatever the token: what was overheard while we had not yet its token, or
    under one that is no longer used, would otherwise prove something once more.
    """

    def __init__(self, wall: WallClock) -> None:
        """`wall`: the clock that all Clients have in common (spec §11)."""
        self._wall = wall
        self._held: list[_Held] = []
        self._sent = 0
        """Last timestamp in an AUTH option of ours."""
        self._received = 0
        self._heard: _Held | None = None
        """What the peer proved itself with last."""

    def __len__(self) -> int:
        return len(self._held)

    def put(self, token: Token, expires: float, now: float, *, shared: bool) -> None:
        """Take up a token; `shared` where the peer had it before us (a Redirect's, as opposed to a Predirect's)."""
        known = next((each for each in self._held if each.token == token), None)
        if known:
            known.expires = max(known.expires, expires)
            return
        self._held = [each for each in self._held if each.token.key_id != token.key_id]
        made = _Held(token, expires, source=shared)
        self._held.append(made)
        if shared:
            self._share(made, now)
        del self._held[:-KEPT]

    def keep(self, until: float) -> None:
        """Tokens live as long as the pairs they came with: those in use, ours and the peer's, do not end before."""
        for used in (self._used(), self._heard):
            if used:
                used.expires = max(used.expires, until)

    def expire(self, now: float) -> None:
        """Forget what is over."""
        self._held = [each for each in self._held if each.expires > now]

    def seal(self, message: NdMessage, source: IPv6Address, destination: IPv6Address, now: float) -> NdMessage:
        """The message with an AUTH option, made with the newest token that the peer is known to hold."""
        return self._sealed(self._used(), message, source, destination, now)

    def _sealed(
        self, used: _Held | None, message: NdMessage, source: IPv6Address, destination: IPv6Address, now: float
    ) -> NdMessage:
        if used is None:
            return message
        self._sent = max(self._sent + 1, int(self._wall.at(now) * UNITS))
        return seal(message, source, destination, used.token.key_id, used.token.value, self._sent)

    def introduce(self, message: NdMessage, source: IPv6Address, destination: IPv6Address, now: float) -> NdMessage:
        """The message with an AUTH option, made with the token of the last Predirect: its source gets the same with our
        Redirect, and may have forgotten all that it ever shared with us."""
        told = [each for each in self._held if not each.source]
        return self._sealed(told[-1] if told else self._used(), message, source, destination, now)

    def accept(self, auth: Auth, octets: bytes, source: IPv6Address, destination: IPv6Address, now: float) -> bool:
        """Whether a message is its peer's, and no replay: timestamps rise, and are not far from our clock."""
        held = next((each for each in self._held if each.token.key_id == auth.key_id and each.expires > now), None)
        if held is None or auth.timestamp <= self._received:
            return False
        if abs(auth.timestamp / UNITS - self._wall.at(now)) > TOLERANCE:
            return False
        if not genuine(octets, source, destination, held.token.value):
            return False
        self._received, self._heard = auth.timestamp, held
        self._share(held, now)
        return True

    def _used(self) -> _Held | None:
        shared = [each for each in self._held if each.shared]
        held = shared or self._held
        return held[-1] if held else None

    def _share(self, held: _Held, now: float) -> None:
        """Both ends have it: what came before it is replaced."""
        if held.shared:
            return
        held.shared = True
        for each in self._held[: self._held.index(held)]:
            if each.source == held.source:
                each.expires = min(each.expires, now + REPLACED)


class Keys:
    """The tokens shared with one neighbor, by the AERO address of ours that it knows: those of one prefix of ours prove
    nothing about another (spec §4: several prefixes, several AERO addresses)."""

    def __init__(self, wall: WallClock | None = None) -> None:
        self._wall = wall or WallClock()
        self._by_own: dict[IPv6Address, Tokens] = {}

    def __len__(self) -> int:
        return sum(map(len, self._by_own.values()))

    def of(self, own: IPv6Address) -> Tokens:
        """The tokens that one address of ours is known by."""
        return self._by_own.setdefault(own, Tokens(self._wall))

    def keep(self, own: IPv6Address, until: float) -> None:
        """A pair with this address of ours lives until then."""
        self.of(own).keep(until)

    def expire(self, now: float) -> None:
        """Forget what is over."""
        for each in self._by_own.values():
            each.expire(now)

    def seal(self, message: NdMessage, source: IPv6Address, destination: IPv6Address, now: float) -> NdMessage:
        """The message with an AUTH option, made with a token of its source's."""
        held = self._by_own.get(source)
        return held.seal(message, source, destination, now) if held else message

    def accept(self, auth: Auth, octets: bytes, source: IPv6Address, destination: IPv6Address, now: float) -> bool:
        """Whether a message to an address of ours is its peer's, and no replay."""
        held = self._by_own.get(destination)
        return held is not None and held.accept(auth, octets, source, destination, now)


Sealing = Callable[[NdMessage, IPv6Address, IPv6Address, float], NdMessage]
"""(message, inner source, inner destination, now) to the message as it is sent."""
