"""Generic netlink, as much of it as the testbed needs: find a family by name, have one command done.

Only requests with flat attributes and an acknowledgement; rtnetlink is in testbed.netlink.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterator, Sequence
from types import TracebackType

from testbed.validation import LabError

NETLINK_GENERIC = 16
NLM_F_REQUEST, NLM_F_ACK = 1, 4
NLMSG_ERROR = 2
GENL_ID_CTRL, CTRL_CMD_GETFAMILY, CTRL_ATTR_FAMILY_ID, CTRL_ATTR_FAMILY_NAME = 0x10, 3, 1, 2
_HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence, port
_GENERIC = struct.Struct("=BBH")  # command, version, reserved
_ATTRIBUTE = struct.Struct("=HH")  # length, type
_RECEIVE = 1 << 16

Attributes = Sequence[tuple[int, bytes]]


class GenericError(LabError):
    """The kernel refused a command; code is the errno."""

    def __init__(self, what: str, code: int) -> None:
        self.code = code
        super().__init__(f"kernel refused: {what}: {os.strerror(code)}")


def u32(value: int) -> bytes:
    """Return a number as an attribute holds it."""
    return struct.pack("=I", value)


def text(value: str) -> bytes:
    """Return a string as an attribute holds it."""
    return value.encode() + b"\0"


def encode(family: int, command: int, attributes: Attributes, sequence: int) -> bytes:
    """Return one request, which asks for an acknowledgement."""
    body = _GENERIC.pack(command, 1, 0)
    for kind, value in attributes:
        body += _ATTRIBUTE.pack(_ATTRIBUTE.size + len(value), kind) + value + bytes(-len(value) % 4)
    return _HEADER.pack(_HEADER.size + len(body), family, NLM_F_REQUEST | NLM_F_ACK, sequence, 0) + body


def messages(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Yield (type, sequence, what follows the header) of each message in a datagram."""
    while len(data) >= _HEADER.size:
        length, kind, _flags, sequence, _port = _HEADER.unpack_from(data)
        if length < _HEADER.size:
            return
        yield kind, sequence, data[_HEADER.size : length]
        data = data[(length + 3) & ~3 :]


def attributes_of(payload: bytes) -> dict[int, bytes]:
    """Return the attributes that follow a generic header, by type."""
    found = {}
    data = payload[_GENERIC.size :]
    while len(data) >= _ATTRIBUTE.size:
        length, kind = _ATTRIBUTE.unpack_from(data)
        if length < _ATTRIBUTE.size:
            break
        found[kind] = data[_ATTRIBUTE.size : length]
        data = data[(length + 3) & ~3 :]
    return found


class Generic:
    """A generic netlink socket of the namespace its thread is in when it is made. Not for two threads at once."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_GENERIC)
        self._socket.bind((0, 0))
        self._sequence = 0

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def __enter__(self) -> Generic:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def family(self, name: str) -> int | None:
        """Return the number of a family, None when the kernel has none of that name (yet)."""
        request = [(CTRL_ATTR_FAMILY_NAME, text(name))]
        try:
            replies = self.do(GENL_ID_CTRL, CTRL_CMD_GETFAMILY, request, f"find {name}")
        except GenericError as error:
            if error.code == errno.ENOENT:
                return None
            raise
        return int(struct.unpack_from("=H", attributes_of(replies[0])[CTRL_ATTR_FAMILY_ID])[0]) if replies else None

    def do(self, family: int, command: int, attributes: Attributes, what: str) -> list[bytes]:
        """Have a command done and return what the kernel answered; GenericError says what it refused."""
        self._sequence += 1
        self._socket.send(encode(family, command, attributes, self._sequence))
        replies: list[bytes] = []
        while True:
            for kind, sequence, payload in messages(self._socket.recv(_RECEIVE)):
                if sequence != self._sequence:
                    continue
                if kind != NLMSG_ERROR:
                    replies.append(payload)
                    continue
                (code,) = struct.unpack_from("=i", payload)
                if code < 0:  # a positive number is an answer: the radio's
                    raise GenericError(what, -code)
                return replies
