"""Check "content": a download survives the move through its anchor, the next request finds the nearest cache.

Sources: spec SC-IETF87, HO-9, ATT-10.
"""

from __future__ import annotations

from captures.checks.base import Result, Tally, check, milliseconds, plural
from captures.content import DOWNLOAD, Content, Download
from captures.decode import inside
from captures.flows import analyse
from captures.run import Run


@check("content")
def content(run: Run, hops: int, hops_moved: int, max_stall_ms: float = 1000.0) -> list[Result]:
    """`hops`: routers between the mobile node and its cache for a request, `hops_moved`: of a download after a move.

    `max_stall_ms` bounds the longest silence of a running download around a move.
    """
    network = Content(run)
    results = [_intact(network), _origin(network)]
    for gateway in network.nearest:
        mine = [one for one in network.downloads if one.stay.gateway == gateway]
        if mine or any(stay.gateway == gateway for stays in run.attachments.values() for stay in stays):
            results += [_served(network, gateway, mine), _request_path(network, gateway, mine, hops)]
    moved = [one for one in network.downloads if len(one.legs) > 1]
    if run.moves() and not moved:
        nothing = Tally("content.running", "SC-IETF87", "A download goes on after the move", "one that spans a move")
        return [*results, nothing.result("", "no download went on after a move")]
    for one in moved:
        results += [_running(run, network, one, max_stall_ms), _moved_path(run, one, hops_moved)]
    return results


def _intact(network: Content) -> Result:
    tally = Tally(
        "content.intact",
        "SC-IETF87",
        "What arrived is what the origin has",
        "size and SHA-256 of every download as the origin found them",
    )
    octets = 0
    for one in network.downloads:
        tally.see(*one.packets[-1:])
        wanted, got = network.published.get(one.content, {}), network.arrived(one)
        tally.demand(bool(wanted), f"the origin published no {one.content}")
        tally.demand(
            got == wanted, f"{one.flow.name}: {got.get('octets', 0)} of {wanted.get('octets')} octets, or others"
        )
        octets += got.get("octets", 0)
    return tally.result(f"{plural(len(network.downloads), 'download')}, {octets} octets", "no download")


def _origin(network: Content) -> Result:
    tally = Tally(
        "content.origin",
        "SC-IETF87",
        "Only caches ask the origin, and once for everything",
        "origin's access log: clients are caches, no content twice to one of them",
    )
    asked = [(request.client, request.uri.partition("?")[0]) for request in network.requests(network.origin)]
    names = {address: name for name, address in network.caches.items()}
    for one in network.downloads:
        tally.see(*one.packets[:1])
    for client, uri in asked:
        tally.demand(client in names, f"{client} asked the origin for {uri}")
    for client, uri in set(asked):
        count = asked.count((client, uri))
        tally.demand(count == 1, f"{names.get(client, client)} asked {count} times for {uri}")
    if not asked:
        tally.seen.clear()
    fetched = {names[client]: sum(1 for other, _ in asked if other == client) for client, _ in asked if client in names}
    return tally.result(", ".join(f"{name}: {count}" for name, count in sorted(fetched.items())), "nobody asked it")


def _served(network: Content, gateway: str, downloads: list[Download]) -> Result:
    run, cache = network.run, network.nearest[gateway]
    pool = run.pool(run.home(gateway))
    tally = Tally(
        f"content.served.{gateway}",
        "SC-IETF87",
        f"Requests made at {gateway} are served by {cache}",
        f"packets of them at {cache} and at no other cache; {cache}'s log has each once, status 200, client in {pool}",
    )
    log = network.requests(cache)
    paths = {f"/{one.content}" for one in downloads}
    mine = [one for one in log if inside(one.client, pool) and one.uri.partition("?")[0] in paths]
    for one in downloads:
        tally.see(*one.packets[:1])
        tally.demand(
            one.caches == [cache], f"{one.flow.name} served by {', '.join(one.caches) or 'nobody'}", *one.packets[:1]
        )
        tally.demand(
            inside(one.flow.source, pool), f"{one.flow.name} expected from {one.flow.source}", *one.packets[:1]
        )
        entries = sum(1 for other in mine if other.client == one.flow.source)
        tally.demand(entries > 0, f"{cache}'s log does not know {one.flow.source}")
    # A central cache serves requests made elsewhere too: then its log has more.
    shared = [name for name, nearest in network.nearest.items() if nearest == cache]
    whole = [one for one in network.downloads if one.stay.gateway in shared]
    tally.demand(len(log) == len(whole), f"{cache}'s log has {len(log)} requests, {len(whole)} were made")
    tally.demand(all(one.status == 200 for one in log), "a request failed")
    clients = ", ".join(str(client) for client in dict.fromkeys(one.client for one in mine))
    return tally.result(f"{plural(len(downloads), 'request')} from {clients}", f"nothing was requested at {gateway}")


