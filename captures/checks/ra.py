"""Check "ra": what the DLIFs advertise.

Sources: RFC 4861 §4.2, §6.1.2; RFC 4191 §2.2; RFC 8885 §3.7; spec RA-1..11, RA-13..15, §6.
"""

from __future__ import annotations

from collections.abc import Callable

from captures.checks.base import Result, Tally, check, milliseconds, plural
from captures.records import RouterAdvertisement, eui64
from captures.run import Run
from captures.walk import Attachment


@check("ra")
def ra(run: Run, bound_ms: float = 1000.0, anchor_bound_ms: float = 2000.0) -> list[Result]:
    """Judge all RAs; bounds: attachment to the first RA of the own and of each anchor's DLIF, milliseconds."""
    sent = [(name, one) for name in run.gateways for one in _sent(run, name)]
    results = [
        _each(sent, "ra.source", "RA-1", "RAs come from the DLIF", _SOURCE_TEXT, _source),
        _receiver(run, sent),
        _profile(run, sent),
        _same(run, sent),
        _no_final(run, sent),
        _routes(sent),
    ]
    for stays in run.attachments.values():
        results.extend(_soon(run, stay, bound_ms / 1000, anchor_bound_ms / 1000) for stay in stays)
    return results


MOST_FINAL, MOST_ROUTES = 3, 17
"""RAs that withdraw something (spec RA-11), and routes in one RA (RFC 4191 §4)."""
MOST_MTU, HOP_LIMIT = 1460, 64
"""Of an RA, where no agent told what its tunnels hold (1500 less an IPv6 header), and in any (spec §6)."""
_SOURCE_TEXT = "source MAC = SLLA option, source = EUI-64 link-local of it, hop limit 255"
_NOTHING = "no Router Advertisement on any gateway's access interface"


def _sent(run: Run, gateway: str) -> list[RouterAdvertisement]:
    capture = run.phy(gateway)
    return capture.advertisements if capture else []


def _each(
    sent: list[tuple[str, RouterAdvertisement]],
    id_: str,
    requirement: str,
    title: str,
    expected: str,
    judge: Callable[[Tally, RouterAdvertisement], None],
) -> Result:
    tally = Tally(id_, requirement, title, expected)
    for _, one in sent:
        tally.see(one)
        judge(tally, one)
    return tally.result(f"{plural(len(sent), 'RA')} conform", _NOTHING)


def _source(tally: Tally, one: RouterAdvertisement) -> None:
    tally.demand(one.source_mac is not None, "RA without SLLA option", one)
    if one.source_mac is not None:
        same = one.source_mac == one.eth_source
        tally.demand(same, f"SLLA {one.source_mac} but source MAC {one.eth_source}", one)
    formed = eui64(one.eth_source)
    tally.demand(one.source == formed, f"source {one.source}, EUI-64 of the MAC is {formed}", one)
    tally.demand(one.hop_limit == 255, f"hop limit {one.hop_limit}", one)


def _receiver(run: Run, sent: list[tuple[str, RouterAdvertisement]]) -> Result:
    tally = Tally(
        "ra.receiver",
        "RA-8",
        "Each RA goes to the one node it is meant for",
        "unicast frame and unicast packet to a mobile node; a DLIF talks to one node only; no node sees another's RA",
    )
    macs = {mobile.mac: mobile for mobile in run.mobiles.values()}
    clients: dict[str, str] = {}
    for _, one in sent:
        tally.see(one)
        if one.destination.is_multicast or int(one.eth_destination[:2], 16) & 1:
            tally.wrong(f"multicast RA to {one.destination}", one)
            continue
        tally.demand(one.eth_destination in macs, f"RA to unknown node {one.eth_destination}", one)
        if one.destination.is_link_local:
            same = one.destination == eui64(one.eth_destination)
            tally.demand(same, f"RA for {one.destination} in a frame to {one.eth_destination}", one)
        first = clients.setdefault(one.eth_source, one.eth_destination)
        tally.demand(first == one.eth_destination, f"DLIF {one.eth_source} serves two nodes", one)
        for option in one.prefixes:
            owner = run.owner_of_prefix.get(option.prefix)
            named = macs.get(one.eth_destination)
            if owner is not None and named is not None:
                tally.demand(owner == named.name, f"{option.prefix} of {owner} sent to {named.name}", one)
    for name, seen in run.advertisements.items():
        for one in seen:
            tally.demand(one.eth_destination == run.mobiles[name].mac, f"{name} saw a foreign RA", one)
    return tally.result(f"{plural(len(sent), 'RA')}, all unicast to their node", _NOTHING)


