"""Check "modes": exactly the messages a signalling mode needs at a handover, in its order (spec SC-CMDMODES).

Stricter than "signalling", which allows repetitions and answers in part: for labs in which nothing is lost or late.

    relay    PBU(N→C)  PBU*(C→P)  PBA*(P→C)  PBA(C→N, a group 67 per P)
    locator  PBU(N→C)  PBU*(C→P)  PBA*(P→C) and PBA*(P→N)
    proxy    PBU(N→C)  PBA(C→N, a group 67 per P) beside PBU*(C→P)  PBA*(P→C)
    direct   PBU*(N→P) PBA*(P→N)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from captures.checks.base import Result, Tally, check, milliseconds
from captures.exchanges import REFRESH
from captures.records import MobilityMessage
from captures.run import Run
from captures.walk import Attachment

Word = tuple[str, str, str]
"""(kind, sender, receiver)."""
Order = tuple[Word, Word]
"""The first is sent before the second."""
Grammar = Callable[[str, str, tuple[str, ...]], tuple[list[Word], list[Order]]]


@check("modes")
def modes(run: Run) -> list[Result]:
    """One result per handover."""
    return [_handover(run, stay) for stay in run.moves()]


def _relay(n: str, c: str, anchors: tuple[str, ...]) -> tuple[list[Word], list[Order]]:
    ask, tell = ("PBU", n, c), ("PBA", c, n)
    words, order = [ask, tell], []
    for p in anchors:
        passed, answer = ("PBU", c, p), ("PBA", p, c)
        words += [passed, answer]
        order += [(ask, passed), (passed, answer), (answer, tell)]
    return words, order


def _locator(n: str, c: str, anchors: tuple[str, ...]) -> tuple[list[Word], list[Order]]:
    ask = ("PBU", n, c)
    words, order = [ask], []
    for p in anchors:
        passed, answer, direct = ("PBU", c, p), ("PBA", p, c), ("PBA", p, n)
        words += [passed, answer, direct]
        order += [(ask, passed), (passed, answer), (passed, direct)]
    return words, order


def _proxy(n: str, c: str, anchors: tuple[str, ...]) -> tuple[list[Word], list[Order]]:
    ask, tell = ("PBU", n, c), ("PBA", c, n)
    words, order = [ask, tell], [(ask, tell)]
    for p in anchors:
        passed, answer = ("PBU", c, p), ("PBA", p, c)
        words += [passed, answer]
        order += [(ask, passed), (passed, answer), (tell, answer)]
    return words, order


def _direct(n: str, _c: str, anchors: tuple[str, ...]) -> tuple[list[Word], list[Order]]:
    pairs: list[Order] = [(("PBU", n, p), ("PBA", p, n)) for p in anchors]
    return [word for pair in pairs for word in pair], pairs


GRAMMARS: dict[str, tuple[str, Grammar]] = {
    "relay": ("CMD-RELAY-1, CMD-RELAY-2, CMD-RELAY-3", _relay),
    "locator": ("CMD-LOC-1, CMD-LOC-2", _locator),
    "proxy": ("CMD-PROXY-1, CMD-PROXY-2", _proxy),
    "direct": ("HO-3", _direct),
}


def _handover(run: Run, stay: Attachment) -> Result:
    requirement, grammar = GRAMMARS[run.mode]
    words, order = grammar(stay.gateway, run.cmd_node or "cmd", stay.previous)
    tally = Tally(
        f"modes.{stay.mobile}.{stay.number}",
        f"SC-CMDMODES, {requirement}",
        f"{stay.mobile} moves to {stay.gateway}: just the messages of {run.mode} mode",
        f"{_text(words)}, each once, in the mode's order",
    )
    messages = _about(run, stay)
    said = [(one.kind, run.name_of(one.source), run.name_of(one.destination)) for one in messages]
    for one in messages:
        tally.see(one)
    if not messages:
        return tally.result("", "no PBU or PBA about the node during its stay")
    wanted, there = Counter(words), Counter(said)
    for word in sorted((there - wanted).keys()):
        extra = [one for one, what in zip(messages, said, strict=True) if what == word]
        tally.wrong(f"{_text([word])} {there[word]} times, {wanted[word]} expected", *extra)
    for word in sorted((wanted - there).keys()):
        tally.wrong(f"no {_text([word])}")
    first = {word: messages[said.index(word)] for word in there}
    for before, after in order:
        if before in first and after in first:
            in_order = first[before].time <= first[after].time
            tally.demand(in_order, f"{_text([after])} before {_text([before])}", first[after], first[before])
    _groups(run, tally, stay, messages)
    took = milliseconds(messages[-1].time - messages[0].time)
    return tally.result(f"{_text(said)} in {took}")


def _text(words: list[Word]) -> str:
    return ", ".join(f"{kind} {sender}→{receiver}" for kind, sender, receiver in words)


def _about(run: Run, stay: Attachment) -> list[MobilityMessage]:
    """The agents' PBUs and PBAs about the node from its attachment to its next one, refreshes left out."""
    stays = run.attachments[stay.mobile]
    until = stays[stay.number + 1].start if stay.number + 1 < len(stays) else run.end + 1
    mine = run.mobiles[stay.mobile].mn_id
    said = [one for one in run.signalling if one.mn_id == mine and one.kind in ("PBU", "PBA")]
    return [one for one in said if stay.start <= one.time < until and one.handoff != REFRESH]


def _groups(run: Run, tally: Tally, stay: Attachment, messages: list[MobilityMessage]) -> None:
    """Relay and proxy: one PBA names all anchors; locator and direct: none does."""
    wanted = sorted(stay.previous) if run.mode in ("relay", "proxy") else []
    for one in messages:
        if one.kind == "PBA" and one.source == run.cmd_address:
            named = sorted(run.name_of(group.address) for group in one.anchors)
            text = f"option 67 for {', '.join(named) or 'nobody'} instead of {', '.join(wanted) or 'nobody'}"
            tally.demand(named == wanted, text, one)
        elif one.kind == "PBA":
            tally.demand(not one.anchors, f"option 67 in a PBA of {run.name_of(one.source)}", one)
