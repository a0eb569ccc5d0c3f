"""Elements of nftables sets by netlink: what libnftables needs 0.4 ms for, since it reads the sets first, takes 0.05.

All changes of one call are one transaction (a batch of nfnetlink): the kernel carries out all of them or none.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterable
from typing import NamedTuple

from agents.kernel.attributes import NESTED, attribute, text
from agents.kernel.netlink import KernelError, acknowledgements

_NETLINK_NETFILTER, _SUBSYSTEM = 12, 10
_BEGIN, _END = 0x10, 0x11
_ADD, _DELETE = _SUBSYSTEM << 8 | 12, _SUBSYSTEM << 8 | 14
_REQUEST, _ACKNOWLEDGE, _CREATE = 0x1, 0x4, 0x400
_TABLE, _SET, _ELEMENTS = 1, 2, 3
_ELEMENT, _KEY, _VALUE = 1, 1, 1
_HEADER = struct.Struct("=IHHII")
_RECEIVE = 1 << 16
AT_ONCE = 100
"""Changes in one transaction at most: their acknowledgements must fit a socket's receive buffer."""


class Element(NamedTuple):
    """An element of one of our sets."""

    set: str
    text: str
    """As nft has it."""
    key: bytes | None = None
    """As the kernel has it: each field filled up to a whole word; None where an element is a range."""


class Elements:
    """Adds and deletes elements of the sets of one IPv6 table."""

    def __init__(self, table: str) -> None:
        self._table = text(_TABLE, table)
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_NETFILTER)
        self._socket.bind((0, 0))
        self._sequence = 0

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def add(self, elements: Iterable[Element]) -> None:
        """Add elements; those that are there already are fine (KernelError, ValueError for a range)."""
        self._change(_ADD, _CREATE, elements)

    def delete(self, elements: Iterable[Element]) -> None:
        """Delete elements, all of which must be there (KernelError, ValueError for a range)."""
        self._change(_DELETE, 0, elements)

    def _change(self, kind: int, flags: int, elements: Iterable[Element]) -> None:
        first = self._sequence + 1
        messages = [self._message(kind, flags, number, each) for number, each in enumerate(elements, first + 1)]
        if not messages:
            return
        if len(messages) > AT_ONCE:
            raise ValueError(f"{len(messages)} changes in one transaction")
        self._sequence += len(messages) + 2
        around = (_packed(_BEGIN, 0, first, _SUBSYSTEM), _packed(_END, 0, self._sequence, _SUBSYSTEM))
        self._socket.send(around[0] + b"".join(messages) + around[1])
        awaited = len(messages)
        while awaited > 0:
            for code, _answer in acknowledgements(self._socket.recv(_RECEIVE), first):
                if code:
                    name = errno.errorcode.get(code, code)
                    raise KernelError(f"nftables refused: {os.strerror(code)} ({name})", code)
                awaited -= 1

    def _message(self, kind: int, flags: int, sequence: int, element: Element) -> bytes:
        if element.key is None:
            raise ValueError(f"{element.text} is a range")
        key = attribute(_KEY | NESTED, attribute(_VALUE, element.key))
        listed = attribute(_ELEMENTS | NESTED, attribute(_ELEMENT | NESTED, key))
        content = self._table + text(_SET, element.set) + listed
        return _packed(kind, flags | _ACKNOWLEDGE, sequence, 0, socket.AF_INET6, content)


def _packed(kind: int, flags: int, sequence: int, resource: int, family: int = 0, content: bytes = b"") -> bytes:
    """One message: the netlink header, and what nfnetlink has in front of everything (struct nfgenmsg)."""
    own = struct.pack("=BB", family, 0) + struct.pack("!H", resource)
    return _HEADER.pack(_HEADER.size + len(own) + len(content), kind, flags | _REQUEST, sequence, 0) + own + content
