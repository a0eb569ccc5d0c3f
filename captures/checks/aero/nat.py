"""Checks "aero-nat" and "aero-rebinding": translations seen from both sides, and what a Server believes when.

Sources: spec AERO §2.9, §13 scenarios 1 and 2, CLI-6, CLI-9, CLI-10, SRV-3, SRV-9.
"""

from __future__ import annotations

from itertools import pairwise

from captures.aero.exchanges import RENEW, REPLY, Exchange, exchanges
from captures.aero.link import AeroLink, Client, Server, within
from captures.aero.records import Frame
from captures.checks.base import Result, Tally, check, milliseconds
from captures.ip import Address
from captures.run import Run

Ends = tuple[Address, int, Address, int]
"""Source address and port, destination address and port."""


@check("aero-nat")
def aero_nat(run: Run, preserved: dict[str, bool] | None = None) -> list[Result]:
    """Judge every NAT's translation; `preserved`: NAT -> whether it keeps ports."""
    link = run.aero
    assert link
    return [_translation(link, name, keeps) for name, keeps in (preserved or {}).items()]


def ends(frame: Frame) -> Ends | None:
    """Addresses and ports of a UDP datagram."""
    if frame.ports is None:
        return None
    return frame.outer.source, frame.ports[0], frame.outer.destination, frame.ports[1]


def mappings(link: AeroLink, name: str) -> dict[tuple[Ends, Ends], tuple[Frame, Frame]]:
    """(inside, outside) view of each outbound translation of a NAT, with the first frame on either side."""
    inside = [one for one in link.frames(name, link.nats[name]["lan"]) if one.ports and one.outer.version == 4]
    outside = [one for one in link.frames(name, link.nats[name]["wan"]) if one.ports and one.outer.version == 4]
    later: dict[bytes, list[Frame]] = {}
    for frame in outside:
        later.setdefault(frame.head[8:], []).append(frame)
    found: dict[tuple[Ends, Ends], tuple[Frame, Frame]] = {}
    for frame in inside:
        # Same octets behind the UDP header, same identification: the same datagram on the other side.
        twins = [
            one
            for one in later.get(frame.head[8:], [])
            if one.outer.identification == frame.outer.identification
            and one.outer.destination == frame.outer.destination
            and one.time >= frame.time
        ]
        before, after = ends(frame), ends(twins[0]) if twins else None
        if before and after:
            found.setdefault((before, after), (frame, twins[0]))
    return found


def _translation(link: AeroLink, name: str, keeps: bool) -> Result:
    tally = Tally(
        f"aero-nat.{name}",
        "CLI-6, CLI-7",
        f"{name} translates the Client's datagrams",
        f"another source address outside, {'the same' if keeps else 'another'} port, the same destination",
    )
    texts = []
    begin = _rebound(link)
    for (inside, outside), (one, two) in mappings(link, name).items():
        if one.time >= begin:
            continue
        tally.see(one, two)
        tally.demand(inside[0] != outside[0], f"{inside[0]} is not translated", two)
        tally.demand(inside[2:] == outside[2:], "the destination changed", two)
        tally.demand((inside[1] == outside[1]) == keeps, f"port {inside[1]} became {outside[1]}", two)
        texts.append(f"{inside[0]}:{inside[1]} is {outside[0]}:{outside[1]} toward {outside[2]}")
    return tally.result(", ".join(texts), f"no datagram on both sides of {name}")


def _rebound(link: AeroLink) -> float:
    return next((begin for title, begin, _end in link.steps() if title.startswith("the NAT forgets")), float("inf"))


@check("aero-rebinding")
def aero_rebinding(run: Run, client: str = "c1", bound_ms: float = 500.0) -> list[Result]:
    """Judge what followed the loss of a NAT's translations; `bound_ms`: longest silence of the pings meanwhile."""
    link = run.aero
    assert link
    one = link.clients[client]
    server = next(iter(link.servers.values()))
    when = _rebound(link)
    return [_hint(link, one, server, when), _believed(link, one, server, when), _outage(link, one, when, bound_ms)]


