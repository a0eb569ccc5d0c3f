"""The doctor: what this machine can do for the testbed, and what to do about the rest."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from testbed import sandbox
from testbed.features import TUNNELS, survey
from testbed.validation import LabError
from testbed.vm import kernel, qemu

NEEDED_FREE = 512 * 2**20
"""octets free where runs are written"""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at."""

    name: str
    ok: bool
    detail: str
    """what was found"""
    remedy: str
    """what to do about it; "" when nothing needs doing"""
    needed: bool = True
    """whether labs cannot do without; others only lose what detail names"""


PROGRAMS = {
    # program: (Debian package, what needs it, whether every lab does)
    "ip": ("iproute2", "links and kernel probes", True),
    "tc": ("iproute2", "rates and delays of links", True),
    "nft": ("nftables", "NAT boxes, packet loss, gateways' filters", True),
    "radvd": ("radvd", "gateways' router advertisements", True),
    "dumpcap": ("wireshark-common", "captures", True),
    "tshark": ("tshark", "reading captures", True),
    "mnexec": ("mininet", "Mininet's shells", True),
    "ping": ("iputils-ping", "reachability", True),
    "curl": ("curl", "the camera demonstration", False),
    "ffmpeg": ("ffmpeg", "the camera demonstration", False),
    "hostapd": ("hostapd", "802.11 cells", False),
    "wpa_supplicant": ("wpasupplicant", "802.11 cells", False),
    "kea-dhcp6": ("kea-dhcp6-server", "AERO Servers", False),
    "bird": ("bird2", "the independent BGP peer of AERO tests", False),
    "exabgp": ("exabgp", "AERO Servers and Relays", False),
}
FEATURE_REMEDIES = {
    "veth": "a kernel with CONFIG_VETH (module veth)",
    "bridge": "a kernel with CONFIG_BRIDGE (module bridge)",
    "macvlan": "a kernel with CONFIG_MACVLAN (module macvlan)",
    "nft": "install nftables; a kernel with CONFIG_NF_TABLES",
    "nft-nat": "a kernel with CONFIG_NFT_NAT and CONFIG_NFT_MASQ",
    "nft-loss": "a kernel with CONFIG_NF_TABLES_NETDEV and CONFIG_NFT_NUMGEN",
    "netem": "modprobe sch_netem, or --kernel stock: without it links cannot delay (loss and rate still work)",
    "tbf": "modprobe sch_tbf: without it links have no rates",
    "ip6tnl": "modprobe ip6_tunnel: without it gateways use seg6",
    "ipip": "a kernel with ipip: without it Mobile IPv4 routers encapsulate in their own process",
    "seg6": "a kernel with CONFIG_IPV6_SEG6_LWTUNNEL: without it gateways need ip6tnl",
    "vxlan": "modprobe vxlan: needed only to spread a lab over machines",
    "tun": "modprobe tun; chmod 666 /dev/net/tun for ordinary users: needed by AERO interfaces",
    "wifi": "modprobe mac80211_hwsim radios=0, or --kernel stock: needed by 802.11 cells (radio=wifi) only",
    "bpf": "run as root on a kernel with CONFIG_BPF_SYSCALL: needed by AERO's fast path only",
}
NEEDED_FEATURES = {"veth", "bridge", "macvlan", "nft", "nft-nat"}


def doctor(runs: Path | None = None) -> list[Finding]:
    """Look at this machine; runs is where run directories go (default: the current directory).

    Kernel features are tried in scratch namespaces inside a sandbox, so nothing shows outside.
    """
    first = _sandbox()
    refusals = _survey() if first.ok else {}
    return [
        first,
        _rootless(),
        *_programs(),
        *_features(refusals),
        *([_tunnels(refusals)] if refusals else []),
        _stock(),
        _space(runs or Path.cwd()),
    ]


def _sandbox() -> Finding:
    uid = os.geteuid()
    if sandbox.inside():
        return Finding("sandbox", True, "inside a sandbox", "")
    try:
        done = subprocess.run(sandbox.command(["true"]), capture_output=True, text=True, check=False, timeout=20)
        said = done.stderr.strip().removeprefix("roamlab: no sandbox: ").partition(";")[0]
    except subprocess.TimeoutExpired:
        return Finding("sandbox", False, "making one takes more than 20 s", "see whether the machine is overloaded")
    who = "root" if uid == 0 else f"uid {uid}, in a user namespace"
    if done.returncode == 0:
        return Finding("sandbox", True, f"can make one as {who}", "")
    return Finding("sandbox", False, said or f"exit {done.returncode}", _sandbox_remedy(uid))


