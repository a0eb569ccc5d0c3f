"""Check "prefixes": one new prefix per gateway, from its own pool, exclusive to the node.

Sources: spec ATT-3, ATT-12, DLIF-1, HO-1, HO-14, SC-IETF83, SC-SIMUL.
"""

from __future__ import annotations

from captures.checks.base import Result, Tally, check, required
from captures.records import RouterAdvertisement
from captures.run import Run
from captures.walk import Attachment

JOINING = 0.01
"""Seconds in which a station that joins a cell may hear what another one sends to nobody there: its port is new."""


@check("prefixes")
def prefixes(run: Run) -> list[Result]:
    """One result per stay, one over all for exclusivity, one for what nodes hear of each other."""
    results = [_stay(run, stay) for stays in run.attachments.values() for stay in stays]
    return [*results, _exclusive(run), _leak(run)]


def _own(run: Run, stay: Attachment) -> list[RouterAdvertisement]:
    """RAs with a prefix of the serving gateway's pool (classic mode: the anchor's) that the node saw during a stay."""
    mac = run.mobiles[stay.mobile].mac
    return [
        one
        for one in run.advertisements.get(stay.mobile, [])
        if one.eth_destination == mac
        and stay.start <= one.time < stay.end
        and any(run.anchor_of(option.prefix.network_address) == run.home(stay.gateway) for option in one.prefixes)
    ]


def _stay(run: Run, stay: Attachment) -> Result:
    home = run.home(stay.gateway)
    earlier = [old for old in run.attachments[stay.mobile][: stay.number] if run.home(old.gateway) == home]
    back = f", the same as at stay {earlier[0].number + 1}" if earlier else ""
    tally = Tally(
        f"prefixes.{stay.mobile}.{stay.number}",
        "HO-14" if earlier else "ATT-3, HO-1",
        f"{stay.mobile} gets a prefix of {home}" + (f" at {stay.gateway}" if home != stay.gateway else ""),
        f"exactly one /64 from {run.pool(home)}{back}",
    )
    found = _own(run, stay)
    tally.see(*found)
    given = {option.prefix for one in found for option in one.prefixes}
    tally.demand(len(given) <= 1, f"{len(given)} prefixes: {', '.join(map(str, sorted(given)))}", *found)
    for prefix in given:
        tally.demand(prefix.prefixlen == 64, f"{prefix} is not a /64", *found)
    for old in earlier:
        before = {option.prefix for one in _own(run, old) for option in one.prefixes}
        tally.demand(given == before, "another prefix than before", *found)
    return tally.result(", ".join(map(str, given)), f"no RA with a prefix of {home} at {stay.mobile}")


def _exclusive(run: Run) -> Result:
    tally = Tally(
        "prefixes.exclusive",
        "ATT-3, ATT-12",
        "No prefix is given twice",
        "each /64 belongs to one mobile node and one gateway; every visited gateway gave one"
        if run.central is None
        else "each /64 belongs to one mobile node; the anchor gave one, whatever gateways were visited",
    )
    holders: dict[object, str] = {}
    for mobile, found in run.advertisements.items():
        mac = run.mobiles[mobile].mac
        for one in found:
            if one.eth_destination != mac:
                continue
            tally.see(one)
            for option in one.prefixes:
                holder = holders.setdefault(option.prefix, mobile)
                tally.demand(holder == mobile, f"{option.prefix} given to {holder} and {mobile}", one)
    for mobile, stays in run.attachments.items():
        visited = {run.home(stay.gateway) for stay in stays}
        count = sum(1 for holder in holders.values() if holder == mobile)
        if holders:
            tally.demand(count == len(visited), f"{mobile}: {count} prefixes of {len(visited)} anchors")
    return tally.result(", ".join(f"{prefix} {mobile}" for prefix, mobile in holders.items()), "no RA at any node")


def _leak(run: Run) -> Result:
    tally = Tally(
        "prefixes.leak",
        required(run, "DLIF-1", "ATT-12"),
        "No node hears another's traffic",
        "every packet from or to a mobile node's prefix that a node's interface shows is that node's own",
    )
    stations = {mobile.mac for mobile in run.mobiles.values()}
    for mobile, stays in run.attachments.items():
        capture = run.of_mobile(mobile)
        for packet in capture.packets if capture else []:
            joining = any(0 <= packet.time - stay.start < JOINING * run.slowness for stay in stays)
            if joining and packet.eth_source in stations - {run.mobiles[mobile].mac}:
                continue  # the air's doing, no gateway's
            ends = (packet.inner.source, packet.inner.destination) if packet.layers else ()
            owners = {owner for end in ends if (owner := run.owner(end)) is not None}
            if owners:
                tally.see(packet)
                foreign = "/".join(sorted(owners))
                tally.demand(mobile in owners, f"{mobile} hears a packet of {foreign}", packet)
    text = f"{len(tally.seen)} packets at {len(run.mobiles)} nodes, all their own"
    return tally.result(text, "no packet at any node")
