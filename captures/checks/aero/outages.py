"""Checks "aero-relay-lost" and "aero-taken-over": Servers that lose a Relay, or whose Client is another one's by now.

Sources: spec AERO §5.1 (replacement at another Server), §8 (withdraw), CLI-9, RLY-8, SRV-5.
"""

from __future__ import annotations

from itertools import pairwise

from captures.aero.link import AeroLink, Server
from captures.aero.records import ADVERTISEMENT, SOLICITATION, Frame
from captures.aero.routes import sessions
from captures.checks.base import Result, Tally, check, milliseconds, plural
from captures.run import Run

MAX_RETRY = 3
APART = (0.9, 1.5)
"""Seconds between solicitations, and what a busy machine adds."""


@check("aero-relay-lost")
def aero_relay_lost(run: Run, relay: str, noticed_ms: float) -> list[Result]:
    """Judge every Server that sent data to a Relay which failed; `noticed_ms`: until it sends nothing there any more.

    When the first packet goes to another Relay is the sender's to say: TCP may wait longer.
    """
    link = run.aero
    assert link
    moment = next((event["t"] for event in link.said(relay, "failing")), None)
    return [_rerouted(link, server, link.relays[relay], moment, noticed_ms) for server in link.servers.values()]


def _rerouted(link: AeroLink, server: Server, relay: Server, moment: float | None, bound_ms: float) -> Result:
    tally = Tally(
        f"aero-relay-lost.{server.name}",
        "RLY-8, CLI-9",
        f"{server.name} finds out that {relay.name} is gone, and sends to another Relay",
        f"{MAX_RETRY} solicitations a second apart without an answer, or the end of its session; no data to "
        f"{relay.name} later than {bound_ms:g} ms after the failure, and data to another from then on",
    )
    if moment is None:
        return tally.result(nothing="nothing failed")
    others = {address for one in link.relays.values() if one is not relay for address in one.underlay}
    after = [one for one in link.sent(server) if one.time >= moment]
    data = [one for one in after if one.echo or one.segment]
    late = [one for one in data if one.outer.destination in relay.underlay]
    there = [one for one in data if one.outer.destination in others]
    if not late and not there:
        return tally.result(nothing=f"{server.name} sent nothing to a Relay")
    asked = _unanswered(link, server, relay, after)
    lost = [one["t"] for one in link.said(server.name, "bgp-session") if _ended(one, relay) and one["t"] >= moment]
    if not there:
        tally.wrong("no data to another Relay", *late[-1:])
        return tally.result()
    tally.see(*asked, *late[-1:], there[0])
    known = len(asked) >= MAX_RETRY or (bool(lost) and lost[0] <= there[0].time)
    tally.demand(known, f"asked {len(asked)} times before", *asked, there[0])
    gaps = [two.time - one.time for one, two in pairwise(asked)]
    right = all(APART[0] <= gap <= APART[1] for gap in gaps)
    tally.demand(right, f"gaps of {', '.join(map(milliseconds, gaps))}", *asked)
    last = max((one.time for one in late), default=moment) - moment
    tally.demand(last * 1000 <= bound_ms, f"to {relay.name} after {milliseconds(last)}", *late[-1:])
    what = f"{len(asked)} solicitations" if len(asked) >= MAX_RETRY else "the end of its session"
    took = milliseconds(there[0].time - moment)
    text = f"the last to {relay.name} {milliseconds(last)} after the failure, the first to another {took} after it"
    return tally.result(f"{text}, known by {what}")


def _ended(event: dict[str, object], relay: Server) -> bool:
    return event["neighbor"] == str(relay.address) and not event["up"]


def _unanswered(link: AeroLink, server: Server, relay: Server, after: list[Frame]) -> list[Frame]:
    """The first round of solicitations of a Relay, all of one nonce, that never came back."""
    heard = {
        one.discovery.nonce for one in link.received(server) if one.discovery and one.discovery.type == ADVERTISEMENT
    }
    rounds: dict[bytes | None, list[Frame]] = {}
    for one in after:
        said = one.discovery
        asks = said and said.type == SOLICITATION and one.outer.destination in relay.underlay and not one.padding
        if said and asks and said.nonce not in heard:
            rounds.setdefault(said.nonce, []).append(one)
    return max(rounds.values(), key=len, default=[])


@check("aero-taken-over")
def aero_taken_over(run: Run, client: str, server: str, bound_ms: float) -> list[Result]:
    """Judge how a Server lets go of a Client that another one has; `bound_ms`: from the Predirect or Redirect that
    tells it until Relays have heard of it."""
    link = run.aero
    assert link
    mine, old = link.clients[client], link.servers[server]
    tally = Tally(
        f"aero-taken-over.{server}",
        "SRV-5, MOB-10, MOB-6",
        f"{server} sees that {client} is at another Server, and withdraws its prefix",
        f"at most {bound_ms:g} ms after a Relay told of it; {server} asks {client} first, and hears nothing",
    )
    told = [one for one in link.received(old) if _tells(link, one, mine.prefixes)]
    if not told:
        return [tally.result(nothing=f"no Relay told {server} of {client}'s prefix")]
    asked = [
        one for one in link.sent(old) if one.outer.destination in mine.underlay and one.discovery
        and one.discovery.type == SOLICITATION
    ]  # fmt: skip
    tally.demand(len(asked) >= MAX_RETRY, f"asked {len(asked)} times", told[0])
    heard = [one for one in link.received(old) if one.outer.source in mine.underlay and one.time >= told[0].time]
    tally.demand(not heard, f"{client} answers", *heard[:1])
    took = 0.0
    for relay in link.relays.values():
        updates = [update for each in sessions(link, relay) if each.server.name == server for update in each.heard]
        for prefix in mine.prefixes:
            if not any(prefix in update.announced for update in updates if update.time < told[0].time):
                continue
            gone = [update for update in updates if prefix in update.withdrawn and update.time >= told[0].time]
            if not gone:
                tally.wrong(f"{relay.name} keeps {prefix} of {server}", told[0])
                continue
            tally.see(told[0], *asked[-MAX_RETRY:], gone[0])
            took = max(took, gone[0].time - told[0].time)
            tally.demand(took * 1000 <= bound_ms, f"{relay.name}: after {milliseconds(took)}", gone[0])
    text = f"{milliseconds(took)} after the first of {plural(len(told), 'message')}"
    return [tally.result(text, f"no Relay had {client}'s prefix from {server}")]


def _tells(link: AeroLink, frame: Frame, prefixes: tuple[object, ...]) -> bool:
    """Whether a Relay passes on a message that has one of these prefixes in it."""
    of_relay = any(frame.outer.source in relay.underlay for relay in link.relays.values())
    return of_relay and frame.mediation is not None and frame.mediation.prefix in prefixes
