"""`roamlab console`: Mininet's prompt for a running lab, from the outside."""

from __future__ import annotations

import cmd
import json
import os
import re
import readline
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from testbed import client
from testbed.labsocket import LabName
from testbed.validation import LabError, unknown
from topologies.cli.errors import FAILED
from topologies.cli.options import lab_flag

_HISTORY = Path("~/.roamlab_history").expanduser()
_URL_HOST = re.compile(r"(?<=//)([A-Za-z][\w-]*)(?=[:/]|$)")


class Console(cmd.Cmd):
    """One prompt on one running lab; also reads its lines from a pipe."""

    prompt = "roamlab> "
    intro = "NODE COMMAND runs in a node; node names among the words become addresses. help lists the rest."

    def __init__(self, name: LabName, interactive: bool) -> None:
        super().__init__()
        self._name = name
        self._interactive = interactive
        self.code = 0
        """Exit code of the last line."""
        if not interactive:
            self.prompt, self.intro, self.use_rawinput = "", "", False

    def do_nodes(self, line: str) -> None:
        """nodes: names of the lab's nodes"""
        print(" ".join(self._state()["nodes"]))

    def do_net(self, line: str) -> None:
        """net: every node's interfaces and what they are linked to"""
        state = self._state()
        for node in state["nodes"]:
            ends = [
                f"{mine[1]}:{'-'.join(other)}"
                for link in state["links"]
                for mine, other in ((link["a"], link["b"]), (link["b"], link["a"]))
                if mine[0] == node
            ]
            print(" ".join([node, *ends]))

    def do_links(self, line: str) -> None:
        """links: every link, with its MTU and impairments"""
        for link in self._state()["links"]:
            facts = [f"{key}={link[key]}" for key in ("mtu", "delay", "loss", "rate") if link.get(key) is not None]
            print(" ".join([f"{'-'.join(link['a'])}<->{'-'.join(link['b'])}", *facts]))

    def do_dump(self, line: str) -> None:
        """dump: every node with its role, cell and addresses"""
        for name, node in self._state()["nodes"].items():
            parts = [f"<{node.get('role') or 'node'} {name}:"]
            parts += [
                f"{interface}:{','.join(facts.get('addresses', [])) or '-'}"
                for interface, facts in node.get("interfaces", {}).items()
            ]
            parts += [f"cell={node['cell']}"] if node.get("cell") else []
            print(" ".join(parts) + ">")

    def do_inspect(self, line: str) -> None:
        """inspect [NODE]: the lab's state, or a node's with its agents', as JSON"""
        answer = client.request(self._name, "inspect", node=line or None)
        print(json.dumps(answer["state"], indent=2, default=str))

    def do_move(self, line: str) -> None:
        """move NODE CELL: hand a node over to a cell, or to the gateway that serves it"""
        words = line.split()
        if len(words) != 2:
            raise LabError("write: move NODE CELL")
        answer = client.request(self._name, "move", node=words[0], cell=words[1])
        print(f"{words[0]} is in {answer.get('to', words[1])}")

    def do_sh(self, line: str) -> None:
        """sh COMMAND: run a command on this machine, outside the lab"""
        sys.stdout.flush()
        self.code = subprocess.run(["sh", "-c", line], check=False).returncode

    def do_exit(self, line: str) -> bool:
        """exit: leave the console; the lab goes on"""
        return True

    do_quit = do_exit

    def do_EOF(self, line: str) -> bool:
        """End of input: leave."""
        if self._interactive:
            print()
        return True

    def emptyline(self) -> bool:
        """Do nothing (cmd would repeat the last line)."""
        return False

    def default(self, line: str) -> None:
        """NODE COMMAND..."""
        node, *words = shlex.split(line)
        nodes = self._state()["nodes"]
        if node not in nodes:
            known = [name.removeprefix("do_") for name in self.get_names() if name.startswith("do_")]
            raise LabError(unknown("node or command", node, [*nodes, *known]))
        if not words:
            raise LabError(f"write: {node} COMMAND...")
        self.code = self._run(node, with_addresses(words, nodes))

    def onecmd(self, line: str) -> bool:
        """One line; a mistake is one line too and does not end the console."""
        self.code = 0
        text = line.partition("#")[0] if not self._interactive else line
        try:
            return super().onecmd(text.strip() if text else line)
        except (LabError, ValueError, OSError) as error:
            print(f"roamlab: {error}", file=sys.stderr)
            self.code = FAILED
            return False

    def completenames(self, text: str, *ignored: Any) -> list[str]:
        """Verbs and nodes."""
        return super().completenames(text) + [n for n in self._state()["nodes"] if n.startswith(text)]

    def completedefault(self, text: str, *ignored: Any) -> list[str]:
        """Nodes and cells, anywhere in a line."""
        state = self._state()
        return [name for name in [*state["nodes"], *state.get("cells", {})] if name.startswith(text)]

    def _state(self) -> dict[str, Any]:
        state: dict[str, Any] = client.request(self._name, "inspect", node=None)["state"]
        return state

    def _run(self, node: str, argv: list[str]) -> int:
        if self._interactive:
            return client.execute(self._name, node, argv)
        with Path(os.devnull).open() as nothing:  # the rest of our input is for us, not for the command
            return client.execute(self._name, node, argv, stdin=nothing.fileno())


def with_addresses(words: list[str], nodes: dict[str, Any]) -> list[str]:
    """Words with node names replaced by addresses; in brackets where a URL names the node as its host."""

    def host(match: re.Match[str]) -> str:
        address = address_of(nodes.get(match[1], {}))
        return match[0] if address is None else f"[{address}]" if ":" in address else address

    return [address_of(nodes.get(word, {})) or _URL_HOST.sub(host, word) for word in words]


def address_of(node: dict[str, Any]) -> str | None:
    """The address a person means by a node's name: a preferred global one, IPv6 first; None if it has none."""
    found: list[tuple[int, int, str]] = []
    for interface in node.get("interfaces", {}).values():
        preferred = interface.get("preferred")
        for text in interface.get("addresses", []):
            address = text.partition("/")[0]
            if address.lower().startswith(("fe80:", "::1", "127.")):
                continue
            old = preferred is not None and address not in [each.partition("/")[0] for each in preferred]
            found.append((int(old), int(":" not in address), address))
    return min(found, key=lambda each: each[:2])[2] if found else None


@click.command()
@click.argument("lab", required=False)
@lab_flag
def console(lab: str | None, topology: str | None) -> int:
    """Mininet's prompt for a running lab: nodes, net, links, dump, move mn1 cell2, mn1 ping -c1 cn1."""
    interactive = sys.stdin.isatty()
    prompt = Console(client.find(lab or topology), interactive)
    prompt._state()  # an error about the lab itself comes before the first prompt
    if interactive:
        _with_history(prompt.cmdloop)
    else:
        prompt.cmdloop()
    return 0 if interactive else prompt.code


def _with_history(loop: Callable[[], None]) -> None:
    if _HISTORY.exists():
        readline.read_history_file(_HISTORY)
    try:
        loop()
    finally:
        readline.write_history_file(_HISTORY)
