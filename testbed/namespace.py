"""Network namespaces by file descriptor: no name, no holder process; closing the descriptor drops the namespace."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager

CLONE_NEWNET = 0x40000000
OWN = "/proc/thread-self/ns/net"

_libc = ctypes.CDLL(None, use_errno=True)  # Python has os.setns and os.unshare from 3.12 on only


class Namespace:
    """A network namespace held open by one descriptor of this process."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.inode = os.fstat(fd).st_ino

    @classmethod
    def create(cls) -> Namespace:
        """Make a new, empty network namespace; the caller's thread stays where it is.

        Raises OSError (EPERM without CAP_SYS_ADMIN, ENOSPC at the user's namespace limit).
        """
        home = _open_own()
        try:
            _check(_libc.unshare(CLONE_NEWNET), "unshare(net)")
            try:
                return cls(_open_own())
            finally:
                _check(_libc.setns(home, CLONE_NEWNET), "setns(home)")
        finally:
            os.close(home)

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Run the body with the calling thread inside: sockets, /proc/sys/net and processes started belong to it."""
        home = _open_own()
        try:
            _check(_libc.setns(self.fd, CLONE_NEWNET), "setns")
            try:
                yield
            finally:
                _check(_libc.setns(home, CLONE_NEWNET), "setns(home)")
        finally:
            os.close(home)

    def close(self) -> None:
        """Drop the namespace: the kernel frees it once no process or socket is in it. Safe to repeat."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


def _open_own() -> int:
    return os.open(OWN, os.O_RDONLY | os.O_CLOEXEC)


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