def _request_path(network: Content, gateway: str, downloads: list[Download], hops: int) -> Result:
    """Distributed: nothing of a request is tunnelled or even crosses the core; central: all of it is and does."""
    lma = network.run.central
    tally = Tally(
        f"content.path.{gateway}",
        "SC-IETF87, ATT-10",
        f"Requests made at {gateway} take {'the detour over ' + lma.name if lma else 'the short way'}",
        f"{plural(hops, 'router')} to the cache, "
        + (f"in a tunnel to {lma.name}" if lma else "no octet tunnelled, none on any core link"),
    )
    octets = tunnelled = 0
    for one in downloads:
        leg = next((leg for leg in one.legs if leg.stay == one.stay), None)
        if leg is None or leg.hops is None:
            tally.wrong(f"{one.flow.name}: its packets were not seen at both ends", *one.packets[:1])
            continue
        tally.see(*leg.examples)
        tally.demand(leg.hops == hops, f"{one.flow.name}: {plural(leg.hops, 'router')}", *leg.examples)
        wanted = lma.name if lma else None
        tally.demand(leg.tunnel == wanted, f"{one.flow.name}: in a tunnel to {leg.tunnel}", *leg.examples)
        if len(one.legs) == 1:
            octets += sum(one.core.values())
            tunnelled += sum(one.tunnelled.values())
    if not lma:
        tally.demand(octets == 0, f"{octets} octets of requests crossed core links, {tunnelled} of them tunnelled")
    elif downloads:
        tally.demand(tunnelled > 0, "no octet of a request was tunnelled")
    text = f"{plural(hops, 'router')}; {octets} octets on core links, {tunnelled} of them tunnelled"
    return tally.result(text, f"nothing was requested at {gateway}")


def _running(run: Run, network: Content, one: Download, bound: float) -> Result:
    tally = Tally(
        f"content.running.{one.flow.name}",
        "SC-IETF87, HO-9",
        f"{one.flow.name} goes on after the move, from the same cache",
        f"one address pair, one cache, nothing missing, no reset, longest silence ≤ {bound:g} ms",
    )
    report = next(
        report for report in analyse(run) if report.flow.name == one.flow.name and report.flow.kind == DOWNLOAD
    )
    tally.see(*report.arrivals)
    tally.demand(len(one.caches) == 1, f"packets of it at {', '.join(one.caches)}")
    tally.demand(not report.strangers, "another address pair", *report.strangers)
    tally.demand(report.holes == 0, f"{report.holes} octets never arrived")
    tally.demand(not report.resets, "connection reset", *report.resets)
    texts = []
    for gap in report.gaps:
        silent = gap.seconds
        text = f"→{gap.stay.gateway} " + ("never again" if silent is None else milliseconds(silent))
        tally.demand(silent is not None and silent * 1000 <= bound, text, *[p for p in (gap.before, gap.after) if p])
        texts.append(text)
    return tally.result(f"from {', '.join(one.caches)}, {', '.join(texts)}", "no data arrived")


def _moved_path(run: Run, one: Download, hops: int) -> Result:
    anchor = run.anchor_of(one.flow.source)
    tally = Tally(
        f"content.path.{one.flow.name}",
        "SC-IETF87, HO-9, HO-10",
        f"{one.flow.name} goes through {anchor} after the move",
        f"{plural(hops, 'router')} to the cache, in a tunnel to {anchor}",
    )
    for leg in one.legs[1:]:
        tally.see(*leg.examples)
        tally.demand(leg.tunnel == anchor, f"at {leg.stay.gateway}: tunnel to {leg.tunnel}", *leg.examples)
        tally.demand(leg.hops == hops, f"at {leg.stay.gateway}: {leg.hops} routers", *leg.examples)
    tunnelled = sum(one.tunnelled.values())
    tally.demand(tunnelled > 0, "no octet tunnelled")
    ways = ", ".join(f"{leg.hops} at {leg.stay.gateway}" for leg in one.legs)
    return tally.result(f"routers: {ways}; {tunnelled} octets tunnelled")
