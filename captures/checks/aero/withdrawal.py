"""Check "aero-withdrawal": what a Client says downstream when it has lost its Server, and when its lease has ended.

Sources: RFC 4861 §6.2.5, RFC 7084 L-13, RFC 7278 R-3, R-4; spec AERO MODEL-R2, MODEL-Y3.
"""

from __future__ import annotations

from captures.aero.link import AeroLink, Client, Lan
from captures.aero.records import Frame
from captures.checks.aero.downstream import advertised, links
from captures.checks.base import Result, Tally, check, milliseconds
from captures.run import Run


@check("aero-withdrawal")
def aero_withdrawal(run: Run, step: str, clients: list[str], bound_ms: float) -> list[Result]:
    """Judge the end of an attachment, from a step of the script on: no router any more, no prefix any more."""
    link = run.aero
    assert link
    begin = next((begin for title, begin, _end in link.steps() if title == step), float("inf"))
    found = []
    for client, lan in links(link, *clients):
        found.append(_no_router(link, client, lan, begin, bound_ms))
        found.append(_no_prefix(link, client, lan, begin, bound_ms))
    return found


def _no_router(link: AeroLink, client: Client, lan: Lan, begin: float, bound_ms: float) -> Result:
    tally = Tally(
        f"aero-withdrawal.router-{lan.node}",
        "MODEL-R2" if client.model == "router" else "MODEL-Y3",
        f"{client.name} is no router for {lan.node} once it has no Server",
        f"router lifetime > 0 before; 0 within {bound_ms:g} ms, and from then on",
    )
    failed = [one["t"] for one in link.said(client.name, "server-failed") if one["t"] >= begin]
    moment = min([*failed, *_gone(link, client, begin)], default=None)
    if moment is None:
        return tally.result(nothing=f"{client.name} did not lose its Server")
    offers = advertised(link, lan)
    if offers:
        tally.demand(any(_lifetime(one) for one in offers if one.time < moment), "it was none before")
    return _ended(tally, offers, moment, bound_ms, [one for one in offers if not _lifetime(one)])


def _no_prefix(link: AeroLink, client: Client, lan: Lan, begin: float, bound_ms: float) -> Result:
    tally = Tally(
        f"aero-withdrawal.prefix-{lan.node}",
        "MODEL-R2" if client.model == "router" else "MODEL-Y3",
        f"{client.name} takes {lan.node}'s addresses back when the lease ends",
        f"within {bound_ms:g} ms and from then on, "
        + ("no prefix is advertised" if lan.mode == "dhcp" else "valid and preferred lifetime of the prefix are 0"),
    )
    moment = min(_gone(link, client, begin), default=None)
    if moment is None:
        return tally.result(nothing=f"{client.name} kept its prefix")
    offers = advertised(link, lan)
    over = [one for one in offers if _taken_back(one, lan)]
    return _ended(tally, offers, moment, bound_ms, over)


def _ended(tally: Tally, offers: list[Frame], moment: float, bound_ms: float, over: list[Frame]) -> Result:
    """`over`: those advertisements that say it is over; from the first such one after the moment, all must."""
    said = [one for one in over if one.time >= moment - bound_ms / 1000]  # the event follows what it tells of
    if not said:
        tally.demand(not offers, "it is never said", *offers[-1:])
        return tally.result(nothing="no advertisement on the link")
    took = max(said[0].time - moment, 0.0)
    tally.see(*said)
    tally.demand(took * 1000 <= bound_ms, f"it is said after {milliseconds(took)}", said[0])
    for frame in offers:
        tally.demand(frame.time < said[0].time or frame in over, "later it is taken back", frame)
    return tally.result(f"said after {milliseconds(took)}, {len(said)} times")


def _gone(link: AeroLink, client: Client, begin: float) -> list[float]:
    """When a Client had no prefix left."""
    return [one["t"] for one in link.said(client.name, "prefixes") if one["t"] >= begin and not one["prefixes"]]


def _lifetime(frame: Frame) -> int:
    return frame.advertisement.lifetime if frame.advertisement else 0


def _taken_back(frame: Frame, lan: Lan) -> bool:
    """Whether an advertisement leaves nothing of the link's prefix; silence about it leaves what was said before."""
    offered = {one.prefix: one for one in frame.advertisement.prefixes} if frame.advertisement else {}
    usable = any(one.valid or one.preferred for one in offered.values())
    return not usable and (lan.mode == "dhcp" or lan.prefix in offered)
