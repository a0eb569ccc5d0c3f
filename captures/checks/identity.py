"""Check "identity": a DLIF is the same router wherever it is hosted (spec DLIF-2, DLIF-3, DLIF-7, DLIF-9)."""

from __future__ import annotations

from collections import defaultdict
from ipaddress import IPv6Address

from captures.checks.base import Result, Tally, check, plural
from captures.exchanges import registrations
from captures.records import Packet, RouterAdvertisement
from captures.run import Run

TEARDOWN = 0.02
"""Seconds from a gateway's PBA to the silence of its DLIFs: it answers first."""
Key = tuple[str, str]
"""(MAC of the mobile node, anchor gateway)."""


@check("identity")
def identity(run: Run, grace: float = 1.0) -> list[Result]:
    """Judge DLIF identities; `grace` (seconds): a left gateway may still send that long until it is told."""
    seen: dict[Key, list[tuple[str, RouterAdvertisement]]] = defaultdict(list)
    for gateway in run.gateways:
        capture = run.phy(gateway)
        for one in capture.advertisements if capture else []:
            for option in one.prefixes:
                anchor = run.anchor_of(option.prefix.network_address)
                if anchor is not None:
                    seen[one.eth_destination, anchor].append((gateway, one))
    return [_constant(run, seen), _unique(run, seen), _one_place(run, seen, grace), _signalled(run, seen)]


_NOTHING = "no Router Advertisement on any gateway's access interface"


def _constant(run: Run, seen: dict[Key, list[tuple[str, RouterAdvertisement]]]) -> Result:
    tally = Tally(
        "identity.constant",
        "DLIF-2",
        "A DLIF keeps its MAC and link-local at every gateway",
        "one (MAC, link-local) per mobile node and anchor, wherever the RA comes from",
    )
    texts = []
    for (_, anchor), found in seen.items():
        first = found[0][1]
        for _, one in found:
            tally.see(one)
            same = (one.eth_source, one.source) == (first.eth_source, first.source)
            tally.demand(same, f"DLIF of {anchor}: {first.eth_source}, then {one.eth_source}", first, one)
        hosts = dict.fromkeys(gateway for gateway, _ in found)
        texts.append(f"{anchor}'s {first.eth_source} at {', '.join(hosts)}")
    hosted = any(len({gateway for gateway, _ in found}) > 1 for found in seen.values())
    if run.moves() and seen and not hosted:
        tally.wrong("no DLIF was ever seen at a second gateway")
    return tally.result("; ".join(texts), _NOTHING)


def _unique(run: Run, seen: dict[Key, list[tuple[str, RouterAdvertisement]]]) -> Result:
    tally = Tally(
        "identity.unique",
        "DLIF-3, DLIF-1",
        "Every DLIF has a MAC of its own",
        "no two (mobile node, anchor) share a MAC; none is a MAC of a real interface",
    )
    real = {
        facts["mac"].lower(): f"{node}'s {name}"
        for node, values in run.lab["nodes"].items()
        for name, facts in values.get("interfaces", {}).items()
        if facts.get("mac")
    }
    holder: dict[str, Key] = {}
    for key, found in seen.items():
        for _, one in found:
            tally.see(one)
            other = holder.setdefault(one.eth_source, key)
            tally.demand(other == key, f"{one.eth_source} serves {other[1]} and {key[1]}", one)
            tally.demand(one.eth_source not in real, f"{one.eth_source} is {real.get(one.eth_source)}'s own MAC", one)
    return tally.result(f"{plural(len(holder), 'MAC')} for {plural(len(seen), 'DLIF')}", _NOTHING)


