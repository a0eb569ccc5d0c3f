"""Small namespaces to test agents/kernel in: made by unshare(2), wired by `ip -batch`, gone with the test."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import select
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from ipaddress import IPv6Address
from pathlib import Path

CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int) -> None:
    if result:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


class Namespace:
    """A network namespace held by a file descriptor."""

    def __init__(self, name: str) -> None:
        self.name = name
        with _back_home():
            _check(_libc.unshare(CLONE_NEWNET))
            self.fd = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        self.batch("link set lo up")

    def __str__(self) -> str:
        return f"/proc/{os.getpid()}/fd/{self.fd}"

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        with _back_home():
            _check(_libc.setns(self.fd, CLONE_NEWNET))
            yield

    def run(self, *argv: str, text: str | None = None) -> str:
        with self.entered():
            done = subprocess.run(argv, input=text, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, f"{self.name}: {' '.join(argv)}: {done.stderr}"
        return done.stdout

    def batch(self, *lines: str) -> None:
        self.run("ip", "-6", "-batch", "-", text="\n".join(lines) + "\n")

    def sysctl(self, **values: int) -> None:
        with self.entered():
            for name, value in values.items():
                Path("/proc/sys/net/ipv6/conf", *name.split("__")).write_text(str(value))

    def close(self) -> None:
        os.close(self.fd)


@contextlib.contextmanager
def _back_home() -> Iterator[None]:
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        yield
    finally:
        _check(_libc.setns(home, CLONE_NEWNET))
        os.close(home)


def wire(a: Namespace, a_name: str, b: Namespace, b_name: str, mtu: int = 1500) -> None:
    """A veth pair between two namespaces, up at both ends."""
    a.batch(f"link add {a_name} mtu {mtu} type veth peer name {b_name} mtu {mtu} netns {b}")
    for namespace, name in ((a, a_name), (b, b_name)):
        namespace.sysctl(**{f"{name}__accept_dad": 0})
        namespace.batch(f"link set {name} up")


def wait_until(what: str, predicate: Callable[[], object], timeout: float = 10.0) -> object:
    deadline = time.monotonic() + timeout
    while True:
        last = predicate()
        if last:
            return last
        assert time.monotonic() < deadline, f"{what}: still {last!r} after {timeout} s"
        select.select([], [], [], 0.01)


class Capture:
    """Frames of one interface, from the moment it is made."""

    def __init__(self, namespace: Namespace, interface: str) -> None:
        with namespace.entered():
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
            self._socket.bind((interface, 3))
        self.frames: list[bytes] = []

    def fileno(self) -> int:
        return self._socket.fileno()

    def until(self, what: str, wanted: Callable[[bytes], bool], timeout: float = 10.0) -> bytes:
        deadline = time.monotonic() + timeout
        while True:
            # At the deadline too: what has come in meanwhile counts, however late we look.
            left = max(0.0, deadline - time.monotonic())
            ready = select.select([self], [], [], left)[0]
            assert ready, f"no {what} among {len(self.frames)} frames"
            try:
                frame = self._socket.recv(65535)
            except OSError as error:
                if error.errno != errno.ENETDOWN:
                    raise
                continue  # the interface went down; it may come back
            self.frames.append(frame)
            if wanted(frame):
                return frame

    def close(self) -> None:
        self._socket.close()


def udp(source: str, destination: str, payload: bytes = b"hello", port: int = 9) -> bytes:
    """A whole IPv6 packet with a UDP datagram (checksum left wrong on purpose: nobody but us reads it)."""
    body = port.to_bytes(2, "big") * 2 + (8 + len(payload)).to_bytes(2, "big") + b"\0\1" + payload
    return ipv6(source, destination, 17, body)


def ipv6(source: str, destination: str, next_header: int, body: bytes, hop_limit: int = 64) -> bytes:
    head = b"\x60\0\0\0" + len(body).to_bytes(2, "big") + bytes([next_header, hop_limit])
    return head + IPv6Address(source).packed + IPv6Address(destination).packed + body


def send(namespace: Namespace, packet: bytes) -> None:
    """Send a whole IPv6 packet, headers and all, whatever its source."""
    with namespace.entered(), socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
        raw.sendto(packet, (str(IPv6Address(packet[24:40])), 0))
