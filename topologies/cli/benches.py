"""Finds the measurements in topologies/bench and prints their figures."""

from __future__ import annotations

import ast
import importlib
import inspect
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from topologies.cli.options import screen

_DIRECTORY = Path(__file__).resolve().parents[1] / "bench"


def names() -> list[str]:
    """Every bench: a module with run(progress) -> dict."""
    found = (path for path in _DIRECTORY.glob("*.py") if "\ndef run(" in path.read_text(encoding="utf-8"))
    return sorted(path.stem.replace("_", "-") for path in found)


def summary(name: str) -> str:
    """First line of the module's docstring, read without importing it."""
    tree = ast.parse((_DIRECTORY / f"{_module(name)}.py").read_text(encoding="utf-8"))
    return (ast.get_docstring(tree) or "").partition("\n")[0]


def settings(name: str) -> list[str]:
    """What can be set besides: the keyword arguments of the bench's run()."""
    run = importlib.import_module(f"topologies.bench.{_module(name)}").run
    return [each.name for each in inspect.signature(run).parameters.values() if each.kind is each.KEYWORD_ONLY]


def measure(name: str, form: str, progress: Callable[[str], None], settings: Mapping[str, Any]) -> int:
    """Run one bench in this process and print it; what misses its goal is in the output, not in the exit code."""
    result: dict[str, Any] = importlib.import_module(f"topologies.bench.{_module(name)}").run(progress, **settings)
    if "figures" not in result:
        result = {"bench": name, "figures": result}
    if form == "json":
        click.echo(json.dumps(result))
    else:
        screen().print(_table(name, result["figures"]))
    return 0


def _module(name: str) -> str:
    """Modules are named like benches, with _ for -."""
    return name.replace("-", "_")


def _table(name: str, figures: dict[str, dict[str, Any]]) -> Table:
    table = Table("figure", "value", "goal", "met", "anchor", "ratio", title=f"bench {name}", title_justify="left")
    for figure, facts in figures.items():
        met = {True: "yes", False: "NO", None: ""}[facts.get("met")]
        value = f"{_number(facts.get('value'))} {facts.get('unit') or ''}".strip()
        row = (value, _number(facts.get("goal")), met, _number(facts.get("anchor")), _number(facts.get("ratio")))
        table.add_row(figure, *row)
    return table


def _number(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
