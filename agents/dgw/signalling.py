"""Sockets of the D-GW family behind a shell: Mobility Header, Parameter Problem, repository datagrams."""

from __future__ import annotations

import os
import socket
from functools import partial
from ipaddress import IPv6Address
from typing import Any, TypeGuard

from agents.dgw.actions import (
    Consult,
    RepositoryDatagram,
    Send,
    SendParameterProblem,
)
from agents.dgw.esp import Exhausted
from agents.dgw.protection import Channel
from agents.kernel.netlink import KernelError
from agents.kernel.rawsocket import MobilitySocket, ParameterProblems, Received
from agents.runtime import Shell, announce
from agents.store import StateFile

LARGEST = 65535
Message = Send | SendParameterProblem | Consult


def is_message(action: object) -> TypeGuard[Message]:
    """Whether an action is for the sockets here."""
    return isinstance(action, Message)


class Signalling:
    """Turns what arrives into notices for the core, and the core's sending actions into packets."""

    def __init__(self, address: IPv6Address, channel: Channel, repository_port: int | None = None) -> None:
        """`repository_port`: listen there (the repository); None takes any port (its clients)."""
        self._channel = channel
        self._problems = ParameterProblems(address)
        self._udp = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._udp.bind((str(address), repository_port or 0))
        self._shell: Shell | None = None

    def connect(self, shell: Shell) -> None:
        """Feed this shell from now on; say how messages are protected."""
        self._shell = shell
        for one in self._channel.sockets():
            shell.on_readable(one.fileno(), partial(self._read_mobility, one))
        shell.on_readable(self._udp.fileno(), self._read_datagrams)
        shell.on_request("protection", lambda request: {"protection": self._channel.inspect()})
        announce("protection", shell.clock.now(), method=self._channel.method)

    def remember(self, file: StateFile, state: dict[str, Any]) -> None:
        """Write down what must survive a restart: the core's state, and how far the protection has come."""
        file.save(state)
        self._channel.settle()

    def perform(self, action: Message) -> None:
        """Send; a peer that cannot be reached now is left to retransmission."""
        try:
            match action:
                case Send():
                    self._channel.send(action.message, action.destination)
                    # Its receiver may wait for this very CPU, and what we do next is less urgent than its answer.
                    os.sched_yield()
                case SendParameterProblem():
                    told = action.offending
                    received = Received(told.data, told.source, told.destination, told.hop_limit, told.extensions)
                    self._problems.send(received, action.field)
                case Consult():
                    self._udp.sendto(action.message, (str(action.destination), action.port))
        except (KernelError, OSError, Exhausted) as error:
            if self._shell:
                announce("send-failed", self._shell.clock.now(), reason=str(error))

    def _read_mobility(self, which: MobilitySocket) -> None:
        assert self._shell
        for heard in self._channel.read(which):
            self._shell.feed(heard)

    def _read_datagrams(self) -> None:
        assert self._shell
        while True:
            try:
                data, (host, port, *_) = self._udp.recvfrom(LARGEST)
            except BlockingIOError:
                return
            except OSError:
                continue  # an ICMPv6 error about an earlier datagram; retransmission copes
            self._shell.feed(RepositoryDatagram(data, IPv6Address(host.partition("%")[0]), port))
