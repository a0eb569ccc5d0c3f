"""Long-running programs in nodes and their life cycle: render, write, dry run, start, has started, stop."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from testbed.nodes import Host
from testbed.validation import LabError
from testbed.waiting import wait_until

STOP_TIMEOUT = 20.0
"""seconds between SIGTERM and SIGKILL"""
START_TIMEOUT = 90.0
"""seconds until a daemon must have started"""


class Daemon:
    """A long-running program in a node. Subclasses say what to write, how to check it, what to run, when it is up."""

    STARTED: ClassVar[bytes] = b""
    """What the program writes in its log when it does its work; empty where something else tells."""

    def __init__(self, node: Host, name: str, log: Path) -> None:
        self.node = node
        self.name = name
        self.log = log
        self.process: subprocess.Popen[Any] | None = None
        self._said = 0
        """Where this start's lines begin in the log."""

    def render(self) -> Mapping[Path, str]:
        """Return the files to write before the start."""
        return {}

    def dry_run(self) -> Sequence[str] | None:
        """Return a command that checks the written files (exit 0: good), or None."""
        return None

    def argv(self) -> Sequence[str]:
        """Return the command that runs in the foreground."""
        raise NotImplementedError

    def has_started(self) -> bool:
        """Tell whether the program does its work: whether it said so, since this start."""
        if not self.STARTED:
            return True
        with self.log.open("rb") as log:
            log.seek(self._said)
            return self.STARTED in log.read()

    def start(self, timeout: float = START_TIMEOUT) -> None:
        """Write, check, start, and return when it has started. LabError with its last words when it has not."""
        if self.running:
            raise LabError(f"{self}: runs already")
        for path, text in self.render().items():
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                self._write(path, text)
            except OSError as error:
                raise LabError(f"{self}: {path}: {error.strerror}") from error
        check = self.dry_run()
        if check:
            self.node.run(check, check=True)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self._said = self.log.stat().st_size if self.log.exists() else 0
        self.process = self._spawn()
        try:
            wait_until(f"{self} started", self._started_or_ended, timeout=timeout, interval=0.002)
        except LabError:
            self.kill()
            raise

    def _write(self, path: Path, text: str) -> None:
        path.write_text(text, encoding="utf-8")

    def _spawn(self) -> subprocess.Popen[Any]:
        with self.log.open("ab") as log:
            return self.node.popen(
                list(self.argv()),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _started_or_ended(self) -> bool:
        if self.process is not None and self.process.poll() is not None:
            raise LabError(f"{self}: ended at the start with exit {self.process.returncode}: {self.last_words()}")
        return self.has_started()

    @property
    def running(self) -> bool:
        """Whether its process runs."""
        return self.process is not None and self.process.poll() is None

    @property
    def pid(self) -> int | None:
        """Its process, while it runs."""
        return self.process.pid if self.process is not None and self.process.poll() is None else None

    def stop(self, timeout: float = STOP_TIMEOUT) -> int | None:
        """SIGTERM, SIGKILL after timeout seconds; return the exit code, None when it never ran."""
        return self._end(signal.SIGTERM, timeout)

    def kill(self) -> int | None:
        """SIGKILL; return the exit code."""
        return self._end(signal.SIGKILL, STOP_TIMEOUT)

    def restart(self) -> None:
        """Stop if it runs, then start again."""
        self.stop()
        self.start()

    def _end(self, number: signal.Signals, timeout: float) -> int | None:
        if self.process is None:
            return None
        if self.process.poll() is None:
            self.process.send_signal(number)
            try:
                self.process.wait(timeout)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        return self.process.returncode

    def last_words(self) -> str:
        """Return the last line of the log that is not empty."""
        try:
            with self.log.open("rb") as log:
                log.seek(max(0, os.fstat(log.fileno()).st_size - 4096))
                lines = log.read().decode(errors="replace").strip().splitlines()
        except FileNotFoundError:
            lines = []
        return lines[-1].strip() if lines else "nothing in its log"

    def __str__(self) -> str:
        return f"{self.node.name} {self.name}"
