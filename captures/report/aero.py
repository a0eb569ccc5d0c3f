"""An AERO run as the report tells it: who said what on the AERO link and to Kea, and the headline figures."""

from __future__ import annotations

from collections.abc import Iterator

from captures.aero.bgp import End, Message
from captures.aero.exchanges import Exchange, exchanges
from captures.aero.figures import tunnelled
from captures.aero.link import AeroLink
from captures.aero.records import Dhcp, Frame
from captures.report.arrows import Arrow, Step

ANSWERS = (2, 7)
"""Advertise and Reply."""
KEA = "Kea"
"""Column of a Server's DHCPv6 server, which is on its loopback."""


def columns(link: AeroLink) -> list[str]:
    """Clients, Servers and their Keas, Relays, who attacks them, from left to right."""
    servers = [name for server in link.servers for name in (server, kea_of(server))]
    outsiders = [link.domain["outsider"]["node"]] if "outsider" in link.domain else []
    return [*link.clients, *servers, *link.relays, *outsiders]


def kea_of(server: str) -> str:
    """Name of a Server's Kea in the chart."""
    return f"{KEA} of {server}"


def rows(link: AeroLink) -> list[Arrow | Step]:
    """Steps of the script, DHCPv6 with its way through relay and Kea, Neighbor Discovery, BGP; in order of time."""
    steps = [Step(begin, title) for title, begin, _end in link.steps()]
    talk = [arrow for one in exchanges(link) for arrow in _exchange(one)]
    found: list[Arrow | Step] = sorted([*steps, *talk, *_discovery(link), *_routing(link)], key=lambda row: row.time)
    if found and isinstance(found[0], Arrow):  # Clients attach as soon as they run, which is before the script
        found.insert(0, Step(found[0].time, "the agents start"))
    return found


def _exchange(one: Exchange) -> Iterator[Arrow]:
    if one.server is None:
        return
    client, server = one.client.name, one.server.name
    yield _arrow(one.asked, client, server, one.message.name, _of_client(one.message), "msg pbu")
    if one.forwarded and one.forwarded.dhcp:
        told = ", ".join(f"79 = {ip}:{port}" for ip, port in one.forwarded.dhcp.supplied) or "no option 79"
        yield _arrow(one.forwarded, server, kea_of(server), "Relay-forward", f"RSOO {told}", "msg pbu")
    if one.answered:
        yield _arrow(one.answered, kea_of(server), server, "Relay-reply", _of_client(one.reply), "msg pba")
    if one.delivered and one.delivered.dhcp:
        answer = one.delivered.dhcp
        yield _arrow(one.delivered, server, client, answer.name, _of_client(answer), "msg pba")


def _of_client(message: Dhcp | None) -> str:
    if message is None:
        return ""
    answer = message.server is not None and message.type in ANSWERS  # a Client's own lifetimes say nothing
    prefixes = [f"{each.prefix}{' valid 0' if answer and not each.valid else ''}" for each in message.prefixes]
    echoed = [f"79 = {message.lladdr[0]}:{message.lladdr[1]}"] if message.lladdr else []
    return " · ".join([f"IAID {', '.join(map(str, message.iaids))}", *prefixes, *echoed])


def _discovery(link: AeroLink) -> Iterator[Arrow]:
    for node in link.nodes:
        for frame in link.sent(node):
            seen = frame.discovery
            if seen is None or frame.inner is None:
                continue
            other = link.name_of(frame.inner.destination)
            words = [f"code {frame.code}", f"{frame.carried} octets inside"]
            head = seen.name + (" probe" if frame.padding else "")
            if seen.observed:
                words.append(f"sees {seen.observed.ip}:{seen.observed.port}, {seen.observed.size} octets")
                head = head if seen.nonce else "hint: " + head
            if other in {each.name for each in link.nodes}:
                yield _arrow(frame, node.name, other, head, " · ".join(words), "msg ra")


def _routing(link: AeroLink) -> Iterator[Arrow]:
    """Updates between Servers and Relays; their keepalives would hide the rest."""
    for relay in link.relays.values():
        for one in link.bgp(relay.name, relay.interface):
            if isinstance(one, End) or not (one.announced or one.withdrawn):
                continue
            words = [f"MED {one.med}"] if one.med is not None else []
            words = [*map(str, one.announced), *words, *(f"withdrawn {prefix}" for prefix in one.withdrawn)]
            ends = link.name_of(one.source), link.name_of(one.destination)
            yield _arrow(one, *ends, "BGP UPDATE", " · ".join(words), "msg ra")


def _arrow(frame: Frame | Message, source: str, destination: str, head: str, detail: str, css: str) -> Arrow:
    return Arrow(frame.time, source, destination, head, detail, css, f"{frame.file} frame {frame.number}")


def cards(link: AeroLink, figures: dict[str, object]) -> list[tuple[str, str, str]]:
    """Headline figures: (value, unit, what)."""
    asked = sum(ping.count for ping in link.pings if ping.expect == "reply")
    octets = sum(tunnelled(link).values())
    found = [(str(len(link.clients)), "", "Clients"), (str(asked), "", "echo requests sent")]
    if figures.get("attach_ms_median") is not None:
        found.append((f"{figures['attach_ms_median']:.1f}", "ms", "Solicit → prefix, median"))
    found.append((f"{octets / 1e3:.1f}", "kB", "through tunnels"))
    return found
