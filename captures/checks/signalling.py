"""Check "signalling": PBU/PBA order and fields, per message and per stay of a mobile node.

Sources: RFC 5213 §5.3.6, §6.9.1; RFC 8885 §3.1, §3.2, §4; spec ATT-5..7, HO-3, HO-8, CMD-4..8, CMD-RELAY-*.
"""

from __future__ import annotations

from captures import layers
from captures.checks.base import Result, Tally, check, milliseconds, plural
from captures.exchanges import HANDOVER, Exchange, Registration, pair, registrations
from captures.records import MobilityMessage
from captures.run import Run

UPDATE_FLAGS = layers.BU_ACK | layers.BU_PROXY | layers.BU_D
ANSWER_FLAGS = layers.BA_PROXY | layers.BA_D
MANDATORY = {layers.MN_ID: "MN-ID", layers.HNP: "HNP", layers.HANDOFF: "HI", layers.ACCESS: "ATT"}
SINGLE = (
    layers.MN_ID,
    layers.HANDOFF,
    layers.ACCESS,
    layers.LINK_LAYER_ID,
    layers.LINK_LOCAL,
    layers.TIMESTAMP,
    layers.SERVING_MAAR,
)
ECHOED = {"handoff": "HI", "access_type": "ATT", "timestamp": "Timestamp", "link_layer_id": "MN LL-ID"}


@check("signalling")
def signalling(
    run: Run, require_timestamp: bool = True, require_dlif: bool = True, allow_status: tuple[int, ...] = ()
) -> list[Result]:
    """Judge every PBU/PBA by itself, each answer against its update, and each stay's conversation."""
    messages = [message for message in run.signalling if message.kind in ("PBU", "PBA")]
    others = [message for message in run.signalling if message.kind not in ("PBU", "PBA")]
    exchanges, unmatched = pair(messages)
    results = [
        _wellformed(messages, others),
        _flags(messages),
        _options(messages, require_timestamp),
        _echo(exchanges, unmatched, set(allow_status)),
        _sequences(messages),
    ]
    for registration in registrations(run):
        results.append(_stay(run, registration, require_dlif))
    return results


def _name(run: Run, message: MobilityMessage) -> str:
    return f"{message.kind} {run.name_of(message.source)}→{run.name_of(message.destination)}"


def _wellformed(messages: list[MobilityMessage], others: list[MobilityMessage]) -> Result:
    tally = Tally(
        "signalling.wellformed",
        "ATT-5, HO-8",
        "Mobility Header messages are well formed",
        "checksum correct (recomputed here), Payload Proto 59, every option readable, PBU and PBA only",
    )
    for message in messages:
        tally.see(message)
        tally.demand(message.checksum_valid, f"bad checksum in a {message.kind}", message)
        tally.demand(message.payload_proto == 59, f"Payload Proto {message.payload_proto}", message)
        tally.demand(message.malformed is None, str(message.malformed), message)
    for message in others:
        tally.wrong(f"unexpected {message.kind}", message)
    return tally.result(f"{plural(len(messages), 'message')}, every checksum correct", "no PBU or PBA captured")


def _flags(messages: list[MobilityMessage]) -> Result:
    tally = Tally(
        "signalling.flags",
        "ATT-5, CMD-1",
        "Flags mark distributed-gateway signalling",
        f"PBU A+P+D = {UPDATE_FLAGS:#06x}, PBA P+D = {ANSWER_FLAGS:#04x}",
    )
    for message in messages:
        tally.see(message)
        wanted = UPDATE_FLAGS if message.kind == "PBU" else ANSWER_FLAGS
        tally.demand(message.flags == wanted, f"{message.kind} flags {message.flags:#x}", message)
    return tally.result(f"all {len(messages)} messages carry exactly these flags", "no PBU or PBA captured")


def _options(messages: list[MobilityMessage], require_timestamp: bool) -> Result:
    mandatory = dict(MANDATORY)
    if require_timestamp:
        mandatory[layers.TIMESTAMP] = "Timestamp"
    tally = Tally(
        "signalling.options",
        "ATT-5, HO-3, HO-8",
        "Mandatory options are present once",
        f"{', '.join(mandatory.values())} in every PBU and PBA; MN-ID known; ATT 3; HI 1..5",
    )
    for message in messages:
        tally.see(message)
        for kind, name in mandatory.items():
            tally.demand(kind in message.options, f"{message.kind} without {name}", message)
        for kind in SINGLE:
            tally.demand(message.options.count(kind) <= 1, f"option {kind} twice in a {message.kind}", message)
        if message.access_type is not None:
            tally.demand(message.access_type == 3, f"ATT {message.access_type}", message)
        if message.handoff is not None:
            tally.demand(1 <= message.handoff <= 5, f"HI {message.handoff}", message)
        for prefix in message.prefixes:
            tally.demand(prefix.prefixlen == 64, f"HNP of length {prefix.prefixlen}", message)
    return tally.result(f"complete in all {len(messages)} messages", "no PBU or PBA captured")


