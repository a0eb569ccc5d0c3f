"""Checks "deregistration", "revival", "anchor-timers": how bindings end, or go on (spec §5.7).

Sources: RFC 8885 §3.5; RFC 5213 §5.3.5, §6.9.1.4; spec DEREG-1..11, SC-DEREG.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Network
from typing import Any

from captures.checks.base import Result, Tally, check, milliseconds, plural
from captures.exchanges import Exchange, accepting, pair
from captures.run import Run
from captures.walk import Attachment

UNKNOWN, NEW_INTERFACE = 4, 1
"""Handoff Indicators of an end (R5213 §6.9.1.4), and of a node that comes back after it (spec AMB-16)."""


@dataclass(frozen=True, slots=True)
class Ending:
    """One mobile node's last stay, and everything said about the node since it began."""

    run: Run
    stay: Attachment
    exchanges: list[Exchange]

    @property
    def serving(self) -> IPv6Address:
        """P-CoA of the last serving gateway."""
        return self.run.gateways[self.stay.gateway].address

    @property
    def targets(self) -> list[IPv6Address]:
        """Who must be told of the end by the serving gateway: the CMD, or in direct mode each anchor."""
        if self.run.mode == "direct":
            return [self.run.gateways[name].address for name in self.stay.previous]
        return [self.run.cmd_address] if self.run.cmd_address else []

    def ends(self, source: IPv6Address | None, target: IPv6Address | None) -> list[Exchange]:
        """Exchanges with lifetime 0 between two parties."""
        return [one for one in self.exchanges if one.update.lifetime == 0 and _between(one, source, target)]

    def last_grant(self, source: IPv6Address | None, target: IPv6Address) -> Exchange | None:
        """The last registration of one party with another that was accepted, in locator mode by an anchor's answer."""
        asked = [one for one in self.exchanges if one.update.lifetime and _between(one, source, target)]
        granted = [one for one in asked if one.accepted or accepting(one.direct)]
        return granted[-1] if granted else None


def endings(run: Run) -> list[Ending]:
    """One per mobile node that was anywhere."""
    exchanges, _ = pair(run)
    found = []
    for mobile, stays in run.attachments.items():
        mine = [one for one in exchanges if one.update.mn_id == run.mobiles[mobile].mn_id]
        found.append(Ending(run, stays[-1], [one for one in mine if one.update.time >= stays[-1].start]))
    return found


def _between(exchange: Exchange, source: IPv6Address | None, target: IPv6Address | None) -> bool:
    return (exchange.update.source, exchange.update.destination) == (source, target)


@check("deregistration")
def deregistration(run: Run, lifetime: float, hold: float, tolerance_ms: float = 400.0) -> list[Result]:
    """A node that left for good: silence, expiry, hold, fan-out, quarantine; times in seconds."""
    results = []
    for end in endings(run):
        results += [_silence(end), _expiry(end, lifetime, tolerance_ms / 1000)]
        if run.mode != "direct":
            results.append(_fan_out(end, hold, tolerance_ms / 1000))
        results.append(_quarantine(end))
    return results


def _silence(end: Ending) -> Result:
    stay = end.stay
    tally = Tally(
        f"deregistration.silence.{stay.mobile}",
        "DEREG-1, ATT-14",
        f"Nobody is told when {stay.mobile} leaves the radio",
        "no PBU about the node between its leaving and the end of its registration",
    )
    after = [one.update for one in end.exchanges if one.update.time > stay.end]
    first_end = next((update for update in after if update.lifetime == 0), None)
    if first_end is None:
        tally.missing = f"no PBU with lifetime 0 after {stay.mobile} left"
        return tally.result()
    tally.see(first_end)
    for update in after:
        tally.demand(update.lifetime == 0, f"PBU {update.sequence} with lifetime {update.lifetime_seconds} s", update)
    quiet = first_end.time - stay.end
    return tally.result(f"the first PBU, with lifetime 0, came {milliseconds(quiet)} after the node had left")


def _expiry(end: Ending, lifetime: float, tolerance: float) -> Result:
    run, stay = end.run, end.stay
    tally = Tally(
        f"deregistration.expiry.{stay.mobile}",
        "DEREG-2, DEREG-6, DEREG-8, DEREG-9",
        f"{stay.gateway} ends the binding when its lifetime is over",
        f"PBU {{lifetime 0, HI 4, the prefix}} {lifetime:g} s after the last registration, PBA {{0, lifetime 0}}",
    )
    texts = []
    for target in end.targets:
        name, ends = run.name_of(target), end.ends(end.serving, target)
        granted = end.last_grant(end.serving, target)
        if not ends or granted is None:
            tally.wrong(f"no PBU with lifetime 0 from {stay.gateway} to {name}")
            continue
        update = ends[0].update
        tally.see(granted.update, update, *ends[0].answers)
        waited = update.time - granted.update.time
        tally.demand(abs(waited - lifetime) <= tolerance, f"{waited:.2f} s after the last registration", update)
        tally.demand(update.handoff == UNKNOWN, f"HI {update.handoff}", update)
        tally.demand(update.prefixes == granted.update.prefixes, "not the registered prefixes", granted.update, update)
        ended(tally, ends, name)
        texts.append(f"{name} after {waited:.2f} s")
    return tally.result(", ".join(texts))


