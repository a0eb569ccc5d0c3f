"""Check "leftovers": no gateway's kernel holds more, or less, than its mobile nodes need (spec §7, §11).

Read from `kernel-dump` events, compared with where the nodes were by the lab's own account, and with what the
agents say they installed. Sources: RFC 5213 §5.6.1; spec HO-5, HO-6, HO-12, HO-14, DLIF-8, DLIF-9.
"""

from __future__ import annotations

from captures.checks.base import Result, Tally, check, plural, required
from captures.dumps import ANCHOR_METRIC, FIRST_TABLE, KernelDump, kernel_dumps, network, upper
from captures.placement import Placement, Reference
from captures.run import Run

_NOTHING = "no kernel dump of any gateway in the event log"


@check("leftovers")
def leftovers(run: Run, walk: bool = True, cleared: bool = True) -> list[Result]:
    """Judge all dumps of gateways.

    `walk`: every node was settled at every dump, so its walk says exactly what must be there. `cleared`: the last
    dump of each gateway was made after its agent had been told to take everything back.
    """
    dumps = kernel_dumps(run)
    serving = [dump for dump in dumps if dump.items is not None]
    results = [_accounted(run, serving)]
    if walk:
        results += [_dlifs(run, serving), _tunnels(run, serving)]
    if cleared:
        results.append(_cleared(run, [dump for dump in dumps if dump.items is None]))
    return results


def _accounted(run: Run, dumps: list[KernelDump]) -> Result:
    tally = Tally(
        "leftovers.accounted",
        required(run, "HO-12", "ATT-11"),
        "Nothing is left behind in a gateway's kernel",
        "every DLIF, tunnel, rule, table, route and gate element is one the agent accounts for, and none is missing; "
        "the pool is unreachable where no node's prefix is",
    )
    for dump in dumps:
        tally.see(dump.entry)
        for what, there, wanted in _compared(run, dump):
            text = f"{dump.gateway} ({dump.label}): {what}"
            for extra in sorted(map(_text, there - wanted)):
                tally.wrong(f"{text} {extra} belongs to nothing", dump.entry)
            for lost in sorted(map(_text, wanted - there)):
                tally.wrong(f"{text} {lost} is missing", dump.entry)
        for what in _unnamed(dump):
            tally.wrong(f"{dump.gateway} ({dump.label}): {what}", dump.entry)
    return tally.result(f"{plural(len(dumps), 'dump')}, nothing unaccounted for", _NOTHING)


def _text(words: tuple[object, ...]) -> str:
    return " ".join(map(str, words))


Compared = tuple[str, set[tuple[object, ...]], set[tuple[object, ...]]]


def _compared(run: Run, dump: KernelDump) -> list[Compared]:
    """(kind, what the kernel holds, what the agent accounts for), in words that can be compared."""
    sets = dump.sets or {}
    anchored = [r for r in dump.own_routes() if r.get("table", "main") == "main" and r["metric"] == ANCHOR_METRIC]
    gates = dump.named("tunnel-gate")
    aggregates = [route["dst"] for route in dump.own_routes() if route.get("type") == "unreachable"]
    found: list[Compared] = [
        ("DLIF", {(link["ifname"],) for link in dump.of_kind("macvlan")}, set(dump.named("dlif"))),
        ("anchor route", {(str(network(route["dst"])),) for route in anchored}, set(dump.named("anchor-route"))),
        ("unreachable aggregate", {(dst,) for dst in aggregates}, {(str(run.gateways[dump.gateway].pool),)}),
        ("uplink rule", {(str(prefix),) for prefix in dump.uplinks()}, set(dump.named("uplink"))),
        ("rule for what arrives", {(rule["table"],) for rule in dump.arrivals()}, {("main",)}),
        ("gate: peer", set(sets.get("peers", ())), set(dump.named("tunnel"))),
        (
            "gate: source",
            set(sets.get("sources", ())),
            {(dlif, upper(prefix)) for dlif, prefix in dump.named("source-gate")},
        ),
    ]
    barred: set[tuple[object, ...]] = {(upper(prefix),) for (prefix,) in dump.named("local-bar")}
    found.append(("gate: barred", set(sets.get("barred", ())), barred))
    # A range each, which nft writes in its own way: as many as there are items, each of the item's peer.
    ranges = [str(element[0]) for element in sets.get("tunnel_local", ())]
    local = [peer for peer, *_ in dump.named("local-gate")]
    found.append(("gate: local", set(enumerate(sorted(ranges))), set(enumerate(sorted(local)))))
    for side in ("source", "destination"):
        wanted: set[tuple[object, ...]] = {(peer, upper(prefix)) for peer, prefix, where in gates if where == side}
        found.append((f"gate: tunnel {side}", set(sets.get(f"tunnel_{side}", ())), wanted))
    return found


def _unnamed(dump: KernelDump) -> list[str]:
    """What is there without anything that uses it."""
    problems = []
    text = " ".join(" ".join(words) for words in dump.items or [])
    ruled = {str(rule["table"]) for rule in dump.own_rules()}
    problems += [f"table {table} without a rule" for table in sorted(dump.tables().keys() - ruled)]
    problems += [
        f"rule {rule['priority']} to the empty table {rule['table']}"
        for rule in dump.own_rules()
        if str(rule["table"]).isdigit()
        and int(rule["table"]) >= FIRST_TABLE
        and str(rule["table"]) not in dump.tables()
    ]
    tunnels = {peer for (peer,) in dump.named("tunnel")}
    devices = {link["remote"] for link in dump.of_kind("ip6tnl")}
    problems += [f"tunnel device to {peer} belongs to nothing" for peer in sorted(devices - tunnels)]
    for route in dump.own_routes():
        peer = dump.peer(route)
        if peer is not None and str(peer) not in tunnels:
            problems.append(f"route {route['dst']} into a tunnel to {peer} that is not there")
    for rule in (rule for rule in dump.own_rules() if rule not in dump.arrivals()):
        ends = [end for end in (rule.get("src"), rule.get("dst")) if end not in (None, "all")]
        if rule["priority"] >= 900 and not any(end in text for end in ends):
            problems.append(f"rule {rule['priority']} for {' '.join(ends) or 'everything'} belongs to nothing")
    problems += [f"{link['ifname']} retired and not deleted" for link in dump.links if link["group"] == "184"]
    return problems


