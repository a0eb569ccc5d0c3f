"""What the processes of a sandbox use."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

MIB = 1024
"""kB"""


@dataclass(frozen=True, slots=True)
class Usage:
    """Memory of all processes that can be seen: inside a sandbox, those of the lab."""

    memory_mb: float
    """Sum of PSS in MiB: a page that several processes share counts once"""
    processes: int
    unread: int
    """processes whose memory this user may not look at"""
    cpus: int
    """CPUs this process may run on"""


def usage() -> Usage:
    """Measure now. A process that ends meanwhile is left out."""
    total, processes, unread = 0, 0, 0
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            text = (entry / "smaps_rollup").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        except PermissionError:
            unread += 1
            continue
        total += sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:"))
        processes += 1
    return Usage(round(total / MIB, 1), processes, unread, len(os.sched_getaffinity(0)))
