"""Verbs about a running lab: deploy, destroy, inspect, move."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from testbed import client, labsocket, sandbox
from testbed.labsocket import LabName
from testbed.validation import LabError
from topologies.cli import rundirs
from topologies.cli.errors import Failure
from topologies.cli.inside import command
from topologies.cli.options import (
    configure,
    dry_run_flag,
    format_flag,
    gather,
    lab_flag,
    lab_options,
    load_lab,
    node_flag,
    one_lab,
    print_json,
    run_dir_flag,
    screen,
    words_of,
    yes_flag,
)
from topologies.cli.progress import Steps

_GONE_WITHIN = 10.0  # seconds from the supervisor's farewell to the end of its name


@click.command()
@click.argument("lab", required=False)
@lab_flag
@lab_options
@run_dir_flag
@format_flag
@dry_run_flag
def deploy(
    lab: str | None,
    topology: str | None,
    mode: str | None,
    tunnel: str | None,
    ra_profile: str | None,
    pairs: tuple[str, ...],
    run_dir: Path | None,
    form: str,
    dry_run: bool,
) -> None:
    """Start a lab and leave it running until `roamlab destroy`."""
    name = one_lab(lab, topology)
    wanted = load_lab(name)
    values, options = configure(wanted, gather(pairs, mode=mode, tunnel=tunnel, ra_profile=ra_profile))
    if dry_run:
        click.echo(f"{wanted.name}: {wanted.title}; {words_of(options)}; nothing was started")
        return
    with labsocket.listen(wanted.name) as door:
        directory = rundirs.choose(wanted.name, run_dir)
        job = {
            "job": "deploy",
            "lab": str(Path(name).absolute()) if Path(name).is_file() else name,
            "options": values,
            "directory": str(directory),
            "door": door.fileno(),
        }
        _start(job, wanted.name, directory)
    if form == "json":
        print_json({"lab": wanted.name, "directory": str(directory)})
    else:
        click.echo(f"{wanted.name} is running; its run directory: {directory}")
        click.echo(f"next: roamlab inspect · roamlab console · roamlab events -f · roamlab destroy {wanted.name}")


@click.command()
@click.argument("labs", nargs=-1, metavar="[LAB]...")
@click.option("-t", "--topology", "more", multiple=True, metavar="LAB", help="Lab name.")
@click.option("-a", "--all", "everything", is_flag=True, help="Every running lab.")
@yes_flag
def destroy(labs: tuple[str, ...], more: tuple[str, ...], everything: bool, yes: bool) -> None:
    """Stop a running lab [the only one]; its run directory stays."""
    if everything:
        names = labsocket.running()
        if names and not yes:
            click.confirm("destroy " + ", ".join(name.lab for name in names) + "?", abort=True)
    else:
        names = [client.find(lab) for lab in (*labs, *more)] or [client.find(None)]
    for name in names:
        client.request(name, "destroy")
        _wait_gone(name)
        click.echo(f"{name.lab} is destroyed")


@click.command()
@click.argument("lab", required=False)
@lab_flag
@node_flag
@format_flag
def inspect(lab: str | None, topology: str | None, node: str | None, form: str) -> None:
    """Show the running labs, one lab, or one node with the state of its agents."""
    chosen = lab or topology
    if chosen is None and node is None and len(labsocket.running()) != 1:
        _list_running(form)
        return
    state = client.request(client.find(chosen), "inspect", node=node)["state"]
    if form == "json" or node is not None:
        click.echo(json.dumps(state, indent=2, default=str))
    else:
        _show_state(state)


@click.command()
@click.argument("node")
@click.argument("cell")
@lab_flag
def move(node: str, cell: str, topology: str | None) -> None:
    """Hand NODE over to CELL (a cell, or the gateway that serves it)."""
    answer = client.request(client.find(topology), "move", node=node, cell=cell)
    click.echo(f"{node} is in {answer.get('to', cell)}")


def _start(job: dict[str, Any], label: str, directory: Path) -> None:
    """Start the supervisor in its sandbox and follow it until the lab stands; Failure with its reason otherwise."""
    reading, writing = os.pipe()
    with (directory / "supervisor.log").open("wb") as log:
        process = subprocess.Popen(
            sandbox.command(command({**job, "progress": writing})),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=[writing, job["door"]],
            start_new_session=True,
            cwd="/",
        )
    os.close(writing)
    try:
        outcome = _follow(reading, Steps(label))
    except KeyboardInterrupt:
        process.kill()  # the sandbox takes everything with it
        process.wait()
        raise
    if "ready" not in outcome:
        process.wait()
        raise Failure(outcome.get("error") or _last_line(directory / "supervisor.log"))


def _follow(pipe: int, steps: Steps) -> dict[str, Any]:
    with os.fdopen(pipe, encoding="utf-8") as lines:
        for line in lines:
            message: dict[str, Any] = json.loads(line)
            if "step" not in message:
                return message
            steps(message["step"])
    return {}


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    last = lines[-1].removeprefix("roamlab: ") if lines else "its supervisor said nothing"
    return f"the lab did not start: {last} (see {log})"


def _wait_gone(name: LabName) -> None:
    limit = time.monotonic() + _GONE_WITHIN
    while name in labsocket.running():
        if time.monotonic() > limit:
            raise LabError(f"lab {name.lab} said good-bye but still runs after {_GONE_WITHIN:.0f} s")
        time.sleep(0.01)


def _list_running(form: str) -> None:
    names = labsocket.running()
    if form == "json":
        print_json([{"lab": name.lab, "uid": name.uid} for name in names])
    elif not names:
        click.echo("no lab is running: roamlab deploy LAB")
    else:
        for name in names:
            click.echo(f"{name.lab} (user {name.uid})")


def _show_state(state: dict[str, Any]) -> None:
    table = Table(title=f"{state['lab']}: {state['title']}", title_justify="left")
    for column in ("node", "role", "cell or nodes in it", "interface", "addresses", "agents"):
        table.add_column(column, overflow="fold")
    cells = state.get("cells", {})
    for name, node in state["nodes"].items():
        where = node.get("cell") or " ".join(cells.get(name, {}).get("members", []))
        first = (name, str(node["role"]), where)
        agents = " ".join(node["agents"])
        interfaces = {key: facts["addresses"] for key, facts in node["interfaces"].items() if facts["addresses"]}
        for interface, addresses in (interfaces or {"": []}).items():
            table.add_row(*first, interface, "\n".join(addresses), agents)
            first, agents = ("", "", ""), ""
    screen().print(table)
    click.echo(f"run directory: {state['directory']}")


COMMANDS = (deploy, destroy, inspect, move)
