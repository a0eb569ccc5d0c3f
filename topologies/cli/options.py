"""Options that several verbs share, and how a lab's own options are read from the command line."""

from __future__ import annotations

import dataclasses
import json
import sys
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from rich.console import Console

from testbed.validation import LabError
from topologies.cli.errors import Mistake

if TYPE_CHECKING:
    from topologies.lab import Lab

_PIPE_WIDTH = 160  # columns of a table that goes to a file or a program


class _Screen(Console):
    def on_broken_pipe(self) -> None:
        """Leave what it means to who prints; rich itself would end the program with exit code 1."""
        raise BrokenPipeError


Verb = TypeVar("Verb", bound=Callable[..., Any])

lab_flag = click.option("-t", "--topology", "topology", metavar="LAB", help="Lab name, or a lab file.")
node_flag = click.option("-n", "--node", metavar="NODE", help="Node name.")
format_flag = click.option(
    "-f", "--format", "form", type=click.Choice(["table", "json"]), default="table", help="Output format."
)
run_dir_flag = click.option(
    "--run-dir",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Where the run is written [runs/<lab>-<time>].",
)
dry_run_flag = click.option("--dry-run", is_flag=True, help="Check everything, say what would be done, do nothing.")
yes_flag = click.option("-y", "--yes", is_flag=True, help="Do not ask.")


def lab_options(verb: Verb) -> Verb:
    """Add the flags that set a lab's options; the verb gets them as one mapping, `settings`."""
    flags = (
        click.option("--mode", help="Signalling: direct, relay, locator or proxy; some labs: classic."),
        click.option("--tunnel", help="auto, seg6 or ip6tnl."),
        click.option("--ra-profile", "ra_profile", help="How RAs treat a prefix anchored elsewhere."),
        click.option("--set", "pairs", multiple=True, metavar="KEY=VALUE", help="Any option of the lab; repeatable."),
    )
    for flag in reversed(flags):
        verb = flag(verb)
    return verb


def kernel_flags(verb: Verb) -> Verb:
    """Add --kernel and --virtual-time; the verb gets them as `kernel` and `virtual_time`."""
    flags = (
        click.option(
            "--kernel",
            type=click.Choice(["present", "stock"]),
            default="present",
            show_default=True,
            help="stock: in a virtual machine on Debian's generic kernel.",
        ),
        click.option(
            "--virtual-time",
            is_flag=True,
            help="Its clock counts instructions: slower, but times repeat however busy this machine is.",
        ),
    )
    for flag in reversed(flags):
        verb = flag(verb)
    return verb


def gather(pairs: Sequence[str], **named: str | None) -> dict[str, str]:
    """One mapping of --set pairs and named flags; Mistake for a pair without =."""
    settings = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise Mistake(f"--set {pair}: write KEY=VALUE")
        settings[key.strip().replace("-", "_")] = value
    settings.update({key: value for key, value in named.items() if value is not None})
    return settings


def load_lab(name: str) -> Lab:
    """The lab of that name, or in that file; Mistake otherwise."""
    from topologies import catalog

    try:
        return catalog.load(name)
    except LabError as error:
        raise Mistake(str(error)) from error


def configure(lab: Lab, settings: Mapping[str, str]) -> tuple[dict[str, Any], Any]:
    """A lab's options from the command line's words: as plain values, and as the lab's own dataclass."""
    hints = typing.get_type_hints(lab.options)
    fields = {field.name: field for field in dataclasses.fields(lab.options)}
    try:
        values = {key: _convert(key, text, hints[key]) if key in fields else text for key, text in settings.items()}
        options = lab.configure(**values)
        lab.validate(options)
    except LabError as error:
        raise Mistake(str(error)) from error
    return values, options


def one_lab(argument: str | None, topology: str | None) -> str:
    """The lab a verb is about, given as its argument or by -t."""
    if argument and topology and argument != topology:
        raise Mistake(f"which lab: {argument} or {topology}?")
    name = argument or topology
    if not name:
        raise Mistake("name a lab; `roamlab labs` lists them")
    return name


def words_of(options: Any) -> str:
    """A lab's options as on a command line: mode=relay tunnel=auto."""
    return " ".join(f"{key}={value}" for key, value in dataclasses.asdict(options).items())


def print_json(value: Any) -> None:
    """JSON for programs: one object, indented only for a person."""
    click.echo(json.dumps(value, indent=2 if sys.stdout.isatty() else None, default=str))


def screen(*, to_stderr: bool = False) -> Console:
    """Where tables and progress go."""
    stream = sys.stderr if to_stderr else sys.stdout
    return _Screen(stderr=to_stderr, highlight=False, width=None if stream.isatty() else _PIPE_WIDTH)


def _convert(key: str, text: str, kind: Any) -> Any:
    """`text` as the type the lab's option has; LabError when it is not one."""
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        choices = [each for each in typing.get_args(kind) if each is not type(None)]
        if text.lower() in ("", "none") and len(choices) < len(typing.get_args(kind)):
            return None
        kind = choices[0]
    if kind is bool:
        word = text.lower()
        if word not in ("true", "false", "yes", "no", "on", "off", "1", "0"):
            raise LabError(f"{key}={text}: write true or false")
        return word in ("true", "yes", "on", "1")
    if kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            raise LabError(f"{key}={text}: write {'a whole number' if kind is int else 'a number'}") from None
    return text
