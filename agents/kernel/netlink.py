"""Talking to this namespace's kernel over netlink: pipelined requests, dumps, and one clear line per refusal.

pyroute2's message classes pack and read every message, its marshal takes what is received apart. Only the socket is
ours: pyroute2 0.9.7's own drive an asyncio loop of theirs, which refuses to run inside an agent's running one, and
wait for each answer before the next request.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pyroute2.netlink as nl
from pyroute2.netlink import nlmsg, rtnl
from pyroute2.netlink.marshal import Marshal
from pyroute2.netlink.rtnl.fibmsg import fibmsg
from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg
from pyroute2.netlink.rtnl.ndmsg import ndmsg
from pyroute2.netlink.rtnl.rtmsg import rtmsg

_RECEIVE = 1 << 18
_PIPELINED = 100
"""Requests sent at once; the acknowledgements of some 250 overflow a socket's receive buffer (ENOBUFS)."""
_HEADER = struct.Struct("=IHHII")
_ACKNOWLEDGEMENT = struct.Struct("=IHHIIi")
"""A message's header, and the errno behind it."""


# pyroute2's own table has everything rtnetlink can say, traffic control included: 20 ms of an agent's start.
_ROUTE_LAYOUTS: Mapping[int, type[nlmsg]] = {
    kind: layout
    for layout, kinds in (
        (ifinfmsg, (rtnl.RTM_NEWLINK, rtnl.RTM_DELLINK)),
        (ifaddrmsg, (rtnl.RTM_NEWADDR, rtnl.RTM_DELADDR)),
        (rtmsg, (rtnl.RTM_NEWROUTE, rtnl.RTM_DELROUTE)),
        (fibmsg, (rtnl.RTM_NEWRULE, rtnl.RTM_DELRULE)),
        (ndmsg, (rtnl.RTM_NEWNEIGH, rtnl.RTM_DELNEIGH)),
    )
    for kind in kinds
}


class KernelError(Exception):
    """The kernel refused a request; the text is one line that says which and why."""

    def __init__(self, message: str, code: int = 0) -> None:
        super().__init__(message)
        self.code = code
        """errno of the refusal, 0 when there is none."""


@dataclass(frozen=True, slots=True)
class Request:
    """One netlink request, acknowledged by the kernel."""

    what: str
    """What it does, for the error line: "create macvlan mn1dgw1"."""
    type: int
    layout: Callable[[], nlmsg]
    """pyroute2's class of the message."""
    content: Mapping[str, Any] | bytes
    """Its fields, and its attributes under "attrs"; or all of it as octets."""
    flags: int = 0
    ignore: tuple[int, ...] = ()
    """errno values that mean "it is already so"."""

    def encode(self, sequence: int, flags: int) -> bytearray:
        """Pack the message."""
        flags |= self.flags | nl.NLM_F_REQUEST
        if isinstance(self.content, bytes):
            length = _HEADER.size + len(self.content)
            return bytearray(_HEADER.pack(length, self.type, flags, sequence, 0) + self.content)
        message = self.layout()
        message.setvalue(self.content)
        message["header"] = {"type": self.type, "flags": flags, "sequence_number": sequence}
        message.encode()
        packed: bytearray = message.data
        return packed


