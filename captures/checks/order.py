"""Check "order": what may only happen after what, at each stay of a mobile node.

Sources: RFC 8885 §3.1, §3.2; RFC 5213 §5.3.4, §6.9.1.2; spec ATT-6, ATT-8, HO-2, HO-5, HO-9, DLIF-5, SC-FIG1.
"""

from __future__ import annotations

from collections import defaultdict

from captures.checks.base import Result, Tally, check, milliseconds
from captures.decode import inside
from captures.exchanges import Arrivals, Exchange, Registration, accepting, registrations
from captures.records import UDP, MobilityMessage, Packet, RouterAdvertisement
from captures.run import Run
from captures.tunnels import Tunnelled, read
from captures.walk import Attachment


@check("order")
def order(run: Run) -> list[Result]:
    """Per stay: what came before the own prefix was advertised; per handover: before an anchor's was used."""
    arrivals, index = Arrivals(run), _Index(run)
    results = []
    for registration in registrations(run):
        stay = registration.stay
        if run.mode == "direct":
            results.append(_looked_up(run, registration))
        elif all(old.gateway != stay.gateway for old in run.attachments[stay.mobile][: stay.number]):
            results.append(_registered(run, registration, arrivals))
        if stay.previous:
            results.append(_granted(run, index, registration, arrivals))
        if registration.near:
            results.append(_turned(run, index, registration))
    return results


def _id(kind: str, stay: Attachment) -> str:
    return f"order.{kind}.{stay.mobile}.{stay.number}"


def _looked_up(run: Run, registration: Registration) -> Result:
    stay = registration.stay
    tally = Tally(
        _id("lookup", stay),
        "ATT-6, HO-2",
        f"{stay.gateway} asks the repository about {stay.mobile} before it tells anyone",
        "a look-up and its answer on the gateway's core link between the attachment and the first PBU",
    )
    first = registration.first_update()
    until = first.time if first is not None else stay.end
    gateway = run.gateways[stay.gateway].address
    capture = run.wan(stay.gateway)
    ours = [p for p in capture.packets if p.protocol == UDP and not p.tunnelled] if capture else []
    ours = [p for p in ours if run.repository_port in (p.source_port, p.destination_port)]
    asked = [p for p in ours if p.inner.source == gateway and stay.start <= p.time < until]
    answered = [p for p in ours if asked and p.inner.destination == gateway and asked[0].time <= p.time < until]
    if asked and answered:
        tally.see(asked[0], answered[0])
    elif first is not None:
        tally.wrong(f"PBU to {run.name_of(first.destination)} without a look-up answered before it", first)
    return tally.result("asked and answered", f"no look-up of {stay.gateway} on its core link")


def _registered(run: Run, registration: Registration, arrivals: Arrivals) -> Result:
    stay = registration.stay
    tally = Tally(
        _id("own", stay),
        "ATT-8",
        f"{stay.gateway} advertises {stay.mobile}'s new prefix once it is registered",
        "the first RA with the gateway's own prefix leaves after a PBA with status 0 reached the gateway",
    )
    answers = [one for exchange in registration.own for one in (*exchange.accepted, *accepting(exchange.direct))]
    came = min((time for one in answers if (time := arrivals.time(one)) is not None), default=None)
    advertised = _first_ra(run, stay, stay.gateway)
    if advertised is None:
        return tally.result("", f"no RA with a prefix of {stay.gateway} for {stay.mobile}")
    tally.see(advertised, *answers[:1])
    if came is None:
        tally.wrong(f"{stay.gateway} advertises its prefix without any PBA 0", advertised)
    else:
        early = f"RA {milliseconds(came - advertised.time)} before the first PBA 0 came"
        tally.demand(advertised.time >= came, early, advertised, *answers[:1])
        return tally.result(f"RA {milliseconds(advertised.time - came)} after the PBA")
    return tally.result()


def _granted(run: Run, index: _Index, registration: Registration, arrivals: Arrivals) -> Result:
    """An anchor's DLIF and tunnel exist at the serving gateway only after the PBA that grants them."""
    stay = registration.stay
    tally = Tally(
        _id("anchors", stay),
        "DLIF-5, HO-9",
        f"{stay.gateway} uses an anchor's prefix once it was granted",
        "per anchor: the first RA of its DLIF and the first packet into the tunnel leave after the PBA for it came",
    )
    texts = []
    for anchor in stay.previous:
        grants = _grants(registration, anchor)
        times = [(time, one) for one in grants if (time := arrivals.time(one)) is not None]
        first = min(times, key=lambda one: one[0]) if times else None
        for what, used in (("RA", _first_ra(run, stay, anchor)), ("uplink", _first_uplink(index, stay, anchor))):
            if used is None:
                continue
            tally.see(used)
            if first is None:
                tally.wrong(f"{what} for {anchor}'s prefix without any PBA for it", used)
            else:
                early = f"{what} for {anchor}'s prefix {milliseconds(first[0] - used.time)} before its PBA came"
                tally.demand(used.time >= first[0], early, used, first[1])
                texts.append(f"{anchor}: {what} {milliseconds(used.time - first[0])} after the PBA")
    return tally.result(", ".join(texts), "no anchor's prefix was ever used")


