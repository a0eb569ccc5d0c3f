"""A HAARO run as the report tells it: who said what to whom, when traffic went straight, and the headline figures."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from captures.haaro.operator import MobileRouter, Operator
from captures.haaro.records import Frame, Message
from captures.report.arrows import Arrow, Step

NETWORK_ACK = {0: "ok", 1: "bad length", 2: "unauthorised", 3: "not set up"}
SIGNALLING = (
    "Registrations, return routability, and of each direct tunnel the first keepalive and the first other packet, as "
    "their senders' captures show them; what a message goes through is beside it. Rows are in order of time, not to "
    "scale; the second time is since the last step of the script."
)
TOPOLOGY = "The lab as it ran: the home agent above the Internet, sites with their routers and access lines below it."


def columns(operator: Operator) -> list[str]:
    """Home agent and routers, from left to right."""
    return [operator.home_node, *operator.routers]


def rows(operator: Operator) -> list[Arrow | Step]:
    """Steps of the script and everything that was said, in order of time."""
    found: list[Arrow | Step] = [Step(begin, title) for title, begin in operator.steps()]
    for router in operator.routers.values():
        found += _said(operator, router)
        found += _straight(operator, router)
    home = [one for one in operator.at_home if one.outer.source == operator.home_agent and not one.tunnelled]
    for frame in home:
        target = operator.owner(frame.outer.destination)
        if frame.message and target:
            found.append(_arrow(frame, operator.home_node, target.name, frame.message))
    found.sort(key=lambda row: row.time)
    if found and isinstance(found[0], Arrow):  # routers register as soon as they run, which is before the script
        found.insert(0, Step(found[0].time, "the agents start"))
    return found


def _said(operator: Operator, router: MobileRouter) -> Iterator[Arrow]:
    for frame in operator.sent(router):
        if frame.message is None:
            continue
        destination = frame.inner.destination
        peer = operator.router_at(destination) or operator.owner(destination)
        target = peer.name if peer else operator.home_node if destination == operator.home_agent else None
        if target and target != router.name:
            yield _arrow(frame, router.name, target, frame.message)


def _straight(operator: Operator, router: MobileRouter) -> Iterator[Arrow]:
    """The first of each kind that the router sent to each peer directly."""
    shown: set[tuple[str, str]] = set()
    for frame in operator.sent(router):
        peer = operator.owner(frame.outer.destination)
        if peer is None or not frame.tunnelled:
            continue
        homes = {one.home_address for one in operator.routers.values()}
        probe = frame.echo is not None and {frame.inner.source, frame.inner.destination} <= homes
        kind = f"keepalive {frame.echo[0]}" if probe and frame.echo else "data"
        if (peer.name, kind) in shown:
            continue
        shown.add((peer.name, kind))
        detail = f"{frame.outer.source} → {frame.outer.destination}"
        yield Arrow(frame.time, router.name, peer.name, f"direct {kind}", detail, "msg ra", _tip(frame))


def _arrow(frame: Frame, source: str, target: str, message: Message) -> Arrow:
    css = "msg pbu" if message.kind in ("RRQ", "HoTI", "CoTI") else "msg pba"
    bad = " bad" if message.kind == "RRP" and message.code >= 64 else ""
    head = message.title + (" deregisters" if message.kind == "RRQ" and not message.lifetime else "")
    words = [*_words(message), "in the tunnel to the home agent"] if frame.tunnelled else _words(message)
    return Arrow(frame.time, source, target, head, " · ".join(words), css + bad, _tip(frame))


def _tip(frame: Frame) -> str:
    return f"{frame.file} frame {frame.number}"


def _words(message: Message) -> list[str]:
    words = []
    if message.capability:
        bits = message.capability
        flags = zip("AROS", (bits.advertise, bits.receive, bits.outbound_only, bits.solicited), strict=True)
        text = "".join(letter for letter, on in flags if on)
        words.append(f"capability {text}" + (f" {bits.solicited}" if bits.solicited else ""))
    words += [str(state.prefix) for state in message.requested]
    words += [f"{state.prefix} {NETWORK_ACK.get(state.code or 0, state.code)}" for state in message.acknowledged]
    if message.advertised is not None:
        owners = [f"{one.home_address}: {', '.join(str(p) for p, _r in one.networks)}" for one in message.advertised]
        words.append("advertises " + ("; ".join(owners) or "nothing"))
    if message.careof_addresses:
        words.append("at " + ", ".join(map(str, message.careof_addresses)))
    return words


def cards(operator: Operator, figures: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Headline figures: (value, unit, what)."""
    found = [(str(len(operator.routers)), "", "sites")]
    if figures.get("registration_ms_median") is not None:
        found.append((f"{figures['registration_ms_median']:.1f}", "ms", "registration, median"))
    if figures["optimisation_ms"]:
        longest = max(figures["optimisation_ms"].values())
        found.append((f"{longest:.1f}", "ms", "first test → peer's acceptance, longest"))
    octets = figures["haaro_bytes"]
    found.append((f"{octets['data'] / 1e3:.1f}", "kB", "of data at the home agent"))
    found.append((f"{octets['direct'] / 1e3:.1f}", "kB", "between routers"))
    return found