class Netlink:
    """A netlink socket of the namespace it was opened in. Not to be shared between threads."""

    def __init__(
        self,
        protocol: int = nl.NETLINK_ROUTE,
        groups: tuple[int, ...] = (),
        layouts: Mapping[int, type[nlmsg]] | None = None,
    ) -> None:
        """`layouts`: classes of the messages to be read, by type, for a protocol that pyroute2 does not know."""
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
        self._socket.setsockopt(nl.SOL_NETLINK, nl.NETLINK_EXT_ACK, 1)
        # The kernel selects by what a dump's request says (protocol of a route, interface of an address).
        self._socket.setsockopt(nl.SOL_NETLINK, nl.NETLINK_GET_STRICT_CHK, 1)
        self._socket.bind((0, 0))
        for group in groups:
            self._socket.setsockopt(nl.SOL_NETLINK, nl.NETLINK_ADD_MEMBERSHIP, group)
        self._marshal = Marshal()
        self._marshal.msg_map.update(_ROUTE_LAYOUTS if protocol == nl.NETLINK_ROUTE else {nl.GENL_ID_CTRL: nl.ctrlmsg})
        self._marshal.msg_map.update(layouts or {})
        self._sequence = 0

    def fileno(self) -> int:
        """File descriptor, for polling event groups."""
        return self._socket.fileno()

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def run(self, *requests: Request) -> tuple[int, ...]:
        """Send all requests together, in order; give each one's errno (0 or one it ignores).

        All of them are executed even if one is refused; the first refusal is then raised as KernelError.
        """
        answers: list[tuple[int, bytes]] = []
        for start in range(0, len(requests), _PIPELINED):
            answers += self._pipeline(requests[start : start + _PIPELINED])
        for request, (code, answer) in zip(requests, answers, strict=True):
            if code and code not in request.ignore:
                raise _refusal(request.what, next(iter(self._marshal.parse(answer))))
        return tuple(code for code, _answer in answers)

    def dump(self, request: Request) -> list[nlmsg]:
        """Return a whole table; asked again when it changed while being read."""
        for _attempt in range(8):
            messages = list(self._answers(request, nl.NLM_F_DUMP))
            if not any(message["header"]["flags"] & nl.NLM_F_DUMP_INTR for message in messages):
                return messages[:-1]
        raise KernelError(f"cannot {request.what}: the table keeps changing while it is read", errno.EAGAIN)

    def ask(self, request: Request) -> nlmsg:
        """Send a request that is answered by one message (RTM_GETROUTE, genetlink families)."""
        return next(self._answers(request, 0))

    def events(self) -> list[nlmsg]:
        """Read one batch of messages (blocks until there is one)."""
        return list(self._marshal.parse(self._socket.recv(_RECEIVE)))

    def _pipeline(self, requests: tuple[Request, ...]) -> list[tuple[int, bytes]]:
        """Send some requests in one call, give their acknowledgements: errno, and the message with the rest."""
        first = self._sequence + 1
        self._sequence += len(requests)
        self._socket.send(b"".join(request.encode(first + i, nl.NLM_F_ACK) for i, request in enumerate(requests)))
        answers: list[tuple[int, bytes]] = []
        while len(answers) < len(requests):  # they come in the order of the requests
            answers += acknowledgements(self._socket.recv(_RECEIVE), first)
        return answers

    def _answers(self, request: Request, flags: int) -> Iterator[nlmsg]:
        """Send a request, give the messages that answer it, NLMSG_DONE included."""
        self._sequence += 1
        self._socket.send(request.encode(self._sequence, flags))
        while True:
            for message in self.events():
                header = message["header"]
                if header["sequence_number"] != self._sequence:
                    continue
                if header["type"] == nl.NLMSG_ERROR:
                    raise _refusal(request.what, message)
                yield message
                if header["type"] == nl.NLMSG_DONE:
                    return


def acknowledgements(received: bytes, first: int) -> Iterator[tuple[int, bytes]]:
    """Of each acknowledgement of a request from number `first` on: errno, and the whole message."""
    at = 0
    while at + _ACKNOWLEDGEMENT.size <= len(received):
        length, kind, _flags, sequence, _port, error = _ACKNOWLEDGEMENT.unpack_from(received, at)
        if kind == nl.NLMSG_ERROR and sequence >= first:
            yield -error, received[at : at + length]
        at += max(length + 3 & ~3, _HEADER.size)


def _refusal(what: str, answer: nlmsg) -> KernelError:
    """Make the error of a negative acknowledgement; the kernel's own words come first when it gives any."""
    code = -answer["error"]
    words = answer.get_attr("NLMSGERR_ATTR_MSG")
    reason = f"{words} ({errno.errorcode.get(code, code)})" if words else os.strerror(code)
    return KernelError(f"cannot {what}: {reason}", code)
