"""Checks of links downstream: "aero-autoconfiguration", "aero-pseudo-delegation", "aero-sub-delegation".

Sources: RFC 4861 §6.2, RFC 4862 §5.5.3, RFC 7084, RFC 7278 §3; spec AERO MODEL-R1 to -R3, MODEL-Y3.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv6Address, IPv6Network

from captures.aero.exchanges import REPLY, SOLICIT
from captures.aero.link import AeroLink, Client, Lan
from captures.aero.records import SOLICITATION, Frame
from captures.checks.base import Result, Tally, check, plural
from captures.run import Run

ROUNDING = 1.5
"""Seconds by which an advertised lifetime may exceed the lease: both are whole seconds."""
AUTOCONFIGURED = ("slaac", "off-link")


def links(link: AeroLink, *names: str) -> Iterator[tuple[Client, Lan]]:
    """Downstream links of some Clients, or of all."""
    for client in link.clients.values():
        if not names or client.name in names:
            yield from ((client, lan) for lan in client.downstream)


def advertised(link: AeroLink, lan: Lan) -> list[Frame]:
    """Router Advertisements on a downstream link."""
    return [one for one in link.frames(lan.node, "eth0") if one.advertisement]


@check("aero-autoconfiguration")
def aero_autoconfiguration(run: Run) -> list[Result]:
    """Judge what routers and hybrids advertise on each link, and that no address outlives the lease."""
    link = run.aero
    assert link
    found = [_offered(link, client, lan) for client, lan in links(link) if client.model != "host"]
    title = "Clients advertise themselves and their prefixes downstream"
    return found or [Tally("aero-autoconfiguration", "MODEL-R2", title, "RAs").result(nothing="no link downstream")]


def _offered(link: AeroLink, client: Client, lan: Lan) -> Result:
    tally = Tally(
        f"aero-autoconfiguration.{lan.node}",
        "MODEL-R1, MODEL-R2, MODEL-R3" if client.model == "router" else "MODEL-Y1, MODEL-Y3",
        f"{client.name} offers {lan.node} addresses ({lan.mode})",
        {
            "slaac": f"router lifetime > 0; prefix {lan.prefix} on-link, autonomous",
            "off-link": f"router lifetime > 0; prefix {lan.prefix} autonomous, not on-link",
            "dhcp": "router lifetime > 0, managed flag, no autonomous prefix",
        }[lan.mode]
        + "; valid no longer than the lease",
    )
    offers = [one for one in advertised(link, lan) if one.advertisement and one.advertisement.lifetime]
    for frame in offers:
        offer = frame.advertisement
        assert offer
        tally.see(frame)
        tally.demand(offer.managed == (lan.mode == "dhcp"), f"managed flag {offer.managed}", frame)
        usable = [one for one in offer.prefixes if one.valid]
        wanted = [(lan.prefix, lan.mode == "slaac", True)] if lan.mode in AUTOCONFIGURED else []
        said = [(one.prefix, one.on_link, one.autonomous) for one in usable]
        tally.demand(said == wanted, f"it offers {_told(said)}", frame)
        ends = _lease_ends(link, client, frame.time)
        for one in usable:
            tally.demand(frame.time + one.valid <= ends + ROUNDING, f"{one.valid} s outlive the lease", frame)
            tally.demand(one.preferred <= one.valid, f"preferred {one.preferred} s, valid {one.valid} s", frame)
    return tally.result(f"{plural(len(offers), 'advertisement')}", "nothing but router lifetime 0 on the link")


def _told(said: list[tuple[IPv6Network, bool, bool]]) -> str:
    texts = [f"{prefix} L={int(on_link)} A={int(autonomous)}" for prefix, on_link, autonomous in said]
    return ", ".join(texts) or "no prefix"


def _lease_ends(link: AeroLink, client: Client, when: float) -> float:
    """When the lease ends that the Client has at a moment, by the last Reply before it."""
    ends = 0.0
    for frame in link.received(client):
        if frame.dhcp and frame.dhcp.type == REPLY and frame.time <= when:
            granted = [one.valid for one in frame.dhcp.prefixes if one.valid and one.prefix in client.prefixes]
            ends = frame.time + max(granted) if granted else ends
    return ends


@check("aero-pseudo-delegation")
def aero_pseudo_delegation(run: Run, node: str) -> list[Result]:
    """Judge a node whose /64 is off-link: it sends to its router even what is inside that prefix."""
    link = run.aero
    assert link
    lan = next((lan for _client, lan in links(link) if lan.node == node), None)
    tally = Tally(
        "aero-pseudo-delegation",
        "MODEL-R3",
        f"{node} has a /64 of its own, which is not on its link",
        f"{node} sends packets for its prefix to the router before it asks the link for anybody",
    )
    if lan is None:
        return [tally.result(nothing=f"{node} is downstream of nobody")]
    asked: set[IPv6Address] = set()
    used = set()
    for frame in link.frames(node, "eth0"):
        inner = frame.outer
        solicited = frame.discovery.target if frame.discovery and frame.discovery.type == SOLICITATION else None
        if solicited and inner.source in lan.prefix:
            asked.add(solicited)
        elif frame.echo and frame.echo[0] == "request" and inner.source in lan.prefix:
            used.add(inner.source)
            if inner.destination in lan.prefix:
                tally.see(frame)
                tally.demand(inner.destination not in asked, f"{inner.destination} is taken for on-link", frame)
    return [
        tally.result(
            f"{', '.join(map(str, used))} sends {plural(len(tally.seen), 'packet')} for its own prefix to the router",
            f"{node} sent nothing into its own prefix",
        )
    ]


@check("aero-sub-delegation")
def aero_sub_delegation(run: Run, client: str, node: str) -> list[Result]:
    """Judge a router downstream that got an address and a prefix by DHCPv6."""
    link = run.aero
    assert link
    tally = Tally(
        "aero-sub-delegation",
        "MODEL-R3",
        f"{node} gets a part of {client}'s prefix by DHCPv6",
        f"IA_PD inside {client}'s prefix and longer; both the prefix and the address answer from the native network",
    )
    whole = next(prefix for prefix in link.clients[client].prefixes if isinstance(prefix, IPv6Network))
    frames = link.frames(node, "eth0")
    asked = [one for one in frames if one.dhcp and one.dhcp.type == SOLICIT]
    given = [one for one in frames if one.dhcp and one.dhcp.type == REPLY]
    parts = [part for one in given if one.dhcp for part in one.dhcp.prefixes]
    tally.see(*asked, *given)
    if asked:
        tally.demand(bool(parts), "no prefix was delegated", *asked)
    for part in parts:
        inside = part.prefix.subnet_of(whole) and part.prefix.prefixlen > whole.prefixlen
        tally.demand(inside and part.valid > 0, f"{part.prefix} for {part.valid} s", *given)
        from_there = [one for one in frames if one.echo and one.echo[0] == "reply" and one.outer.source in part.prefix]
        tally.demand(bool(from_there), f"nobody in {part.prefix} answers")
        tally.see(*from_there)
    text = ", ".join(str(part.prefix) for part in parts)
    return [tally.result(f"{node} has {text}", f"{node} did not ask")]
