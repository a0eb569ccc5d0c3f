"""Check "resources": what a whole lab costs (event `resources`, measured inside the sandbox at the script's end)."""

from __future__ import annotations

from captures.checks.base import Result, Tally, check
from captures.run import Run


@check("resources")
def resources(run: Run, memory_mb: float = 2048.0) -> list[Result]:
    """`memory_mb`: all processes of the lab together, shared pages counted once (PSS, MiB)."""
    tally = Tally(
        "resources.memory",
        "SC-SIMUL",
        "The whole lab fits into little memory",
        f"≤ {memory_mb:g} MiB for all processes of the lab (sum of PSS)",
    )
    text = ""
    for entry in run.logged("resources"):
        tally.see(entry)
        used, count, unread = (entry.fields[key] for key in ("memory_mb", "processes", "unread"))
        tally.demand(used <= memory_mb, f"{used:.0f} MiB in {count} processes", entry)
        tally.demand(count > 0 and not unread, f"{unread} of {count + unread} processes could not be measured", entry)
        text = f"{used:.0f} MiB in {count} processes on {entry.fields['cpus']} CPUs"
    return [tally.result(text, "memory was not measured")]
