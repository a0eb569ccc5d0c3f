"""The kernel's own ESP for one upper-layer protocol: states and policies over netlink (spec SEC-1 to SEC-3).

Transport mode, NULL cipher, HMAC-SHA-256-128, manual keys. A policy each way makes the kernel protect what leaves and
drop what comes unprotected. All of it carries our reqid, so that `adopt` finds what an earlier agent left: states that
match are kept as they are, with their sequence numbers and replay windows.

The messages have fixed C layouts (linux/xfrm.h) and pyroute2 has no classes for them: `struct` packs the fixed part.
A policy for one MH type would match outbound only on a kernel without CONFIG_IPV6_MIP6 (spec SEC-3), hence plain
protocol numbers, which cover every type both ways (spec SEC-2).
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv6Address
from pathlib import Path
from typing import Any, ClassVar

from pyroute2.netlink import NLM_F_CREATE, NLM_F_EXCL, nlmsg

from agents.kernel.netlink import KernelError, Netlink, Request
from agents.wire.esp import KEY_OCTETS, LOWEST_SPI, PROTOCOL, SecurityAssociation

NETLINK_XFRM = 6
NEW_STATE, DELETE_STATE, GET_STATE, NEW_POLICY, DELETE_POLICY, GET_POLICY = range(0x10, 0x16)
UPDATE_POLICY = 0x19
REQID = 0x726C
"""Marks what is ours, and ties a policy to its states."""
IN, OUT = 0, 1
TRANSPORT = 0
REPLAY_WINDOW = 32
"""Packets; the most that a state without extended sequence numbers can have."""
HASH, TRUNCATED_BITS = b"hmac(sha256)", 128
CIPHER = b"cipher_null"
STATISTICS = Path("/proc/thread-self/net/xfrm_stat")
_ENDLESS = struct.pack("=8Q", *[2**64 - 1] * 4, *[0] * 4) + bytes(32)
"""struct xfrm_lifetime_cfg without any limit, and an empty xfrm_lifetime_cur."""
_STATE, _POLICY, _STATE_ID, _POLICY_ID = 224, 168, 24, 64
"""Octets of xfrm_usersa_info, xfrm_userpolicy_info, xfrm_usersa_id, xfrm_userpolicy_id."""
_SELECTOR = struct.Struct("=16s16s8xHBBB3xii")
_ALL_ALGORITHMS = 0xFFFFFFFF
_CREATE = NLM_F_CREATE | NLM_F_EXCL


class _Message(nlmsg):  # type: ignore[misc]
    """A message whose fixed part is packed by hand."""

    nla_map: ClassVar[tuple[tuple[int, str, str], ...]] = (
        (2, "XFRMA_ALG_CRYPT", "cdata"),
        (5, "XFRMA_TMPL", "cdata"),
        (20, "XFRMA_ALG_AUTH_TRUNC", "cdata"),
    )


class _State(_Message):
    fields: ClassVar[tuple[tuple[str, str], ...]] = (("body", f"{_STATE}s"),)


class _Policy(_Message):
    fields: ClassVar[tuple[tuple[str, str], ...]] = (("body", f"{_POLICY}s"),)


class _StateId(_Message):
    fields: ClassVar[tuple[tuple[str, str], ...]] = (("body", f"{_STATE_ID}s"),)


class _PolicyId(_Message):
    fields: ClassVar[tuple[tuple[str, str], ...]] = (("body", f"{_POLICY_ID}s"),)


@dataclass(frozen=True, slots=True)
class Policy:
    """What goes from one address to the other must be in ESP."""

    source: IPv6Address
    destination: IPv6Address
    protocol: int
    direction: int
    """IN or OUT, seen from this node."""


class Xfrm:
    """This namespace's ESP."""

    def __init__(self) -> None:
        """KernelError on a kernel without the transformation framework."""
        try:
            self._netlink = Netlink(NETLINK_XFRM, layouts={NEW_STATE: _State, NEW_POLICY: _Policy})
        except OSError as error:
            raise KernelError(f"this kernel has no IPsec: {error.strerror}", error.errno or 0) from error

    def close(self) -> None:
        """Let go; what is installed stays."""
        self._netlink.close()

    def adopt(self, local: IPv6Address, associations: Iterable[SecurityAssociation], protocol: int) -> None:
        """Hold exactly these associations, and a policy for each: states that are there already count on."""
        wanted = set(associations)
        policies = {_policy(local, association, protocol) for association in wanted}
        there, ruled = set(self.states()), set(self.policies())
        self._netlink.run(
            *map(_drop_policy, ruled - policies),
            *map(_drop_state, there - wanted),
            *map(_put_state, wanted - there),
            *map(_put_policy, policies - ruled),
        )

    def states(self) -> Iterator[SecurityAssociation]:
        """Our states, with their keys."""
        for message in self._netlink.dump(Request("list ESP states", GET_STATE, _StateId, {"body": bytes(_STATE_ID)})):
            found = _read_state(message)
            if found:
                yield found

    def policies(self) -> Iterator[Policy]:
        """Our policies."""
        request = Request("list ESP policies", GET_POLICY, _PolicyId, {"body": bytes(_POLICY_ID)})
        for message in self._netlink.dump(request):
            template = _attribute(message, "XFRMA_TMPL")
            if template and struct.unpack_from("=I", template, 44)[0] == REQID:
                destination, source, _family, _d, _s, protocol, _i, _u = _SELECTOR.unpack_from(message["body"])
                direction = message["body"][160]
                yield Policy(IPv6Address(source), IPv6Address(destination), protocol, direction)

    def statistics(self) -> dict[str, Any]:
        """The namespace's error counters that are not zero, by the kernel's names (empty where it keeps none)."""
        try:
            lines = STATISTICS.read_text().splitlines()
        except FileNotFoundError:
            return {}
        counts = {name: int(value) for name, value in map(str.split, lines)}
        return {name: count for name, count in counts.items() if count}


