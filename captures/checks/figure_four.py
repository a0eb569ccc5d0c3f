"""Check "figure-four": the eight steps of the seed draft's Figure 4, each with its moment and its frames.

Source: draft-bernardos-dmm-distributed-anchoring-03 §4.2; spec SC-FIG4, §5.1, §5.2, §5.5, §6 (S1, S2).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from captures.checks.base import Framed, Result, Tally, check, milliseconds
from captures.checks.local_access.facts import between
from captures.records import Packet, RouterAdvertisement
from captures.run import Run
from captures.walk import Attachment

OWN_RA = "RA of a DLIF, prefix preferred, preference medium"
MOVED = "HO-9, RA-3, RA-5, RA-7, LIPA-2"


@dataclass(slots=True)
class _Step:
    """One row of the step table."""

    tally: Tally
    stay: Attachment
    time: float | None = None
    """When the step was done."""
    text: str = ""

    def done(self, when: float, text: str, *frames: Framed) -> None:
        """This happened; a step is done when its last part is."""
        self.tally.see(*frames)
        self.time = max(when, self.time or when)
        self.text = f"{self.text}; {text}" if self.text else text

    def lacks(self, what: str, *frames: Framed) -> None:
        """This part of the step was not seen."""
        self.tally.wrong(f"no {what}", *frames)


@check("figure-four")
def figure_four(run: Run) -> list[Result]:
    """Eight results and one for their order, from the first mobile node's first two stays."""
    mobile = next(iter(run.attachments), None)
    stays = run.attachments[mobile][:2] if mobile else []
    if len(stays) < 2:
        return [Tally("fig4", "SC-FIG4", "The eight steps of Figure 4", "a walk").result("", "no move")]
    first, second = stays
    here, there = first.gateway, second.gateway
    script = (
        (first, _detected, "ATT-1", f"{here} detects {mobile}", "a query or a PBU"),
        (first, _advertised, "ATT-3, ATT-4, RA-2", f"{here} gives it a prefix on a DLIF of its own", OWN_RA),
        (first, _no_history, "HO-2, ATT-6, ATT-7", "The database knows no earlier gateway", "an answer without any"),
        (first, _plain, "ATT-10, LIPA-1", "Internet and local network by plain routing", "no encapsulation"),
        (second, _detected, "ATT-1, HO-1", f"{mobile} moves, {there} detects it", "a query or a PBU"),
        (second, _advertised, "HO-1, RA-2", f"{there} gives it a prefix on a DLIF of its own", OWN_RA),
        (second, _bound, "HO-3, HO-7, HO-8", f"Binding update to {here}, and its answer", "PBA 0 with 65, 66, 69, 70"),
        (
            second,
            _moved,
            MOVED,
            f"Tunnel, DLIF and RA of {here} at {there}",
            "PL 0, low, RIO; sessions go on in the tunnel",
        ),
    )
    steps = []
    for number, (stay, find, requirement, title, expected) in enumerate(script, 1):
        tally = Tally(f"fig4.{number}", f"SC-FIG4, {requirement}", f"Step {number}: {title}", expected)
        step = _Step(tally, stay)
        find(run, step)
        steps.append(step)
    results = [step.tally.result(_row(step), "not seen") for step in steps]
    return [*results, _order(steps)]


def _row(step: _Step) -> str:
    return f"after {milliseconds(step.time - step.stay.start)}: {step.text}" if step.time else step.text


def _order(steps: list[_Step]) -> Result:
    """What must come before what; a gateway may advertise its own prefix before or after it asked (spec AMB-4)."""
    tally = Tally("fig4.order", "SC-FIG4", "The steps come in their order", "1 < 2, 3 < 4 < 5 < 6, 7 < 8")
    times = [step.time or 0.0 for step in steps]
    for step in steps:
        tally.see(*step.tally.seen[:1])
    groups = [times[0:1], times[1:3], times[3:4], times[4:5], times[5:7], times[7:8]]
    for earlier, later in pairwise(groups):
        tally.demand(max(earlier) <= min(later), "a step came before the one it follows")
    start = steps[0].stay.start
    rows = ", ".join(f"{n}: {milliseconds(max(t - start, 0.0))}" for n, t in enumerate(times, 1))
    return tally.result(rows, "no step was seen")


# --- the steps


