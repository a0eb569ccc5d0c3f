"""The requirements of each family's fact sheet, as tests and checks cite them."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

PLACE = Path(__file__).parent
BINDING = ("MUST", "MUST NOT", "SHOULD", "SHOULD NOT", "MAY", "SCENARIO")
"""Levels that need a proof; a NOTE only explains."""
READING = re.compile(r"(AMB|A)-\d+")
"""How the sheets settled an ambiguity: cited beside requirements, not a requirement of its own."""


@dataclass(frozen=True)
class Requirement:
    """One line of a fact sheet."""

    id: str
    section: str
    """Heading it stands under."""
    level: str
    text: str
    source: str = ""
    note: str = ""
    """"REC" where the level is the sheet's own."""


def families() -> list[str]:
    """Families with a list of requirements."""
    return sorted(path.stem for path in PLACE.glob("*.toml"))


def load(family: str) -> dict[str, Requirement]:
    """A family's requirements in the sheet's order, by id."""
    text = (PLACE / f"{family}.toml").read_text()
    sections = _sections(text)
    return {name: Requirement(name, sections[name], **fields) for name, fields in tomllib.loads(text).items()}


def load_all() -> dict[str, Requirement]:
    """The requirements of all families, by id."""
    return {name: requirement for family in families() for name, requirement in load(family).items()}


def split(text: str) -> list[str]:
    """The ids in a check's `requirement` field: "HO-5, HO-12"."""
    return [part for part in re.split(r"[,\s]+", text) if part]


def _sections(text: str) -> dict[str, str]:
    """The comment above a group of tables is its heading."""
    found: dict[str, str] = {}
    heading = ""
    for line in text.splitlines():
        if line.startswith("# "):
            heading = line[2:]
        elif match := re.fullmatch(r"\[([^\]]+)\]", line):
            found[match[1]] = heading
    return found
