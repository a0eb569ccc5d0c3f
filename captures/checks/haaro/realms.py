"""Check "haaro-realms": addresses that are there twice mean those of the sender's realm.

Sources: RFC 6521 §3.1.1, §3.3.2; spec HAARO HA-20, MR-5, §11 S23.
"""

from __future__ import annotations

from collections import Counter

from captures.checks.base import Result, Tally, check, plural
from captures.checks.haaro.tunnels import direct
from captures.haaro.operator import MobileRouter, Operator
from captures.haaro.series import of
from captures.ip import Address
from captures.run import Run


@check("haaro-realms")
def haaro_realms(run: Run, scenario: str = "") -> list[Result]:
    """Judge where packets of overlapping networks arrive; `scenario`: what of the sheet it shows."""
    operator = run.haaro
    assert operator
    return [_apart(operator, scenario), _tunnels(operator)]


def _apart(operator: Operator, scenario: str) -> Result:
    tally = Tally(
        "haaro-realms.apart",
        "HA-20, HA-16" + (f", {scenario}" if scenario else ""),
        "A packet for an address of several realms arrives in its sender's",
        "every request at the host of the sender's realm, none at its namesake; replies likewise",
    )
    hosts = {one.host: one for one in operator.routers.values()}
    addresses: Counter[Address] = Counter(one.host_address for one in hosts.values())
    texts = []
    for ping in operator.pings:
        if max(addresses[ping.source], addresses[ping.destination]) < 2:
            continue
        asked = of(operator.frames(ping.node, "eth0"), ping, "request")
        arrived = of(operator.frames(ping.peer, "eth0"), ping, "request")
        if not asked:
            continue
        tally.see(asked[0], *arrived)
        tally.demand(len(arrived) == len(asked), f"{ping.name}: {plural(len(arrived), 'request')}")
        for name in hosts:
            if name not in (ping.node, ping.peer):
                strayed = of(operator.frames(name, "eth0"), ping)
                tally.demand(not strayed, f"{ping.name}: {plural(len(strayed), 'packet')} at {name}", *strayed[:1])
        texts.append(f"{ping.name}: {len(arrived)} at {ping.peer}")
    return tally.result("; ".join(texts), "no pings between networks that overlap")


def _tunnels(operator: Operator) -> Result:
    tally = Tally(
        "haaro-realms.tunnels",
        "MR-5",
        "Routers optimise within their realm only",
        "no direct packet between routers whose networks have no realm in common",
    )
    for pair, frames in direct(operator).items():
        one, other = (operator.routers[name] for name in pair)
        tally.see(*(frame for _router, frame in frames))
        common = bool(_realms(one) & _realms(other))
        tally.demand(common, f"{' and '.join(pair)} share no realm", frames[0][1])
    return tally.result(f"{plural(len(tally.seen), 'direct packet')}, none across realms", "nothing went directly")


def _realms(router: MobileRouter) -> set[str]:
    return {realm for _prefix, realm in router.networks}
