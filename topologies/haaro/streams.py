"""Pings between sites that find the direct path meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from topologies.haaro import waiting
from topologies.pings import Series

if TYPE_CHECKING:
    from topologies.haaro.plan import Site
    from topologies.runner import Run


def until_direct(
    run: Run, name: str, one: Site, other: Site, *, interval: float = 0.01, via: str = "mixed", **more: Any
) -> None:
    """A site's host pings another's until both routers send directly, however long that takes, and some times then."""
    series = Series(run, name, one.letter, one.host, other.letter, other.host, interval=interval)
    waiting.direct(run, [(one.router, other.router), (other.router, one.router)])
    series.go_on()
    series.end(via=via, **more)
