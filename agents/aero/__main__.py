"""`python -m agents.aero`: an AERO Client, Server or Relay, configured on standard input."""

from __future__ import annotations

from typing import Any

from agents.aero.config import ClientConfig, RelayConfig, ServerConfig
from agents.plain import PlainError, build
from agents.program import main

PROGRAM = "aero"


def run(data: dict[str, Any]) -> None:
    """Run a Client, a Server or a Relay until SIGTERM (PlainError for a bad configuration, KernelError)."""
    role = data.get("role")
    if role == "client":
        from agents.aero.client.shell import run_client

        run_client(build(ClientConfig, data))
    elif role == "server":
        from agents.aero.server.shell import run_server

        run_server(build(ServerConfig, data))
    elif role == "relay":
        from agents.aero.relay.shell import run_relay

        run_relay(build(RelayConfig, data))
    else:
        raise PlainError(f"configuration.role: {role!r} is not one of client, server, relay")


if __name__ == "__main__":
    main(PROGRAM, run)
