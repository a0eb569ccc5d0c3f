"""Route Information options: where they are, how long they live, and how they end."""

from __future__ import annotations

from collections.abc import Iterator

from captures.checks.base import Result, Tally, plural
from captures.checks.local_access.facts import ended, owner_of_dlif
from captures.exchanges import accepting
from captures.records import RouterAdvertisement
from captures.run import Run
from captures.walk import INFINITY

LEAST_FINAL, MOST_FINAL = 1, 3
"""RAs that withdraw a route (spec RA-11)."""
AT_ONCE = 1.0
"""Seconds from the word that access ends to the first RA that says so."""


def _sent(run: Run) -> Iterator[tuple[str, RouterAdvertisement]]:
    for name in run.gateways:
        capture = run.phy(name)
        yield from ((name, one) for one in (capture.advertisements if capture else []))


def offered(run: Run) -> Result:
    """Route options are on the right DLIFs, all of them, and on no other."""
    tally = Tally(
        "local.routes",
        "LIPA-3, RA-7",
        "Local networks are advertised on the DLIF of their owner alone",
        "every RA of an anchor's DLIF offers exactly the anchor's local prefixes, preference high; no other RA does",
    )
    mobiles = {mobile.mac: name for name, mobile in run.mobiles.items()}
    count = 0
    for gateway, one in _sent(run):
        owner = owner_of_dlif(run, one)
        here = owner is not None and owner != gateway and one.router_lifetime > 0
        expected = set(run.gateways[owner].local_prefixes) if here and owner else set()
        found = {option.prefix for option in one.routes if option.lifetime}
        strange = ", ".join(map(str, sorted(found - expected)))
        tally.demand(not strange, f"{gateway} offers {strange} on the DLIF of {owner}", one)
        wrong = [option for option in one.routes if option.preference != "high"]
        tally.demand(not wrong, "route option with another preference than high", one)
        if one.time < ended(run, mobiles.get(one.eth_destination, "")):
            absent = ", ".join(map(str, sorted(expected - found)))
            tally.demand(not absent, f"{gateway} does not offer {absent} on the DLIF of {owner}", one)
        if found:
            count += 1
            tally.see(one)
    return tally.result(f"{plural(count, 'RA')} with route options", "no RA with a route option")


def lifetimes(run: Run) -> Result:
    """Route options against what the PBAs granted."""
    tally = Tally(
        "local.lifetime",
        "LIPA-9",
        "Routes live no longer than the binding",
        "lifetime of every route option ≤ what remains of the binding by the last accepting PBA before it",
    )
    macs = {mobile.mac: mobile.mn_id for mobile in run.mobiles.values()}
    least = INFINITY
    for gateway, one in _sent(run):
        offered = [option.lifetime for option in one.routes if option.lifetime]
        if not offered:
            continue
        tally.see(one)
        end = _binding_end(run, gateway, macs.get(one.eth_destination), one.time)
        if end is None:
            tally.wrong("a route without any accepted binding", one)
            continue
        least = min(least, end - one.time - max(offered))
        tally.demand(max(offered) <= end - one.time, f"{max(offered)} s, binding {end - one.time:.1f} s", one)
    return tally.result(f"always at least {least:.0f} s less", "no RA with a route option")


def _binding_end(run: Run, gateway: str, mn_id: str | None, when: float) -> float | None:
    address = run.gateways[gateway].address
    answers = [m for m in run.signalling if m.kind == "PBA" and m.mn_id == mn_id and m.destination == address]
    granted = [m for m in accepting(answers) if m.time <= when and m.lifetime]
    return granted[-1].time + granted[-1].lifetime_seconds if granted else None


def withdrawn(run: Run, event: dict[str, object]) -> Result:
    """The end of local access: RAs at the node, and its routing tables before and after."""
    mobile, when = str(event["node"]), float(str(event["t"]))
    tally = Tally(
        f"local.withdrawn.{mobile}",
        "LIPA-9, RA-11",
        f"Local networks are closed to {mobile}: their routes are withdrawn",
        f"route options with lifetime 0 in {LEAST_FINAL} to {MOST_FINAL} RAs, none after; the node's routes vanish",
    )
    heard = run.advertisements.get(mobile, [])
    offers = {
        (one.eth_source, option.prefix) for one in heard if one.time < when for option in one.routes if option.lifetime
    }
    for dlif, prefix in sorted(offers):
        after = [one for one in heard if one.time >= when and one.eth_source == dlif]
        final = [one for one in after if any(o.prefix == prefix and not o.lifetime for o in one.routes)]
        # Until that first RA a gateway may not have heard yet: the word reaches one after the other.
        since = final[0].time if final else when
        later = [one for one in after if one.time >= since]
        again = [one for one in later if any(o.prefix == prefix and o.lifetime for o in one.routes)]
        tally.see(*final)
        late = since - when
        tally.demand(late <= AT_ONCE * run.slowness, f"{prefix} is withdrawn after {late:.1f} s", *final[:1])
        right = LEAST_FINAL <= len(final) <= MOST_FINAL
        tally.demand(right, f"{plural(len(final), 'RA')} of {dlif} withdraw {prefix}", *final)
        tally.demand(not again, f"{prefix} is offered again", *again)
    prefixes = sorted({prefix for _, prefix in offers})
    dumps = [e for e in run.events if e["event"] == "routes" and e["node"] == mobile]
    for routes, there in ([dumps[0]["routes"], True], [dumps[-1]["routes"], False]) if len(dumps) > 1 else ():
        for prefix in prefixes:
            found = [r for r in routes if r["dst"] == str(prefix) and r.get("protocol") == "ra" and r["pref"] == "high"]
            tally.demand(bool(found) is there, f"route to {prefix} {'missing before' if there else 'still there'}")
    tally.demand(len(dumps) > 1, "no routing table of the node before and after")
    return tally.result(f"{', '.join(map(str, prefixes))} gone", f"no route option was offered to {mobile}")
