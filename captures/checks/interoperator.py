"""Check "interoperator": two chained PBU/PBA exchanges and two tunnels at the home LMA (spec §5.8 INTER-*, SC-FIG5)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from captures import tunnels
from captures.checks.base import Result, Tally, check, milliseconds, plural
from captures.checks.signalling.conversation import name
from captures.decode import inside
from captures.exchanges import Exchange, Registration, registrations
from captures.records import Capture, MobilityMessage, Packet
from captures.run import Run
from captures.walk import Attachment

TAIL = 0.1
"""Seconds before a stay's end in which what came in may still be on its way out."""
Flow = tuple[object, ...]


@check("interoperator")
def interoperator(run: Run, require_dlif: bool = True, settled: float = 0.5) -> list[Result]:
    """Judge what goes on between operators; the generic checks judge the rest (signalling, tunnel, flows).

    `settled`: seconds after an attachment from which on the LMA may lose nothing, nor see what is no business of its.
    """
    results = [_apart(run), _entry(run)]
    for registration in registrations(run):
        for anchor in registration.crossing:
            results.append(_chain(run, registration, anchor, require_dlif))
            results.append(_relay(run, registration.stay, anchor, settled))
        results.extend(_direct(run, registration.stay, anchor, settled) for anchor in registration.near)
    return results


def _apart(run: Run) -> Result:
    tally = Tally(
        "interoperator.apart",
        "INTER-1",
        "Gateways of different operators do not talk to each other",
        "no Mobility Header message and no tunnelled packet between gateways of two operators, in any capture",
    )
    for capture in run.captures.values():
        for message in capture.mobility:
            _two_ends(run, tally, message.kind, message, message)
        for packet in capture.packets:
            if packet.tunnelled:
                _two_ends(run, tally, "tunnelled packet", packet, packet.outer)
    between = sorted({gateway.operator for gateway in run.gateways.values()})
    if len(between) < 2:
        tally.seen.clear()
        tally.missing = "all gateways are one operator's"
    return tally.result(f"{plural(len(tally.seen), 'message or tunnelled packet')} looked at, none between operators")


def _two_ends(run: Run, tally: Tally, what: str, frame: MobilityMessage | Packet, header: object) -> None:
    ends = [run.addresses.get(getattr(header, side), "") for side in ("source", "destination")]
    tally.see(frame)
    if all(end in run.gateways for end in ends):
        tally.demand(not run.crosses(*ends), f"{what} {ends[0]}→{ends[1]}", frame)


def _entry(run: Run) -> Result:
    """Traffic from outside reaches a prefix at its anchor: nobody else announces it (spec INTER-8)."""
    tally = Tally(
        "interoperator.entry",
        "INTER-8",
        "Correspondents' traffic enters at the anchor only",
        "plain packets from a correspondent to a mobile node's prefix come in on the anchor's core link, nowhere else",
    )
    outside = set(run.correspondents.values())
    places = [(name, run.wan(name), run.mac(name, gateway.wan)) for name, gateway in run.gateways.items()]
    places.append((run.lma or "", _of_lma(run), run.mac(run.lma or "", run.cmd_interface or "")))
    for where, capture, mac in places:
        for packet in capture.packets if capture else []:
            incoming = packet.layers and not packet.tunnelled and packet.eth_destination == mac
            anchor = run.anchor_of(packet.inner.destination) if incoming else None
            if anchor is not None and packet.inner.source in outside:
                tally.see(packet)
                tally.demand(anchor == where, f"a packet for {anchor}'s prefix enters at {where}", packet)
    return tally.result(f"{plural(len(tally.seen), 'packet')}, each at its anchor", "no packet from a correspondent")


# --- signalling


def relayed_before(run: Run, stay: Attachment, anchor: str) -> bool:
    """Whether the LMA stood between the anchor and the node's gateway before this stay as well (spec INTER-9)."""
    if stay.number == 0:
        return False
    before = run.attachments[stay.mobile][stay.number - 1]
    return anchor in before.previous and run.crosses(anchor, before.gateway)