def _profile(run: Run, sent: list[tuple[str, RouterAdvertisement]]) -> Result:
    lowpref = run.ra_profile == "lowpref"
    tally = Tally(
        "ra.profile",
        "RA-2, RA-3, RA-4, RA-5",
        "Own prefix preferred, anchored prefixes " + ("kept" if lowpref else "deprecated"),
        "own DLIF: preferred > 0, router preference medium; anchor DLIF: preferred "
        + ("> 0" if lowpref else "0")
        + ", valid > 0, preference low; one prefix, L and A set",
    )
    if run.central:
        tally.title = "The home prefix is preferred at every gateway"
        tally.expected = "preferred > 0, router preference medium; one prefix, L and A set"
    own = anchored = 0
    for gateway, one in sent:
        tally.see(one)
        if one.router_lifetime == 0:
            continue  # a farewell, judged by itself
        tally.demand(len(one.prefixes) == 1, f"{plural(len(one.prefixes), 'prefix option')} in an RA", one)
        for option in one.prefixes:
            anchor = run.anchor_of(option.prefix.network_address)
            tally.demand(anchor is not None, f"{option.prefix} is in no gateway's pool", one)
            tally.demand(option.on_link and option.autonomous, f"{option.prefix} without L and A", one)
            tally.demand(option.valid > 0, f"valid lifetime 0 for {option.prefix}", one)
            if anchor == run.home(gateway):
                own += 1
                tally.demand(option.preferred > 0, f"own prefix {option.prefix} deprecated", one)
                tally.demand(one.preference == "medium", f"own DLIF has preference {one.preference}", one)
            elif anchor is not None:
                anchored += 1
                right = option.preferred > 0 if lowpref else option.preferred == 0
                tally.demand(right, f"anchored {option.prefix} has preferred {option.preferred} s", one)
                tally.demand(one.preference == "low", f"anchor DLIF has preference {one.preference}", one)
    if run.moves() and sent and not anchored and run.central is None:
        tally.wrong("no anchor's DLIF ever advertised after a move")
    text = f"{own} RAs of home prefixes" if run.central else f"{own} RAs of own prefixes, {anchored} of anchored ones"
    return tally.result(text, _NOTHING)


def _same(run: Run, sent: list[tuple[str, RouterAdvertisement]]) -> Result:
    tally = Tally(
        "ra.same",
        "RA-9, RA-13",
        "All DLIFs of a node advertise the same host variables",
        "same MTU option, no larger than the gateway's tunnels hold, CurHopLimit 64, same timers; M and O clear",
    )
    first: dict[str, RouterAdvertisement] = {}
    room = {event["node"]: int(event["mtu"]) for event in run.events if event["event"] == "tunnels" and "mtu" in event}
    for gateway, one in sent:
        tally.see(one)
        other = first.setdefault(one.eth_destination, one)
        for name in ("mtu", "current_hop_limit", "reachable_time", "retrans_timer"):
            values = getattr(other, name), getattr(one, name)
            tally.demand(values[0] == values[1], f"{name} {values[0]} and {values[1]}", other, one)
        tally.demand(one.mtu is not None, "RA without MTU option", one)
        held = room.get(gateway, MOST_MTU)
        tally.demand((one.mtu or 0) <= held, f"MTU {one.mtu}, tunnels of {gateway} hold {held}", one)
        tally.demand(one.current_hop_limit == HOP_LIMIT, f"CurHopLimit {one.current_hop_limit}", one)
        tally.demand(not one.managed and not one.other, "M or O set", one)
    shown = next(iter(first.values()), None)
    text = f"MTU {shown.mtu}, CurHopLimit {shown.current_hop_limit} in all {plural(len(sent), 'RA')}" if shown else ""
    return tally.result(text, _NOTHING)


