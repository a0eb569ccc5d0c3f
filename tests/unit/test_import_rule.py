"""The rooms import each other only as docs/architecture.md allows, and never another's private module."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = {
    "testbed": {"testbed"},
    "agents": {"agents"},
    "captures": {"captures"},
    "topologies": {"topologies", "testbed", "agents", "captures"},
}
HEAVY_FOR_AGENTS = {"scapy", "mininet", "click", "rich", "jinja2"}


def sources(room: str) -> list[Path]:
    return sorted((ROOT / room).rglob("*.py"))


def imported(path: Path, room: str) -> Iterator[tuple[int, str]]:
    """(line, dotted name) of everything a file imports, wherever in the file it does."""
    package = path.relative_to(ROOT).parent.parts
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            stem = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                yield node.lineno, f"{stem}.{alias.name}"


def violations(path: Path, room: str) -> list[str]:
    found = []
    here = path.relative_to(ROOT).parent.parts
    for line, name in imported(path, room):
        parts = name.split(".")
        where = f"{path.relative_to(ROOT)}:{line} imports {name}"
        if parts[0] in ROOMS and parts[0] not in ROOMS[room]:
            found.append(f"{where}: {room} must not know {parts[0]}")
        if room == "agents" and parts[0] in HEAVY_FOR_AGENTS:
            found.append(f"{where}: agents import little")
        if parts[0] in ROOMS:
            for index, part in enumerate(parts):
                if part.startswith("_") and not part.startswith("__") and tuple(parts[:index]) != here[:index]:
                    found.append(f"{where}: private to {'.'.join(parts[:index])}")
    return found


@pytest.mark.parametrize("room", ROOMS)
def test_room_imports_only_what_it_may(room: str) -> None:
    files = sources(room)
    assert files, f"no source in {room}: this check would see nothing"
    assert [line for path in files for line in violations(path, room)] == []


@pytest.mark.parametrize(
    ("room", "line", "reason"),
    [
        ("testbed", "from agents.wire import mh", "must not know agents"),
        ("agents", "import captures.verdict", "must not know captures"),
        ("agents", "def late():\n    from testbed import sandbox", "must not know testbed"),
        ("agents", "import scapy.all", "import little"),
        ("topologies", "from testbed.nodes import _Shell", "private to testbed.nodes"),
        ("topologies", "from captures._decode import x", "private to captures"),
    ],
)
def test_the_rule_sees_a_breach(
    room: str, line: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    path = tmp_path / room / "module.py"
    path.parent.mkdir()
    path.write_text(line)
    assert any(reason in each for each in violations(path, room))
