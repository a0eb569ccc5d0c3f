"""Boot, hand over the output as it comes, and give the command's exit code; nothing is left on disk or running."""

from __future__ import annotations

import ctypes
import os
import selectors
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from testbed.sandbox import PR_SET_PDEATHSIG
from testbed.validation import LabError
from testbed.vm import initramfs, qemu
from testbed.vm.initramfs import Job
from testbed.vm.kernel import Kernel, program

MOST_PROCESSORS = 4
LOG_KEPT = 60
"""lines of the kernel's log shown when the guest failed"""
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass
class _Heard:
    """What came out of the guest."""

    status: bytearray = field(default_factory=bytearray)
    console: bytearray = field(default_factory=bytearray)
    errors: bytearray = field(default_factory=bytearray)

    @property
    def up(self) -> bool:
        return b"up\n" in self.status

    @property
    def exit_code(self) -> int | None:
        for line in self.status.decode(errors="replace").splitlines():
            word, _, number = line.partition(" ")
            if word == "exit" and number.isdigit():
                return int(number)
        return None

    def last_words(self) -> str:
        text = (self.console + self.errors).decode(errors="replace")
        return "\n".join([line for line in text.replace("\r", "").splitlines() if line.strip()][-LOG_KEPT:])


def run(kernel: Kernel, job: Job, limit: float, output: BinaryIO, log: BinaryIO) -> int:
    """Run a job to its end and return its exit code; what it prints goes to output at once.

    LabError after limit seconds, or when the guest ended without a result (the end of its log then goes to log).
    """
    heard = _Heard()
    with _guest(kernel, job) as (process, streams):
        in_time = _listen(streams, heard, output, time.monotonic() + limit)
        if in_time:
            process.wait()
    if heard.exit_code is not None:
        return heard.exit_code
    if not heard.up or in_time:
        log.write(f"{heard.last_words()}\n".encode())
        log.flush()
    if not in_time:
        where = "" if heard.up else ", which never came up"
        raise LabError(f"not done after {limit:g} s in the virtual machine{where}: ended")
    raise LabError(f"the virtual machine ended without a result (QEMU exit {process.returncode})")


@contextmanager
def _guest(kernel: Kernel, job: Job) -> Iterator[tuple[subprocess.Popen[bytes], dict[str, socket.socket]]]:
    """A running QEMU and our ends of its streams; killed at the end if it still runs."""
    executable = program("qemu-system-x86_64")
    with ExitStack() as stack:
        archive = os.memfd_create("initramfs")
        stack.callback(os.close, archive)
        with os.fdopen(os.dup(archive), "wb") as file:
            file.write(initramfs.build(kernel, job, Path(program("busybox"))))
        ours: dict[str, socket.socket] = {}
        theirs: dict[str, socket.socket] = {}
        for name in ("console", *qemu.PORTS, "errors"):
            ours[name], theirs[name] = socket.socketpair()
            stack.enter_context(ours[name])
        numbers = {name: end.fileno() for name, end in theirs.items()}
        processors = min(MOST_PROCESSORS, len(os.sched_getaffinity(0)))
        accelerated = qemu.EMULATED if job.virtual_time else qemu.accelerator(executable)
        argv = qemu.command(
            executable, accelerated, kernel.image, archive, numbers, processors, job.results,
            virtual_time=job.virtual_time,
        )  # fmt: skip
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=numbers["errors"],
            stderr=numbers["errors"],
            pass_fds=[archive, *numbers.values()],
            preexec_fn=_die_with(os.getpid()),
        )
        stack.callback(process.wait)
        stack.callback(process.kill)
        for end in theirs.values():
            end.close()
        yield process, ours


def _die_with(parent: int) -> Callable[[], None]:
    """Return what a child does first: arrange to be killed with its parent, however that ends."""

    def arrange() -> None:
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(125)

    return arrange


def _listen(streams: dict[str, socket.socket], heard: _Heard, output: BinaryIO, deadline: float) -> bool:
    """Take what comes until every stream has ended; False when the deadline came first."""
    kept = {"status": heard.status, "console": heard.console, "errors": heard.errors}
    with selectors.DefaultSelector() as selector:
        for name, stream in streams.items():
            selector.register(stream, selectors.EVENT_READ, name)
        while selector.get_map():
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            for key, _ in selector.select(left):
                data = _received(streams[key.data])
                if not data:
                    selector.unregister(key.fileobj)
                elif key.data == "output":
                    output.write(data)
                    output.flush()
                else:
                    kept[key.data] += data
    return True


def _received(stream: socket.socket) -> bytes:
    try:
        return stream.recv(65536)
    except ConnectionResetError:  # QEMU was killed with something of ours unread
        return b""
