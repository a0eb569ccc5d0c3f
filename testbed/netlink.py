"""Batched rtnetlink: pyroute2's messages, many in one system call, every refusal collected and named.

Only the transport is our own. pyroute2's (0.9.7: nlm_request_batch) ends at the first refusal without saying which
request it was, opens one more socket in every thread that uses it, in whatever namespace that thread is in then, and
encodes a message again each time it is sent.
"""

from __future__ import annotations

import itertools
import os
import socket
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any

from pyroute2.netlink import (
    NETLINK_EXT_ACK,
    NLM_F_ACK,
    NLM_F_REQUEST,
    NLMSG_DONE,
    NLMSG_ERROR,
    SOL_NETLINK,
    nlmsg,
)
from pyroute2.netlink.rtnl.marshal import MarshalRtnl

from testbed.validation import LabError

CHUNK = 100  # requests a system call; bounds the kernel's acknowledgements to what a receive buffer holds
RECEIVE = 1 << 16

Message = Any
"""a decoded message of pyroute2, which has no types"""

_sequence = itertools.count(1)
_marshal = MarshalRtnl()


class Request:
    """One rtnetlink request, encoded once; may be sent any number of times, by one thread at a time."""

    __slots__ = ("data", "sequence", "what")

    def __init__(self, kind: int, message: nlmsg, what: str, flags: int = 0) -> None:
        """Encode message as type kind (RTM_*); what is said when it fails, such as "address ::1/64 on dgw1 wan"."""
        self.what = what
        self.sequence = next(_sequence)
        flags |= NLM_F_REQUEST | NLM_F_ACK
        message["header"].update(type=kind, flags=flags, sequence_number=self.sequence)
        message.encode()
        self.data = bytes(message.data)


class NetlinkError(LabError):
    """The kernel refused one or more requests; failures holds (what, errno) of each."""

    def __init__(self, failures: Sequence[tuple[str, int, str | None]], total: int) -> None:
        self.failures = [(what, number) for what, number, _ in failures]
        shown = [f"{what}: {reason or os.strerror(number)}" for what, number, reason in failures[:5]]
        more = f"; and {len(failures) - 5} more" if len(failures) > 5 else ""
        count = f"{len(failures)} of {total} requests failed: " if total > 1 else ""
        super().__init__(f"kernel refused: {count}{'; '.join(shown)}{more}")


class Netlink:
    """An rtnetlink socket of the namespace its thread is in when it is made. Not for use by two threads at once."""

    def __init__(self, groups: int = 0) -> None:
        """Open it; with groups (RTMGRP_*) it hears the kernel's events and is not for run()."""
        self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
        self.socket.setsockopt(SOL_NETLINK, NETLINK_EXT_ACK, 1)
        self.socket.bind((0, groups))

    def close(self) -> None:
        """Close the socket."""
        self.socket.close()

    def __enter__(self) -> Netlink:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def run(self, requests: Sequence[Request]) -> list[Message]:
        """Send all requests in order and wait until the kernel has done them; return what it answered.

        NetlinkError names those refused; the others are done all the same.
        """
        answers: list[Message] = []
        failures: list[tuple[str, int, str | None]] = []
        for start in range(0, len(requests), CHUNK):
            waiting = {request.sequence: request for request in requests[start : start + CHUNK]}
            self.socket.send(b"".join(request.data for request in waiting.values()))
            while waiting:
                for message in self.receive():
                    header = message["header"]
                    if header["type"] not in (NLMSG_ERROR, NLMSG_DONE):
                        answers.append(message)
                        continue
                    request = waiting.pop(header["sequence_number"])
                    if header["error"]:
                        failures.append((request.what, *header["error"].args))
        if failures:
            raise NetlinkError(failures, len(requests))
        return answers

    def receive(self, timeout: float | None = None) -> Iterator[Message]:
        """Wait for the next messages and return them; TimeoutError when none came for timeout seconds."""
        self.socket.settimeout(timeout)
        messages: Iterator[Message] = _marshal.parse(self.socket.recv(RECEIVE))
        return messages
