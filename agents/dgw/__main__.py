"""`python -m agents.dgw`: a gateway, a central database or a local mobility anchor, configured on standard input."""

from __future__ import annotations

from typing import Any

from agents.dgw.config import CmdConfig, GatewayConfig
from agents.plain import PlainError, build
from agents.program import main

PROGRAM = "dgw"


def run(data: dict[str, Any]) -> None:
    """Run a gateway, a CMD or an LMA until SIGTERM (PlainError for a bad configuration, KernelError)."""
    role = data.get("role")
    if role == "gateway":
        from agents.dgw.gateway.shell import run_gateway

        run_gateway(build(GatewayConfig, data))
    elif role == "cmd":
        from agents.dgw.cmd.shell import run_cmd

        run_cmd(build(CmdConfig, data))
    elif role == "lma":
        from agents.dgw.lma.config import LmaConfig
        from agents.dgw.lma.shell import run_lma

        run_lma(build(LmaConfig, data))
    else:
        raise PlainError(f"configuration.role: {role!r} is not one of gateway, cmd, lma")


if __name__ == "__main__":
    main(PROGRAM, run)