def _echo(exchanges: list[Exchange], unmatched: list[MobilityMessage], allowed: set[int]) -> Result:
    tally = Tally(
        "signalling.echo",
        "HO-8, RETX-6",
        "Every PBU is answered; the PBA repeats what it must",
        "status 0; sequence, MN-ID, HI, ATT, Timestamp and MN LL-ID as in the PBU; lifetime granted ≤ requested",
    )
    for answer in unmatched:
        tally.wrong(f"PBA with sequence {answer.sequence} answers no PBU", answer)
    for exchange in exchanges:
        update = exchange.update
        repeated = any(
            other.update.mn_id == update.mn_id
            and other.update.destination == update.destination
            and other.update.time > update.time
            and other.accepted
            for other in exchanges
        )
        tally.demand(
            bool(exchange.answers) or repeated,
            f"PBU {update.sequence} was never answered nor repeated",
            update,
        )
        for answer in exchange.answers:
            tally.see(update, answer)
            tally.demand(answer.status == 0 or answer.status in allowed, f"PBA status {answer.status}", update, answer)
            if answer.status >= 128:
                continue
            for name, text in ECHOED.items():
                same = getattr(answer, name) == getattr(update, name)
                tally.demand(same, f"PBA {text} differs from the PBU's", update, answer)
            tally.demand(answer.lifetime <= update.lifetime, "PBA grants more than requested", update, answer)
    return tally.result(
        f"{plural(sum(len(one.answers) for one in exchanges), 'answer')} to {plural(len(exchanges), 'PBU')}, "
        "all status 0" + (" or allowed" if allowed else ""),
        "no answered PBU captured",
    )


def _sequences(messages: list[MobilityMessage]) -> Result:
    tally = Tally(
        "signalling.sequence",
        "RETX-4, RETX-9, RETX-6",
        "No PBU repeats another's sequence and time",
        "per sender, receiver and node: timestamps rise, (sequence, timestamp) never twice",
    )
    last: dict[tuple[object, ...], MobilityMessage] = {}
    for message in messages:
        if message.kind != "PBU":
            continue
        tally.see(message)
        key = (message.source, message.destination, message.mn_id, message.prefixes)
        before = last.get(key)
        if before is not None:
            if message.sequence == before.sequence and message.timestamp == before.timestamp:
                tally.wrong(f"PBU sequence {message.sequence} sent twice unchanged", before, message)
            elif None not in (message.timestamp, before.timestamp):
                newer = (message.timestamp or 0) > (before.timestamp or 0)
                tally.demand(newer, f"PBU {message.sequence} has an older Timestamp", before, message)
        last[key] = message
    return tally.result(f"{plural(len(tally.seen), 'PBU')}, all distinct", "no PBU captured")


def _stay(run: Run, registration: Registration, require_dlif: bool) -> Result:
    """The conversation of one stay: first attachment or handover, direct or relay."""
    stay = registration.stay
    id_ = f"signalling.{stay.mobile}.{stay.number}"
    if stay.number == 0 or not stay.previous:
        if run.mode == "direct":
            return _first_direct(run, registration, id_)
        return _first_relay(run, registration, id_)
    if run.mode == "direct":
        return _handover_direct(run, registration, id_, require_dlif)
    return _handover_relay(run, registration, id_, require_dlif)


def _first_direct(run: Run, registration: Registration, id_: str) -> Result:
    stay = registration.stay
    tally = Tally(
        id_,
        "ATT-6",
        f"{stay.mobile} attaches at {stay.gateway}: nothing to tell an anchor",
        "no PBU about the node before its first move",
    )
    until = min((other.start for other in run.attachments[stay.mobile] if other.number > 0), default=run.end + 1)
    mine = run.mobiles[stay.mobile].mn_id
    for message in run.signalling:
        if message.mn_id == mine and message.kind == "PBU" and stay.start <= message.time < until:
            tally.wrong(f"{_name(run, message)} before any move", message)
    wan = run.wan(stay.gateway)
    if wan is not None:
        # Silence only proves something where the recorder was alive.
        tally.see(*[packet for packet in wan.packets if stay.start - 60 <= packet.time < until][:1])
    return tally.result("no PBU", f"capture of {stay.gateway} holds no frame of that time")