def _grants(registration: Registration, anchor: str) -> list[MobilityMessage]:
    """The PBAs of which any allows the serving gateway to use the anchor's prefix."""
    exchanges: list[Exchange] = registration.anchors.get(anchor, [])
    if registration.mode == "direct":
        return [answer for exchange in exchanges for answer in exchange.accepted]
    if registration.mode == "locator":
        copies = [copy for exchange in exchanges for copy in accepting(exchange.copies)]
        return [*copies, *registration.named.get(anchor, [])]
    return registration.named.get(anchor, [])


def _turned(run: Run, index: _Index, registration: Registration) -> Result:
    """HO-5: the anchor points the prefix at the new serving gateway, then says so."""
    stay = registration.stay
    tally = Tally(
        _id("turned", stay),
        "HO-5",
        f"Anchors turn {stay.mobile}'s prefixes to {stay.gateway} before they acknowledge",
        f"from an anchor's PBA on, packets to its prefix leave it through the tunnel to {stay.gateway} only",
    )
    texts = []
    for anchor in registration.near:
        answers = [one for exchange in registration.anchors.get(anchor, []) for one in exchange.accepted]
        if not answers:
            continue
        since = min(answers, key=lambda answer: answer.time)
        down = [one for one in index.tunnelled(anchor, stay.mobile, anchor) if not one.uplink]
        found = [one for one in down if since.time < one.packet.time < stay.end]
        tally.see(since, *[one.packet for one in found[:3]])
        for one in found:
            late = f"{anchor} tunnels to {one.serving} {milliseconds(one.packet.time - since.time)} after its PBA"
            tally.demand(one.serving == stay.gateway, late, since, one.packet)
        for packet in _delivered(run, index, stay, anchor, since.time):
            late = f"{anchor} delivers locally {milliseconds(packet.time - since.time)} after its PBA"
            tally.wrong(late, since, packet)
        texts.append(f"{anchor}: {len(found)} packets, all to {stay.gateway}")
    return tally.result(", ".join(texts), "no anchor acknowledged")


def _first_ra(run: Run, stay: Attachment, anchor: str) -> RouterAdvertisement | None:
    """First RA for the node with a prefix of `anchor` on the serving gateway's access link."""
    capture, mac = run.phy(stay.gateway), run.mobiles[stay.mobile].mac
    for one in capture.advertisements if capture else []:
        named = [run.anchor_of(option.prefix.network_address) for option in one.prefixes]
        if one.eth_destination == mac and stay.start <= one.time < stay.end and anchor in named:
            return one
    return None


class _Index:
    """Packets of mobile nodes by gateway, sorted once: a lab of many nodes asks for them hundreds of times."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._tunnelled: dict[str, dict[tuple[str, str], list[Tunnelled]]] = {}
        self._delivered: dict[str, dict[str, list[Packet]]] = {}

    def tunnelled(self, gateway: str, mobile: str, anchor: str) -> list[Tunnelled]:
        """What a gateway's core link shows of a node's prefix of one anchor."""
        if gateway not in self._tunnelled:
            found: dict[tuple[str, str], list[Tunnelled]] = defaultdict(list)
            capture = self._run.wan(gateway)
            for packet in capture.packets if capture else []:
                one = read(self._run, packet) if packet.tunnelled else ""
                if not isinstance(one, str):
                    address = one.mobile_address
                    found[self._run.owner(address) or "", self._run.anchor_of(address) or ""].append(one)
            self._tunnelled[gateway] = found
        return self._tunnelled[gateway].get((mobile, anchor), [])

    def delivered(self, gateway: str, mac: str) -> list[Packet]:
        """What a gateway's access link shows for one node."""
        if gateway not in self._delivered:
            found: dict[str, list[Packet]] = defaultdict(list)
            capture = self._run.phy(gateway)
            for packet in capture.packets if capture else []:
                found[packet.eth_destination].append(packet)
            self._delivered[gateway] = found
        return self._delivered[gateway].get(mac, [])


def _first_uplink(index: _Index, stay: Attachment, anchor: str) -> Packet | None:
    for one in index.tunnelled(stay.gateway, stay.mobile, anchor):
        if one.uplink and one.serving == stay.gateway and stay.start <= one.packet.time < stay.end:
            return one.packet
    return None


def _delivered(run: Run, index: _Index, stay: Attachment, anchor: str, since: float) -> list[Packet]:
    """Packets to the node's prefix that the anchor still puts on its own access link."""
    prefixes = run.prefixes.get((stay.mobile, anchor), [])
    return [
        packet
        for packet in index.delivered(anchor, run.mobiles[stay.mobile].mac)
        if since < packet.time < stay.end
        and packet.layers
        and any(inside(packet.inner.destination, net) for net in prefixes)
    ]