def _dlifs(run: Run, dumps: list[KernelDump]) -> Result:
    tally = Tally(
        "leftovers.dlif",
        required(run, "DLIF-1", "DLIF-8", "DLIF-9", "HO-12"),
        "A gateway has the DLIFs of the nodes it serves, and no other",
        "macvlans by MAC: for each node served there the own DLIF and one per gateway visited before",
    )
    texts = []
    for dump in dumps:
        placement = Placement(run, dump.entry.time)
        wanted: dict[str, str] = {}
        for stay in placement.served_by(dump.gateway):
            for anchor, router in placement.routers(stay.mobile).items():
                if router is None:
                    tally.wrong(f"{stay.mobile} never heard of {anchor}'s DLIF", dump.entry)
                else:
                    wanted[router.mac] = f"{stay.mobile}'s of {anchor}"
        there = {link["address"].lower(): link["ifname"] for link in dump.of_kind("macvlan")}
        tally.see(dump.entry)
        where = f"{dump.gateway} ({dump.label})"
        for mac in there.keys() - wanted.keys():
            tally.wrong(f"{where}: {there[mac]} {mac}, whose node is elsewhere", dump.entry)
        for mac in wanted.keys() - there.keys():
            tally.wrong(f"{where}: no DLIF {mac}, {wanted[mac]}", dump.entry)
        texts.append(f"{where} {len(there)}")
    return tally.result(", ".join(texts), _NOTHING)


def _tunnels(run: Run, dumps: list[KernelDump]) -> Result:
    tally = Tally(
        "leftovers.tunnel",
        required(run, "HO-5", "HO-6", "HO-12"),
        "A tunnel is used for as many prefixes as nodes need it for, and goes with the last",
        "routes into each tunnel = (node, prefix) pairs anchored at one end and served at the other",
    )
    texts = []
    for dump in dumps:
        there = _references(run, dump)
        wanted = Placement(run, dump.entry.time).references(dump.gateway)
        tally.see(dump.entry)
        where = f"{dump.gateway} ({dump.label})"
        for peer in sorted(there.keys() | wanted.keys()):
            got, need = there.get(peer, set()), wanted.get(peer, set())
            for one in sorted(got - need):
                tally.wrong(f"{where}: {_way(one)} still goes to {peer}", dump.entry)
            for one in sorted(need - got):
                tally.wrong(f"{where}: {_way(one)} does not go to {peer}", dump.entry)
        shown = ", ".join(f"{peer} {len(found)}" for peer, found in sorted(there.items())) or "none"
        texts.append(f"{where}: {shown}")
    return tally.result("; ".join(texts), _NOTHING)


def _way(one: Reference) -> str:
    return f"{'uplink' if one.uplink else 'downlink'} of {one.mobile}'s {one.prefix}"


def _references(run: Run, dump: KernelDump) -> dict[str, set[Reference]]:
    """Peer gateway -> prefixes that the kernel sends through the tunnel to it."""
    found: dict[str, set[Reference]] = {}
    for route in dump.own_routes():
        if route.get("table", "main") == "main" and (peer := dump.peer(route)) is not None:
            prefix = network(route["dst"])
            one = Reference(run.owner(prefix.network_address) or "nobody", prefix, uplink=False)
            found.setdefault(run.name_of(peer), set()).add(one)
    for prefix, table in dump.uplinks().items():
        for route in dump.tables().get(table, []):
            if route["dst"] == "default" and (peer := dump.peer(route)) is not None:
                one = Reference(run.owner(prefix.network_address) or "nobody", prefix, uplink=True)
                found.setdefault(run.name_of(peer), set()).add(one)
    return found


def _cleared(run: Run, dumps: list[KernelDump]) -> Result:
    tally = Tally(
        "leftovers.cleared",
        required(run, "HO-12"),
        "A gateway told to let go leaves nothing behind",
        "no macvlan, tunnel device, rule, route or gate of the agent's is left on any gateway",
    )
    for dump in dumps:
        tally.see(dump.entry)
        for link in dump.links:
            gone = link["kind"] not in ("macvlan", "ip6tnl")
            tally.demand(gone, f"{dump.gateway} still has {link['kind']} {link['ifname']}", dump.entry)
        for rule in dump.own_rules():
            tally.wrong(f"{dump.gateway} still has rule {rule['priority']} to table {rule['table']}", dump.entry)
        for route in dump.own_routes():
            tally.wrong(f"{dump.gateway} still has a route to {route['dst']}", dump.entry)
        tally.demand(dump.sets is None, f"{dump.gateway} still has its gate", dump.entry)
    if dumps:
        for name in sorted(run.gateways.keys() - {dump.gateway for dump in dumps}):
            tally.wrong(f"{name} was not dumped after its end")
    return tally.result(f"{plural(len(dumps), 'gateway')} empty", "no gateway was dumped after its end")