def _first_relay(run: Run, registration: Registration, id_: str) -> Result:
    stay = registration.stay
    tally = Tally(
        id_,
        "ATT-5, ATT-7",
        f"{stay.mobile} attaches at {stay.gateway}: registered with the CMD",
        "PBU gateway→CMD {HNP from the own pool, HI 1 or 4}, PBA 0 without option 67; no PBU to another gateway",
    )
    for exchange in registration.own:
        update = exchange.update
        tally.see(update, *exchange.answers)
        _own_prefix(run, tally, stay.gateway, update)
        tally.demand(update.handoff in (1, 4), f"HI {update.handoff} at the first attachment", update)
        tally.demand(bool(exchange.accepted), "the CMD did not accept", update)
        for answer in exchange.answers:
            tally.demand(not answer.anchors, "PBA lists a previous gateway", answer)
            tally.demand(answer.prefixes == update.prefixes, "PBA changes the HNP", answer)
    for exchanges in registration.anchors.values():
        tally.wrong("PBU to another gateway at the first attachment", *[one.update for one in exchanges])
    return tally.result(_flow_text(run, registration), f"no PBU from {stay.gateway} to the CMD")


def _own_prefix(run: Run, tally: Tally, gateway: str, update: MobilityMessage) -> None:
    for prefix in update.prefixes:
        inside = prefix.subnet_of(run.gateways[gateway].pool)
        tally.demand(inside, f"HNP {prefix} is not from {gateway}'s pool", update)


def _handover_direct(run: Run, registration: Registration, id_: str, require_dlif: bool) -> Result:
    stay = registration.stay
    anchors = ", ".join(stay.previous)
    tally = Tally(
        id_,
        "HO-3, HO-4, HO-7",
        f"{stay.mobile} moves to {stay.gateway}: each anchor told directly",
        f"PBU {stay.gateway}→{anchors} {{HNP = the anchor's prefix, HI 3 or 4}}, PBA 0 with the same HNP"
        + (" and DLIF identity (69, 70)" if require_dlif else ""),
    )
    for anchor in stay.previous:
        exchanges = registration.anchors.get(anchor, [])
        tally.demand(bool(exchanges), f"no PBU to {anchor}")
        for exchange in exchanges:
            tally.see(exchange.update, *exchange.answers)
            tally.demand(exchange.update.handoff in HANDOVER, f"HI {exchange.update.handoff}", exchange.update)
            _anchor_prefixes(run, tally, stay.mobile, anchor, exchange.update)
            for answer in exchange.accepted:
                tally.demand(answer.prefixes == exchange.update.prefixes, "PBA changes the HNP", answer)
                if require_dlif:
                    _has_dlif(tally, answer)
        if exchanges:
            tally.demand(any(one.accepted for one in exchanges), f"{anchor} did not accept", exchanges[-1].update)
    return tally.result(_flow_text(run, registration), f"no PBU from {stay.gateway}")


def _anchor_prefixes(run: Run, tally: Tally, mobile: str, anchor: str, message: MobilityMessage) -> None:
    known = run.prefixes.get((mobile, anchor), [])
    for prefix in message.prefixes:
        tally.demand(
            prefix in known if known else prefix.subnet_of(run.gateways[anchor].pool),
            f"HNP {prefix} is not the prefix {anchor} gave {mobile}",
            message,
        )


def _has_dlif(tally: Tally, answer: MobilityMessage) -> None:
    complete = answer.dlif is not None and answer.dlif.link_local is not None and answer.dlif.mac is not None
    tally.demand(complete, "PBA without the anchor's DLIF identity (69, 70)", answer)


