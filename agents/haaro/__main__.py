"""`python -m agents.haaro`: a home agent or a mobile router, configured on standard input."""

from __future__ import annotations

from typing import Any

from agents.haaro.config import HaConfig, MrConfig
from agents.plain import PlainError, build
from agents.program import main

PROGRAM = "haaro"


def run(data: dict[str, Any]) -> None:
    """Run a role until SIGTERM (PlainError for a bad configuration, KernelError)."""
    role = data.get("role")
    if role == "ha":
        from agents.haaro.ha.shell import run_ha

        run_ha(build(HaConfig, data))
    elif role == "mr":
        from agents.haaro.mr.shell import run_mr

        run_mr(build(MrConfig, data))
    else:
        raise PlainError(f"configuration.role: {role!r} is not one of ha, mr")


if __name__ == "__main__":
    main(PROGRAM, run)
