"""Verbs that run something in a node: exec, shell."""

from __future__ import annotations

import os

import click

from testbed import client
from topologies.cli.options import lab_flag, node_flag


@click.command("exec", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@lab_flag
@node_flag
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="[NODE] COMMAND...")
@click.pass_context
def exec_(ctx: click.Context, topology: str | None, node: str | None, words: tuple[str, ...]) -> int:
    """Run COMMAND in a node with this terminal; exits with the command's code.

    roamlab exec mn1 ping -c1 2001:db8:f::2
    """
    argv = list(words)
    where = node or (argv.pop(0) if argv else "")
    if argv[:1] == ["--"]:
        argv.pop(0)
    if not where or not argv:
        raise click.UsageError("write: roamlab exec NODE COMMAND...", ctx)
    return client.execute(client.find(topology), where, argv)


@click.command()
@lab_flag
@node_flag
@click.argument("name", required=False, metavar="NODE")
@click.pass_context
def shell(ctx: click.Context, topology: str | None, node: str | None, name: str | None) -> int:
    """Open a shell in a node; exits with its code."""
    where = node or name
    if not where:
        raise click.UsageError("write: roamlab shell NODE", ctx)
    os.environ["PS1"] = f"{where}:\\w# "  # bash without its rc files, so that the prompt says where we are
    return client.execute(client.find(topology), where, ["bash", "--norc", "--noprofile"])


COMMANDS = (exec_, shell)
