"""What every `python -m agents.<family>` does: read the configuration, run the role it names, end with one line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from agents.kernel.netlink import KernelError
from agents.plain import PlainError
from agents.runtime import fail, read_configuration


def main(program: str, run: Callable[[dict[str, Any]], None]) -> None:
    """Run a role until SIGTERM; exit 2 for a bad configuration, 1 when something of the kernel is not to be had."""
    data = read_configuration(program)
    try:
        run(data)
    except PlainError as error:
        fail(program, str(error))
    except KernelError as error:
        fail(program, str(error), 1)
