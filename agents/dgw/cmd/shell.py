"""The CMD as a process."""

from __future__ import annotations

from pathlib import Path

from agents.dgw.actions import Action, Consult, Send, SendParameterProblem
from agents.dgw.cmd.core import CmdCore
from agents.dgw.config import CmdConfig
from agents.dgw.signalling import Signalling
from agents.runtime import Shell
from agents.store import StateFile


def run_cmd(config: CmdConfig) -> None:
    """Serve until SIGTERM (PlainError for unfit saved state, KernelError)."""
    core = CmdCore(config)
    state = StateFile(Path(config.state))
    signalling = Signalling(config.address, config.repository_port if config.mode == "direct" else None)

    def perform(action: Action) -> None:
        if isinstance(action, Send | SendParameterProblem | Consult):
            signalling.perform(action)

    shell = Shell(core, perform)
    signalling.connect(shell)
    shell.on_request("resume", lambda request: {"resumed": core.resume()})
    shell.after_each_turn(lambda: state.save(core.saved_state()))
    saved = state.load()
    if saved is not None:
        core.restore(saved, shell.clock.now())
    shell.run(config.control)
