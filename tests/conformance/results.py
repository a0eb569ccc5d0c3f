"""Last results of the tests and checks that cite requirements, kept beside the pages made of them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parents[2] / "docs" / "conformance"
FILE = DOCS / "results.json"


@dataclass
class Proof:
    """All cases of one test, or one check in all variants of one lab, in one run."""

    requirements: list[str] = field(default_factory=list)
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    reason: str = ""
    """Why cases were skipped."""

    def count(self, requirements: Iterable[str], outcome: str, reason: str = "") -> None:
        """Add one case; outcome is "passed", "failed" or "skipped"."""
        self.requirements = sorted({*self.requirements, *requirements})
        setattr(self, outcome, getattr(self, outcome) + 1)
        self.reason = reason or self.reason


@dataclass
class Lane:
    """One kernel's results."""

    kernel: str = ""
    date: str = ""
    proofs: dict[str, Proof] = field(default_factory=dict)
    """By test function ("tests/...::test_x") or check ("lab basic: tunnel.outer")."""


Results = dict[str, Lane]
"""Lanes by name: "present" and "stock"."""


def load(path: Path = FILE) -> Results:
    """The results of the last runs; none yet is an empty one."""
    data: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return {
        name: Lane(lane["kernel"], lane["date"], {key: Proof(**proof) for key, proof in lane["proofs"].items()})
        for name, lane in data.items()
    }


def save(results: Results, path: Path = FILE) -> None:
    """Write results, sorted so that differences are readable."""
    path.parent.mkdir(parents=True, exist_ok=True)
    plain = {name: asdict(lane) for name, lane in sorted(results.items())}
    for lane in plain.values():
        lane["proofs"] = dict(sorted(lane["proofs"].items()))
    path.write_text(json.dumps(plain, indent=1) + "\n")
