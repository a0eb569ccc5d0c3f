"""DHCPv6 authentication between a Client and its Server (spec §6.11): a MAC under a key configured per DUID."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import replace

from agents.wire.dhcpv6 import Message, push_dhcpv6
from agents.wire.dhcpv6_options import MAC_OCTETS, Auth, ClientId, Option


def sign(message: Message, key: bytes, replay: int) -> Message:
    """The message with an Authentication option at its end."""
    unsigned = replace(message, options=(*_without_auth(message), Auth(replay)))
    return replace(message, options=(*_without_auth(message), Auth(replay, _mac(unsigned, key))))


def genuine(message: Message, key: bytes) -> bool:
    """Whether the message's Authentication option was made with this key."""
    auth = message.first(Auth)
    if auth is None or len(message.every(Auth)) != 1:
        return False
    blank = tuple(Auth(auth.replay) if isinstance(option, Auth) else option for option in message.options)
    return hmac.compare_digest(auth.mac, _mac(replace(message, options=blank), key))


class Verifier:
    """A Server's side: keys by DUID, and the last replay value of each (spec SRV-13)."""

    def __init__(self, keys: dict[bytes, bytes]) -> None:
        self._keys = keys
        self._last: dict[bytes, int] = {}

    def restore(self, last: Mapping[bytes, int]) -> None:
        """Remember the replay values taken before this start: what was overheard then proves nothing now."""
        self._last = {duid: value for duid, value in last.items() if duid in self._keys}

    def refusal(self, message: Message) -> str | None:
        """Why a client message is dropped, as a counter's name; None when it may pass.

        Without any key configured nothing is asked for.
        """
        if not self._keys:
            return None
        client, auth = message.first(ClientId), message.first(Auth)
        key = self._keys.get(client.duid) if client else None
        if client is None or auth is None or key is None:
            return "auth_missing"
        if not genuine(message, key):
            return "auth_wrong"
        if auth.replay <= self._last.get(client.duid, -1):
            return "auth_replayed"
        self._last[client.duid] = auth.replay
        return None


def _without_auth(message: Message) -> tuple[Option, ...]:
    return tuple(option for option in message.options if not isinstance(option, Auth))


def _mac(message: Message, key: bytes) -> bytes:
    return hmac.new(key, push_dhcpv6(message), hashlib.sha256).digest()[:MAC_OCTETS]
