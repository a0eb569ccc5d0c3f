"""Check "mobile-view": what the unmodified mobile nodes hold (`mobile-dump` events; spec §6, §7 "Expected MN view").

Sources: RFC 4861 §6.3.4, RFC 4191 §3.2; spec DLIF-2, DLIF-8, RA-2, RA-4, RA-5, SC-FIG2, SC-FIG3, SC-3ANCHORS.
"""

from __future__ import annotations

from ipaddress import IPv6Address

from captures.checks.base import Result, Tally, check, plural, required
from captures.dumps import MobileDump, mobile_dumps
from captures.placement import Placement
from captures.records import Logged
from captures.run import Run

_NOTHING = "no dump of a mobile node in the event log"


@check("mobile-view")
def mobile_view(run: Run, repeated: bool = False) -> list[Result]:
    """Default routers, addresses and neighbours of every dump, compared with where the node was.

    `repeated`: the script dumps nodes before and after moves, which must have changed nothing about old routers.
    """
    dumps = mobile_dumps(run)
    results = [_routers(run, dumps), _addresses(run, dumps), _neighbours(run, dumps)]
    return [*results, _constant(run, dumps)] if repeated else results


def _where(dump: MobileDump) -> str:
    return f"{dump.mobile} ({dump.label})"


def _routers(run: Run, dumps: list[MobileDump]) -> Result:
    tally = Tally(
        "mobile-view.routers",
        required(run, "RA-5", "DLIF-8"),
        "The node has one preferred default router, and one more per anchor",
        "serving gateway's DLIF with preference medium, every anchor's DLIF with preference low, no other",
    )
    texts = []
    for dump in dumps:
        tally.see(dump.entry)
        there = dump.default_routers()
        wanted = {}
        for number, (anchor, router) in enumerate(Placement(run, dump.entry.time).routers(dump.mobile).items()):
            if router is None:
                tally.wrong(f"{_where(dump)}: never heard an RA of {anchor}'s DLIF", dump.entry)
            else:
                wanted[router.link_local] = "low" if number else "medium"
        for address in there.keys() | wanted.keys():
            got, need = there.get(address, "none"), wanted.get(address, "none")
            tally.demand(got == need, f"{_where(dump)}: router {address} is {got}, not {need}", dump.entry)
        low = sum(1 for preference in there.values() if preference == "low")
        texts.append(f"{_where(dump)} {len(there) - low} medium, {low} low")
    return tally.result(", ".join(texts), _NOTHING)


def _addresses(run: Run, dumps: list[MobileDump]) -> Result:
    lowpref = run.ra_profile == "lowpref"
    tally = Tally(
        "mobile-view.addresses",
        required(run, "RA-4" if lowpref else "RA-2"),
        "The node has an address of every gateway it visited" + ("" if lowpref else ", only the newest preferred"),
        "one prefix per visited gateway, of the node's own; preferred: "
        + ("all" if lowpref else "the serving gateway's, deprecated: the others"),
    )
    texts = []
    for dump in dumps:
        tally.see(dump.entry)
        stay = Placement(run, dump.entry.time).stays[dump.mobile]
        there = dump.prefixes()
        wanted = {
            prefix: lowpref or gateway == stay.gateway
            for gateway in (stay.gateway, *stay.previous)
            for prefix in run.prefixes.get((dump.mobile, gateway), [])
        }
        for prefix in sorted(there.keys() - wanted.keys()):
            owner = run.owner_of_prefix.get(prefix)
            tally.wrong(f"{_where(dump)}: address in {prefix}{f' of {owner}' if owner else ''}", dump.entry)
        for prefix, preferred in wanted.items():
            if prefix not in there:
                tally.wrong(f"{_where(dump)}: no address in {prefix}", dump.entry)
            elif there[prefix] != preferred:
                state = "preferred" if there[prefix] else "deprecated"
                tally.wrong(f"{_where(dump)}: address in {prefix} is {state}", dump.entry)
        preferred_now = sum(there.values())
        texts.append(f"{_where(dump)} {preferred_now} preferred, {len(there) - preferred_now} deprecated")
    return tally.result(", ".join(texts), _NOTHING)


def _neighbours(run: Run, dumps: list[MobileDump]) -> Result:
    tally = Tally(
        "mobile-view.neighbours",
        required(run, "DLIF-2"),
        "The node's neighbour entries of its routers are the DLIFs'",
        "link-layer address of every router in the neighbour cache = its DLIF's MAC",
    )
    count = 0
    for dump in dumps:
        macs = dump.macs()
        for anchor, router in Placement(run, dump.entry.time).routers(dump.mobile).items():
            if router is not None and router.link_local in macs:
                count += 1
                tally.see(dump.entry)
                right = macs[router.link_local] == router.mac
                tally.demand(right, f"{_where(dump)}: {anchor}'s DLIF at {macs[router.link_local]}", dump.entry)
    return tally.result(f"{plural(count, 'entry')} right".replace("entrys", "entries"), _NOTHING)


def _constant(run: Run, dumps: list[MobileDump]) -> Result:
    """SC-FIG2: the move changed nothing about a router that was known before it."""
    tally = Tally(
        "mobile-view.constant",
        required(run, "DLIF-2"),
        "A move changes nothing about the routers a node knew before",
        "each router known at one dump is a default router with the same link-layer address at every later one",
    )
    known: dict[tuple[str, IPv6Address], tuple[str, Logged]] = {}
    count = 0
    for dump in dumps:
        routers, macs = dump.default_routers(), dump.macs()
        for (mobile, address), (mac, first) in known.items():
            if mobile != dump.mobile:
                continue
            count += 1
            tally.see(first, dump.entry)
            tally.demand(address in routers, f"{_where(dump)}: {address} is no default router any more", dump.entry)
            now = macs.get(address, mac)
            tally.demand(now == mac, f"{_where(dump)}: {address} was at {mac}, is at {now}", first, dump.entry)
        for address in routers.keys() & macs.keys():
            known.setdefault((dump.mobile, address), (macs[address], dump.entry))
    return tally.result(f"{count} comparisons, all equal", "no node was dumped twice")
