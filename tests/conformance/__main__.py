"""`python -m conformance FILE...`: take over results noted elsewhere, in a virtual machine, and write the pages.

A lane of these files replaces the one noted here before; what several files say of one lane belongs together.
"""

from __future__ import annotations

import sys
from pathlib import Path

from conformance import results
from conformance.plugin import write_pages


def main(files: list[Path]) -> None:
    """Merge and write."""
    brought: results.Results = {}
    for path in files:
        for name, lane in results.load(path).items():
            brought.setdefault(name, results.Lane(lane.kernel, lane.date)).proofs.update(lane.proofs)
    found = results.load() | brought
    results.save(found)
    write_pages(found)


if __name__ == "__main__":
    main([Path(name) for name in sys.argv[1:]])
