"""Nodes: Mininet nodes whose namespace is a descriptor and whose shell starts on the first `cmd()` only.

`run()` is the way to execute a command: exit code, output and errors apart, any byte allowed. `cmd()`, `sendCmd()`,
`popen()` and `pexec()` behave as Mininet's.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from testbed import ending
from testbed import validation as v
from testbed.mininet_api import Node
from testbed.namespace import Namespace
from testbed.validation import Check, LabError

FORWARDING = {
    "net.ipv4.ip_forward": 1,
    "net.ipv6.conf.all.forwarding": 1,
    # mobile traffic legitimately arrives where the way back does not lead
    "net.ipv4.conf.all.rp_filter": 0,
    "net.ipv4.conf.default.rp_filter": 0,
}
NO_DAD = {"net.ipv6.conf.default.accept_dad": 0}
NO_IPV6 = {"net.ipv6.conf.all.disable_ipv6": 1, "net.ipv6.conf.default.disable_ipv6": 1}
MOBILE = {
    "net.ipv6.conf.default.accept_ra": 1,
    "net.ipv6.conf.default.autoconf": 1,
    "net.ipv6.conf.default.accept_ra_rt_info_max_plen": 128,
    "net.ipv6.conf.default.accept_ra_rtr_pref": 1,
    "net.ipv6.conf.default.use_tempaddr": 0,
}


@dataclass(frozen=True, slots=True)
class Result:
    """What a command did."""

    exit: int
    """exit code; -N when signal N ended it"""
    out: str
    """standard output"""
    err: str
    """standard error"""


class CommandError(LabError):
    """A command in a node failed or took too long; result is None in the second case."""

    def __init__(self, node: str, argv: Sequence[str], reason: str, result: Result | None = None) -> None:
        self.result = result
        super().__init__(f"{node}: {' '.join(argv)}: {reason}")


class Host(Node):
    """An end system. Options: role, addresses (on lo), routes, sysctls; Mininet's ip, mac, defaultRoute."""

    ROLE: ClassVar[str] = "host"
    SYSCTLS: ClassVar[Mapping[str, str | int]] = NO_DAD
    """written into the new namespace before it has interfaces"""
    OPTIONS: ClassVar[Mapping[str, Check]] = {
        "role": v.text,
        "addresses": v.addresses,
        "routes": v.routes,
        "sysctls": v.sysctls,
        "ip": v.address,
        "mac": v.mac,
        "defaultRoute": v.text,
    }
    DAD: ClassVar[bool] = False
    """whether its configured addresses go through duplicate address detection"""
    WIRELESS: ClassVar[bool] = False
    """whether a link to it is a radio and no cable"""

    isSetup = True

    def __init__(self, name: str, **params: Any) -> None:
        self._constructed = False
        self._lock = threading.Lock()
        self._started: list[subprocess.Popen[Any]] = []
        self.namespace: Namespace | None = None
        super().__init__(name, **params)
        self._constructed = True

    @property
    def role(self) -> str:
        """What the node is in the lab: the `role` option, else its class's word."""
        return str(self.params.get("role") or self.ROLE)

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Run the body with the calling thread in this node's network namespace."""
        if self.namespace is None:
            raise LabError(f"{self.name}: the network is not started")
        with self.namespace.entered():
            yield

    def run(self, argv: Sequence[str], timeout: float = 30, check: bool = False, input: str | None = None) -> Result:
        """Execute argv here and return its Result.

        timeout in seconds: the command and its group are killed then and CommandError raised.
        check: raise CommandError when the exit code is not 0.
        """
        given = None if input is None else subprocess.PIPE
        process = self.popen(
            list(argv), stdin=given or subprocess.DEVNULL, text=True, errors="replace", start_new_session=True
        )
        try:
            out, err = process.communicate(input, timeout)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            raise CommandError(self.name, argv, f"not done after {timeout:g} s") from None
        result = Result(process.returncode, out, err)
        if check and result.exit != 0:
            last = (err.strip() or out.strip() or "no output").splitlines()[-1]
            raise CommandError(self.name, argv, f"exit {result.exit}: {last}", result)
        return result

    def popen(self, *args: Any, **options: Any) -> subprocess.Popen[Any]:
        """Start a process here; arguments as Mininet's: a list, words, or one string that is split at blanks.

        Pipes for stdout and stderr by default. It is ended with the network, if it still runs then.
        """
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        options.pop("mncmd", None)
        words = args[0] if len(args) == 1 else list(args)
        if options.pop("shell", False):
            text = words if isinstance(words, str) else " ".join(words)
            words = [os.environ.get("SHELL", "/bin/sh"), "-c", text]
        elif isinstance(words, str):
            words = words.split()
        process = self._popen(list(words), **options)
        with self._lock:
            self._started = [known for known in self._started if known.poll() is None] + [process]
        return process

    def running(self) -> list[subprocess.Popen[Any]]:
        """Return the processes started here by popen() or run() that still run."""
        with self._lock:
            return [process for process in self._started if process.poll() is None]

    def sysctl(self, name: str, value: str | int | None = None) -> str:
        """Write (when value is given) and return a net.* sysctl, such as net.ipv6.conf.eth0.accept_ra.

        Use / instead of . throughout when an interface's name has a dot in it.
        """
        with self.entered():
            return self._sysctl(name, value)

    def _sysctl(self, name: str, value: str | int | None = None) -> str:
        if v.sysctls({name: value or 0}) is not None:
            raise LabError(f"{self.name}: sysctl {name}: not a net.* name, so not the node's own")
        path = Path("/proc/sys", name if "/" in name else name.replace(".", "/"))
        try:
            if value is not None:
                path.write_text(f"{value}\n")
                return str(value)
            return path.read_text().strip()
        except OSError as error:
            raise LabError(f"{self.name}: sysctl {name}: {error.strerror}") from error

    def prepare(self) -> None:
        """Set up what must be there before interfaces are; called inside the new namespace."""
        for name, value in {**self.SYSCTLS, **self.params.get("sysctls", {})}.items():
            if not _names_interface(name):
                self._sysctl(name, value)

    def finish(self) -> None:
        """Set up what needs the interfaces, addresses and routes; called inside the namespace."""
        for name, value in self.params.get("sysctls", {}).items():
            if _names_interface(name):
                self._sysctl(name, value)

    def needs_finish(self) -> bool:
        """Tell whether finish() has anything to do."""
        return bool(self.params.get("sysctls"))

    # --- Mininet's side ---

    def startShell(self, mnopts: str | None = None) -> None:
        """Start the shell; does nothing while the node is being constructed (Mininet starts it there)."""
        if self._constructed:
            super().startShell(mnopts or "-cd")

    def sendCmd(self, *args: Any, **kwargs: Any) -> None:
        """Send a command to the shell, which starts now if it has not (Mininet's)."""
        self._need_shell()
        super().sendCmd(*args, **kwargs)

    def cmd(self, *args: Any, **kwargs: Any) -> Any:
        """Execute in the node's shell and return the output (Mininet's; use run() for exit codes and binary)."""
        self._need_shell()
        return super().cmd(*args, **kwargs)

    def config(self, **_params: Any) -> dict[str, Any]:
        """Do nothing: the network configures nodes in batches."""
        return {}

    def addIntf(self, intf: Any, port: int | None = None, moveIntfFn: Any = None) -> None:
        """Register an interface, which is created in its namespace and never moved."""
        super().addIntf(intf, port=port, moveIntfFn=lambda _name, _node: None)

    def terminate(self) -> None:
        """End the node's processes and drop its namespace."""
        ending.end_processes([self])
        self.close()

    def close(self) -> None:
        """Drop the namespace; its interfaces go with it."""
        if self.namespace is not None:
            self.namespace.close()
            self.namespace = None

    def _need_shell(self) -> None:
        if not self.shell:
            if self.namespace is None:
                raise LabError(f"{self.name}: the network is not started")
            self.inNamespace = False  # mnexec need not make a namespace: the shell starts in ours
            try:
                self.startShell()
            finally:
                self.inNamespace = True

    def _popen(self, cmd: Sequence[str], **params: Any) -> subprocess.Popen[Any]:
        with self.entered():
            try:
                return subprocess.Popen(cmd, **params)
            except OSError as error:
                absent = isinstance(error, FileNotFoundError) and error.filename == cmd[0]
                reason = "not installed: `roamlab doctor` says what is missing" if absent else error.strerror
                raise CommandError(self.name, cmd, reason or str(error)) from error