def _chain(run: Run, registration: Registration, anchor: str, require_dlif: bool) -> Result:
    stay = registration.stay
    again = relayed_before(run, stay, anchor)
    own_leg = "no PBU to the anchor, whose tunnel stays" if again else f"PBU LMA→{anchor} {{68 = LMA}}, PBA back"
    tally = Tally(
        f"interoperator.chain.{stay.mobile}.{stay.number}.{anchor}",
        "INTER-5, INTER-9" if again else "INTER-2, INTER-3, INTER-4, INTER-5",
        f"{stay.mobile} at {stay.gateway}: the LMA " + ("re-points" if again else "chains") + f" {anchor}'s prefix",
        f"PBU {stay.gateway}→LMA, {own_leg}, PBA LMA→{stay.gateway} that gives the LMA as anchor of {anchor}'s prefix "
        "and the DLIF unchanged",
    )
    asked, told = _first_leg(run, registration, anchor)
    second = registration.chained.get(anchor, [])
    messages = [*asked[:1], *(one.update for one in second), *(a for one in second for a in one.answers), *told[:1]]
    tally.see(*messages)
    tally.demand(bool(asked), f"no PBU from {stay.gateway} to the LMA", *messages)
    tally.demand(bool(told), f"no PBA from the LMA to {stay.gateway} with {anchor}'s prefix", *asked)
    if again:
        tally.demand(not second, f"PBU to {anchor}, which need not know", *[one.update for one in second])
    else:
        _second_leg(run, tally, stay, anchor, asked, second)
    if asked and told:
        _order(run, tally, asked[0], second, told[0])
    for answer in told:
        _identity(run, tally, stay, anchor, answer, second, require_dlif)
    return tally.result(_timed(run, messages), f"no message about {anchor}'s prefix")


def _first_leg(
    run: Run, registration: Registration, anchor: str
) -> tuple[list[MobilityMessage], list[MobilityMessage]]:
    """The serving gateway's PBUs to the LMA, and the accepting PBAs that bring it the anchor's prefix."""
    if run.mode == "direct":
        exchanges = registration.anchors.get(anchor, [])
        return [one.update for one in exchanges], [answer for one in exchanges for answer in one.accepted]
    return [one.update for one in registration.own], registration.named.get(anchor, [])


def _second_leg(
    run: Run, tally: Tally, stay: Attachment, anchor: str, asked: list[MobilityMessage], second: list[Exchange]
) -> None:
    """The LMA as serving gateway: its own message, its own marks, the anchor's prefix (spec INTER-3, INTER-4)."""
    tally.demand(bool(second), f"no PBU from the LMA to {anchor} with option 68 = LMA", *asked)
    known = run.prefixes.get((stay.mobile, anchor), [])
    stamps = {message.timestamp for message in asked}
    for exchange in second:
        update = exchange.update
        tally.demand(bool(known) and list(update.prefixes) == known, f"HNP {update.prefixes} is not {anchor}'s", update)
        tally.demand(update.timestamp not in stamps, "the LMA passes on the gateway's timestamp", update)
    accepted = [answer for exchange in second for answer in exchange.accepted]
    tally.demand(bool(accepted) or not second, f"{anchor} did not accept", *[one.update for one in second])


def _order(run: Run, tally: Tally, asked: MobilityMessage, second: list[Exchange], told: MobilityMessage) -> None:
    """PBU, PBU, PBA, PBA; a proxy answers before the anchor has."""
    tally.demand(asked.time <= told.time, "the answer comes before the question", asked, told)
    if not second:
        return
    first = min((one.update for one in second), key=lambda update: update.time)
    tally.demand(asked.time <= first.time, "the LMA asks the anchor before it was asked", asked, first)
    agreed = min((answer.time for one in second for answer in one.accepted), default=None)
    if agreed is not None and run.mode != "proxy":
        tally.demand(agreed <= told.time, "the LMA answers before the anchor agreed", told)


def _identity(
    run: Run,
    tally: Tally,
    stay: Attachment,
    anchor: str,
    answer: MobilityMessage,
    second: list[Exchange],
    require_dlif: bool,
) -> None:
    """The LMA's address, the anchor's DLIF: what the anchor said, or what the node has heard of it (spec INTER-5)."""
    known = run.prefixes.get((stay.mobile, anchor), [])
    mine = [
        (address, dlif)
        for address, prefix, dlif in answer.identities()
        if prefix in known and run.told_anchor(address, prefix) == anchor
    ]
    tally.demand(len(mine) == 1, f"{plural(len(mine), 'group')} for {anchor}'s prefix", answer)
    said = {one.dlif for exchange in second for one in exchange.accepted if one.dlif}
    for address, dlif in mine:
        tally.demand(address == run.cmd_address, f"{anchor}'s prefix is given to {address}", answer)
        if require_dlif:
            tally.demand(dlif.link_local is not None and dlif.mac is not None, f"no 69, 70 for {anchor}", answer)
        tally.demand(not said or dlif in said, f"69, 70 differ from what {anchor} said", answer)
    named = {run.name_of(address) for address, _, _ in answer.identities()}
    tally.demand(anchor not in named, f"{anchor}'s address is told to another operator", answer)


