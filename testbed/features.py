"""What this kernel can do, found out by trying in a scratch namespace."""

from __future__ import annotations

import ctypes
import functools
import json
import os
import platform
import struct
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from testbed.namespace import Namespace
from testbed.radio import hwsim

PROBE_TIMEOUT = 10.0
"""seconds"""
TUNNELS = ("ip6tnl", "seg6")
"""back ends of gateway tunnels, the preferred one first"""
BPF_PROG_LOAD, BPF_PROG_TYPE_SCHED_CLS = 5, 3


@functools.cache
def supports(feature: str) -> bool:
    """Tell whether this kernel, as we are, can do a feature of FEATURES; the answer is remembered."""
    return not _refusal(feature)


@functools.cache
def _refusal(feature: str) -> str:
    """Return what the kernel or tool said when it refused a feature, or an empty string."""
    try:
        namespace = Namespace.create()
    except OSError as error:
        return str(error)
    try:
        with namespace.entered():
            return FEATURES[feature]()
    finally:
        namespace.close()


def refusal(feature: str) -> str:
    """Return the words with which the kernel or tool refused a feature, "" when it is there."""
    return _refusal(feature)


def _try(*commands: Sequence[str], script: str | None = None) -> Callable[[], str]:
    """Return a probe that passes when every command does; script goes to the last one's standard input."""

    def probe() -> str:
        for number, command in enumerate(commands):
            text = script if number == len(commands) - 1 else None
            try:
                done = subprocess.run(
                    command,
                    input=text or "",
                    capture_output=True,
                    text=True,
                    timeout=PROBE_TIMEOUT,
                    check=False,
                )
            except FileNotFoundError:
                return f"{command[0]} is not installed"
            except subprocess.TimeoutExpired:
                return f"{command[0]} did not answer"
            if done.returncode != 0:
                said = (done.stderr or done.stdout).strip().splitlines()
                return said[0] if said else f"{command[0]} exit {done.returncode}"
        return ""

    return probe


def _tun() -> str:
    path = Path("/dev/net/tun")
    if not path.exists():
        return "no /dev/net/tun"
    return "" if os.access(path, os.R_OK | os.W_OK) else "/dev/net/tun is closed to this user"


def _bpf() -> str:
    """Load the smallest program (r0 = 0; exit) for traffic control."""
    number = {"x86_64": 321, "aarch64": 280, "riscv64": 280}.get(platform.machine())
    if number is None:
        return f"no probe for {platform.machine()}"
    program = ctypes.create_string_buffer(struct.pack("=BBhiBBhi", 0xB7, 0, 0, 0, 0x95, 0, 0, 0))
    licence = ctypes.create_string_buffer(b"GPL")
    attributes = struct.pack(
        "=IIQQ", BPF_PROG_TYPE_SCHED_CLS, 2, ctypes.addressof(program), ctypes.addressof(licence)
    ).ljust(120, b"\0")
    libc = ctypes.CDLL(None, use_errno=True)
    fd = libc.syscall(number, BPF_PROG_LOAD, attributes, len(attributes))
    if fd < 0:
        return os.strerror(ctypes.get_errno())
    os.close(fd)
    return ""


def _link(*kind: str) -> Callable[[], str]:
    return _try(("ip", "link", "add", "probe", "type", *kind))


_LO = ("ip", "link", "set", "lo", "up")
_PAIR = ("ip", "link", "add", "probe", "type", "veth", "peer", "name", "probe2")
_NFT = ("nft", "-f", "-")
_SEG6_IN = ("ip", "-6", "route", "add", "2001:db8::1/128", "encap", "seg6local", "action", "End.DT6", "table", "0")
_SEG6_OUT = ("ip", "-6", "route", "add", "2001:db8:1::/64", "encap", "seg6", "mode", "encap.red", "segs", "fc00::1")
_MACVLAN = ("ip", "link", "add", "link", "probe", "name", "probe3", "type", "macvlan", "mode", "private")
_ESP = ("ip", "xfrm", "state", "add", "src", "2001:db8::1", "dst", "2001:db8::2", "proto", "esp", "spi", "0x100")
_NULL = ("mode", "transport", "auth-trunc", "hmac(sha256)", "0x" + "00" * 32, "128", "enc", "cipher_null", "")
_TBF = ("tc", "qdisc", "add", "dev", "lo", "root", "tbf", "rate", "1mbit", "burst", "16k", "latency", "50ms")


def _chain(family: str, header: str, rule: str) -> str:
    return f"table {family} probe {{\n chain c {{\n type {header};\n {rule}\n }}\n}}\n"


FEATURES: dict[str, Callable[[], str]] = {
    "namespace": lambda: "",
    "veth": _try(_PAIR),
    "bridge": _link("bridge"),
    "macvlan": _try(_PAIR, _MACVLAN),
    "ip6tnl": _link("ip6tnl", "mode", "ip6ip6", "local", "2001:db8::1", "remote", "2001:db8::2"),
    "ipip": _link("ipip", "local", "192.0.2.1", "remote", "192.0.2.2"),
    "seg6": _try(_LO, (*_SEG6_IN, "dev", "lo"), (*_SEG6_OUT, "dev", "lo")),
    "vxlan": _link("vxlan", "id", "7", "dstport", "4789"),
    "tun": _tun,
    "netem": _try(("tc", "qdisc", "add", "dev", "lo", "root", "netem", "delay", "1ms")),
    "tbf": _try(_TBF),
    "nft": _try(_NFT, script=_chain("inet", "filter hook input priority 0", "ct state new counter")),
    "nft-nat": _try(_NFT, script=_chain("ip", "nat hook postrouting priority 100", "masquerade fully-random")),
    "nft-loss": _try(
        _PAIR,
        _NFT,
        script=_chain("netdev", 'filter hook ingress device "probe" priority 0', "numgen random mod 1000 < 200 drop"),
    ),
    "esp": _try((*_ESP, *_NULL)),
    "wifi": hwsim.refusal,
    "bpf": _bpf,
}
"""Feature name to probe; a probe returns "" or the reason why not, and runs inside a scratch namespace."""


def survey() -> dict[str, str]:
    """Return the refusal ("" when there is none) of every feature."""
    return {name: refusal(name) for name in FEATURES}


def tunnel_backend() -> str | None:
    """Return the kernel tunnel to use: "ip6tnl" where the kernel has it, else "seg6", else None."""
    return next((name for name in TUNNELS if supports(name)), None)


if __name__ == "__main__":  # how the doctor looks from outside a sandbox
    json.dump(survey(), sys.stdout)