class Router(Host):
    """A host that forwards IPv4 and IPv6."""

    ROLE = "router"
    SYSCTLS: ClassVar[Mapping[str, str | int]] = {**NO_DAD, **FORWARDING}


class MobileHost(Host):
    """An unmodified mobile node: stateless autoconfiguration, RA preferences and route information (spec §7, MN).

    Runs nothing of ours. Its interface goes to an Air; `Network.attach` connects it to a Cell.
    """

    ROLE = "mobile"
    SYSCTLS = MOBILE
    DAD = True


class Bridge(Host):
    """A kernel bridge in a namespace of its own; every link to it is a port. Its device has the node's name."""

    ROLE = "bridge"
    SYSCTLS = NO_IPV6
    OPTIONS: ClassVar[Mapping[str, Check]] = {"role": v.text, "sysctls": v.sysctls}
    device_index: int = 0
    """index of the bridge device, once the network is started"""


class Air(Host):
    """The namespace that holds the radio ports of mobile nodes and the bridges of cells."""

    ROLE = "air"
    SYSCTLS = NO_IPV6
    OPTIONS: ClassVar[Mapping[str, Check]] = {"role": v.text, "sysctls": v.sysctls}


class WifiAir(Air):
    """Real 802.11: a link to it is a simulated radio on the node, and each of its cells has an access point.

    Option security: open (default), wpa2, or wpa2-ft (fast transitions).
    """

    OPTIONS: ClassVar[Mapping[str, Check]] = {**Air.OPTIONS, "security": v.one_of("open", "wpa2", "wpa2-ft")}
    WIRELESS = True


class Cell(Bridge):
    """A radio cell: a bridge inside an Air. Option air: the Air's name."""

    ROLE = "cell"
    OPTIONS: ClassVar[Mapping[str, Check]] = {"role": v.text, "air": v.text}
    air_node: Air | None = None
    """the Air it is in; its namespace is the cell's too"""


def _names_interface(name: str) -> bool:
    """Tell whether a sysctl is one interface's (net.ipv6.conf.eth0.x, not net.ipv6.conf.all.x)."""
    parts = name.replace("/", ".").split(".")
    return len(parts) > 4 and parts[2] in ("conf", "neigh") and parts[3] not in ("all", "default", "lo")