def _handover_relay(run: Run, registration: Registration, id_: str, require_dlif: bool) -> Result:
    stay = registration.stay
    tally = Tally(
        id_,
        "CMD-RELAY-1, CMD-RELAY-2, CMD-RELAY-3, CMD-4, CMD-5",
        f"{stay.mobile} moves to {stay.gateway}: the CMD relays to the anchors",
        f"PBU {stay.gateway}→CMD, PBU CMD→{', '.join(stay.previous)} {{HNP = the anchor's, 68 = {stay.gateway}, "
        "65 = the new prefix, same sequence}, PBA back, PBA CMD→gateway with one option 67 per anchor prefix",
    )
    tally.demand(bool(registration.own), f"no PBU from {stay.gateway} to the CMD")
    for exchange in registration.own:
        tally.see(exchange.update, *exchange.answers)
        _own_prefix(run, tally, stay.gateway, exchange.update)
        tally.demand(exchange.update.handoff in HANDOVER, f"HI {exchange.update.handoff}", exchange.update)
    for anchor in stay.previous:
        relayed = registration.anchors.get(anchor, [])
        tally.demand(bool(relayed), f"no PBU from the CMD to {anchor}")
        for exchange in relayed:
            tally.see(exchange.update, *exchange.answers)
            _relayed(run, tally, registration, anchor, exchange)
    _aggregated(run, tally, registration, require_dlif)
    return tally.result(_flow_text(run, registration), f"no PBU from {stay.gateway}")


def _relayed(run: Run, tally: Tally, registration: Registration, anchor: str, exchange: Exchange) -> None:
    """One PBU from the CMD to an anchor and its answer (spec CMD-4, CMD-5, CMD-RELAY-2)."""
    stay, update = registration.stay, exchange.update
    tally.demand(update.source == run.cmd_address, f"PBU to {anchor} does not come from the CMD", update)
    tally.demand(update.serving == run.gateways[stay.gateway].address, "option 68 is not the serving gateway", update)
    origin = next((one.update for one in registration.own if one.update.sequence == update.sequence), None)
    if origin is None:
        tally.wrong(f"relayed PBU has sequence {update.sequence}, no PBU to the CMD has", update)
    else:
        tally.demand(origin.time <= update.time, "relayed before it was received", origin, update)
        tally.demand(update.handoff == origin.handoff, "relayed HI differs", origin, update)
        tally.demand(update.anchored == origin.prefixes, "option 65 is not the new prefix", update)
        if update.prefixes != origin.prefixes:  # a literally forwarded HNP is legal too (spec AMB-8)
            _anchor_prefixes(run, tally, stay.mobile, anchor, update)
    tally.demand(bool(exchange.accepted), f"{anchor} did not accept", update)
    for answer in exchange.accepted:
        _anchor_prefixes(run, tally, stay.mobile, anchor, answer)


def _aggregated(run: Run, tally: Tally, registration: Registration, require_dlif: bool) -> None:
    """The CMD's PBAs to the serving gateway together name every anchor, each after its own PBA."""
    stay = registration.stay
    finals = [answer for exchange in registration.own for answer in exchange.accepted]
    if registration.own and not finals:
        tally.wrong("the CMD did not accept", *[exchange.update for exchange in registration.own])
    named: dict[str, MobilityMessage] = {}
    for answer in finals:
        for group in answer.anchors:
            anchor = run.name_of(group.address)
            tally.demand(anchor != stay.gateway, "the serving gateway is listed as an anchor", answer)
            expected = run.prefixes.get((stay.mobile, anchor), [group.prefix])
            tally.demand(group.prefix in expected, f"option 67 gives {anchor} prefix {group.prefix}", answer)
            if require_dlif:
                whole = group.dlif.link_local is not None and group.dlif.mac is not None
                tally.demand(whole, f"no DLIF identity (69, 70) for {anchor}", answer)
            named.setdefault(anchor, answer)
    for anchor in stay.previous:
        if finals and anchor not in named:
            tally.wrong(f"no option 67 for {anchor}", *finals)
        confirmations = [a for one in registration.anchors.get(anchor, []) for a in one.accepted]
        if anchor in named and confirmations:
            in_order = min(one.time for one in confirmations) <= named[anchor].time
            tally.demand(in_order, f"{anchor} named before it confirmed", named[anchor])


def _flow_text(run: Run, registration: Registration) -> str:
    """The conversation in one line with its duration."""
    exchanges = [*registration.own, *(one for many in registration.anchors.values() for one in many)]
    messages = [message for exchange in exchanges for message in (exchange.update, *exchange.answers)]
    messages.sort(key=lambda message: message.time)
    text = ", ".join(_name(run, message) for message in messages[:8])
    first, last = registration.first_update(), registration.last_answer()
    took = f" in {milliseconds(last.time - first.time)}" if first and last else ""
    return f"{text}{' ...' if len(messages) > 8 else ''}{took}"
