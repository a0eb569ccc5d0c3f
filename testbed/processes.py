"""What runs in nodes: the life cycle (Daemon), our agents (Agent), radvd, and Kea."""

from __future__ import annotations

import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

from testbed.agent import Agent, ControlError
from testbed.daemon import Daemon
from testbed.kea import Kea
from testbed.nodes import Host

__all__ = ["Agent", "ControlError", "Daemon", "Kea", "Radvd"]


class Radvd(Daemon):
    """radvd in a gateway: started with nothing to advertise; an agent rewrites its file and sends SIGHUP.

    An empty file would make radvd exit, so the file always names an interface that is not there (spec RA-11).
    """

    DUMMY = "interface none0 { AdvSendAdvert on; IgnoreIfMissing on; };\n"

    def __init__(self, node: Host, config: Path, pid_file: Path, log: Path) -> None:
        super().__init__(node, "radvd", log)
        self.config = config
        self.pid_file = pid_file

    def render(self) -> Mapping[Path, str]:
        """Return the dummy configuration."""
        return {self.config: self.DUMMY}

    def dry_run(self) -> Sequence[str]:
        """Have radvd check its file."""
        return ["radvd", "--configtest", "-C", str(self.config)]

    def argv(self) -> Sequence[str]:
        """Run in the foreground, messages to the log."""
        return [
            "radvd", "--nodaemon", "--logmethod", "stderr", "--debug", "1",
            "--config", str(self.config), "--pidfile", str(self.pid_file),
        ]  # fmt: skip

    def has_started(self) -> bool:
        """Tell whether the pid file names the running process and that catches SIGHUP: from then on it is safe.

        radvd writes the file before it installs its handlers; a SIGHUP between the two ends it.
        """
        try:
            return int(self.pid_file.read_text()) == self.pid and _catches(self.pid, signal.SIGHUP)
        except (FileNotFoundError, ValueError):
            return False


def _catches(pid: int, number: signal.Signals) -> bool:
    """Tell whether a process has a handler for a signal (proc(5): SigCgt)."""
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return bool(int(status["SigCgt"], 16) >> (number - 1) & 1)
