"""The mobile router as a process: its node, and its lines as the kernel reports them."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from ipaddress import IPv4Network
from typing import Any

from pyroute2.netlink import rtnl
from pyroute2.netlink.rtnl.ifinfmsg import IFF_RUNNING, IFF_UP

from agents.haaro.backend import choose
from agents.haaro.config import MrConfig
from agents.haaro.interface import TABLE
from agents.haaro.mr.core import MrCore
from agents.haaro.node import Node
from agents.haaro.notices import Leave, LineDown, LineUp, Move, Networks
from agents.haaro.sink import Ends
from agents.kernel import links
from agents.kernel.netlink import Netlink
from agents.plain import PlainError
from agents.runtime import Request

FAREWELL = 4.0
"""Seconds for the deregistrations of an orderly stop: two attempts with correspondents, then with the home agent."""
POLL = 0.01


class RouterShell:
    """Wires one router's core to its node."""

    def __init__(self, config: MrConfig) -> None:
        self._config = config
        self._names = {line.interface for line in config.lines}
        # A name that is not there is a mistake, a line without carrier is not.
        smallest = min(links.mtu(name) for name in sorted(self._names))
        choice = choose(config.tunnel, gateway=config.gateway or config.internet_via is not None)
        self._core = MrCore(replace(config, tunnel=choice.kind))
        ends = Ends(config.home_address, config.prefixes, config.home_agent, config.gateway)
        given = (config.interface, config.control)
        self._node = Node(
            self._core, *given, table=TABLE, ends=ends, underlay_mtu=smallest, choice=choice, errors=config.errors
        )
        self._shell = self._node.shell
        self._watch = Netlink(groups=(rtnl.RTNLGRP_LINK,))
        self._shell.on_readable(self._watch.fileno(), self._read_watch)
        self._shell.on_request("move", self._move)
        self._shell.on_request("line", self._line)
        self._shell.on_request("networks", self._networks)
        self._shell.on_request("leave", self._leave)
        self._shell.before_stop(self._farewell)

    def run(self) -> None:
        """Register, serve until SIGTERM, deregister."""
        try:
            self._node.run(self._start)
        finally:
            self._watch.close()

    def _start(self) -> None:
        now = self._shell.clock.now()
        for name in sorted(self._names):
            if not links.is_running(name):
                self._core.receive(LineDown(name), None, now)
        self._core.start(now)

    # --- what happens

    def _read_watch(self) -> None:
        try:
            messages = self._watch.events()
        except OSError:
            messages = []  # more happened than the socket could hold: ask
            for name in sorted(self._names):
                self._shell.feed(LineUp(name) if links.is_running(name) else LineDown(name))
        for message in messages:
            name = message.get_attr("IFLA_IFNAME")
            if name in self._names:
                running = message["flags"] & IFF_UP and message["flags"] & IFF_RUNNING
                self._shell.feed(LineUp(name) if running else LineDown(name))

    # --- what is asked for

    def _move(self, request: Request) -> dict[str, Any]:
        self._shell.feed(Move(self._name(request)))
        return {}

    def _line(self, request: Request) -> dict[str, Any]:
        name = self._name(request)
        self._shell.feed(LineUp(name) if request["up"] else LineDown(name))
        return {}

    def _networks(self, request: Request) -> dict[str, Any]:
        try:
            prefixes = tuple(IPv4Network(each) for each in request["prefixes"])
        except (TypeError, ValueError) as error:
            raise PlainError(f"prefixes: {error}") from None
        self._shell.feed(Networks(prefixes))
        return {}

    def _leave(self, _request: Request) -> dict[str, Any]:
        self._shell.feed(Leave())
        return {}

    def _name(self, request: Request) -> str:
        name: str = request["interface"]
        if name not in self._names:
            raise PlainError(f"{name!r} is not one of {', '.join(sorted(self._names))}")
        return name

    async def _farewell(self) -> None:
        """Deregister everywhere; without an answer the bindings end with their time (spec 7.3)."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + FAREWELL
        self._shell.feed(Leave())
        while not self._core.left and loop.time() < deadline:
            await asyncio.sleep(POLL)


def run_mr(config: MrConfig) -> None:
    """Serve until SIGTERM (KernelError)."""
    RouterShell(config).run()
