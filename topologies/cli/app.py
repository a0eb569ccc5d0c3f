"""The roamlab command: its verbs, and how mistakes are answered."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from testbed import signals
from testbed.validation import unknown
from topologies.cli import (
    compare,
    completion,
    console,
    deployed,
    doctor,
    labs,
    observe,
    play,
    processes,
    quality,
)
from topologies.cli.errors import USAGE, Mistake, guarded, printable

_ORDER = [
    *("doctor", "labs", "demo"),
    *("deploy", "inspect", "graph", "exec", "shell", "console", "capture", "events", "move", "destroy"),
    *("check", "report", "compare", "validate", "test", "bench", "setup", "completion"),
]


class Verbs(click.Group):
    """Verbs in the order a newcomer meets them, with a hint for a mistyped one."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Order of the help page."""
        return [name for name in _ORDER if name in self.commands]

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, but an unknown verb is answered with the nearest one."""
        if args and args[0] not in self.commands and not args[0].startswith("-"):
            raise Mistake(unknown("verb", args[0], self.commands))
        return super().resolve_command(ctx, args)


@click.group(
    cls=Verbs,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option("-d", "--debug", is_flag=True, help="Show tracebacks instead of one-line errors.")
@click.pass_context
def roamlab(ctx: click.Context, debug: bool) -> int:
    """IP-mobility labs on real Linux network stacks, with proof on the wire.

    Start with: sudo ./roamlab demo ietf83
    """
    ctx.obj = {"debug": debug}
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help(), err=True)
        return USAGE
    return 0


@click.command()
def setup() -> None:
    """Install what is missing (done by ./roamlab itself): sudo ./roamlab setup."""
    click.echo("roamlab: set up; `sudo ./roamlab setup` installs what packages.apt and requirements.lock name")


for _module in (labs, play, compare, deployed, processes, observe, quality):
    for _command in _module.COMMANDS:
        roamlab.add_command(_command)
for _command in (doctor.doctor, console.console, completion.completion, setup):
    roamlab.add_command(_command)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line; its exit code: 0, 1 failed, 2 usage, 130 interrupted."""
    signals.interruptible()
    printable()
    words = list(sys.argv[1:] if arguments is None else arguments)
    words, debug = _take_debug(words)

    def work() -> int | None:
        result = roamlab.main(args=words, prog_name="roamlab", standalone_mode=False)
        return result if isinstance(result, int) else None

    return guarded(work, debug)


def _take_debug(words: list[str]) -> tuple[list[str], bool]:
    """-d is understood after the verb as well, up to a command's own words."""
    end = words.index("--") if "--" in words else len(words)
    if words[:1] and words[0] in ("exec", "shell", "test"):
        end = 1
    ours = [word for word in words[:end] if word not in ("-d", "--debug")]
    debug = len(ours) < end
    return (["--debug"] if debug else []) + ours + words[end:], debug