def ended(tally: Tally, ends: list[Exchange], name: str) -> None:
    """One of these updates with lifetime 0 was accepted by `name`, as such."""
    answers = [answer for one in ends for answer in one.answers]
    tally.demand(bool(answers), f"{name} never answered", ends[0].update)
    for answer in answers:
        right = answer.status == 0 and answer.lifetime == 0
        tally.demand(right, f"{name} answers status {answer.status}, lifetime {answer.lifetime_seconds} s", answer)


def _fan_out(end: Ending, hold: float, tolerance: float) -> Result:
    run, stay = end.run, end.stay
    tally = Tally(
        f"deregistration.fan-out.{stay.mobile}",
        "DEREG-6, DEREG-7",
        "After the hold time the CMD tells every anchor",
        f"{hold:g} s after the PBA: PBU {{lifetime 0, the anchor's prefix, 68 = {stay.gateway}}}, PBA {{0, 0 s}}",
    )
    answers = [one for exchange in end.ends(end.serving, run.cmd_address) for one in exchange.answers]
    for anchor in stay.previous if answers else ():
        told = end.ends(run.cmd_address, run.gateways[anchor].address)
        if not told:
            tally.wrong(f"the CMD never told {anchor}")
            continue
        update = told[0].update
        tally.see(answers[0], update, *told[0].answers)
        waited = update.time - answers[0].time
        tally.demand(abs(waited - hold) <= tolerance, f"{anchor} was told {waited:.2f} s after the PBA", update)
        tally.demand(update.serving == end.serving, f"option 68 is {update.serving}", update)
        mine = run.prefixes.get((stay.mobile, anchor), [])
        tally.demand(list(update.prefixes) == mine, f"HNP {', '.join(map(str, update.prefixes))}", update)
        ended(tally, told, anchor)
    return tally.result(f"{', '.join(stay.previous)} told {hold:g} s later", "no PBA about the end, or no anchor")


def _quarantine(end: Ending) -> Result:
    run, stay = end.run, end.stay
    tally = Tally(
        f"deregistration.quarantine.{stay.mobile}",
        "DEREG-7, DEREG-8",
        "Nothing of the binding is left, the prefixes rest",
        "agents' state after the end: no entry, no forwarding item, every prefix of the node in quarantine",
    )
    told = [answer for one in end.exchanges if one.update.lifetime == 0 for answer in one.answers]
    dumps = agent_dumps(run, "after")
    for gateway in (stay.gateway, *stay.previous) if dumps else ():
        state = dumps.get(gateway)
        if state is None:
            tally.wrong(f"no state of {gateway}")
            continue
        tally.see(*told)
        tally.demand(run.mobiles[stay.mobile].mn_id not in state["nodes"], f"{gateway} still has an entry", *told)
        tally.demand(not state["items"], f"{gateway} still holds {', '.join(state['items'][:2])}", *told)
        resting = {_slot(run, gateway, int(number)) for number in state["pool"]["quarantine"]}
        mine = run.prefixes.get((stay.mobile, gateway), [])
        tally.demand(bool(mine), f"no prefix of {gateway} is known", *told)
        for prefix in mine:
            tally.demand(prefix in resting, f"{prefix} is not in quarantine at {gateway}", *told)
    return tally.result(
        f"{', '.join((stay.gateway, *stay.previous))}: no entry, no item, prefixes resting", "no state after the end"
    )


def agent_dumps(run: Run, label: str) -> dict[str, dict[str, Any]]:
    """Node -> state of its agent, from the `agent-dump` events with this label."""
    dumps = [event for event in run.events if event["event"] == "agent-dump" and event.get("label") == label]
    return {event["node"]: event["state"] for event in dumps}


def _slot(run: Run, gateway: str, number: int) -> IPv6Network:
    return IPv6Network((int(run.gateways[gateway].pool.network_address) + (number << 64), 64))


@check("revival")
def revival(run: Run, hold: float) -> list[Result]:
    """A node that comes back during the hold time finds everything as it was."""
    return [_revived(end, hold) for end in endings(run)]


