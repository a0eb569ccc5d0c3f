"""Check "aero-attack": what attackers sent, what it changed, who counted it, and what went to them.

An attacker leaves the outer UDP checksum out, nobody else does: that is how captures tell its packets from a Client's
own, whatever source they have.  Sources: spec AERO §9, RO-8, SRV-9; RFC 6706 §6.4.4, §8.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any

from captures.aero.link import AeroLink, Server, within
from captures.aero.mediations import said_in, sent_mediations
from captures.aero.records import UDP, Frame
from captures.checks.base import Result, Tally, check, plural
from captures.ip import Address
from captures.run import Run

Object = dict[str, Any]
TCP = 6
ROWS = [f"SEC9-{number}" for number in range(1, 18)]
THEFT = "SEC9-10"
"""Nothing of this row is held off without keys."""
MARK = 666
"""ICMP identifier of all data that attackers send."""
HANDSHAKE = 1
"""Frames of a connection that are enough to tell that it was tried."""
VOLATILE = {"expires", "tokens"}
"""Ends of pairs and their keys are put off by the traffic that goes on."""
RENEWAL = 0.5
"""Seconds that an answer may wait to be read."""
MEASURED = {"reachability", "state", "proven", "mtu", "nat"}
"""Of a path: what probes find out; only a path itself is taken or left by what is attacked."""


@dataclass
class Try:
    """One attack as the lab announced it."""

    event: Object
    sent: list[Frame] = field(default_factory=list)
    """At the attacker's interface."""
    arrived: list[Frame] = field(default_factory=list)
    """At the victim's."""

    @property
    def title(self) -> str:
        """What to call it."""
        return f"{self.event['victim']}, {self.event['kind']}"

    @property
    def row(self) -> str:
        """Requirement."""
        return str(self.event["row"])


@check("aero-attack")
def aero_attack(run: Run, theft: bool = False) -> list[Result]:
    """Judge every attack; `theft`: a Rebind in another's name must succeed, nobody having keys (spec §6.11)."""
    link = run.aero
    assert link
    tries = [_found(link, event) for event in link.events if event["event"] == "attack"]
    thefts = [event["begin"] for event in link.events if event["event"] == "theft"]
    until = min(thefts, default=float("inf"))
    rows = [_row(link, row, [one for one in tries if one.row == row]) for row in ROWS if not (theft and row == THEFT)]
    found = [*rows, _trap(link, until), _reflection(link), _delivered(link), _amplified(link, until)]
    return [*found, _stolen(link)] if theft else found


def _found(link: AeroLink, event: Object) -> Try:
    source, target = ip_address(event["source"]), ip_address(event["target"])
    found = Try(event)
    end = event["t"]
    for node, frames in ((event["node"], found.sent), (event["victim"], found.arrived)):
        for one in link.frames(str(node), "wan"):
            ends = (one.outer.source, one.outer.destination) == (source, target)
            if ends and event["begin"] <= one.time <= end and _is_attack(one, int(event["protocol"])):
                frames.append(one)
    return found


def _is_attack(frame: Frame, protocol: int) -> bool:
    if frame.outer.protocol != protocol:
        return False
    return frame.udp_checksum == 0 if protocol == UDP else True