def unavailable() -> str:
    """Why this kernel cannot do ESP as we need it, "" when it can: tried out with a state that goes at once."""
    probe = SecurityAssociation(IPv6Address("100::1"), IPv6Address("100::2"), LOWEST_SPI, bytes(KEY_OCTETS))
    try:
        xfrm = Xfrm()
    except KernelError as error:
        return str(error)
    try:
        xfrm._netlink.run(_put_state(probe), _drop_state(probe))
    except KernelError as error:
        return str(error)
    finally:
        xfrm.close()
    return ""


def _policy(local: IPv6Address, association: SecurityAssociation, protocol: int) -> Policy:
    direction = OUT if association.source == local else IN
    return Policy(association.source, association.destination, protocol, direction)


def _selector(source: IPv6Address, destination: IPv6Address, protocol: int) -> bytes:
    return _SELECTOR.pack(destination.packed, source.packed, socket.AF_INET6, 128, 128, protocol, 0, 0)


def _algorithm(name: bytes, *numbers: int, key: bytes = b"") -> bytes:
    """struct xfrm_algo or xfrm_algo_auth; lengths in bits."""
    return struct.pack(f"=64s{len(numbers)}I", name, *numbers) + key


def _put_state(association: SecurityAssociation) -> Request:
    source, destination, spi = association.source.packed, association.destination.packed, association.spi
    body = _SELECTOR.pack(bytes(16), bytes(16), socket.AF_INET6, 0, 0, 0, 0, 0)
    body += struct.pack("=16s4sB3x16s", destination, spi.to_bytes(4, "big"), PROTOCOL, source)
    body += _ENDLESS + bytes(12)
    body += struct.pack("=IIHBBB7x", 0, REQID, socket.AF_INET6, TRANSPORT, REPLAY_WINDOW, 0)
    bits = 8 * len(association.key)
    attributes = [
        ("XFRMA_ALG_AUTH_TRUNC", _algorithm(HASH, bits, TRUNCATED_BITS, key=association.key)),
        ("XFRMA_ALG_CRYPT", _algorithm(CIPHER, 0)),
    ]
    content = {"body": body, "attrs": attributes}
    return Request(f"add ESP state {spi:#x}", NEW_STATE, _State, content, _CREATE)


def _drop_state(association: SecurityAssociation) -> Request:
    spi = association.spi.to_bytes(4, "big")
    body = struct.pack("=16s4sHBx", association.destination.packed, spi, socket.AF_INET6, PROTOCOL)
    what = f"delete ESP state {association.spi:#x}"
    return Request(what, DELETE_STATE, _StateId, {"body": body}, ignore=(errno.ESRCH,))


def _put_policy(policy: Policy) -> Request:
    body = _selector(policy.source, policy.destination, policy.protocol) + _ENDLESS
    body += struct.pack("=IIBBBB4x", 0, 0, policy.direction, 0, 0, 0)
    template = struct.pack("=16s4xB3xH2x", policy.destination.packed, PROTOCOL, socket.AF_INET6)
    template += struct.pack("=16sIBBBx", policy.source.packed, REQID, TRANSPORT, 0, 0)
    template += struct.pack("=3I", *[_ALL_ALGORITHMS] * 3)
    content = {"body": body, "attrs": [("XFRMA_TMPL", template)]}
    return Request(f"add ESP policy {policy.source} - {policy.destination}", UPDATE_POLICY, _Policy, content)


def _drop_policy(policy: Policy) -> Request:
    body = _selector(policy.source, policy.destination, policy.protocol) + struct.pack("=IB3x", 0, policy.direction)
    what = f"delete ESP policy {policy.source} - {policy.destination}"
    return Request(what, DELETE_POLICY, _PolicyId, {"body": body}, ignore=(errno.ENOENT,))


def _read_state(message: nlmsg) -> SecurityAssociation | None:
    """One of ours, None for somebody else's."""
    body, auth = message["body"], _attribute(message, "XFRMA_ALG_AUTH_TRUNC")
    if struct.unpack_from("=I", body, 208)[0] != REQID or auth is None:
        return None
    destination, spi, source = struct.unpack_from("=16s4s4x16s", body, 56)
    bits = struct.unpack_from("=I", auth, 64)[0]
    key = auth[72 : 72 + bits // 8]
    return SecurityAssociation(IPv6Address(source), IPv6Address(destination), int.from_bytes(spi, "big"), key)


def _attribute(message: nlmsg, name: str) -> bytes | None:
    value = message.get_attr(name)
    return bytes(value) if value is not None else None
