"""Check "haaro-attack": what hostile messages led to, on the wire and in the state of who received them.

Sources: RFC 5944 §3.8.2, RFC 6521 §3.3.3, §11; spec HAARO §10, S7, S27.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from captures.checks.base import Result, Tally, check, plural
from captures.haaro.operator import Operator
from captures.haaro.records import PORT, CorrespondentAuth, Frame, HomeAuth
from captures.run import Run

WITHOUT_KEY = (201, 202, 203)
MOST_TESTS = 5
"""Answers to tests of one source in a second (spec RR-14)."""
Object = dict[str, Any]


@check("haaro-attack")
def haaro_attack(run: Run, rows: dict[str, int] | None = None, flood: int = 0) -> list[Result]:
    """Judge every attack; `rows`: node -> how many it must have met, `flood`: how many tests at once."""
    operator = run.haaro
    assert operator
    attacks = [one for one in operator.events if one["event"] == "attack"]
    return [
        *(_answers(operator, attacks, target, count) for target, count in (rows or {}).items()),
        _state(operator, attacks),
        *([_flood(operator, flood)] if flood else []),
    ]


def _requirements(attacks: list[Object]) -> str:
    return ", ".join(dict.fromkeys(mark for one in attacks for mark in one["requirement"].split(", ")))


def _answers(operator: Operator, attacks: list[Object], target: str, count: int) -> Result:
    mine = [one for one in attacks if one["target"] == target]
    tally = Tally(
        f"haaro-attack.{target}",
        _requirements(mine) or "ERR-3",
        f"{target} answers hostile messages as the sheet says, or not at all",
        f"{count} messages: each sent as written, met by the code named, or by silence",
    )
    if not mine or not any(operator.captures.values()):
        return tally.result(nothing="no attack")
    tally.demand(len(mine) == count, f"{plural(len(mine), 'attack')}, not {count}")
    codes: Counter[str] = Counter()
    for one in mine:
        frames = operator.frames(one["node"], one["interface"])
        sent = [each for each in frames if each.ports == (one["port"], PORT)]
        back = [each for each in frames if each.ports == (PORT, one["port"])]
        if not sent:
            tally.wrong(f"{one['row']}: it is in no capture")
            continue
        tally.see(sent[0], *back)
        read = sent[0].message
        same = read is None or read.octets == bytes.fromhex(one["octets"])
        tally.demand(same, f"{one['row']}: other octets than were to be sent", sent[0])
        codes["silence" if one["code"] is None else str(one["code"])] += 1
        if one["code"] is None:
            tally.demand(not back, f"{one['row']}: answered", *back[:1])
        else:
            _answer(tally, one, sent[0], back)
    return tally.result(", ".join(f"{count} x {what}" for what, count in codes.items()))


def _answer(tally: Tally, attack: Object, sent: Frame, back: list[Frame]) -> None:
    """One reply with the code, to the request, authenticated wherever there is a key."""
    reply = back[0].message if back else None
    if reply is None or len(back) != 1:
        tally.wrong(f"{attack['row']}: {plural(len(back), 'answer')}", sent)
        return
    tally.demand(reply.code == attack["code"], f"{attack['row']}: code {reply.code}, not {attack['code']}", back[0])
    assert sent.message
    low = (reply.identification ^ sent.message.identification) & 0xFFFFFFFF == 0
    tally.demand(low, f"{attack['row']}: answers another request", back[0])
    kind = HomeAuth if attack["target"] == "ha" else CorrespondentAuth
    signed = len(reply.auths) == 1 and isinstance(reply.auths[0], kind)
    tally.demand(signed != (reply.code in WITHOUT_KEY), f"{attack['row']}: authenticators {reply.auths}", back[0])


def _state(operator: Operator, attacks: list[Object]) -> Result:
    tally = Tally(
        "haaro-attack.state",
        "ERR-3, SC-S7, SC-S27",
        "Hostile messages are counted and change nothing",
        "state dumps before and after each are equal, and the named counter moved",
    )
    judged = 0
    for one in attacks:
        sent = [each for each in operator.frames(one["node"], one["interface"]) if each.ports == (one["port"], PORT)]
        if not sent:
            continue  # told of above
        tally.see(*sent)
        if one["same"]:
            judged += 1
            tally.demand(one["before"] == one["after"], f"{one['target']}, {one['row']}: its state changed", *sent)
        if one["counter"]:
            moved = any(name.startswith(one["counter"]) for name in one["counted"])
            tally.demand(moved, f"{one['target']}, {one['row']}: counted {one['counted']}", *sent)
    return tally.result(f"{judged} dumps equal", "no attack")


def _flood(operator: Operator, count: int) -> Result:
    tally = Tally(
        "haaro-attack.flood",
        "CR-2, RR-14, SC-S27",
        "A flood of tests is remembered by nobody",
        f"{count} CoTIs, at most {MOST_TESTS} a second answered, the others counted; equal state dumps",
    )
    for one in operator.events:
        if one["event"] != "flood":
            continue
        frames = operator.frames(one["node"], one["interface"])
        sent = [each for each in frames if each.kind == "CoTI" and each.ports == (one["port"], PORT)]
        back = [each for each in frames if each.kind == "CoT" and each.ports == (PORT, one["port"])]
        tally.see(*sent[:1], *back)
        if not frames:
            break
        tally.demand(len(sent) == count, f"{plural(len(sent), 'CoTI')} sent")
        tally.demand(bool(back), "none was answered")
        for first, later in zip(back, back[MOST_TESTS:], strict=False):
            tally.demand(later.time - first.time >= 0.9, "answers come too fast", later)
        tally.demand(one["dropped"] > 0, "none was counted")
        tally.demand(one["before"] == one["after"], f"{one['target']}: its state changed")
        return tally.result(f"{len(back)} of {len(sent)} answered, {one['dropped']} counted as too many by then")
    return tally.result(nothing="no flood")
