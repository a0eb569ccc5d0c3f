"""Content of a prefix advertisement (spec §2.5, §8), read as a receiver does."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

from captures.haaro.records import Advertised

SLOTS = 128
REALM_OCTETS = 253
"""No network access identifier is longer (RFC 7542 §2.2)."""


class Unreadable(ValueError):
    """Where and why the structures stop making sense."""


def read_advertisement(data: bytes) -> tuple[tuple[Advertised, ...], str | None]:
    """Owners in order, and what is wrong behind the last of them, None when nothing is."""
    owners: list[tuple[IPv4Address, int, list[tuple[IPv4Network, str]]]] = []
    fault = None
    words = _Words()
    master: IPv4Network | None = None
    at = 0
    try:
        while at < len(data):
            head = data[at]
            if head & 0x40:
                owners.append((IPv4Address(_take(data, at + 1, 4)), head & 0x3F, []))
                at += 5
                continue
            prefix, at = _prefix(data, at, master)
            if not head & 0x80:
                master = prefix
            realm, at = words.realm(data, at)
            if not owners:
                raise Unreadable("a network before any owner")
            owners[-1][2].append((prefix, realm))
    except Unreadable as error:
        fault = f"octet {at}: {error}"
    return tuple(Advertised(home, info, tuple(networks)) for home, info, networks in owners), fault


def _prefix(data: bytes, at: int, master: IPv4Network | None) -> tuple[IPv4Network, int]:
    length = data[at] & 0x3F
    if length > 32:
        raise Unreadable(f"prefix length {length}")
    if not data[at] & 0x80:
        size = -(-length // 8)
        octets = _take(data, at + 1, size) + bytes(4 - size)
        return IPv4Network((octets, length), strict=False), at + 1 + size
    if master is None or length < 8:
        raise Unreadable("a shortened prefix without a master" if master is None else f"a shortened /{length}")
    bits = f"{int(master.network_address):032b}"[: length - 8] + f"{_take(data, at + 1, 1)[0]:08b}"
    return IPv4Network((int(bits.ljust(32, "0"), 2), length)), at + 2


class _Words:
    """The dictionary: 128 slots, filled round and round."""

    def __init__(self) -> None:
        self._slots: dict[int, bytes] = {}
        self._count = 0

    def _learn(self, word: bytes) -> None:
        self._slots[self._count % SLOTS] = word
        self._count += 1

    def realm(self, data: bytes, at: int) -> tuple[str, int]:
        """The realm that begins at `at`, and where it ends."""
        parts: list[bytes] = []
        fresh: list[bytes] = []
        while True:
            octet = _take(data, at, 1)[0]
            at += 1
            if octet == 0:
                break
            if octet >= 0x80:
                if octet & 0x7F not in self._slots:
                    raise Unreadable(f"slot {octet & 0x7F} is empty")
                parts.append(self._slots[octet & 0x7F])
                fresh = []
            else:
                parts.append(_take(data, at, octet))
                at += octet
                fresh.append(parts[-1])
                self._learn(parts[-1])
            if len(b".".join(parts)) > REALM_OCTETS:
                raise Unreadable(f"a realm of more than {REALM_OCTETS} octets")
        for start in range(len(fresh) - 1):
            self._learn(b".".join(fresh[start:]))
        return b".".join(parts).decode("utf-8", "surrogateescape"), at


def _take(data: bytes, at: int, size: int) -> bytes:
    if at + size > len(data):
        raise Unreadable("cut off")
    return data[at : at + size]
