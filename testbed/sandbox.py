"""One sandbox per lab: everything a lab starts dies with it and nothing of it shows outside.

`python testbed/sandbox.py CMD...` runs CMD in its own network, mount and PID namespaces (and a user namespace
when not root), with a private tmpfs on /run. It equals
`unshare --net --mount --pid --fork --kill-child --mount-proc [--user --map-root-user] CMD`, with two
differences we need: signals sent to the outer process reach CMD (`unshare` swallows SIGTERM), and PID 1 is a
tiny init, so that CMD keeps ordinary signal behaviour and orphans are reaped.

    outer (forwards signals, gives CMD's exit code)  --PDEATHSIG-->  init (PID 1)  ----->  CMD

SIGKILL of any of the three ends the PID namespace, and with it every process, mount, link and namespace.
This file is run by path with `-I -S`: it imports the standard library only.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import signal
import socket
import struct
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x00020000, 0x10000000, 0x20000000, 0x40000000
MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REC, MS_PRIVATE = 2, 4, 8, 0x4000, 1 << 18
PR_SET_PDEATHSIG = 1
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1
SI_KERNEL = 0x80
SYSTEM_PLACES = ("/usr/local/sbin", "/usr/sbin", "/sbin")
MARK = "ROAMLAB_SANDBOX"
FORWARDED = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
WATCHED = (*FORWARDED, signal.SIGCHLD)

_libc = ctypes.CDLL(None, use_errno=True)


def inside() -> bool:
    """Tell whether this process runs in a sandbox of ours (an inherited variable alone does not count)."""
    return os.environ.get(MARK) == _pid_namespace()


def command(argv: Sequence[str]) -> list[str]:
    """Return argv wrapped to run in a new sandbox; its exit code is argv's (128 + N for signal N)."""
    return [sys.executable, "-I", "-S", str(Path(__file__).resolve()), *argv]


def reexec(argv: Sequence[str]) -> NoReturn:
    """Replace this process by argv in a new sandbox; does not return."""
    sys.stdout.flush()
    sys.stderr.flush()
    wrapped = command(argv)
    os.execv(wrapped[0], wrapped)


NOT_MADE = 125
"""Exit code when the kernel refuses a sandbox."""


def enter_setup() -> None:
    """Prepare a fresh sandbox: private tmpfs on /run, lo up, the mark set. Does nothing when prepared.

    `command` has done this before its program starts; call it only where namespaces were made by other means.
    Raises OSError naming the step that the kernel refused.
    """
    if inside():
        return
    _mount("none", "/", None, MS_REC | MS_PRIVATE)
    _mount("tmpfs", "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=755")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        request = fcntl.ioctl(sock, SIOCGIFFLAGS, struct.pack("16sH14x", b"lo", 0))
        flags = struct.unpack_from("16sH", request)[1]
        fcntl.ioctl(sock, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", flags | IFF_UP))
    # an ordinary user's PATH may lack the places of nft, tc and radvd
    path = os.environ.get("PATH", os.defpath).split(":")
    os.environ["PATH"] = ":".join([*path, *(place for place in SYSTEM_PLACES if place not in path)])
    os.environ[MARK] = _pid_namespace()


def main(argv: Sequence[str]) -> int:
    """Run argv in a new sandbox and return its exit code."""
    if not argv:
        print("usage: sandbox.py COMMAND [ARGUMENT...]", file=sys.stderr)
        return 2
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # an inherited SIG_IGN would hide the end of our child
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, WATCHED)
    try:
        _unshare()
        go_read, go_write = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(go_write)
            _init(argv, mask, go_read)
        os.close(go_read)
        os.write(go_write, b"g")
        return _watch(pid)
    except OSError as error:
        _say_refused(error)
        return NOT_MADE


def _init(argv: Sequence[str], mask: set[int | signal.Signals], go: int) -> NoReturn:
    """Be PID 1: die with the outer process, prepare the sandbox, start argv, reap, exit with argv's code."""
    code = NOT_MADE
    try:
        _check(_libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0), "prctl(PDEATHSIG)")
        if not os.read(go, 1):  # the outer process died before the death signal was armed
            os._exit(code)
        os.close(go)
        _mount("none", "/", None, MS_REC | MS_PRIVATE)
        _mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
        enter_setup()
        pid = os.fork()
        if pid == 0:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            _exec(argv)
        code = _watch(pid)
    except OSError as error:
        _say_refused(error)
    os._exit(code)


def _exec(argv: Sequence[str]) -> NoReturn:
    try:
        os.execvp(argv[0], list(argv))
    except OSError as error:
        print(f"sandbox: {argv[0]}: {error.strerror}", file=sys.stderr, flush=True)
    os._exit(127)


def _watch(pid: int) -> int:
    """Forward signals to pid and reap children until pid ends; return its exit code, 128 + N for signal N."""
    while True:
        info = signal.sigwaitinfo(WATCHED)
        if info.si_signo != signal.SIGCHLD:
            if info.si_code != SI_KERNEL:  # what the terminal sends, it sends to the whole group itself
                os.kill(pid, info.si_signo)
            continue
        while True:
            try:
                ended, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if ended == 0:
                break
            if ended == pid:
                code = os.waitstatus_to_exitcode(status)
                return code if code >= 0 else 128 - code


def _unshare() -> None:
    flags = CLONE_NEWNET | CLONE_NEWNS | CLONE_NEWPID
    uid, gid = os.geteuid(), os.getegid()
    if uid == 0:
        _check(_libc.unshare(flags), "unshare(net, mount, pid)")
        return
    _check(_libc.unshare(flags | CLONE_NEWUSER), "unshare(user namespace)")
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
    Path("/proc/self/gid_map").write_text(f"0 {gid} 1")


def _mount(source: str, target: str, kind: str | None, flags: int, data: str | None = None) -> None:
    encoded = [None if text is None else text.encode() for text in (source, target, kind, data)]
    result = _libc.mount(encoded[0], encoded[1], encoded[2], ctypes.c_ulong(flags), encoded[3])
    _check(result, f"mount {kind or 'private'} on {target}")


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        # what the kernel says of a limit on namespaces reads as if the disk was full
        reason = "no more namespaces are allowed" if number in (errno.ENOSPC, errno.EUSERS) else os.strerror(number)
        raise OSError(number, f"{what}: {reason}")


def _say_refused(error: OSError) -> None:
    print(f"roamlab: no sandbox: {error.strerror}; `roamlab doctor` says what to do", file=sys.stderr, flush=True)


def _pid_namespace() -> str:
    return str(Path("/proc/self/ns/pid").readlink())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