def _revived(end: Ending, hold: float) -> Result:
    run, stay = end.run, end.stay
    tally = Tally(
        f"revival.{stay.mobile}",
        "DEREG-6, AMB-16, SC-DEREG",
        f"{stay.mobile} comes back during the hold and keeps its prefixes",
        f"after the end, within {hold:g} s, a PBU > 0 of {stay.gateway} {{HI 1 to the CMD}}, PBA 0; nobody is told to "
        "delete; RAs with the same prefixes",
    )
    over = [one for target in end.targets for one in end.ends(end.serving, target)]
    if not over:
        tally.missing = "the binding never ended"
        return tally.result()
    gone = over[0].update.time
    back = [one for one in end.exchanges if one.update.time > gone and one.update.lifetime]
    again = [one for one in back if one.update.source == end.serving and one.update.destination in end.targets]
    tally.demand(bool(again), f"no PBU of {stay.gateway} after the end", over[0].update)
    for exchange in again[:1]:
        tally.see(over[0].update, exchange.update, *exchange.answers)
        late = exchange.update.time - gone
        tally.demand(late <= hold, f"back only {late:.2f} s after the end", exchange.update)
        tally.demand(bool(exchange.accepted), "not accepted", exchange.update)
        if run.mode != "direct":
            tally.demand(exchange.update.handoff == NEW_INTERFACE, f"HI {exchange.update.handoff}", exchange.update)
    for anchor in stay.previous if run.mode != "direct" else ():
        for one in end.ends(run.cmd_address, run.gateways[anchor].address):
            tally.wrong(f"{anchor} was told to delete", one.update)
    _same_prefixes(end, tally, gone)
    return tally.result(
        f"back {milliseconds(again[0].update.time - gone)} after the end, same prefixes" if again else ""
    )


def _same_prefixes(end: Ending, tally: Tally, gone: float) -> None:
    run, mobile = end.run, end.stay.mobile
    heard = run.advertisements.get(mobile, [])
    before, after = (
        {option.prefix for one in heard if (one.time > gone) == later for option in one.prefixes if option.valid}
        for later in (False, True)
    )
    tally.demand(bool(before) and before == after, f"prefixes {_listed(before)} before, {_listed(after)} after")
    tally.see(*[one for one in heard if one.time > gone][:3])


def _listed(prefixes: set[IPv6Network]) -> str:
    return ", ".join(map(str, sorted(prefixes))) or "none"


@check("anchor-timers")
def anchor_timers(run: Run, lifetime: float, tolerance_ms: float = 400.0) -> list[Result]:
    """Anchors keep their timers and ask the CMD when these run out (DEREG-5)."""
    return [_asks(end, anchor, lifetime, tolerance_ms / 1000) for end in endings(run) for anchor in end.stay.previous]


def _asks(end: Ending, anchor: str, lifetime: float, tolerance: float) -> Result:
    run, stay = end.run, end.stay
    tally = Tally(
        f"anchor-timers.{stay.mobile}.{anchor}",
        "DEREG-5",
        f"{anchor} asks when its binding runs out, and renews it as long as {stay.mobile} is registered",
        f"{lifetime:g} s after the last grant: PBU {{lifetime 0, its prefix}} to the CMD, PBA {{0, lifetime > 0}}; "
        "the CMD never tells it to delete",
    )
    address = run.gateways[anchor].address
    granted = end.last_grant(run.cmd_address, address)
    asked = end.ends(address, run.cmd_address)
    mine = tuple(run.prefixes.get((stay.mobile, anchor), []))
    since, term = (granted.accepted[0].time, granted.accepted[0].lifetime_seconds) if granted else (None, 0)
    for one in asked:
        tally.see(one.update, *one.answers)
        tally.demand(one.update.prefixes == mine, f"asks about {', '.join(map(str, one.update.prefixes))}", one.update)
        if since is not None:
            waited = one.update.time - since
            tally.demand(abs(waited - term) <= tolerance, f"asks after {waited:.2f} s instead of {term} s", one.update)
        tally.demand(bool(one.answers), "the CMD did not answer", one.update)
        for answer in one.answers:
            right = answer.status == 0 and 0 < answer.lifetime_seconds <= lifetime
            tally.demand(right, f"status {answer.status}, lifetime {answer.lifetime_seconds} s", answer)
            since, term = answer.time, answer.lifetime_seconds
    for one in end.ends(run.cmd_address, address):
        tally.wrong(f"the CMD tells {anchor} to delete", one.update)
    return tally.result(f"asked {plural(len(asked), 'time')}, renewed each time", f"{anchor} never asked")
