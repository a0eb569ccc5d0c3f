"""Every PBU and PBA by itself, and each answer against its update (RFC 5213 §5.3.6, §6.9.1; RFC 8885 §4)."""

from __future__ import annotations

from captures import layers
from captures.checks.base import Result, Tally, plural, required
from captures.exchanges import Exchange, accepting
from captures.padding import misplaced
from captures.records import MobilityMessage
from captures.run import Run

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


def wellformed(messages: list[MobilityMessage], others: list[MobilityMessage]) -> Result:
    """Checksum, payload protocol, options readable, no other Mobility Header message."""
    tally = Tally(
        "signalling.wellformed",
        "ATT-5, HO-8",
        "Mobility Header messages are well formed",
        "checksum correct (recomputed here), Payload Proto 59, every option readable and where its alignment wants it, "
        "one padding of zeros in each gap, reserved octets 0, PBU and PBA only",
    )
    for message in messages:
        tally.see(message)
        tally.demand(message.checksum_valid, f"bad checksum in a {message.kind}", message)
        tally.demand(message.payload_proto == 59, f"Payload Proto {message.payload_proto}", message)
        tally.demand(message.malformed is None, str(message.malformed), message)
        for problem in misplaced(message.octets) if message.octets and message.malformed is None else ():
            tally.wrong(f"{message.kind}: {problem}", message)
    for message in others:
        tally.wrong(f"unexpected {message.kind}", message)
    return tally.result(f"{plural(len(messages), 'message')}, every checksum correct", "no PBU or PBA captured")


def flags(run: Run, messages: list[MobilityMessage]) -> Result:
    """A, P and D where they belong, nothing else; no D in classic signalling (RFC 5213 §8.1, §8.2)."""
    if run.central:
        return _classic_flags(run, messages)
    expected = [_flags(False)] * (len(run.draft03) < len(run.gateways) or not run.draft03)
    expected += [_flags(True)] * bool(run.draft03)
    where = ", to and from gateways of the draft " if len(expected) > 1 else ""
    tally = Tally(
        "signalling.flags",
        "ATT-5, CMD-1, AMB-5",
        "Flags mark distributed-gateway signalling",
        where.join(f"PBU A+P+D = {update:#06x}, PBA P+D = {answer:#04x}" for update, answer in expected),
    )
    for message in messages:
        tally.see(message)
        update, answer = _flags(bool(run.draft03 & {message.source, message.destination}))
        wanted = update if message.kind == "PBU" else answer
        tally.demand(message.flags == wanted, f"{message.kind} flags {message.flags:#x}", message)
    return tally.result(f"all {len(messages)} messages carry exactly these flags", "no PBU or PBA captured")


def _classic_flags(run: Run, messages: list[MobilityMessage]) -> Result:
    update, answer = layers.BU_ACK | layers.BU_PROXY, layers.BA_PROXY
    tally = Tally(
        "signalling.flags",
        required(run),
        "Flags mark classic proxy signalling",
        f"PBU A+P = {update:#06x}, PBA P = {answer:#04x}",
    )
    for message in messages:
        tally.see(message)
        wanted = update if message.kind == "PBU" else answer
        tally.demand(message.flags == wanted, f"{message.kind} flags {message.flags:#x}", message)
    return tally.result(f"all {len(messages)} messages carry exactly these flags", "no PBU or PBA captured")


def _flags(draft03: bool) -> tuple[int, int]:
    update, answer = layers.d_flags(draft03)
    return layers.BU_ACK | layers.BU_PROXY | update, layers.BA_PROXY | answer


def options(messages: list[MobilityMessage], require_timestamp: bool, *, distributed: bool = True) -> Result:
    """What must be there is there, once; classic signalling has none of RFC 8885's options."""
    mandatory = dict(MANDATORY)
    if require_timestamp:
        mandatory[layers.TIMESTAMP] = "Timestamp"
    tally = Tally(
        "signalling.options",
        "ATT-5, HO-3, HO-8",
        "Mandatory options are present once",
        f"{', '.join(mandatory.values())} in every PBU and PBA; MN-ID known; ATT 3; HI 1..5"
        + ("" if distributed else "; no option 65 to 70"),
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
        if not distributed:
            foreign = [kind for kind in message.options if kind >= layers.ANCHORED]
            tally.demand(not foreign, f"option {foreign[:1]} in a {message.kind}", message)
        for prefix in message.prefixes:
            if prefix.prefixlen == 0 and not distributed and message.kind == "PBU":
                continue  # "allocate one"
            tally.demand(prefix.prefixlen == 64, f"HNP of length {prefix.prefixlen}", message)
    return tally.result(f"complete in all {len(messages)} messages", "no PBU or PBA captured")


def echo(
    exchanges: list[Exchange], unmatched: list[MobilityMessage], allowed: set[int], *, prolonging: bool = False
) -> Result:
    """Every PBU is answered, and each PBA repeats what it must; `prolonging`: lifetime 0 may ask (DEREG-5)."""
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
            and (other.accepted or accepting(other.direct))
            for other in exchanges
        )
        tally.demand(
            bool(exchange.answers or exchange.direct) or repeated,
            f"PBU {update.sequence} was never answered nor repeated",
            update,
        )
        for answer in (*exchange.answers, *exchange.copies):
            tally.see(update, answer)
            tally.demand(answer.status == 0 or answer.status in allowed, f"PBA status {answer.status}", update, answer)
            if answer.status >= 128:
                continue
            for name, text in ECHOED.items():
                same = getattr(answer, name) == getattr(update, name)
                tally.demand(same, f"PBA {text} differs from the PBU's", update, answer)
            question = prolonging and update.lifetime == 0
            more = answer.lifetime > update.lifetime and not question
            tally.demand(not more, "PBA grants more than requested", update, answer)
    count = sum(len(one.answers) + len(one.copies) for one in exchanges)
    return tally.result(
        f"{plural(count, 'answer')} to {plural(len(exchanges), 'PBU')}, "
        "all status 0" + (" or allowed" if allowed else ""),
        "no answered PBU captured",
    )


def sequences(messages: list[MobilityMessage]) -> Result:
    """No PBU twice, time never runs backwards."""
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
