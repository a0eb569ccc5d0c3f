"""The CMD as a process."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from agents.dgw.actions import Action, Adopt, Install, Remove, Send
from agents.dgw.cmd.core import CmdCore
from agents.dgw.config import CmdConfig
from agents.dgw.protection import open_channel
from agents.dgw.signalling import Signalling, is_message
from agents.kernel.netlink import KernelError
from agents.runtime import Shell, announce
from agents.store import StateFile

if TYPE_CHECKING:
    from agents.dgw.executor import Executor


def run_cmd(config: CmdConfig) -> None:
    """Serve until SIGTERM (PlainError for unfit saved state, KernelError)."""
    core = CmdCore(config)
    executor = _executor(config)
    state = StateFile(Path(config.state))
    channel = open_channel(config.protection, config.address, config.associations, Path(config.state))
    signalling = Signalling(config.address, channel, config.repository_port if config.mode == "direct" else None)

    def perform(action: Action) -> None:
        if is_message(action):
            signalling.perform(action)
            if isinstance(action, Send):
                core.departed(action, shell.clock.now())
        elif executor:
            try:
                _forward(executor, action)
            except KernelError as error:
                announce("kernel-refused", shell.clock.now(), reason=str(error))

    shell = Shell(core, perform)
    signalling.connect(shell)
    shell.on_request("resume", lambda request: {"resumed": core.resume()})
    shell.remember(lambda: signalling.remember(state, core.saved_state()), is_message)
    saved = state.load()
    if saved is not None:
        core.restore(saved, shell.clock.now())
    elif executor:
        executor.adopt(())
    if executor:
        shell.on_request("dropped", lambda request: {"dropped": executor.dropped()})
        announce("tunnels", shell.clock.now(), kind=executor.tunnel_kind)
    shell.run(config.control)
    if executor:
        executor.close()


def _executor(config: CmdConfig) -> Executor | None:
    """Forwarding of a home LMA (spec INTER-6); a CMD without `wan` never forwards anything (spec CMD-1)."""
    if config.wan is None:
        return None
    from agents.dgw.executor import Executor, Settings  # costs memory that a CMD out of the data path need not have

    names = {gateway.address: gateway.name for gateway in config.gateways}
    executor = Executor(
        Settings(local=config.address, wan=config.wan, phy=None, pool=None, tunnel=config.tunnel, peers=names)
    )
    executor.prepare()
    return executor


def _forward(executor: Executor, action: Action) -> None:
    match action:
        case Install():
            executor.install(*action.items)
        case Remove():
            executor.remove(*action.items)
        case Adopt():
            executor.adopt(action.items)
