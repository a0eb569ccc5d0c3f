"""The strong end system model (RFC 1122 §3.3.4.2): a packet for an address of another interface is dropped."""

from __future__ import annotations

from agents.kernel.nft import Table

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
    Table(TABLE).run(_RULES.format(table=TABLE))


def switch_off() -> None:
    """Back to the kernel's weak model; fine if it never was another."""
    Table(TABLE).clear()
