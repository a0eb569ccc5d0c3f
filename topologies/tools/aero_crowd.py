"""`python -m topologies.tools.aero_crowd SERVER FIRST COUNT WINDOW SECONDS`: thousands of AERO Clients in one process.

Each is a Client's core with an underlay address of its own, FIRST and those that follow, which must be local to this
node (`ip route add local PREFIX dev lo`).  They attach, WINDOW of them at a time, and stay for SECONDS afterwards:
they answer, renew and ask for their Server as any Client.  Prints one JSON object when all are attached (attached,
seconds, median_ms: from Solicit to prefix), and another at the end (attached: how many still are).
"""

from __future__ import annotations

import json
import select
import socket
import statistics
import struct
import sys
import time
from collections.abc import Iterator
from ipaddress import IPv4Address, ip_address

from agents.aero.client.core import ClientCore
from agents.aero.config import ClientConfig, ServerChoice, UnderlayLink
from agents.aero.constants import AERO_PORT
from agents.aero.dataplane.sink import Control
from agents.aero.lladdr import Encapsulation, LinkLayerAddress
from agents.aero.notices import Controlled, SendControl
from agents.timers import Timers

_IP_PKTINFO, _IP_MTU_DISCOVER, _PMTUDISC_PROBE = 8, 10, 3
_RECEIVE_BUFFER = 8 << 20
_SO_RCVBUFFORCE = 33
_LARGEST = 2048
_ANCILLARY = socket.CMSG_SPACE(12)


class Crowd:
    """All Clients, their one socket, and their timers."""

    def __init__(self, server: str, first: str, count: int) -> None:
        self._socket = _socket()
        self._server = LinkLayerAddress(Encapsulation.UDP, ip_address(server), AERO_PORT)
        self._waiting = iter(IPv4Address(int(IPv4Address(first)) + number) for number in range(count))
        self._count = count
        self._cores: dict[bytes, ClientCore] = {}
        """By underlay address."""
        self._timers: Timers[bytes] = Timers()
        self._started: dict[bytes, float] = {}
        self.times: list[float] = []
        """Seconds from Solicit to prefix of those that are attached."""

    def attach(self, window: int) -> float:
        """Attach all, `window` at a time; the seconds it took."""
        begin = time.monotonic()
        while len(self.times) < self._count:
            while len(self._started) < window and (address := next(self._waiting, None)):
                self._start(address)
            self._serve(time.time() + 1.0)
        return time.monotonic() - begin

    def stay(self, seconds: float) -> int:
        """Live on; how many have a prefix at the end."""
        end = time.time() + seconds
        while time.time() < end:
            self._serve(end)
        return sum(bool(core.prefixes) for core in self._cores.values())

    def _start(self, address: IPv4Address) -> None:
        config = ClientConfig(
            role="client",
            name=str(address),
            duid=f"00030001{int(address):012x}",
            links=(UnderlayLink("eth0", (address,)),),
            servers=(ServerChoice((self._server.ip,)),),
            control="",
            state="",
        )
        core = self._cores[address.packed] = ClientCore(config)
        now = self._started[address.packed] = time.time()
        core.start(now)
        self._turn(address.packed, core)

    def _serve(self, until: float) -> None:
        """Do what is due, and read what there is; wait no longer than `until`."""
        now = time.time()
        for address in list(self._timers.take(now)):
            self._cores[address].handle_timer(now)
            self._turn(address, self._cores[address])
        due = min(until, self._timers.next_timer() or until)
        if select.select([self._socket], [], [], max(0.0, due - time.time()))[0]:
            for address, data in _received(self._socket):
                core = self._cores.get(address)
                if core:
                    control = Control(data, self._server, core.cache.at(self._server), len(data))
                    core.receive(Controlled(control), None, time.time())
                    self._turn(address, core)

    def _turn(self, address: bytes, core: ClientCore) -> None:
        for action in core.actions():
            if isinstance(action, SendControl):
                source = struct.pack("=I4s4s", 0, address, bytes(4))
                data = action.packet + bytes(action.pad)
                where = (str(action.lladdr.ip), action.lladdr.port)
                self._socket.sendmsg([data], [(socket.IPPROTO_IP, _IP_PKTINFO, source)], 0, where)
        for event in core.events():
            if event.name == "prefixes" and core.prefixes and address in self._started:
                self.times.append(time.time() - self._started.pop(address))
        due = core.next_timer()
        if due is not None:
            self._timers.set(address, due)


def _socket() -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    made.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _RECEIVE_BUFFER)
    made.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
    made.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, _PMTUDISC_PROBE)
    made.bind(("", AERO_PORT))
    return made


def _received(from_: socket.socket) -> Iterator[tuple[bytes, bytes]]:
    """(underlay address it came to, payload) of all that is there."""
    for _packet in range(256):
        try:
            data, ancillary, _flags, _source = from_.recvmsg(_LARGEST, _ANCILLARY)
        except BlockingIOError:
            return
        yield ancillary[0][2][8:12], data


def main(server: str, first: str, count: int, window: int, seconds: float) -> None:
    """Attach and stay."""
    crowd = Crowd(server, first, count)
    took = crowd.attach(window)
    median = statistics.median(crowd.times) * 1000
    print(json.dumps({"attached": len(crowd.times), "seconds": took, "median_ms": median}), flush=True)
    print(json.dumps({"attached": crowd.stay(seconds)}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5]))
