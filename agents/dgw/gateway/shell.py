"""The gateway as a process: core, kernel executor, sockets, and the watch on the access interface."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

from agents.dgw.actions import (
    Action,
    Adopt,
    Advertise,
    Associated,
    Consult,
    CountTraffic,
    Disassociated,
    Install,
    LocalAccessChanged,
    NeighborSeen,
    Remove,
    RouterAdvertised,
    RouterSolicited,
    Send,
    SendParameterProblem,
    Stations,
    TrafficCounted,
)
from agents.dgw.config import GatewayConfig
from agents.dgw.executor import Executor, Settings
from agents.dgw.gateway.core import GatewayCore
from agents.dgw.identity import link_local_of
from agents.dgw.protection import open_channel
from agents.dgw.signalling import Signalling, is_message
from agents.kernel.netlink import KernelError
from agents.kernel.radvd import MIN_MTU
from agents.kernel.watch import Advertised, Watch
from agents.runtime import Shell, announce
from agents.store import StateFile


class GatewayShell:
    """Wires one gateway core to its node."""

    def __init__(self, config: GatewayConfig) -> None:
        self._executor = Executor(_settings(config), self._refused)
        self._executor.prepare()
        self._config = config = _fitting(config, self._executor.tunnel_mtu)
        self._core = GatewayCore(config)
        self._state = StateFile(Path(config.state))
        channel = open_channel(config.protection, config.address, config.associations, Path(config.state))
        self._signalling = Signalling(config.address, channel)
        self._watch = Watch(config.phy)
        self._shell = Shell(self._core, self._perform)
        self._signalling.connect(self._shell)
        self._shell.on_readable(self._watch.fileno(), self._read_watch)
        self._shell.on_request("associated", self._associated)
        self._shell.on_request("disassociated", self._disassociated)
        self._shell.on_request("stations", self._stations)
        self._shell.on_request("local-access", self._local_access)
        self._shell.on_request("dropped", lambda request: {"dropped": self._executor.dropped()})
        self._shell.on_request("resume", lambda request: {"resumed": self._core.resume()})
        self._shell.on_request("clear", self._clear)
        self._shell.remember(self._remember, _promises)

    def run(self) -> None:
        """Take up saved state, serve until SIGTERM; the kernel keeps forwarding afterwards."""
        for profile in self._config.profiles:
            self._executor.learn(link_local_of(profile.mac), profile.mac)
        saved = self._state.load()
        if saved is None:
            self._executor.adopt(())
        else:
            self._core.restore(saved, self._shell.clock.now())
        tunnels = {"kind": self._executor.tunnel_kind, "mtu": self._executor.tunnel_mtu}
        announce("tunnels", self._shell.clock.now(), **tunnels)
        self._shell.run(self._config.control)
        self._executor.close()

    def _remember(self) -> None:
        self._signalling.remember(self._state, self._core.saved_state())

    def _perform(self, action: Action) -> None:
        try:
            match action:
                case Send() | SendParameterProblem() | Consult():
                    self._signalling.perform(action)
                case Install():
                    self._executor.install(*action.items)
                case Remove():
                    self._executor.remove(*action.items)
                case Adopt():
                    self._executor.adopt(action.items)
                case Advertise():
                    self._executor.advertise(action.advertisements)
                case CountTraffic():
                    counted = TrafficCounted(self._executor.passed())
                    asyncio.get_running_loop().call_soon(self._shell.feed, counted)
        except KernelError as error:
            self._refused(error)

    def _refused(self, error: KernelError) -> None:
        announce("kernel-refused", self._shell.clock.now(), reason=str(error))

    def _read_watch(self) -> None:
        for seen in self._watch.read():
            if isinstance(seen, Advertised):
                self._shell.feed(RouterAdvertised(seen.link_local, seen.destination_mac))
            elif seen.kind == "rs":
                if seen.link_local:
                    self._executor.learn(seen.link_local, seen.mac)
                self._shell.feed(RouterSolicited(seen.mac, seen.link_local))
            elif seen.link_local:
                self._executor.learn(seen.link_local, seen.mac)
                self._shell.feed(NeighborSeen(seen.mac, seen.link_local))

    def _associated(self, request: dict[str, Any]) -> dict[str, Any]:
        self._shell.feed(Associated(str(request["mac"])))
        return {}

    def _disassociated(self, request: dict[str, Any]) -> dict[str, Any]:
        self._shell.feed(Disassociated(str(request["mac"])))
        return {}

    def _stations(self, request: dict[str, Any]) -> dict[str, Any]:
        self._shell.feed(Stations(frozenset(str(mac) for mac in request["macs"])))
        return {}

    def _local_access(self, request: dict[str, Any]) -> dict[str, Any]:
        self._shell.feed(LocalAccessChanged(str(request["mn_id"]), bool(request["allowed"])))
        return {}

    def _clear(self, request: dict[str, Any]) -> dict[str, Any]:
        """The last request before SIGTERM: otherwise an agent's end leaves the kernel forwarding."""
        self._executor.clear()
        return {}


def run_gateway(config: GatewayConfig) -> None:
    """Serve until SIGTERM (PlainError for unfit saved state, KernelError)."""
    GatewayShell(config).run()


def _fitting(config: GatewayConfig, tunnel_mtu: int) -> GatewayConfig:
    """Advertise no MTU beyond what fits a tunnel (spec RA-13), nor below IPv6's own least."""
    mtu = max(min(config.advertisements.mtu, tunnel_mtu), MIN_MTU)
    return replace(config, advertisements=replace(config.advertisements, mtu=mtu))


def _promises(action: Action) -> bool:
    """What peers and nodes hear and rely on."""
    return is_message(action) or isinstance(action, Advertise)


def _settings(config: GatewayConfig) -> Settings:
    return Settings(
        local=config.address,
        wan=config.wan,
        phy=config.phy,
        pool=config.pool,
        local_prefixes=config.local_prefixes,
        tunnel=config.tunnel,
        radvd_conf=Path(config.radvd.config),
        radvd_pid=Path(config.radvd.pid_file),
        peers={peer.address: peer.name for peer in config.peers} | ({config.cmd: "lma"} if config.roaming else {}),
    )