def _one_place(run: Run, seen: dict[Key, list[tuple[str, RouterAdvertisement]]], grace: float) -> Result:
    """A DLIF's MAC speaks at one gateway at a time, and only where its node is."""
    tally = Tally(
        "identity.one-place",
        "DLIF-9, HO-12",
        "A DLIF is never alive at two gateways",
        f"frames from a DLIF only where its node is (the old gateway at most {grace:g} s after), never at the old "
        "gateway again once the new one spoke and the old one acknowledged that the node moved",
    )
    told = _told(run)
    owner = {one.eth_source: key[0] for key, found in seen.items() for _, one in found}
    by_mac = {mobile.mac: name for name, mobile in run.mobiles.items()}
    frames: dict[str, list[tuple[float, str, Packet]]] = defaultdict(list)
    for gateway in run.gateways:
        capture = run.phy(gateway)
        for packet in capture.packets if capture else []:
            if packet.eth_source in owner:
                frames[packet.eth_source].append((packet.time, gateway, packet))
    for mac, found in frames.items():
        mobile = by_mac.get(owner[mac], "")
        place = ""
        for when, gateway, packet in sorted(found, key=lambda one: one[0]):
            tally.see(packet)
            here = run.serving(mobile, when)
            if gateway in here:
                place = gateway
            elif not here and gateway == _last(run, mobile, when):
                continue  # out of reach, its binding lives on until it ends or another gateway speaks up (DEREG-1)
            elif gateway not in run.serving(mobile, when, grace):
                tally.wrong(f"{mac} speaks at {gateway} while {mobile} is at {'/'.join(here) or 'none'}", packet)
            elif place and place != gateway and when > _since(run, told, mobile, gateway, when):
                tally.wrong(f"{mac} speaks at {gateway} after it spoke at {place}", packet)
    return tally.result(f"{plural(len(tally.seen), 'frame')} of {plural(len(frames), 'DLIF')}", _NOTHING)


def _last(run: Run, mobile: str, when: float) -> str | None:
    """The gateway that a node was at last."""
    return next((s.gateway for s in reversed(run.attachments.get(mobile, [])) if s.start <= when), None)


def _since(run: Run, told: dict[tuple[str, int, str], float], mobile: str, gateway: str, when: float) -> float:
    """From when on a gateway must be silent about the stay that a node has at another one; 0: always."""
    stay = [one for one in run.attachments[mobile] if one.start <= when][-1]
    return told.get((mobile, stay.number, gateway), 0.0)


def _told(run: Run) -> dict[tuple[str, int, str], float]:
    """(mobile node, number of its stay, gateway told) -> when the latter had answered and taken its DLIFs down.

    At a return in direct mode the new gateway's own DLIF may speak before the old gateway can know (spec DLIF-9).
    """
    found: dict[tuple[str, int, str], float] = {}
    for registration in registrations(run):
        for anchor, exchanges in (*registration.anchors.items(), *registration.chained.items()):
            answers = [answer.time for exchange in exchanges for answer in exchange.accepted]
            if answers:
                found[registration.stay.mobile, registration.stay.number, anchor] = (
                    min(answers) + TEARDOWN * run.slowness
                )
    return found


def _signalled(run: Run, seen: dict[Key, list[tuple[str, RouterAdvertisement]]]) -> Result:
    tally = Tally(
        "identity.signalled",
        "DLIF-5, HO-7",
        "The DLIF advertised is the one signalled",
        "options 69 and 70 of the PBA = link-local and MAC of the anchor's DLIF in its RAs",
    )
    advertised: dict[tuple[str, str], tuple[IPv6Address, str, RouterAdvertisement]] = {}
    for (mac, anchor), found in seen.items():
        one = found[0][1]
        mobile = next((name for name, facts in run.mobiles.items() if facts.mac == mac), mac)
        advertised[mobile, anchor] = (one.source, one.eth_source, one)
    for message in run.signalling:
        if message.kind != "PBA" or message.status != 0:
            continue
        for address, prefix, dlif in message.identities():
            anchor = run.told_anchor(address, prefix) if prefix else run.name_of(address)
            mobile = run.mobile_by_id(message.mn_id) or ""
            if (mobile, anchor) not in advertised:
                continue
            link_local, mac, one = advertised[mobile, anchor]
            tally.see(message, one)
            tally.demand(dlif.link_local in (None, link_local), f"{anchor}: option 69 {dlif.link_local}", message, one)
            tally.demand(dlif.mac in (None, mac), f"{anchor}: option 70 {dlif.mac}", message, one)
    if not run.moves():
        return tally.result("", "no move, no DLIF to hand over")
    return tally.result("signalled and advertised identities agree", "no PBA with options 69 and 70")
