"""Check "haaro-change": a router comes to another line: whom it tells in which order, and what the change cost.

Sources: RFC 6521 §3.3.6, §8.3; spec HAARO 7.1, 7.2, RR-8, MR-22, CR-19.
"""

from __future__ import annotations

from itertools import pairwise

from captures.checks.base import Result, Tally, check, milliseconds
from captures.haaro.exchanges import Registration, registrations, tests
from captures.haaro.operator import MobileRouter, Operator
from captures.haaro.records import Frame
from captures.haaro.series import directly, of, resumed
from captures.run import Run

FAILURES = ("line-cut", "line-silenced")
"""What the script calls the failure of a line that the router sees, and of one that it does not."""


@check("haaro-change")
def haaro_change(
    run: Run,
    router: str,
    interface: str,
    stream: str = "",
    bound_ms: float = 500.0,
    scenario: str = "",
    failover_ms: float | None = None,
) -> list[Result]:
    """Judge a router's change to a line.

    `stream`: the series of pings that ran meanwhile; `bound_ms`: its longest silence; `scenario` of the sheet;
    `failover_ms`: from the line's failure to the first ping that is answered by the other line.
    """
    operator = run.haaro
    assert operator
    one = operator.routers[router]
    found = [each for each in registrations(operator) if each.router is one]
    new = [each for each in found if each.asked.interface == interface and each.request.lifetime]
    results = [_order(operator, one, new, interface), _outage(operator, one, stream, bound_ms, interface, scenario)]
    if failover_ms is not None:
        results.append(_failover(operator, one, stream, failover_ms, interface, scenario))
    return results


def _order(operator: Operator, router: MobileRouter, new: list[Registration], interface: str) -> Result:
    tally = Tally(
        "haaro-change.order",
        "HOV-1, HOV-2, RR-8, MR-22, CR-19",
        f"{router.name} tells the home agent where it is, then its peers",
        f"by {interface}: accepted by the home agent, CoTI from the new address without HoTI (the home token lives), "
        "request to the peer, its first direct packet",
    )
    home = next((each for each in new if each.peer is None and each.reply and each.reply.code == 0), None)
    if home is None or home.answer is None:
        tally.missing = f"no accepted registration by {interface}"
        return tally.result()
    tally.see(home.asked, home.answer)
    peers = {
        each.peer.name: each for each in reversed(new) if each.peer and each.reply and each.reply.code in (0, 1, 2)
    }
    tally.demand(bool(peers), f"no peer accepted {router.name} at its new address")
    address = next(line.address for line in router.lines if line.interface == interface)
    for name, each in peers.items():
        tally.see(each.asked)
        tally.demand(each.asked.time > home.answer.time, f"{name} was told before the home agent", each.asked)
        proofs = [
            test
            for test in tests(operator)
            if test.router is router and test.peer is each.peer and home.asked.time <= test.asked.time < each.asked.time
        ]
        careofs = [test for test in proofs if test.kind == "CoTI" and test.asked.inner.source == address]
        tally.demand(bool(careofs), f"no CoTI to {name} from {address}", each.asked)
        tally.see(*(test.asked for test in careofs))
        for test in proofs:
            tally.demand(test.kind != "HoTI", f"a HoTI to {name}, though the home token lives", test.asked)
        straight = [
            one
            for one in operator.sent(router)
            if one.interface == interface and operator.owner(one.outer.destination) is each.peer
        ]
        tally.see(*straight[:1])
        begun = min((one.time for one in _from(operator, router, each.peer, interface)), default=each.asked.time)
        early = bool(straight) and straight[0].time < min(begun, each.asked.time)
        tally.demand(bool(straight) and not early, f"direct packets to {name} before its registration", *straight[:1])
    took = max((each.answer.time for each in peers.values() if each.answer), default=0.0) - home.asked.time
    return tally.result(f"home agent, then {', '.join(peers)}, {milliseconds(took)} in all")


def _from(operator: Operator, router: MobileRouter, peer: MobileRouter | None, interface: str) -> list[Frame]:
    """What a peer itself sent to the router's new address, which it was told of before."""
    received = [one for one in operator.received(router) if one.interface == interface]
    return [one for one in received if operator.owner(one.outer.source) is peer]


def _outage(
    operator: Operator, router: MobileRouter, stream: str, bound_ms: float, interface: str, scenario: str
) -> Result:
    tally = Tally(
        "haaro-change.outage",
        "HOV-1, HOV-2" + (f", {scenario}" if scenario else ""),
        "Traffic goes on by the other line",
        f"no silence of more than {bound_ms:g} ms at the pinging host; at the end directly, by {interface}",
    )
    ping = next((one for one in operator.pings if one.name == stream), None)
    if ping is None:
        return tally.result(nothing="no pings during the change")
    frames = operator.frames(ping.node, "eth0")
    sent, back = of(frames, ping, "request"), of(frames, ping, "reply")
    tally.see(*sent[:1], *back)
    if not sent or not back:
        tally.demand(not sent, "nothing came back")
        return tally.result(nothing="no ping of the change is in the captures")
    times = [sent[0].time, *(one.time for one in back), sent[-1].time]
    gap = max(later - earlier for earlier, later in pairwise(times))
    tally.demand(gap * 1000 <= bound_ms, f"silent for {milliseconds(gap)}", back[0])
    straight = [one for one in directly(operator, ping) if one.node == router.name]
    tally.demand(bool(straight) and straight[-1].interface == interface, "the last did not go directly", *straight[-1:])
    lost = len({one.echo[2] for one in sent if one.echo} - {one.echo[2] for one in back if one.echo})
    return tally.result(f"{lost} of {len(sent)} pings lost, longest silence {milliseconds(gap)}")


def _failover(
    operator: Operator, router: MobileRouter, stream: str, bound_ms: float, interface: str, scenario: str
) -> Result:
    tally = Tally(
        "haaro-change.failover",
        "HOV-2, TUN-11" + (f", {scenario}" if scenario else ""),
        "From the failure of a line to traffic on the other",
        f"a ping sent after it is answered within {bound_ms:g} ms, by {interface}",
    )
    ping = next((one for one in operator.pings if one.name == stream), None)
    failures = [one for name in FAILURES for one in operator.said(router.name, name)]
    if ping is None or not failures:
        return tally.result(nothing="no line failed" if ping else "no pings during the change")
    failed = failures[0]["t"]
    back = resumed(operator, ping, router, interface, failed)
    if back is None:
        sent = [one for one in of(operator.frames(ping.node, "eth0"), ping, "request") if one.time > failed]
        tally.demand(not sent, f"no ping sent after it was answered by {interface}", *sent[:1])
        return tally.result(nothing="no ping was sent after it")
    tally.see(back)
    took = back.time - failed
    tally.demand(took * 1000 <= bound_ms, f"after {milliseconds(took)}", back)
    return tally.result(f"after {milliseconds(took)}")
