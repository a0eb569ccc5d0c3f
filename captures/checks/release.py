"""Check "release": an anchored prefix without traffic goes while its node stays (spec DEREG-11, RA-15)."""

from __future__ import annotations

from ipaddress import IPv6Network

from captures.checks.base import Framed, Result, Tally, check, plural
from captures.checks.lifecycle import Ending, ended, endings
from captures.records import IpLayer, RouterAdvertisement
from captures.run import Run


@check("release")
def release(run: Run, idle: float, tolerance_ms: float = 400.0) -> list[Result]:
    """An anchored prefix without traffic goes while its node stays ; `idle` in seconds."""
    results = []
    for end in endings(run):
        for anchor in end.stay.previous:
            results += [_told(end, anchor, idle, tolerance_ms / 1000), _farewell(end, anchor)]
    return results


def _told(end: Ending, anchor: str, idle: float, tolerance: float) -> Result:
    run, stay = end.run, end.stay
    direct = run.mode == "direct"
    tally = Tally(
        f"release.signalling.{stay.mobile}.{anchor}",
        "DEREG-11",
        f"{anchor}'s prefix is released when {stay.mobile} does not use it any more",
        f"{idle:g} to {1.5 * idle:g} s after its last packet: PBU {{lifetime 0, that prefix alone}} from {stay.gateway}"
        + (f" to {anchor}" if direct else f" to the CMD, then from the CMD to {anchor} with option 68"),
    )
    address = run.gateways[anchor].address
    prefixes = tuple(run.prefixes.get((stay.mobile, anchor), []))
    first = end.ends(end.serving, address if direct else run.cmd_address)
    chain = first if direct else first[:1] + end.ends(run.cmd_address, address)[:1]
    tally.demand(bool(chain) and (direct or len(chain) == 2), "not everybody was told", *[one.update for one in chain])
    for one in chain:
        tally.see(one.update, *one.answers)
        tally.demand(one.update.prefixes == prefixes, f"HNP {', '.join(map(str, one.update.prefixes))}", one.update)
        ended(tally, [one], run.name_of(one.update.destination))
    wan = run.wan(stay.gateway)
    used = [p for p in (wan.packets if wan else []) if p.tunnelled and _of(p.inner, prefixes)]
    tally.demand(bool(used) or not chain, "its last packet is in no capture", *[one.update for one in chain[:1]])
    if chain and used:
        quiet = chain[0].update.time - used[-1].time
        tally.see(used[-1])
        tally.demand(idle - tolerance <= quiet <= 1.5 * idle + tolerance, f"after {quiet:.2f} s", chain[0].update)
    return tally.result(f"{quiet:.2f} s after its last packet" if chain and used else "", "nothing was released")


def _of(layer: IpLayer, prefixes: tuple[IPv6Network, ...]) -> bool:
    return any(layer.source in prefix or layer.destination in prefix for prefix in prefixes)


def _farewell(end: Ending, anchor: str) -> Result:
    run, stay = end.run, end.stay
    prefixes = run.prefixes.get((stay.mobile, anchor), [])
    tally = Tally(
        f"release.farewell.{stay.mobile}.{anchor}",
        "DEREG-11, RA-15, RA-6",
        f"{stay.mobile} is told that {anchor}'s prefix ends",
        "1 to 3 RAs of that DLIF with router lifetime 0, medium preference, prefix lifetimes 0/0; none after them",
    )
    mac = run.mobiles[stay.mobile].mac
    said = [
        one
        for one in run.advertisements.get(stay.mobile, [])
        if one.eth_destination == mac and any(option.prefix in prefixes for option in one.prefixes)
    ]
    final = [one for one in said if one.router_lifetime == 0]
    seen: list[Framed] = [*final]
    tally.see(*seen)
    tally.demand(len(final) <= 3, f"{len(final)} farewells", *seen)
    for one in final:
        dead = all(option.valid == option.preferred == 0 for option in one.prefixes)
        tally.demand(dead, "the prefix is still valid", one)
        tally.demand(one.preference == "medium", f"preference {one.preference} with router lifetime 0", one)
    for one in _later(said, final):
        tally.wrong("advertised again after its farewell", one)
    return tally.result(plural(len(final), "RA"), "no RA with router lifetime 0")


def _later(said: list[RouterAdvertisement], final: list[RouterAdvertisement]) -> list[RouterAdvertisement]:
    return [one for one in said if final and one.time > final[0].time and one not in final]
