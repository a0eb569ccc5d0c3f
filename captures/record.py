"""Recording: one dumpcap per captured interface, to pcapng, with nothing lost at either end.

Start: dumpcap prints "File:" once its packet socket is bound and the file is open, so a frame sent
after `start()` returned is in the capture. Stop: the kernel hands frames over in blocks (TPACKET_V3)
and a block not yet full is lost when dumpcap gets SIGTERM; so a marker frame is sent first and dumpcap
is only stopped when the file holds it: everything older is then in the file too.  An interface without carrier
lets no marker pass, nor any other frame: there dumpcap is stopped when the kernel has handed over every block.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import selectors
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from captures.marker import NO_CARRIER
from captures.pcapng import CaptureError, holds

Popen = Callable[..., "subprocess.Popen[Any]"]
MARKER = Path(__file__).with_name("marker.py")
BUFFER_MIB = 8
"""Kernel ring per capture: room for about 50 ms of 1 Gbit/s while dumpcap waits for a CPU."""
POLL = 0.02
"""Seconds between two looks at a growing file."""
HANDED_OVER = 1.0
"""Seconds after which a block is in the file though it is not full: the kernel waits a quarter of one at most."""


class Recorder:
    """One capture of one interface of one node."""

    def __init__(self, popen: Popen, interface: str, path: Path | str, *, timeout: float = 60.0) -> None:
        """`popen` runs a program in the node; `timeout` (seconds) bounds `start()` and `stop()` each."""
        self.interface = interface
        self.path = Path(path)
        self.dropped = 0
        """Frames the kernel or dumpcap had to drop, known after `stop()`."""
        self.captured = 0
        """Frames written, known after `stop()`."""
        self._popen = popen
        self._timeout = timeout
        self._process: subprocess.Popen[Any] | None = None
        self._marker: subprocess.Popen[Any] | None = None
        self._token = f"roamlab-end-{secrets.token_hex(8)}"
        self._text = ""
        self._quiet_until: float | None = None
        """Without carrier: when everything is in the file, marker or not (monotonic)."""

    def start(self) -> None:
        """Start capturing; return when frames sent from now on are recorded. CaptureError if it fails."""
        self.launch()
        self.wait_started()

    def launch(self) -> None:
        """Start dumpcap without waiting for it."""
        try:
            file = self.path.open("wb")
        except OSError as error:
            raise CaptureError(f"cannot write capture {self.path}: {error.strerror}") from error
        # dumpcap drops every capability, so as root it cannot reach a file below another user's directory:
        # hand it an open file instead of a name. Not as /dev/stdout: dumpcap unlinks its output when it fails.
        argv = ["dumpcap", "-q", "-i", self.interface, "-B", str(BUFFER_MIB), "-w", "/proc/self/fd/1"]
        with file:
            try:
                self._process = self._popen(
                    argv, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.PIPE, bufsize=0
                )
            except FileNotFoundError as error:
                raise CaptureError("dumpcap is not installed (Debian package wireshark-common)") from error

    def wait_started(self) -> None:
        """Wait until the launched dumpcap captures."""
        if not self._read_until("File: ", time.monotonic() + self._timeout):
            reason = self._last_line() or f"silent for {self._timeout:g} s"
            self._end(signal.SIGKILL)
            raise CaptureError(f"capture of {self.interface} did not start: {reason}")

    def stop(self) -> None:
        """Stop capturing; every frame on the wire before the call is in the file. CaptureError if not."""
        stop_all([self])

    # The parts of `stop`, so that many recorders can wait together.

    def mark(self) -> None:
        """Begin to send the end marker."""
        if self._process is None:
            return
        argv = [sys.executable, "-I", "-S", str(MARKER), self.interface, self._token]
        self._marker = self._popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

    def wait_marked(self) -> None:
        """Wait until the marker is sent."""
        marker, self._marker = self._marker, None
        if marker is None:
            return
        try:
            _, err = marker.communicate(timeout=self._timeout)
        except subprocess.TimeoutExpired as error:
            marker.kill()
            marker.communicate()
            raise CaptureError(f"end marker for {self.interface} not sent in {self._timeout:g} s") from error
        if marker.returncode == NO_CARRIER:
            self._quiet_until = time.monotonic() + HANDED_OVER
        elif marker.returncode != 0:
            text = err.decode(errors="replace") if isinstance(err, bytes) else str(err)
            self._end(signal.SIGTERM)
            reason = text.strip().splitlines()[-1] if text.strip() else f"exit {marker.returncode}"
            raise CaptureError(f"end marker for {self.interface} not sent: {reason}")

    def finish(self) -> None:
        """Wait for the marker in the file, then tell dumpcap to end."""
        process = self._process
        if process is None:
            return
        deadline = time.monotonic() + self._timeout
        while not holds(self.path, self._token.encode()):
            if process.poll() is not None:
                self._end(signal.SIGTERM)
                raise CaptureError(f"capture of {self.interface} ended early: {self._last_line()}")
            if self._quiet_until is not None and time.monotonic() > self._quiet_until:
                break
            full = not shutil.disk_usage(self.path).free
            if full or time.monotonic() > deadline:
                self._end(signal.SIGKILL if full else signal.SIGTERM)  # it would wait for room
                why = "its disk is full" if full else f"after {self._timeout:g} s"
                raise CaptureError(f"capture of {self.interface}: end marker not in {self.path}: {why}")
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(POLL)
        process.terminate()

    def wait_ended(self) -> None:
        """Wait until dumpcap has ended."""
        self._end(signal.SIGTERM)
        self._read_counters()

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(how)
        try:
            process.wait(self._timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stderr is not None:
            self._text += _text(process.stderr.read())
            process.stderr.close()

    def _read_until(self, word: str, deadline: float) -> bool:
        """Collect dumpcap's messages until one holds the word; False at its end or at the deadline."""
        assert self._process is not None
        assert self._process.stderr is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stderr, selectors.EVENT_READ)
            while word not in self._text:
                left = deadline - time.monotonic()
                if left <= 0 or not selector.select(left):
                    return False
                data = os.read(self._process.stderr.fileno(), 4096)
                if not data:
                    return False
                self._text += _text(data)
        return True

    def _last_line(self) -> str:
        lines = [line for line in self._text.splitlines() if line.strip()]
        return lines[-1].removeprefix("dumpcap: ") if lines else ""

    def _read_counters(self) -> None:
        for line in self._text.splitlines():
            if line.startswith("Packets captured:"):
                self.captured = int(line.split(":")[1])
            elif line.startswith("Packets received/dropped"):
                counts = line.split("':")[1].split()[0]
                self.dropped = int(counts.split("/")[1])


def start_all(recorders: Iterable[Recorder]) -> None:
    """Start recorders together; when one fails the others are ended and CaptureError is raised."""
    all_of_them = list(recorders)
    try:
        for recorder in all_of_them:
            recorder.launch()
        for recorder in all_of_them:
            recorder.wait_started()
    except CaptureError:
        for recorder in all_of_them:
            recorder._end(signal.SIGTERM)
        raise


def stop_all(recorders: Iterable[Recorder]) -> None:
    """Stop recorders together (one wait for all of them); the first CaptureError is raised at the end."""
    all_of_them, failed = list(recorders), []
    for action in (Recorder.mark, Recorder.wait_marked, Recorder.finish, Recorder.wait_ended):
        for recorder in all_of_them:
            try:
                action(recorder)
            except CaptureError as error:
                failed.append(error)
    if failed:
        raise failed[0]


def _text(data: bytes | str) -> str:
    return data.decode(errors="replace") if isinstance(data, bytes) else data
