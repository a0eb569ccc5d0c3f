"""Check "aero-switch": a host becomes a hybrid while a connection of its AERO interface is open.

Sources: RFC 7278 §4.3; spec AERO MODEL-5, MODEL-H1.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address

from captures.aero.link import AeroLink, Object
from captures.aero.records import Frame
from captures.checks.aero.downstream import advertised
from captures.checks.base import Result, Tally, check, milliseconds, plural
from captures.run import Run

TCP = 6
FIN, SYN, RST = 0x01, 0x02, 0x04
TRANSFER, MODEL = "transfer", "model"


@dataclass(frozen=True)
class Segment:
    """A TCP segment of the transfer."""

    frame: Frame
    port: int
    """The Client's."""
    sent: bool
    """By the Client."""
    flags: int
    size: int
    """Octets of data."""


@check("aero-switch")
def aero_switch(run: Run, client: str, step: str) -> list[Result]:
    """Judge the connection across the switch, and that advertisements begin with it; `step`: when it was told to."""
    link = run.aero
    assert link
    told = next((begin for title, begin, _end in link.steps() if title == step), float("inf"))
    switched = [one["t"] for one in link.said(client, MODEL) if one["t"] >= told]
    transfer = next((one for one in link.events if one["event"] == TRANSFER and one["node"] == client), None)
    return [_connection(link, client, transfer, switched), _router(link, client, told, switched)]


def segments(frames: list[Frame], transfer: Object) -> list[Segment]:
    """The transfer's connections, by their headers at the peer."""
    ends = ip_address(transfer["source"]), ip_address(transfer["destination"])
    found = []
    for frame in frames:
        outer, head = frame.outer, frame.head
        sent = (outer.source, outer.destination) == ends
        if outer.protocol != TCP or len(head) < 20 or not (sent or (outer.destination, outer.source) == ends):
            continue
        ports = int.from_bytes(head[:2], "big"), int.from_bytes(head[2:4], "big")
        mine, server = ports if sent else ports[::-1]
        if server == transfer["port"]:
            found.append(Segment(frame, mine, sent, head[13], outer.size - outer.header - (head[12] >> 4) * 4))
    return found


def _connection(link: AeroLink, client: str, transfer: Object | None, switched: list[float]) -> Result:
    tally = Tally(
        "aero-switch.connection",
        "MODEL-5",
        f"A TCP connection from an address of {client}'s AERO interface survives the switch of models",
        "data before and after; each connection is opened once, and ends by FIN without a reset before it",
    )
    if transfer is None or not switched:
        return tally.result(nothing=f"{client} switched no model, or had no connection")
    frames = [one for (node, _name), seen in link.captures.items() if node == transfer["peer"] for one in seen]
    found = segments(frames, transfer)
    tally.see(*[one.frame for one in found])
    data = [one for one in found if one.size and one.sent]
    before = [one for one in data if one.frame.time < switched[0]]
    after = [one for one in data if one.frame.time >= switched[0]]
    if found:
        tally.demand(bool(before), "no data before the switch")
        tally.demand(bool(after), "no data after the switch")
    for port in {one.port for one in found}:
        mine = [one for one in found if one.port == port]
        tally.demand(sum(bool(one.flags & SYN) for one in mine if one.sent) == 1, f"port {port} is opened again")
        end = next((at for at, one in enumerate(mine) if one.flags & FIN), len(mine))
        tally.demand(end < len(mine), f"port {port} does not end")
        for one in mine[:end]:  # behind a FIN, a reset is what a program that has left says to late data
            tally.demand(not one.flags & RST, f"port {port} is reset", one.frame)
    pause = after[0].frame.time - before[-1].frame.time if before and after else 0.0
    text = f"{plural(len(before), 'data segment')} before, {len(after)} after a pause of {milliseconds(pause)}"
    return tally.result(text, "no segment of it at its peer")


def _router(link: AeroLink, client: str, told: float, switched: list[float]) -> Result:
    tally = Tally(
        "aero-switch.router",
        "MODEL-H1, MODEL-Y1",
        f"{client} is a router downstream from the switch on, and not before",
        "no Router Advertisement before; one with router lifetime > 0 after",
    )
    if not switched:
        return tally.result(nothing=f"{client} switched no model")
    for lan in link.clients[client].downstream:
        offers = advertised(link, lan)
        tally.see(*offers)
        for frame in offers:
            tally.demand(frame.time >= told, "advertised while it was a host", frame)
        lifetimes = [one.advertisement.lifetime for one in offers if one.advertisement]
        if offers:
            tally.demand(max(lifetimes) > 0, "it never says that it is a router")
    return tally.result(f"{plural(len(tally.seen), 'advertisement')} after", "no advertisement on its link")