def _row(link: AeroLink, row: str, tries: list[Try]) -> Result:
    tally = Tally(
        f"aero-attack.{row.lower()}",
        row,
        "An attack changes nothing, and is counted",
        "all of it arrives; the victim's state is the same before and after; its counters rise by as much",
    )
    counted: Counter[str] = Counter()
    for one in tries:
        tally.see(*one.arrived)
        wanted = int(one.event["packets"])
        for place, frames in (("sent", one.sent), ("arrived", one.arrived)):
            right = len(frames) == wanted if one.event["protocol"] != TCP else len(frames) >= HANDSHAKE
            tally.demand(right, f"{one.title}: {len(frames)} of {wanted} {place}", *frames)
        before, after = (_dump(link, one, moment) for moment in ("before", "after"))
        if before is None or after is None:
            tally.wrong(f"{one.title}: no state dump", *one.sent)
            continue
        renewed = _renewed(link, before, after)
        changed = sorted(_differences(_lasting(before["state"], renewed), _lasting(after["state"], renewed)))
        tally.demand(not changed, f"{one.title}: changed {', '.join(changed[:4])}", *one.arrived)
        rise = {
            name: after["counters"].get(name, 0) - before["counters"].get(name, 0) for name in one.event["counters"]
        }
        counted.update(rise)
        total = sum(rise.values())
        tally.demand(total >= one.event["counted"], f"{one.title}: {total} of {one.event['counted']} counted")
    texts = [f"{number} {name}" for name, number in sorted(counted.items()) if name]
    return tally.result(f"{plural(len(tries), 'attack')}: {', '.join(texts) or 'state equal'}", "not tried")


def _dump(link: AeroLink, one: Try, moment: str) -> Object | None:
    dumps = [
        event
        for event in link.said(str(one.event["victim"]), "state-dump")
        if (event["attack"], event["moment"]) == (one.event["kind"], moment)
    ]
    dumps = [each for each in dumps if (each["t"] <= one.event["t"]) == (moment == "before")]
    return dumps[0] if dumps else None


def _renewed(link: AeroLink, before: Object, after: Object) -> bool:
    """Whether a Client spoke with its own DHCPv6 server meanwhile, or so shortly before that it may not know yet."""
    client = link.clients.get(str(before["node"]))
    if client is None:
        return False
    frames = within(link.wan(client), before["t"] - RENEWAL, after["t"])
    return any(one.dhcp is not None and one.udp_checksum != 0 for one in frames)


def _lasting(state: Object, renewed: bool) -> Object:
    """What no packet of this kind may change; a lease that was renewed meanwhile lasts longer."""
    found = {name: value for name, value in state.items() if name not in ("mtus",)}
    if renewed:
        found["prefixes"] = sorted(found.get("prefixes", ()))
        found["delegations"] = sorted(found.get("delegations", ()))
    found["neighbors"] = {one["address"]: _neighbor(one) for one in state.get("neighbors", ())}
    return found


def _neighbor(one: Object) -> Object:
    found = {name: value for name, value in one.items() if name not in VOLATILE}
    found["accept"] = sorted(one.get("accept", ()))
    found["forward"] = {pair: each["stage"] for pair, each in one.get("forward", {}).items()}
    found["prefixes"] = sorted(one.get("prefixes", ()))
    found["paths"] = [{name: each[name] for name in each if name not in MEASURED} for each in one.get("paths", ())]
    return found


def _differences(before: Any, after: Any, path: str = "") -> Iterator[str]:
    if isinstance(before, dict) and isinstance(after, dict):
        for name in before.keys() | after.keys():
            yield from _differences(before.get(name), after.get(name), f"{path}.{name}")
    elif before != after:
        yield path.lstrip(".")


# --- what goes to attackers


def _outsider(link: AeroLink) -> Address:
    return ip_address(link.domain["outsider"]["underlay"])


def _to_outsider(link: AeroLink, until: float) -> Iterable[Frame]:
    """What nodes of the link sent there, at their own interfaces: nothing that a mirror copied."""
    trap = _outsider(link)
    return [one for node in link.nodes for one in link.sent(node) if one.outer.destination == trap and one.time < until]


def _trap(link: AeroLink, until: float) -> Result:
    tally = Tally(
        "aero-attack.trap",
        "SEC9-2, SEC9-3, SEC9-5, RO-12",
        "No traffic goes where an attacker would like to have it",
        "nobody sends data or requests to the outsider's link-layer address, which it told in every lie",
    )
    outsider = link.domain["outsider"]
    for one in link.frames(outsider["node"], outsider["interface"]):
        if one.outer.source == _outsider(link) and one.code:
            tally.see(one)
    for one in _to_outsider(link, until):
        harmless = one.discovery is not None and one.padding == 0
        tally.demand(harmless, f"{one.node} sends it more than Neighbor Discovery", one)
    return tally.result("no data", "the outsider sent nothing")


