"""The strong end system model (RFC 1122 §3.3.4.2): a packet for an address of another interface is dropped."""

from __future__ import annotations

import nftables

from agents.kernel.netlink import KernelError

TABLE = "inet roamlab_strong_host"

_RULES = """\
add table {table}
delete table {table}
add table {table}
add chain {table} enter {{ type filter hook prerouting priority raw ; policy accept ; }}
add rule {table} enter iifname != "lo" fib daddr type local fib daddr . iif type != local counter drop
"""


def switch_on() -> None:
    """Drop what arrives on an interface that does not have its destination address."""
    _run(_RULES.format(table=TABLE))


def switch_off() -> None:
    """Back to the kernel's weak model; fine if it never was another."""
    # Added first, because deleting one that is not there is refused.
    _run(f"add table {TABLE}\ndelete table {TABLE}")


def _run(commands: str) -> None:
    code, _output, error = nftables.Nftables().cmd(commands)
    if code:
        first = error.strip().splitlines()[0] if error.strip() else f"exit {code}"
        raise KernelError(f"nftables refused: {first}")
