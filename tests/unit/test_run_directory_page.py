"""docs/run-directory.md tells every event that a lab writes: whoever reads a run finds it there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WRITTEN = re.compile(r'(?:\b(?:record|log)\(\s*|"event": )"([a-z-]+)"')
NO_EVENT = {"output"}
"""What an agent prints that is none."""


def test_every_event_of_the_lab_is_told() -> None:
    sources = [path for room in ("testbed", "topologies") for path in (ROOT / room).rglob("*.py")]
    written = {name for path in sources for name in WRITTEN.findall(path.read_text(encoding="utf-8"))}
    assert {"step", "pings", "moving"} <= written  # each way of writing one is found
    page = (ROOT / "docs" / "run-directory.md").read_text(encoding="utf-8")
    assert [name for name in sorted(written - NO_EVENT) if f"`{name}`" not in page] == []
