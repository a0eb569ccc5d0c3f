"""The AERO Client as a process."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, get_args

from agents.aero.client.core import ClientCore
from agents.aero.config import ClientConfig, Model
from agents.aero.dataplane.policy import ClientPolicy, Inner
from agents.aero.node import Node
from agents.aero.notices import ChangeServer, SendControl
from agents.plain import PlainError
from agents.store import StateFile

FAREWELL = 2.0
"""Seconds that the Server has to confirm the Releases of an orderly stop: two transmissions (RFC 8415 §7.6)."""

POLL = 0.01
MODELS: dict[str, Model] = {name: name for name in get_args(Model)}


class ClientShell:
    """Wires one Client core to its node."""

    def __init__(self, config: ClientConfig) -> None:
        self._config = config
        self._core = core = ClientCore(config)
        policy = ClientPolicy(core.cache, lambda: tuple(core.prefixes), core.correspondence.correspondents)
        self._node = Node(config, core, policy, self._own)
        self._shell = self._node.shell
        core.wall.ahead = self._shell.clock.ahead
        self._shell.on_request("change-server", self._change_server)
        self._shell.before_stop(self._release)
        self._shell.on_request("model", self._switch)
        self._state = StateFile(Path(config.state))
        # A Server takes no replay value twice: what is sent is written down before (spec §6.11).
        self._shell.remember(
            lambda: self._state.save(self._core.saved_state()), lambda action: isinstance(action, SendControl)
        )

    def run(self) -> None:
        """Take up saved state, attach, serve until SIGTERM, give everything back."""
        self._node.run(self._prepare)

    def _prepare(self) -> None:
        now = self._shell.clock.now()
        saved = self._state.load()
        if saved is not None:
            self._core.restore(saved, now)
        self._core.start(now)

    def _switch(self, request: dict[str, Any]) -> dict[str, Any]:
        """Answer {"request": "model", "model": ...}."""
        model = MODELS.get(str(request.get("model")))
        if model is None:
            raise PlainError(f"model: {request.get('model')!r} is not one of {', '.join(MODELS)}")
        self._core.switch(model, self._shell.clock.now())
        self._shell.turn()
        return {}

    def _change_server(self, request: dict[str, Any]) -> dict[str, Any]:
        """Attach at another Server of the list, named by its `server` (PlainError)."""
        names = [server.name for server in self._config.servers]
        if request.get("server") not in names:
            raise PlainError(f"server: {request.get('server')!r} is not one of {', '.join(names)}")
        self._shell.feed(ChangeServer(names.index(request["server"])))
        return {}

    def _own(self, version: int) -> Inner | None:
        """A delegated address that this node has."""
        addresses = sorted(address for address in self._node.addresses if address.version == version)
        prefixes = [prefix for prefix in self._core.prefixes if prefix.version == version]
        return next((each for each in addresses if any(each in prefix for prefix in prefixes)), None)

    async def _release(self) -> None:
        """Give the prefixes back; without an answer the lease dies with its time."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + FAREWELL
        self._core.stop(self._shell.clock.now())
        self._shell.turn()
        while self._core.releasing and loop.time() < deadline:
            await asyncio.sleep(POLL)


def run_client(config: ClientConfig) -> None:
    """Serve until SIGTERM (PlainError for unfit saved state, KernelError)."""
    ClientShell(config).run()
