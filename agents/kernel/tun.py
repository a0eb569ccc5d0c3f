"""A TUN interface: whole IP packets between this namespace's kernel and a program."""

from __future__ import annotations

import errno
import fcntl
import os
import struct

from agents.kernel import links, sysctl
from agents.kernel.netlink import KernelError, Netlink

_DEVICE = "/dev/net/tun"
_TUNSETIFF = 0x400454CA
_IFF_TUN, _IFF_NO_PI = 0x0001, 0x1000
LARGEST = 65535


class Tun:
    """One TUN interface, gone when it is closed."""

    def __init__(self, name: str, mtu: int) -> None:
        """Create and bring up an interface without addresses of its own making (KernelError)."""
        self.name = name
        try:
            self._file = os.open(_DEVICE, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            remedy = "see `roamlab doctor`" if error.errno in (errno.EACCES, errno.EPERM) else "no tun driver?"
            raise KernelError(f"cannot open {_DEVICE}: {error.strerror}; {remedy}", error.errno or 0) from error
        try:
            fcntl.ioctl(self._file, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _IFF_TUN | _IFF_NO_PI))
            self._set_up(mtu)
        except OSError as error:
            self.close()
            raise KernelError(f"cannot create {name}: {error.strerror}", error.errno or 0) from error
        except KernelError:
            self.close()
            raise
        self._buffer = bytearray(LARGEST)

    def _set_up(self, mtu: int) -> None:
        self.index = links.index(self.name)
        # The kernel takes it for an ordinary link and would solicit routers on it (spec AERO §4).
        sysctl.ipv6(self.name, accept_ra=0, router_solicitations=0, accept_dad=0)
        sysctl.write(f"net/ipv4/conf/{self.name}/send_redirects", 0)
        sysctl.write(f"net/ipv4/conf/{self.name}/rp_filter", 0)
        # Errors about packets of this host come in by this interface, with an address of this host as source.
        sysctl.write(f"net/ipv4/conf/{self.name}/accept_local", 1)
        netlink = Netlink()
        try:
            netlink.run(
                links.no_auto_link_local(self.index, self.name),
                links.set_mtu(self.index, self.name, mtu),
                links.set_up(self.index, self.name),
            )
        finally:
            netlink.close()

    def set_mtu(self, mtu: int) -> None:
        """Another largest packet, octets (KernelError)."""
        netlink = Netlink()
        try:
            netlink.run(links.set_mtu(self.index, self.name, mtu))
        finally:
            netlink.close()

    def fileno(self) -> int:
        """File descriptor, readable when the kernel sent a packet."""
        return self._file

    def read(self) -> memoryview | None:
        """The next packet, valid until the next call; None if there is none now."""
        try:
            length = os.readv(self._file, [self._buffer])
        except BlockingIOError:
            return None
        return memoryview(self._buffer)[:length]

    def write(self, packet: bytes | bytearray | memoryview) -> bool:
        """Hand a packet to the kernel; False when it does not want it (malformed, interface down)."""
        try:
            os.write(self._file, packet)
        except OSError:
            return False
        return True

    def close(self) -> None:
        """Close it; the interface vanishes."""
        os.close(self._file)
