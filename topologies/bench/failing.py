"""Lines of a HAARO site that fail, seen by the router or only by its keepalives, and that come back; from captures."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

from captures.haaro.operator import Operator
from captures.haaro.series import of, resumed
from testbed.validation import LabError
from topologies.bench.figures import Figure, at_most
from topologies.bench.operators import played, series
from topologies.haaro import waiting
from topologies.haaro.faults import cut, heal, mend, silence
from topologies.haaro.haaro_multihome import KEEPALIVE, OUTAGE_MS, PAIRS, MultihomeLab
from topologies.haaro.streams import until_direct
from topologies.pings import Series
from topologies.runner import Run

SILENCES, CUTS = 4, 3
"""How often each kind of failure happens; a silence comes at another moment between two keepalives each time."""
INTERVAL = 0.02
LINES = ("isp1", "isp2")


class _Failures(MultihomeLab):
    """C's lines fail in turn while a and c talk."""

    def script(self, run: Run, options: Any) -> None:
        """Silences first, which leave the router where it was; then cuts, after which it comes back by itself."""
        a, c = self.plan(options).sites
        addresses = {line.interface: line.address for line in c.lines}
        waiting.registered(run, [a.router, c.router])
        waiting.rested(run)

        def around(name: str, what: Callable[[], None], to: str) -> None:
            stream = Series(run, name, "a", a.host, "c", c.host, interval=INTERVAL)
            what()
            waiting.moved(run, c.router, addresses[to])
            waiting.direct(run, [(one, other) for one, other in PAIRS], by=addresses[to])
            stream.go_on()
            stream.end(via="")

        until_direct(run, "first", a, c, interval=INTERVAL)
        for number in range(SILENCES):
            here, there = LINES[number % 2], LINES[1 - number % 2]
            time.sleep(KEEPALIVE * number / SILENCES)
            around(f"silent-{number}", lambda here=here: silence(run, c.router, here), there)  # type: ignore[misc]
            heal(run, c.router, here)
        for number in range(CUTS):
            around(f"cut-{number}", lambda: cut(run, c.router, LINES[0]), LINES[1])
            around(f"back-{number}", lambda: mend(run, c.router, LINES[0]), LINES[0])


def failing(progress: Callable[[str], None]) -> dict[str, Figure]:
    """From a line's failure to traffic on the other, worst of some, ms; and what a return while both work costs."""
    progress("lines that fail")
    return played(_Failures(), _figures)


def _figures(operator: Operator) -> dict[str, Figure]:
    silent = [_took(operator, f"silent-{n}", "line-silenced", n, LINES[1 - n % 2]) for n in range(SILENCES)]
    cuts = [_took(operator, f"cut-{n}", "line-cut", n, LINES[1]) for n in range(CUTS)]
    backs = [_silence(operator, f"back-{n}") for n in range(CUTS)]
    three = 3 * KEEPALIVE * 1000
    return {
        "failover_silent": at_most(max(silent), "ms", OUTAGE_MS, anchor=three, ratio=max(silent) / three),
        "failover_cut": at_most(max(cuts), "ms", OUTAGE_MS, anchor=three, ratio=max(cuts) / three),
        "smooth_lost": at_most(sum(lost for lost, _gap in backs), "pings", 0),
        "smooth_silence": Figure(max(gap for _lost, gap in backs), "ms"),
    }


def _took(operator: Operator, name: str, failure: str, number: int, line: str) -> float:
    """From a failure to the first answer by the other line, ms (LabError when none came)."""
    failed = float(operator.said("mrc", failure)[number]["t"])
    back = resumed(operator, series(operator, name), operator.routers["mrc"], line, failed)
    if back is None:
        raise LabError(f"{name}: nothing came back by {line}")
    return (back.time - failed) * 1000


def _silence(operator: Operator, name: str) -> tuple[int, float]:
    """Pings lost, and the longest time without an answer, ms."""
    ping = series(operator, name)
    frames = operator.frames(ping.node, "eth0")
    sent, back = of(frames, ping, "request"), of(frames, ping, "reply")
    lost = {one.echo[2] for one in sent if one.echo} - {one.echo[2] for one in back if one.echo}
    return len(lost), max((later.time - earlier.time for earlier, later in pairwise(back)), default=0.0) * 1000