def _timed(run: Run, messages: Sequence[MobilityMessage]) -> str:
    ordered = sorted(messages, key=lambda message: message.time)
    return ", ".join(f"{name(run, one)} +{milliseconds(one.time - ordered[0].time)}" for one in ordered)


# --- user data


def _of_lma(run: Run) -> Capture | None:
    return run.capture(run.lma or "", run.cmd_interface or "")


def _of_anchor(run: Run, stay: Attachment, anchor: str) -> list[Packet]:
    """Tunnelled packets of an anchor's prefix of a node at the LMA's interface during a stay."""
    capture, prefixes = _of_lma(run), run.prefixes.get((stay.mobile, anchor), [])
    return [
        packet
        for packet in (capture.packets if capture else [])
        if packet.tunnelled
        and stay.start <= packet.time < stay.end
        and any(inside(end, net) for net in prefixes for end in (packet.inner.source, packet.inner.destination))
    ]


def _relay(run: Run, stay: Attachment, anchor: str, settled: float) -> Result:
    """Both ways, each packet in by one tunnel and out by the other (spec INTER-6)."""
    tally = Tally(
        f"interoperator.relay.{stay.mobile}.{stay.number}.{anchor}",
        "INTER-6",
        f"{stay.mobile} at {stay.gateway}: the LMA re-encapsulates {anchor}'s prefix both ways",
        f"up: {stay.gateway}→LMA, then LMA→{anchor}; down: {anchor}→LMA, then LMA→{stay.gateway}; every packet that "
        "comes in goes out",
    )
    hops: dict[tuple[bool, str], list[Packet]] = {}
    for packet in _of_anchor(run, stay, anchor):
        one = tunnels.read(run, packet)
        if not isinstance(one, str) and {one.serving, one.anchor} & {stay.gateway, anchor}:
            hops.setdefault((one.uplink, run.name_of(packet.outer.source)), []).append(packet)
    texts = []
    for uplink, before in ((True, stay.gateway), (False, anchor)):
        came, went = hops.get((uplink, before), []), hops.get((uplink, run.lma or ""), [])
        way = "up" if uplink else "down"
        texts.append(f"{len(came)} {way}")
        if not came or not went:
            tally.missing = f"no packet {way}"
            continue
        tally.see(*came[:6], *went[:6])
        due = [p for p in came if stay.start + settled <= p.time < min(stay.end, run.end) - TAIL]
        lost = Counter(map(_same, due)) - Counter(map(_same, went))
        tally.demand(not lost, f"{plural(lost.total(), 'packet')} {way} did not leave the LMA", *_first(due, lost))
    if tally.missing and not tally.problems:
        tally.seen.clear()
    return tally.result(", ".join(texts) + " re-encapsulated")


def _same(packet: Packet) -> Flow:
    """What a packet keeps from tunnel to tunnel."""
    inner = packet.inner
    ends = (inner.source, inner.destination, packet.protocol, packet.source_port, packet.destination_port)
    return (*ends, packet.icmp_type, packet.icmp_id, packet.icmp_sequence, packet.udp_sequence, packet.tcp_sequence)


def _first(packets: Iterable[Packet], wanted: Counter[Flow]) -> list[Packet]:
    return [packet for packet in packets if wanted[_same(packet)]][:3]


def _direct(run: Run, stay: Attachment, anchor: str, settled: float) -> Result:
    """Inside one operator the LMA is not in the path (spec INTER-7, INTER-9)."""
    tally = Tally(
        f"interoperator.direct.{stay.mobile}.{stay.number}.{anchor}",
        "INTER-7, INTER-9",
        f"{stay.mobile} at {stay.gateway}: {anchor}'s prefix has a direct tunnel",
        f"tunnelled at {stay.gateway}; nothing of it at the LMA from {settled:g} s after the move on",
    )
    prefixes, capture = run.prefixes.get((stay.mobile, anchor), []), run.wan(stay.gateway)
    for packet in capture.packets if capture else []:
        ends = (packet.inner.source, packet.inner.destination) if packet.tunnelled else ()
        if stay.start <= packet.time < stay.end and any(inside(end, net) for end in ends for net in prefixes):
            tally.see(packet)
    late = [packet for packet in _of_anchor(run, stay, anchor) if packet.time > stay.start + settled]
    if late:
        tally.wrong(f"{plural(len(late), 'packet')} of {anchor}'s prefix at the LMA", *late[:6])
    return tally.result(f"{plural(len(tally.seen), 'packet')}, none at the LMA", f"no packet of {anchor}'s prefix")
