"""Check "aero-claims": duplicate address detection downstream, and addresses that are defended there.

Sources: RFC 4862 §5.4, RFC 7278 §3 R-2; spec AERO MODEL-R4, MODEL-Y2.
"""

from __future__ import annotations

from ipaddress import IPv6Address

from captures.aero.link import AeroLink, Client, Lan, Object, within
from captures.aero.records import ADVERTISEMENT, SOLICITATION, Frame
from captures.checks.aero.downstream import links
from captures.checks.base import Result, Tally, check, milliseconds
from captures.run import Run

UNSPECIFIED = IPv6Address("::")
CLAIM = "claim"
AWAY = "off-link"


@check("aero-claims")
def aero_claims(run: Run) -> list[Result]:
    """Judge every address that was taken up on a downstream link, and every one that somebody tried to take."""
    link = run.aero
    assert link
    detected = [_detected(link, client, lan) for client, lan in links(link)]
    claims = [_claim(link, number, one) for number, one in enumerate(_claims(link), 1)]
    if not claims:
        title = "An address that somebody has is not given away"
        return [*detected, Tally("aero-claims", "MODEL-Y2", title, "refused").result(nothing="nobody claimed one")]
    return [*detected, *claims]


def _claims(link: AeroLink) -> list[Object]:
    return [one for one in link.events if one["event"] == CLAIM]


def asks(frame: Frame) -> IPv6Address | None:
    """The address whose uniqueness a frame asks for."""
    message = frame.discovery
    asking = message is not None and message.type == SOLICITATION and not frame.code
    return message.target if asking and message and frame.outer.source == UNSPECIFIED else None


def _detected(link: AeroLink, client: Client, lan: Lan) -> Result:
    tally = Tally(
        f"aero-claims.detection-{lan.node}",
        "MODEL-R4",
        f"Duplicates are detected on {lan.node}'s link"
        + (f", but for {client.name}, which has no address in its prefix" if lan.mode == AWAY else ""),
        f"each address of {lan.prefix} in use on the link was asked for before its first packet; addresses of the AERO "
        "interface are not asked for",
    )
    tried = [(one["t"], one["end"]) for one in _claims(link) if one["node"] == lan.node]
    asked: set[IPv6Address] = set()
    for frame in link.frames(lan.node, "eth0"):
        target = asks(frame)
        if target and target in lan.prefix and not any(begin <= frame.time <= end for begin, end in tried):
            asked.add(target)
            tally.see(frame)
        source = frame.outer.source
        if source in lan.prefix and source not in client.own and source not in asked:
            tally.wrong(f"{source} is used unasked", frame)
    expected = 1 if lan.mode == AWAY else 2
    texts = ", ".join(map(str, sorted(asked)))
    if tally.seen:
        tally.demand(len(asked) == expected, f"asked for: {texts}, which is not {expected}")
    return tally.result(texts, "no Neighbor Solicitation from :: on the link")


def _claim(link: AeroLink, number: int, event: Object) -> Result:
    node, address, against = event["node"], IPv6Address(event["address"]), event["against"]
    defended = against is not None and address in link.clients[against].own
    tally = Tally(
        f"aero-claims.{number}-{node}",
        "MODEL-Y2" if defended else "MODEL-R4",
        f"{node} claims {address}, which " + (f"{against} has" if against else "nobody has"),
        "Neighbor Solicitation from ::, "
        + ("an advertisement in answer, the claim fails" if against else "no answer, the claim succeeds"),
    )
    frames = within(link.frames(node, "eth0"), event["t"], event["end"])
    asked = [one for one in frames if asks(one) == address]
    if not asked:
        return tally.result(nothing="nobody was asked for the address")
    answers = [
        one
        for one in frames
        if one.discovery and one.discovery.type == ADVERTISEMENT and one.discovery.target == address
    ]
    answers = [one for one in answers if one.time >= asked[0].time]
    tally.see(*asked, *answers)
    tally.demand(bool(answers) == (against is not None), f"{len(answers)} answers", *asked)
    tally.demand(event["refused"] == (against is not None), "refused" if event["refused"] else "not refused", *asked)
    text = f"answered after {milliseconds(answers[0].time - asked[0].time)}, refused" if answers else "accepted"
    return tally.result(text)
