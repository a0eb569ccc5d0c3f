"""Does a job in a sandbox of its own while we wait, and keeps the two tied together."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Mapping
from types import FrameType
from typing import Any

from testbed import sandbox, signals
from topologies.cli.errors import FAILED
from topologies.cli.inside import command


def do(job: Mapping[str, Any]) -> int:
    """Run `job` to its end; its exit code. Interrupting us interrupts it, and it does not outlive us."""
    # In a session of its own: Ctrl-C would otherwise reach every program in the lab, dumpcap before all,
    # where only the job itself knows how to end them in order. setpriv (of util-linux) is for our own SIGKILL.
    argv = ["setpriv", "--pdeathsig", "KILL", *sandbox.command(command(job))]
    process = subprocess.Popen(argv, start_new_session=True)

    def forward(number: int, frame: FrameType | None) -> None:
        process.send_signal(number)

    with signals.handled([signal.SIGINT, signal.SIGTERM, signal.SIGHUP], forward):
        code = process.wait()
    return FAILED if code == sandbox.NOT_MADE else code
