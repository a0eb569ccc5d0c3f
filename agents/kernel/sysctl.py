"""Kernel settings of this namespace, through /proc/sys."""

from __future__ import annotations

import os
from pathlib import Path

from agents.kernel.netlink import KernelError

_ROOT = Path("/proc/sys")


def path(name: str) -> Path:
    """Return the file of a setting; parts are separated by "/", since interface names may hold dots."""
    return _ROOT / name


def read(name: str) -> str:
    """Read a setting."""
    try:
        return path(name).read_text().strip()
    except OSError as error:
        raise KernelError(f"cannot read {name}: {error.strerror}", error.errno or 0) from error


def write(name: str, value: int | str) -> None:
    """Write a setting."""
    try:
        # os.open rather than Path: a DLIF writes two settings on the way to its first RA.
        descriptor = os.open(path(name), os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(descriptor, str(value).encode())
        finally:
            os.close(descriptor)
    except OSError as error:
        raise KernelError(f"cannot set {name} to {value}: {error.strerror}", error.errno or 0) from error


def ipv6(interface: str, **settings: int) -> None:
    """Write settings of one interface: `ipv6("phy", disable_ipv6=1)`; "all" and "default" are interfaces too."""
    for name, value in settings.items():
        write(f"net/ipv6/conf/{interface}/{name}", value)
