"""Router Advertisements by radvd: its configuration as a pure function of the advertisements, and the reload.

The rules of the file are radvd 2.19's as measured (spec §6, RA-6, RA-8, RA-10, RA-11): an empty file ends the
daemon, so an interface that never exists is always there; an interface that left the file goes silent without a
final advertisement; a SIGHUP advertises on every interface of the file at once.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from agents.kernel.netlink import KernelError

if TYPE_CHECKING:
    from agents.dgw.forwarding import Advertisement, RouteInformation

PLACEHOLDER = "interface none0 { AdvSendAdvert on; IgnoreIfMissing on; };\n"
MIN_INTERVAL, MAX_INTERVAL = 3, 4
"""Seconds between unsolicited advertisements (RFC 4861 §6.2.1's legal minimum)."""
MAX_ROUTER_LIFETIME = 9000
START = 5.0
"""Seconds the daemon may take from its pid file to its signal handlers."""
INFINITY = 0xFFFFFFFF
MIN_MTU = 1280
MAX_ROUTES = 17
_PREFERENCES = ("low", "medium", "high")


def _lifetime(seconds: int) -> str:
    return "infinity" if seconds >= INFINITY else str(seconds)


def _check(advertisement: Advertisement) -> None:
    """Refuse what radvd would refuse by exiting, or what RFC 4861 and RFC 4191 forbid."""
    name, lifetime = advertisement.dlif, advertisement.router_lifetime
    if lifetime != 0 and not MAX_INTERVAL <= lifetime <= MAX_ROUTER_LIFETIME:
        limits = f"0 or {MAX_INTERVAL} to {MAX_ROUTER_LIFETIME} s"
        raise ValueError(f"{name}: router lifetime {lifetime} s is not {limits} (RFC 4861 §6.2.1)")
    if not 0 <= advertisement.preferred <= advertisement.valid:
        raise ValueError(f"{name}: preferred lifetime {advertisement.preferred} s exceeds valid lifetime")
    if advertisement.mtu < MIN_MTU:
        raise ValueError(f"{name}: MTU {advertisement.mtu} is below {MIN_MTU} (RFC 8200 §5)")
    if not advertisement.client.is_link_local:
        raise ValueError(f"{name}: client {advertisement.client} is not a link-local address (spec RA-8)")
    for preference in (advertisement.preference, *(route.preference for route in advertisement.routes)):
        if preference not in _PREFERENCES:
            raise ValueError(f"{name}: preference {preference!r} is not one of {', '.join(_PREFERENCES)}")
    prefixes = [route.prefix for route in advertisement.routes]
    if len(set(prefixes)) < len(prefixes):
        raise ValueError(f"{name}: two route options for one prefix (spec RA-14)")
    if len(prefixes) > MAX_ROUTES:
        raise ValueError(f"{name}: {len(prefixes)} route options, more than {MAX_ROUTES} (RFC 4191 §4)")


def _route(route: RouteInformation) -> str:
    lifetime = f"AdvRouteLifetime {_lifetime(route.lifetime)};"
    return f"  route {route.prefix} {{ AdvRoutePreference {route.preference}; {lifetime} RemoveRoute off; }};\n"


def _interface(advertisement: Advertisement) -> str:
    _check(advertisement)
    # radvd sends "low" with a router lifetime of 0 if told so, which RFC 4191 §2.2 forbids.
    preference = advertisement.preference if advertisement.router_lifetime else "medium"
    valid, preferred = _lifetime(advertisement.valid), _lifetime(advertisement.preferred)
    return (
        f"interface {advertisement.dlif} {{\n"
        "  AdvSendAdvert on; IgnoreIfMissing on;\n"
        f"  MinRtrAdvInterval {MIN_INTERVAL}; MaxRtrAdvInterval {MAX_INTERVAL};\n"
        f"  AdvDefaultLifetime {advertisement.router_lifetime}; AdvDefaultPreference {preference};\n"
        f"  AdvSourceLLAddress on; AdvLinkMTU {advertisement.mtu};\n"
        f"  prefix {advertisement.prefix} {{ AdvOnLink on; AdvAutonomous on;\n"
        f"    AdvValidLifetime {valid}; AdvPreferredLifetime {preferred}; DeprecatePrefix off; }};\n"
        + "".join(map(_route, advertisement.routes))
        + f"  clients {{ {advertisement.client}; }};\n"
        "};\n"
    )


def render(advertisements: Iterable[Advertisement]) -> str:
    """radvd.conf for these advertisements; ValueError names what must not be advertised."""
    return PLACEHOLDER + "".join(map(_interface, advertisements))


class Radvd:
    """The running daemon of this node, known by its two files; it is started and stopped by others."""

    def __init__(self, configuration: Path, pid_file: Path) -> None:
        self._configuration = configuration
        self._pid_file = pid_file

    def advertise(self, advertisements: Iterable[Advertisement]) -> None:
        """Rewrite the configuration and reload: an advertisement leaves on every interface, within some 3 ms."""
        self.load(render(advertisements))

    def load(self, text: str) -> None:
        """Replace the configuration by this one and reload."""
        # Written beside and renamed: radvd ends when it reads half a file.
        beside = self._configuration.with_name(self._configuration.name + ".new")
        try:
            beside.write_text(text)
            beside.rename(self._configuration)
        except OSError as error:
            raise KernelError(f"cannot write {self._configuration}: {error.strerror}", error.errno or 0) from error
        self.reload()

    def reload(self) -> None:
        """Send SIGHUP to the daemon, and to no other process that might have its number now."""
        number = self._pid()
        try:
            process = os.pidfd_open(number)
        except OSError as error:
            raise KernelError(f"radvd is not running: no process {number} ({self._pid_file})") from error
        try:
            self._await_handler(number)
            signal.pidfd_send_signal(process, signal.SIGHUP)
        except ProcessLookupError as error:
            raise KernelError(f"radvd is not running: process {number} has ended ({self._pid_file})") from error
        finally:
            os.close(process)

    def _await_handler(self, number: int) -> None:
        """Wait until the daemon catches SIGHUP: it writes its pid file first, and until then a SIGHUP ends it."""
        deadline = time.monotonic() + START
        while True:
            status = _status(number)
            name = status.get("Name", "gone")
            if name != "radvd" or status["State"].startswith("Z"):
                what = "has ended" if name in ("radvd", "gone") else f"is {name}"
                raise KernelError(f"radvd is not running: process {number} {what} ({self._pid_file})")
            if int(status["SigCgt"], 16) & 1 << signal.SIGHUP - 1:
                return
            if time.monotonic() > deadline:
                raise KernelError(f"radvd is not ready for SIGHUP {START:g} s after its start ({self._pid_file})")
            time.sleep(0.001)  # only while the daemon starts; the kernel announces no such change

    def _pid(self) -> int:
        try:
            return int(self._pid_file.read_text())
        except OSError as error:
            raise KernelError(f"radvd is not running: no pid file {self._pid_file}") from error
        except ValueError as error:
            raise KernelError(f"radvd is not running: no number in {self._pid_file}") from error


def _status(number: int) -> dict[str, str]:
    """Fields of /proc/<pid>/status, none when the process is gone."""
    try:
        lines = Path(f"/proc/{number}/status").read_text().splitlines()
    except OSError:
        return {}
    return {name: value.strip() for name, _colon, value in (line.partition(":") for line in lines)}