def _reflection(link: AeroLink) -> Result:
    tally = Tally(
        "aero-attack.reflection",
        "SEC9-3, RO-8",
        "A target's Server tells where it sees the target itself",
        "every Predirect and Redirect that Servers and Relays send names the Clients' own link-layer addresses only, "
        "after a lie, too",
    )
    lied = [event["begin"] for event in link.events if event["event"] == "attack" and event["row"] == "SEC9-3"]
    known = {address for client in link.clients.values() for address in client.underlay}
    routers = {*link.servers, *link.relays}
    for one in sent_mediations(link):
        if one.node not in routers or one.udp_checksum == 0:
            continue
        if any(begin <= one.time <= begin + 1 for begin in lied):
            tally.see(one)
        strange = [each for each in said_in(one).lladdrs if each.ip not in known]
        tally.demand(not strange, f"{one.node} passes on {', '.join(str(each.ip) for each in strange)}", one)
    return tally.result("rewritten", "no Redirect was passed on after the lie")


def _delivered(link: AeroLink) -> Result:
    tally = Tally(
        "aero-attack.delivery",
        "SEC9-7, SEC9-8, SEC9-15, SRV-6, RO-14",
        "No data of an attacker arrives",
        "its packets, known by their ICMP identifier, are in no capture of a host, and nobody encapsulates them",
    )
    nodes: dict[str, Server | Any] = {node.name: node for node in link.nodes}
    for (name, _interface), frames in link.captures.items():
        for one in frames:
            if not one.echo or one.echo[1] != MARK:
                continue
            if one.code and one.udp_checksum == 0:
                tally.see(one)
                continue
            own = one.outer.source in nodes[name].underlay if name in nodes else True
            tally.demand(not own and bool(one.code), f"{name} has it", one)
    return tally.result(nothing="no such data was sent")


def _amplified(link: AeroLink, until: float) -> Result:
    tally = Tally(
        "aero-attack.amplification",
        "SEC9-16, SRV-9",
        "Nobody gets more back than it sent",
        "of every node: less to the outsider than from it, no answer longer than the longest question",
    )
    for node in link.nodes:
        asked = [one for one in link.received(node) if one.udp_checksum == 0 and one.outer.source == _outsider(link)]
        told = [one for one in _to_outsider(link, until) if one.node == node.name]
        tally.see(*asked)
        octets = [sum(one.outer.size for one in frames) for frames in (asked, told)]
        tally.demand(octets[1] <= octets[0], f"{node.name}: {octets[1]} octets for {octets[0]}", *told)
        longest = max((one.outer.size for one in asked), default=0)
        long = [one for one in told if one.outer.size > longest]
        tally.demand(not long, f"{node.name} answers with more than {longest} octets", *long)
    return tally.result(nothing="the outsider asked nobody")


def _stolen(link: AeroLink) -> Result:
    """Known, and why keys should be on: the DUID is all that the DHCPv6 server judges by."""
    tally = Tally(
        "aero-attack.theft",
        THEFT,
        "Without authentication a Rebind in another's name is believed",
        "the failing case that the sheet asks for: the victim's Server answers the outsider with a Reply",
    )
    thefts = [event for event in link.events if event["event"] == "theft"]
    for event in thefts:
        replies = [
            one
            for one in _to_outsider(link, float("inf"))
            if one.dhcp and one.dhcp.name == "Reply" and one.time >= event["begin"] and one.node == event["victim"]
        ]
        tally.see(*replies)
        tally.demand(bool(replies), f"{event['victim']} gave no Reply")
    return tally.result("as known: with keys it is refused", "no theft was tried")
