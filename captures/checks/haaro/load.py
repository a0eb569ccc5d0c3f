"""Check "haaro-load": what the home agent carries before and after routers found their direct paths.

Sources: RFC 6521 §1, §3.4; spec HAARO §1.1, HA-16, MR-16, §11 S2.
"""

from __future__ import annotations

from captures.aero.link import Ping
from captures.checks.base import Result, Tally, check, plural
from captures.haaro.operator import Operator
from captures.haaro.records import Frame
from captures.haaro.series import of
from captures.run import Run


@check("haaro-load")
def haaro_load(run: Run, scenario: str = "") -> list[Result]:
    """Judge every frame at the home agent's interface while series went directly; `scenario` of the sheet."""
    operator = run.haaro
    assert operator
    tally = Tally(
        "haaro-load.signalling",
        "HA-16, MR-16" + (f", {scenario}" if scenario else ""),
        "The home agent carries data at first, and signalling only while routers send directly",
        "data of hosts before the first direct series; during each nothing but registrations, tests and keepalives, "
        "unless it belongs to another series",
    )
    if not operator.at_home:
        return [tally.result(nothing="nothing passed the home agent")]
    windows = [found for ping in operator.pings if ping.via == "direct" and (found := _window(operator, ping))]
    if not windows:
        return [tally.result(nothing="no series went directly")]
    first = min(begin for begin, _end in windows)
    before = [one for one in operator.at_home if one.time < first and not _signalling(operator, one)]
    tally.see(*before[:1])
    tally.demand(bool(before), "it carried no data before, either")
    others = {ping.identifier for ping in operator.pings if ping.via != "direct"}
    signalling = 0
    for begin, end in windows:
        for frame in operator.at_home:
            if not begin <= frame.time <= end or (frame.echo and frame.echo[1] in others):
                continue
            tally.see(frame)
            what = f"a packet of {frame.inner.source} to {frame.inner.destination}"
            tally.demand(_signalling(operator, frame), what, frame)
            signalling += frame.outer.size
    lasted = sum(end - begin for begin, end in windows)
    text = f"{sum(one.outer.size for one in before)} octets of data before; {signalling} octets of signalling in "
    return [tally.result(f"{text}{lasted:.2f} s of {plural(len(windows), 'direct run')}")]


def _window(operator: Operator, ping: Ping) -> tuple[float, float] | None:
    """From a series' first packet at its host to its last one there."""
    frames = of(operator.frames(ping.node, "eth0"), ping)
    return (frames[0].time, frames[-1].time) if frames else None


def _signalling(operator: Operator, frame: Frame) -> bool:
    """A message, or a keepalive between home address and home agent."""
    ends = {frame.inner.source, frame.inner.destination}
    homes = {router.home_address for router in operator.routers.values()} | {operator.home_agent}
    return frame.message is not None or (frame.echo is not None and ends <= homes)
