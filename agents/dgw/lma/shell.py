"""The Local Mobility Anchor as a process: core, kernel executor, socket."""

from __future__ import annotations

from pathlib import Path

from agents.dgw.actions import Action, Adopt, Install, Remove, Send, SendParameterProblem
from agents.dgw.executor import Executor, Settings
from agents.dgw.lma.config import LmaConfig
from agents.dgw.lma.core import LmaCore
from agents.dgw.protection import open_channel
from agents.dgw.signalling import Signalling, is_message
from agents.kernel.netlink import KernelError
from agents.runtime import Shell, announce
from agents.store import StateFile


def run_lma(config: LmaConfig) -> None:
    """Serve until SIGTERM (PlainError for unfit saved state, KernelError); the kernel keeps forwarding afterwards."""
    core = LmaCore(config)
    state = StateFile(Path(config.state))

    def refused(error: KernelError) -> None:
        announce("kernel-refused", shell.clock.now(), reason=str(error))

    def perform(action: Action) -> None:
        try:
            match action:
                case Send() | SendParameterProblem():
                    signalling.perform(action)
                case Install():
                    executor.install(*action.items)
                case Remove():
                    executor.remove(*action.items)
                case Adopt():
                    executor.adopt(action.items)
        except KernelError as error:
            refused(error)

    shell = Shell(core, perform)
    executor = Executor(_settings(config), refused)
    executor.prepare()
    channel = open_channel(config.protection, config.address, config.associations, Path(config.state))
    signalling = Signalling(config.address, channel)
    signalling.connect(shell)
    shell.on_request("dropped", lambda request: {"dropped": executor.dropped()})
    shell.remember(lambda: signalling.remember(state, core.saved_state()), is_message)
    saved = state.load()
    if saved is None:
        executor.adopt(())
    else:
        core.restore(saved, shell.clock.now())
    announce("tunnels", shell.clock.now(), kind=executor.tunnel_kind)
    shell.run(config.control)
    executor.close()


def _settings(config: LmaConfig) -> Settings:
    return Settings(
        local=config.address,
        wan=config.wan,
        phy=None,
        pool=config.pool,
        tunnel=config.tunnel,
        peers={gateway.address: gateway.name for gateway in config.gateways},
    )