def _sandbox_remedy(uid: int) -> str:
    if uid == 0:
        return "run where CAP_SYS_ADMIN is allowed (in a container: --privileged)"
    return f"use sudo, or allow user namespaces: {_user_namespaces_off() or 'a kernel with CONFIG_USER_NS'}"


def _rootless() -> Finding:
    off = _user_namespaces_off()
    if off:
        return Finding("rootless", False, "ordinary users may not make user namespaces", off, needed=False)
    return Finding("rootless", True, "ordinary users may run labs", "", needed=False)


def _user_namespaces_off() -> str:
    """Return the command that allows user namespaces to ordinary users, "" when they are allowed."""
    if not Path("/proc/self/ns/user").exists():
        return "a kernel with CONFIG_USER_NS"
    for name, off, on in (
        ("kernel.unprivileged_userns_clone", "0", "1"),
        ("user.max_user_namespaces", "0", "10000"),
        ("kernel.apparmor_restrict_unprivileged_userns", "1", "0"),
    ):
        path = Path("/proc/sys", *name.split("."))
        if path.exists() and path.read_text().strip() == off:
            return f"sudo sysctl {name}={on}"
    return ""


def _survey() -> dict[str, str]:
    """Try the kernel's features, in a sandbox."""
    if sandbox.inside():
        return survey()
    root = Path(__file__).resolve().parent.parent
    argv = sandbox.command([sys.executable, "-m", "testbed.features"])
    done = subprocess.run(argv, cwd=root, capture_output=True, text=True, check=False, timeout=60)
    if done.returncode != 0:
        return {"namespace": (done.stderr.strip() or f"exit {done.returncode}").splitlines()[-1]}
    found: dict[str, str] = json.loads(done.stdout)
    return found


def _programs() -> Iterator[Finding]:
    places = ":".join([os.environ.get("PATH", ""), *sandbox.SYSTEM_PLACES, str(Path(sys.executable).parent)])
    for program, (package, purpose, needed) in PROGRAMS.items():
        path = shutil.which(program, path=places)
        if path:
            yield Finding(program, True, path, "", needed)
        else:
            remedy = f"{sys.executable} -m pip install exabgp" if program == "exabgp" else f"sudo apt install {package}"
            yield Finding(program, False, f"not installed; for {purpose}", remedy, needed)


def _features(refusals: dict[str, str]) -> Iterator[Finding]:
    for name, reason in refusals.items():
        remedy = FEATURE_REMEDIES.get(name, "see the detail") if reason else ""
        detail = reason or "the kernel has it"
        yield Finding(f"kernel: {name}", not reason, detail, remedy, name in NEEDED_FEATURES)


def _tunnels(refusals: dict[str, str]) -> Finding:
    for name in TUNNELS:
        if refusals.get(name) == "":
            return Finding("gateway tunnels", True, f"back end {name}", "")
    return Finding("gateway tunnels", False, "neither ip6tnl nor seg6", "modprobe ip6_tunnel")


def _stock() -> Finding:
    """Whether tests and labs can run on Debian's generic kernel (--kernel stock)."""
    try:
        kernel.check_programs()
    except LabError as error:
        said, _, remedy = str(error).partition(": ")
        return Finding("stock kernel", False, said, remedy or "use another machine for --kernel stock", needed=False)
    found = kernel.cached()
    fetched = f"Linux {found.release} is fetched" if found else "its kernel is fetched at the first use"
    accelerated = qemu.accelerator(kernel.program("qemu-system-x86_64"))
    speed = "with KVM" if accelerated == "kvm" else "by emulation, 10 to 30 times slower"
    return Finding("stock kernel", True, f"can be run {speed}; {fetched}", "", needed=False)


def _space(directory: Path) -> Finding:
    free = shutil.disk_usage(directory).free
    detail = f"{free / 2**20:.0f} MB free at {directory}"
    if not os.access(directory, os.W_OK):
        return Finding("disk", False, f"{directory} cannot be written", "choose another place with --run-dir")
    if free < NEEDED_FREE:
        return Finding("disk", False, detail, "make room, or choose another place with --run-dir")
    return Finding("disk", True, detail, "")
