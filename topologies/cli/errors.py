"""A user's mistake is one line with what to do: exit 2 for usage, 1 for a failed check or run."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

from testbed.validation import LabError

USAGE = 2
FAILED = 1
INTERRUPTED = 130


class Failure(click.ClickException):
    """The command was right and its work failed; the message is one line."""

    exit_code = FAILED


class Mistake(click.ClickException):
    """What the command line asks for cannot be; the message is one line and says what can."""

    exit_code = USAGE


def guarded(work: Callable[[], int | None], debug: bool = False, report: Callable[[str], None] | None = None) -> int:
    """Do `work`; its exit code. Every expected error becomes one line on stderr, or given to `report`.

    With `debug` it is raised instead, for its traceback.
    """
    say = report or _say
    try:
        with reader_may_leave():
            return work() or 0
        return 0
    except (click.exceptions.Abort, KeyboardInterrupt):
        say("interrupted")
        return INTERRUPTED
    except (click.ClickException, LabError, OSError) as error:
        if debug:
            raise
        say(_line(error))
        return error.exit_code if isinstance(error, click.ClickException) else FAILED


@contextmanager
def reader_may_leave() -> Iterator[None]:
    """End the body when the reader of our output has seen enough (`| head`), and print to nobody from then on."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def printable() -> None:
    """Let a character that the terminal's encoding lacks become a question mark, not the end of the program."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _line(error: Exception) -> str:
    if isinstance(error, click.UsageError):
        text = error.format_message()
        return f"{text} Try: roamlab {_verb(error)}--help" if error.ctx is not None else text
    if isinstance(error, click.ClickException):
        return error.format_message()
    if isinstance(error, OSError):
        what = error.strerror or str(error)
        return f"{error.filename}: {what}" if error.filename else what
    return str(error)


def _verb(error: click.UsageError) -> str:
    words = error.ctx.command_path.split()[1:] if error.ctx else []
    return " ".join([*words, ""]) if words else ""


def _say(text: str) -> None:
    print(f"roamlab: {' '.join(text.split())}", file=sys.stderr)
