"""Ending what runs in nodes: by the process we started or by its network namespace, never by name."""

from __future__ import annotations

import os
import select
import signal
import subprocess
from collections.abc import Sequence
from typing import Any, Protocol

from testbed.namespace import Namespace

ROUNDS = 5
"""looks for members that are left; a process may fork while it is looked at"""


class EndingNode(Protocol):
    """The part of a node that ending needs."""

    namespace: Namespace | None
    shell: Any
    stdin: Any
    stdout: Any
    inToNode: dict[int, Any]
    outToNode: dict[int, Any]

    def running(self) -> list[subprocess.Popen[Any]]:
        """Return processes started here that still run."""

    def cleanup(self) -> None:
        """Close the shell's terminal."""


def end_processes(nodes: Sequence[EndingNode], grace: float = 1.0) -> None:
    """End what runs in the nodes: SIGTERM to what we started, SIGKILL after grace seconds, and to what is left."""
    running = [process for node in nodes for process in node.running()]
    for process in running:
        process.terminate()
    for node in nodes:
        if node.shell:
            _end_shell(node)
    for process in running:
        try:
            process.wait(grace)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    _kill_members({node.namespace.inode for node in nodes if node.namespace})


def _end_shell(node: EndingNode) -> None:
    shell = node.shell
    os.killpg(shell.pid, signal.SIGKILL)
    shell.wait()
    node.outToNode.pop(node.stdout.fileno(), None)
    node.inToNode.pop(node.stdin.fileno(), None)
    node.cleanup()


def _kill_members(namespaces: set[int]) -> None:
    """SIGKILL every process whose network namespace is one of these: daemons that left their parents."""
    own = os.getpid()
    for _round in range(ROUNDS):
        members = [pid for pid in _processes() if pid != own and _namespace_of(pid) in namespaces]
        if not members:
            return
        for pid in members:
            try:
                descriptor = os.pidfd_open(pid)
            except ProcessLookupError:
                continue
            try:
                if _namespace_of(pid) in namespaces:  # still the process that was looked at
                    signal.pidfd_send_signal(descriptor, signal.SIGKILL)
                    _wait_gone(descriptor)
            finally:
                os.close(descriptor)


def _processes() -> list[int]:
    return [int(entry) for entry in os.listdir("/proc") if entry.isdecimal()]  # noqa: PTH208 - 10 times faster


def _namespace_of(pid: int) -> int | None:
    try:
        return os.stat(f"/proc/{pid}/ns/net").st_ino  # noqa: PTH116 - a hot loop
    except OSError:  # gone, a zombie, or another user's
        return None


def _wait_gone(descriptor: int) -> None:
    poller = select.poll()
    poller.register(descriptor, select.POLLIN)
    poller.poll(1000)  # ms