def _hint(link: AeroLink, client: Client, server: Server, when: float) -> Result:
    tally = Tally(
        "aero-rebinding.hint",
        "SRV-9",
        "The Server tells a Client that it sees it somewhere else",
        "one NA without nonce, S=0, with OBSERVED, to the new address; not larger than the packet that caused it",
    )
    arriving = [one for one in link.received(server) if one.time >= when and one.inner]
    for frame in link.sent(server):
        seen = frame.discovery
        if frame.time < when or seen is None or seen.type != 136 or seen.nonce is not None:
            continue
        tally.see(frame)
        observed = seen.observed
        there = (frame.outer.destination, (frame.ports or (0, 0))[1])
        told = observed is not None and (observed.ip, observed.port) == there
        tally.demand(told, f"OBSERVED {observed}, sent to {there}", frame)
        tally.demand(not seen.solicited, "S flag set", frame)
        causes = [one for one in arriving if one.time <= frame.time + 0.001 and one.outer.source == there[0]]
        small = bool(causes) and frame.inner is not None and frame.inner.size <= max(one.carried for one in causes[-3:])
        tally.demand(small, "larger than what caused it", frame)
    return tally.result(nothing="no hint left the Server")


def _believed(link: AeroLink, client: Client, server: Server, when: float) -> Result:
    tally = Tally(
        "aero-rebinding.believed",
        "SRV-3, CLI-10, LDRA-5",
        "The Server's entry changes only with a successful DHCPv6 exchange",
        "Renew from the new address, Reply with option 79 = it; nothing of the Client's data is sent there before",
    )
    renewals = [
        one
        for one in exchanges(link)
        if one.client is client and one.message.type == RENEW and one.asked.time >= when and one.delivered
    ]
    if not renewals:
        tally.missing = "no Renew after the rebinding"
        return tally.result()
    exchange = renewals[0]
    assert exchange.arrived
    assert exchange.delivered
    new = (exchange.arrived.outer.source, (exchange.arrived.ports or (0, 0))[0])
    tally.see(*exchange.frames())
    answered = exchange.reply is not None and exchange.reply.type == REPLY and exchange.reply.lladdr == new
    tally.demand(answered, f"the Reply tells {exchange.reply.lladdr if exchange.reply else None}", exchange.delivered)
    data = [one for one in link.sent(server) if one.time >= when and _to(one) == new and not one.discovery]
    early = [one for one in data if one.time < exchange.delivered.time and one.dhcp is None]
    for frame in early:
        tally.wrong("data went to the new address before the Reply", frame)
    moved = [event for event in link.said(server.name, "client-moved") if event["t"] >= when]
    tally.demand(bool(moved), "the Server did not say that the Client moved")
    for event in moved[:1]:
        answered_at = exchange.answered.time if exchange.answered else exchange.delivered.time
        tally.demand(event["t"] >= answered_at - 0.001, "the entry changed before Kea's answer", exchange.delivered)
    _old_until(tally, link, server, exchange, when, new)
    took = exchange.delivered.time - exchange.asked.time
    return tally.result(f"{new[0]}:{new[1]} believed {milliseconds(took)} after the Renew, by its Reply")


def _old_until(
    tally: Tally, link: AeroLink, server: Server, exchange: Exchange, when: float, new: tuple[Address, int]
) -> None:
    """After the Reply everything goes to the new address."""
    assert exchange.delivered
    later = [one for one in link.sent(server) if one.time > exchange.delivered.time and not one.dhcp]
    for frame in later:
        to = _to(frame)
        if to[0] == new[0] and to[1] != new[1]:
            tally.wrong(f"still to {to[0]}:{to[1]} after the Reply", frame)


def _to(frame: Frame) -> tuple[Address, int]:
    return frame.outer.destination, (frame.ports or (0, 0))[1]


def _outage(link: AeroLink, client: Client, when: float, bound_ms: float) -> Result:
    tally = Tally(
        "aero-rebinding.outage",
        "CLI-9, CLI-10, SRV-9",
        "Traffic comes back by itself after a rebinding",
        f"no silence of more than {bound_ms:g} ms at the host behind the Client",
    )
    ping = next((one for one in link.pings if one.name == "rebinding"), None)
    if ping is None or client.host is None:
        return tally.result(nothing="no pings during a rebinding")
    frames = within(link.frames(client.host, "eth0"), ping.start, ping.end + 1)
    sent = [one for one in frames if one.echo and one.echo[:2] == ("request", ping.identifier)]
    back = [one for one in frames if one.echo and one.echo[:2] == ("reply", ping.identifier)]
    if not sent:
        return tally.result(nothing=f"{client.host} sent none of them")
    tally.see(*sent[:1], *back)
    if not back:
        tally.wrong("nothing came back")
        return tally.result()
    times = [sent[0].time, *(one.time for one in back), sent[-1].time]
    gap = max(later - earlier for earlier, later in pairwise(times))
    tally.demand(gap * 1000 <= bound_ms, f"silent for {milliseconds(gap)}", back[0])
    lost = len({one.echo[2] for one in sent if one.echo} - {one.echo[2] for one in back if one.echo})
    return tally.result(f"{lost} of {len(sent)} pings lost, longest silence {milliseconds(gap)}")