def _no_final(run: Run, sent: list[tuple[str, RouterAdvertisement]]) -> Result:
    tally = Tally(
        "ra.final",
        "RA-6, RA-10, RA-15",
        "No gateway takes its DLIF back with a final RA while the node uses it",
        "router lifetime > 0, or a whole farewell (prefix and routes 0, medium), at most 3, to a node that is here",
    )
    final = 0
    episodes: dict[tuple[str, str], int] = {}
    macs = {mobile.mac: name for name, mobile in run.mobiles.items()}
    for gateway, one in sent:
        tally.see(one)
        key = (gateway, one.eth_source)
        if one.router_lifetime > 0:
            episodes.pop(key, None)
            continue
        final += 1
        episodes[key] = episodes.get(key, 0) + 1
        tally.demand(
            gateway in run.serving(macs.get(one.eth_destination, ""), one.time), f"{gateway} took it back", one
        )
        withdrawn = [*(o.valid for o in one.prefixes), *(o.preferred for o in one.prefixes)]
        withdrawn += [option.lifetime for option in one.routes]
        whole = bool(one.prefixes) and not any(withdrawn)
        tally.demand(whole, f"{gateway} sent router lifetime 0 with a prefix or route that lives on", one)
        tally.demand(one.preference == "medium", f"router lifetime 0 with preference {one.preference}", one)
        tally.demand(episodes[key] <= MOST_FINAL, f"more than {MOST_FINAL} farewells of {one.eth_source}", one)
    return tally.result(f"{plural(len(sent), 'RA')}, {final or 'none'} of them farewells", _NOTHING)


def _routes(sent: list[tuple[str, RouterAdvertisement]]) -> Result:
    tally = Tally(
        "ra.routes",
        "RA-14",
        "Route options in order",
        f"no two for one prefix in an RA, at most {MOST_ROUTES}, none with the reserved preference",
    )
    for _, one in sent:
        tally.see(one)
        routes = [route.prefix for route in one.routes]
        tally.demand(len(routes) == len(set(routes)), "two route options for one prefix", one)
        tally.demand(len(routes) <= MOST_ROUTES, f"{len(routes)} route options", one)
        tally.demand(all(route.preference != "reserved" for route in one.routes), "reserved preference", one)
    counted = sum(1 for _, one in sent if one.routes)
    return tally.result(f"{counted} of {plural(len(sent), 'RA')} with route options", _NOTHING)


def first_after(run: Run, stay: Attachment, anchor: str) -> RouterAdvertisement | None:
    """First RA for a prefix of `anchor` that the node saw during a stay."""
    for one in run.advertisements.get(stay.mobile, []):
        mine = one.eth_destination == run.mobiles[stay.mobile].mac
        if mine and stay.start <= one.time < stay.end:
            for option in one.prefixes:
                if run.anchor_of(option.prefix.network_address) == anchor:
                    return one
    return None


def _soon(run: Run, stay: Attachment, bound: float, anchor_bound: float) -> Result:
    others = ", ".join(stay.previous)
    tally = Tally(
        f"ra.soon.{stay.mobile}.{stay.number}",
        "HO-1, HO-9, ATT-8",
        f"{stay.mobile} hears its routers after attaching at {stay.gateway}",
        f"own DLIF within {milliseconds(bound)}"
        + (f", DLIF of {others} within {milliseconds(anchor_bound)}" if others else ""),
    )
    if run.of_mobile(stay.mobile) is None:
        return tally.result("", f"{stay.mobile}'s interface was not captured")
    texts = []
    home = run.home(stay.gateway)
    for anchor in (home, *stay.previous):
        one = first_after(run, stay, anchor)
        if one is None:
            tally.wrong(f"no RA of {anchor}'s DLIF")
            continue
        tally.see(one)
        delay, limit = one.time - stay.start, bound if anchor == home else anchor_bound
        texts.append(f"{anchor} {milliseconds(delay)}")
        tally.demand(delay <= limit, f"RA of {anchor}'s DLIF after {milliseconds(delay)}", one)
    return tally.result(", ".join(texts))


def l2_to_ra(run: Run) -> dict[str, float]:
    """ "mn1 → dgw2 (1)" -> seconds from attachment to the first RA of the new gateway's own DLIF."""
    found = {}
    for stay in run.moves():
        one = first_after(run, stay, run.home(stay.gateway))
        if one is not None:
            found[f"{stay.mobile}.{stay.number}"] = one.time - stay.start
    return found
