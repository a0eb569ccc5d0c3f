"""QEMU's command line, and whether it can use the processor's own virtualisation here."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

MEMORY = 3072
"""MiB of the guest at most; what it does not touch is not taken"""
EMULATED = "tcg,thread=multi,tb-size=512"
VIRTUAL_TIME = ("-accel", "tcg,thread=single,tb-size=512", "-icount", "shift=0,sleep=on")
"""The guest's clock counts executed instructions, one a nanosecond; idle time is this machine's. So how long programs
take in the guest does not depend on what this machine does meanwhile. For one processor. (With sleep=off the clock
jumps over idle time too, but waiting for a file of the host is idle time: a guest that reads its programs from there
lives through minutes before each has started, and every timeout strikes.)"""
PORTS = ("output", "status")
_BARE = ("-nodefaults", "-no-user-config", "-machine", "q35", "-cpu", "max", "-display", "none")
_PROBE_LIMIT = 10.0
_APPEND = "console=ttyS0 quiet loglevel=4 panic=-1 audit=0 random.trust_cpu=on net.ifnames=0 mitigations=off nopti"


def accelerator(program: str) -> str:
    """Return "kvm" where QEMU really can make a machine with it (a /dev/kvm that opens says little), else EMULATED."""
    if not Path("/dev/kvm").exists():
        return EMULATED
    argv = [program, *_BARE, "-accel", "kvm", "-m", "64", "-S", "-monitor", "stdio"]
    try:
        done = subprocess.run(argv, input=b"quit\n", capture_output=True, check=False, timeout=_PROBE_LIMIT)
    except subprocess.TimeoutExpired:
        return EMULATED
    return "kvm" if done.returncode == 0 else EMULATED


def command(
    program: str,
    accelerated: str,
    image: Path,
    archive: int,
    streams: Mapping[str, int],
    processors: int,
    results: Path | None = None,
    *,
    virtual_time: bool = False,
) -> Sequence[str]:
    """Return the command line for a guest that sees this machine's root, read-only.

    virtual_time: see VIRTUAL_TIME; accelerated and processors are then not asked for.
    archive is the descriptor of the initramfs, streams are those of connected sockets: "console" and one for each
    of PORTS. A file `results` is the one directory the guest may write to.
    """
    speed = VIRTUAL_TIME if virtual_time else ("-accel", accelerated)
    processors = 1 if virtual_time else processors
    argv = [program, *_BARE, *speed, "-smp", str(processors), "-m", str(MEMORY), "-no-reboot"]
    argv += ["-kernel", str(image), "-initrd", f"/proc/self/fd/{archive}", "-append", _APPEND]
    argv += ["-chardev", f"socket,id=console,fd={streams['console']}", "-serial", "chardev:console"]
    argv += ["-device", "virtio-serial-pci"]
    for name in PORTS:
        argv += ["-chardev", f"socket,id={name},fd={streams[name]}"]
        argv += ["-device", f"virtserialport,name={name},chardev={name}"]
    argv += _share("root", Path("/"), ",readonly=on")
    if results:
        argv += _share("results", results)
    return argv


def _share(tag: str, path: Path, more: str = "") -> list[str]:
    place = str(path).replace(",", ",,")  # how QEMU quotes a comma
    files = f"local,id={tag},path={place},security_model=none,multidevs=remap{more}"
    return ["-fsdev", files, "-device", f"virtio-9p-pci,fsdev={tag},mount_tag={tag}"]