def _detected(run: Run, step: _Step) -> None:
    """The gateway does something about the node: it asks the database, or registers."""
    address = run.gateways[step.stay.gateway].address
    asked: list[tuple[float, Framed]] = [
        (packet.time, packet) for packet in _repository(run, step) if packet.inner.source == address
    ]
    mn_id = run.mobiles[step.stay.mobile].mn_id
    asked += [
        (m.time, m) for m in run.signalling
        if m.kind == "PBU" and m.source == address and m.mn_id == mn_id and step.stay.start <= m.time < step.stay.end
    ]  # fmt: skip
    if not asked:
        step.lacks(f"word of {step.stay.gateway} about the node")
        return
    when, frame = min(asked, key=lambda one: one[0])
    step.done(
        when, f"{step.stay.gateway} speaks of it to {'the database' if run.mode == 'direct' else 'the CMD'}", frame
    )


def _repository(run: Run, step: _Step) -> list[Packet]:
    """The direct mode's queries and answers of this gateway during this stay."""
    capture = run.wan(step.stay.gateway)
    return [
        packet
        for packet in (capture.packets if capture else [])
        if run.repository_port in (packet.source_port, packet.destination_port)
        and packet.layers
        and run.cmd_address in (packet.inner.source, packet.inner.destination)
        and step.stay.start <= packet.time < step.stay.end
    ]


def _sent(run: Run, stay: Attachment, anchor: str) -> RouterAdvertisement | None:
    """First RA at the node for a prefix of `anchor` during a stay."""
    for one in run.advertisements.get(stay.mobile, []):
        anchors = {run.anchor_of(option.prefix.network_address) for option in one.prefixes}
        mine = one.eth_destination == run.mobiles[stay.mobile].mac
        if mine and anchor in anchors and stay.start <= one.time < stay.end:
            return one
    return None


def _advertised(run: Run, step: _Step) -> None:
    one = _sent(run, step.stay, step.stay.gateway)
    if one is None:
        step.lacks(f"RA of {step.stay.gateway}'s own DLIF")
        return
    (option,) = one.prefixes
    step.tally.demand(option.preferred > 0 and one.preference == "medium", "own prefix not preferred", one)
    step.tally.demand(
        one.eth_source != run.mac(step.stay.gateway, run.gateways[step.stay.gateway].phy), "RA of phy", one
    )
    step.done(
        one.time, f"RA {option.prefix} from {one.eth_source}, preferred {option.preferred} s, {one.preference}", one
    )


def _no_history(run: Run, step: _Step) -> None:
    gateway = run.gateways[step.stay.gateway]
    others = {one.address for one in run.gateways.values()} - {gateway.address}
    during = [m for m in run.signalling if step.stay.start <= m.time < step.stay.end]
    for message in during:
        told = message.kind == "PBU" and message.destination in others
        step.tally.demand(not told, "PBU to another gateway at the first attachment", message)
        step.tally.demand(not message.anchors, "option 67 at the first attachment", message)
    if run.mode == "direct":
        answers = [p for p in _repository(run, step) if p.inner.source == run.cmd_address]
        if answers:
            step.done(answers[0].time, "the repository answered, no PBU followed", answers[0])
    else:
        accepted = [m for m in during if m.kind == "PBA" and m.destination == gateway.address and m.status == 0]
        if accepted:
            step.done(accepted[0].time, "PBA 0 of the CMD without option 67", accepted[0])
    if step.time is None:
        step.lacks("answer of the database")


def _plain(run: Run, step: _Step) -> None:
    stay = step.stay
    mine = run.prefixes.get((stay.mobile, stay.gateway), [])
    wan = run.wan(stay.gateway)
    for packet in wan.packets if wan else []:
        at_home = packet.layers and stay.start <= packet.time < stay.end
        if at_home and not packet.tunnelled and any(packet.inner.source in net for net in mine):
            step.done(packet.time, "uplink on the core link without encapsulation", packet)
            break
    else:
        step.lacks("plain uplink packet")
    for packet in _local(run, stay, stay.gateway, access=True):
        if packet.inner.destination in mine[0]:
            step.done(packet.time, "an answer of the local network", packet)
            return
    step.lacks("answer of the local network")


def _local(run: Run, stay: Attachment, owner: str, *, access: bool) -> list[Packet]:
    """Packets between the node and the owner's networks, on the serving gateway's access or core side."""
    capture = run.phy(stay.gateway) if access else run.wan(stay.gateway)
    return [
        packet
        for packet in (capture.packets if capture else [])
        if stay.start <= packet.time < stay.end and between(run, packet, owner, stay.mobile)
    ]


