"""Two judged runs side by side: hops, latency, octets on core links and in tunnels, handover times."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from captures.pcapng import CaptureError
from captures.reading import read_lab, read_object

Value = float | int | None
Metrics = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Side:
    """One of the runs."""

    directory: str
    lab: str
    title: str
    mode: str | None
    passed: bool


@dataclass(frozen=True, slots=True)
class Row:
    """One figure of both runs; None where a run has none."""

    subject: str
    figure: str
    unit: str
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """What `roamlab compare` shows."""

    runs: tuple[Side, ...]
    rows: tuple[Row, ...]

    def as_json(self) -> dict[str, Any]:
        """{"runs": [...], "rows": [{"subject", "figure", "unit", "values"}]}."""
        return {"runs": [asdict(side) for side in self.runs], "rows": [asdict(row) for row in self.rows]}


def compare(*directories: Path) -> Comparison:
    """Compare judged runs; CaptureError when one has no verdict."""
    labs = [read_lab(directory) for directory in directories]
    verdicts = [_verdict(directory) for directory in directories]
    sides = tuple(
        Side(str(directory), lab["lab"], lab.get("title", ""), (lab.get("domain") or {}).get("mode"), verdict["passed"])
        for directory, lab, verdict in zip(directories, labs, verdicts, strict=True)
    )
    found = [verdict["metrics"] for verdict in verdicts]
    rows = [*_content(found), *_handover(found)]
    return Comparison(sides, tuple(row for row in rows if any(value is not None for value in row.values)))


def _verdict(run: Path) -> dict[str, Any]:
    path = run / "verdict.json"
    if not path.exists():
        raise CaptureError(f"{run} has no {path.name}: `roamlab check {run}` judges a run")
    return read_object(path)


def _content(found: list[Metrics]) -> Iterable[Row]:
    networks = [metrics.get("content", {}) for metrics in found]
    gateways = _union(network.get("handshake_ms_median", {}) for network in networks)
    for gateway in gateways:
        yield _row(
            networks, "hops", f"routers to the cache, asked for at {gateway}", "", partial(_hops, gateway, False)
        )
    for gateway in gateways:
        words = f"routers to the cache, moved to {gateway} meanwhile"
        yield _row(networks, "hops", words, "", partial(_hops, gateway, True))
    for gateway in gateways:
        words = f"TCP handshake at {gateway}, median"
        yield _row(networks, "latency", words, "ms", partial(_figure, ("handshake_ms_median", gateway)))
    for key, subject in (
        ("tunnelled_octets", "tunnelled"),
        ("core_octets", "downloads"),
        ("fill_octets", "cache fill"),
    ):
        for link in _union(network.get(key, {}) for network in networks):
            yield _row(networks, subject, link, "octets", partial(_figure, (key, link)))
        yield _row(networks, subject, "all core links", "octets", partial(_total, key))


def _hops(gateway: str, moved: bool, network: Metrics) -> Value:
    """Routers of the downloads asked for at a gateway, or asked for elsewhere and still running there."""
    hops = [
        one["hops"][gateway]
        for one in network.get("downloads", {}).values()
        if (one["gateway"] != gateway) == moved and one["hops"].get(gateway) is not None
    ]
    return max(hops, default=None)


def _figure(path: tuple[str, ...], metrics: Metrics) -> Value:
    found: Any = metrics
    for key in path:
        found = found.get(key) if found else None
    return None if found is None else float(found) if isinstance(found, float) else int(found)


def _total(key: str, network: Metrics) -> Value:
    return sum(network[key].values()) if key in network else None


def _handover(found: list[Metrics]) -> Iterable[Row]:
    yield _row(found, "handover", "longest silence of any flow", "ms", _longest_gap)
    for key, words in (
        ("l2_to_ra_ms_median", "attachment to Router Advertisement, median"),
        ("pbu_to_pba_ms_median", "update to last acknowledgement, median"),
    ):
        yield _row(found, "handover", words, "ms", partial(_figure, (key,)))


def _longest_gap(metrics: Metrics) -> Value:
    gaps = [gap for moves in metrics.get("gap_ms", {}).values() for gap in moves.values() if gap is not None]
    return max(gaps, default=None)


def _row(found: list[Metrics], subject: str, figure: str, unit: str, value: Callable[[Metrics], Value]) -> Row:
    return Row(subject, figure, unit, tuple(value(one) for one in found))


def _union(parts: Iterable[Iterable[str]]) -> list[str]:
    return list(dict.fromkeys(name for part in parts for name in part))