def _bound(run: Run, step: _Step) -> None:
    """The PBU at the anchor, and the anchor's own PBA: what it says of its prefix, its DLIF and its networks."""
    anchor = run.gateways[step.stay.previous[0]]
    prefixes = tuple(run.prefixes.get((step.stay.mobile, anchor.name), []))
    during = [m for m in run.signalling if step.stay.start <= m.time < step.stay.end]
    updates = [m for m in during if m.kind == "PBU" and m.destination == anchor.address]
    answers = [m for m in during if m.kind == "PBA" and m.source == anchor.address and m.status == 0]
    if not updates or not answers:
        step.lacks(f"{'PBU to' if not updates else 'accepting PBA of'} {anchor.name}")
        return
    update, answer = updates[0], answers[0]
    new = run.prefixes.get((step.stay.mobile, step.stay.gateway), [])
    step.tally.demand(update.prefixes == prefixes, "HNP is not the anchored prefix", update)
    step.tally.demand(list(update.anchored[:1]) == new, "option 65 of the PBU is not the new prefix", update)
    step.tally.demand(answer.anchored == prefixes, "option 65 of the PBA is not the anchored prefix", answer)
    step.tally.demand(answer.local_prefixes == anchor.local_prefixes, "option 66 are not the local prefixes", answer)
    router = _sent(run, step.stay, anchor.name)
    identity = (router.source, router.eth_source) if router else None
    signalled = (answer.dlif.link_local, answer.dlif.mac) if answer.dlif else None
    step.tally.demand(identity is not None and signalled == identity, "options 69, 70 are not the DLIF's", answer)
    step.done(update.time, f"PBU {run.name_of(update.source)}→{anchor.name} HI {update.handoff}, 65 {new[0]}", update)
    networks = ", ".join(map(str, answer.local_prefixes))
    step.done(
        answer.time,
        f"PBA 0 with 65 {prefixes[0]}, 66 {networks}, 69 and 70 {answer.dlif.mac if answer.dlif else ''}",
        answer,
    )


def _moved(run: Run, step: _Step) -> None:
    stay, anchor = step.stay, step.stay.previous[0]
    one = _sent(run, stay, anchor)
    if one is None:
        step.lacks(f"RA of {anchor}'s DLIF")
        return
    (option,) = one.prefixes
    deprecated = option.preferred == 0 or run.ra_profile == "lowpref"
    step.tally.demand(deprecated and option.valid > 0, f"PL {option.preferred}, VL {option.valid}", one)
    step.tally.demand(one.preference == "low", f"preference {one.preference}", one)
    routes = {(route.prefix, route.preference) for route in one.routes if route.lifetime}
    wanted = {(prefix, "high") for prefix in run.gateways[anchor].local_prefixes}
    step.tally.demand(routes == wanted, "route options are not the local prefixes", one)
    step.done(
        one.time, f"RA {option.prefix} PL {option.preferred}, {one.preference}, {len(routes)} route options high", one
    )
    _both_ways(run, step, anchor)
    at_home = _local(run, run.attachments[stay.mobile][0], anchor, access=True)
    local = [packet for packet in _local(run, stay, anchor, access=False) if packet.tunnelled]
    going_on = {(p.inner.source, p.inner.destination) for p in at_home} & {
        (p.inner.source, p.inner.destination) for p in local
    }
    both_ways = any((far, near) in going_on for near, far in going_on)
    step.tally.demand(both_ways, "the local session did not go on, both ways")
    if local:
        step.done(local[0].time, "the local session goes on through the tunnel", *local[:2])


def _both_ways(run: Run, step: _Step, anchor: str) -> None:
    stay = step.stay
    prefixes = run.prefixes.get((stay.mobile, anchor), [])
    capture = run.wan(stay.gateway)
    for uplink, name in ((True, "uplink"), (False, "downlink")):
        for packet in capture.packets if capture else []:
            if packet.tunnelled and stay.start <= packet.time < stay.end:
                end = packet.inner.source if uplink else packet.inner.destination
                if any(end in prefix for prefix in prefixes):
                    step.done(packet.time, f"{name} through the tunnel", packet)
                    break
        else:
            step.lacks(f"{name} through the tunnel")
