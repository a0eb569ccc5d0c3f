"""Check "aero-failover": a Server fails, whole or in part; who notices when, and who takes over.

Sources: RFC 8415 §18.2.5, RFC 4271 §6.5; spec AERO §8 (failure timing), CLI-9, CLI-11, SRV-11, MOB-6, MOB-8, MOB-10.
"""

from __future__ import annotations

from itertools import pairwise

from captures.aero.bgp import End, Message, Prefix
from captures.aero.exchanges import REBIND, REPLY, REQUEST, SOLICIT, Exchange, exchanges
from captures.aero.link import AeroLink, Client, Server
from captures.aero.records import ADVERTISEMENT, SOLICITATION, Frame
from captures.aero.routes import Session, sessions
from captures.checks.base import Result, Tally, check, milliseconds
from captures.records import Logged
from captures.run import Run

MAX_RETRY = 3
APART = (0.9, 1.5)
"""Seconds between solicitations, and what a busy machine adds."""
ASKED = {"kea": "a Rebind that nobody answers", "exabgp": ""}
"""What failed -> what tells the Client; by default three solicitations."""


@check("aero-failover")
def aero_failover(
    run: Run,
    client: str,
    server: str,
    fails: str,
    noticed_ms: float,
    attach_ms: float,
    gone_ms: float | None = None,
) -> list[Result]:
    """Judge one failure, from the event `failing` on.

    `fails`: what of the Server does; `noticed_ms`: until the Client turns to another Server (of ExaBGP, until its
    routes are back); `attach_ms`: from its Solicit to the Reply; `gone_ms`: until Relays have lost the Server's routes,
    None where they keep them.
    """
    link = run.aero
    assert link
    moment = next((event["t"] for event in link.said(server, "failing")), None)
    failed, mine = link.servers[server], link.clients[client]
    ended = [one for one in run.logged("bgp-session") if _ends(link, failed, one)]
    found = [_gone(link, failed, mine, moment, ended, gone_ms)] if gone_ms else []
    if fails == "exabgp":
        return [*found, _stays(link, mine, moment), _replayed(link, failed, mine, moment, noticed_ms)]
    return [
        *found,
        _noticed(link, failed, mine, moment, noticed_ms, rebinds=fails == "kea"),
        _attached(link, failed, mine, moment, attach_ms),
        _newest(link, failed, mine, moment, attach_ms),
    ]


def _noticed(
    link: AeroLink, server: Server, client: Client, moment: float | None, bound_ms: float, *, rebinds: bool
) -> Result:
    text = ASKED["kea"] if rebinds else f"{MAX_RETRY} solicitations a second apart without an answer"
    tally = Tally(
        f"aero-failover.{client.name}.noticed",
        "CLI-8, CLI-11" if rebinds else "CLI-9, CLI-11",
        f"{client.name} asks {server.name} before it turns to another Server",
        f"{text}, then a Solicit elsewhere at most {bound_ms:g} ms after the failure",
    )
    if moment is None:
        return tally.result(nothing="nothing failed")
    sent = [one for one in link.sent(client) if one.time >= moment]
    solicit = next((one for one in sent if _is_dhcp(one, SOLICIT) and not _to(server, one)), None)
    if solicit is None:
        tally.demand(not sent, "no Solicit to another Server", *sent[:1])
        return tally.result(nothing=f"{client.name} sent nothing")
    asked = _rebinds(sent, solicit) if rebinds else _unanswered(link, server, client, solicit)
    tally.see(*asked, solicit)
    tally.demand(len(asked) >= (1 if rebinds else MAX_RETRY), f"asked {len(asked)} times before", *asked, solicit)
    if not rebinds:
        gaps = [later.time - earlier.time for earlier, later in pairwise(asked)]
        right = all(APART[0] <= gap <= APART[1] for gap in gaps)
        tally.demand(right, f"gaps of {', '.join(map(milliseconds, gaps))}", *asked)
    took = solicit.time - moment
    tally.demand(took * 1000 <= bound_ms, f"after {milliseconds(took)}", solicit)
    return tally.result(f"{milliseconds(took)} after the failure")


def _is_dhcp(frame: Frame, kind: int) -> bool:
    return frame.dhcp is not None and frame.dhcp.type == kind


def _to(server: Server, frame: Frame) -> bool:
    return frame.outer.destination in server.underlay


def _rebinds(sent: list[Frame], until: Frame) -> list[Frame]:
    return [one for one in sent if _is_dhcp(one, REBIND) and one.time < until.time]


def _unanswered(link: AeroLink, server: Server, client: Client, until: Frame) -> list[Frame]:
    """The last solicitations of the Server before a moment, all of one nonce that never came back."""
    heard = {
        one.discovery.nonce
        for one in link.received(client)
        if one.discovery and one.discovery.type == ADVERTISEMENT and one.time < until.time
    }
    rounds: dict[bytes | None, list[Frame]] = {}
    for one in link.sent(client):
        said = one.discovery
        asks = said and said.type == SOLICITATION and _to(server, one) and one.time < until.time
        if said and asks and said.nonce not in heard:
            rounds.setdefault(said.nonce, []).append(one)
    return list(rounds.values())[-1] if rounds else []


def _attached(link: AeroLink, server: Server, client: Client, moment: float | None, bound_ms: float) -> Result:
    tally = Tally(
        f"aero-failover.{client.name}.attached",
        "CLI-11, SRV-11, MOB-6",
        f"{client.name} gets the same prefix from another Server",
        f"it hints at its prefix, and has it at most {bound_ms:g} ms after the Solicit",
    )
    if moment is None:
        return tally.result(nothing="nothing failed")
    asked = [one for one in _elsewhere(link, server, client, moment) if one.message.type == SOLICIT]
    granted = next((one for one in _elsewhere(link, server, client, moment) if _granted(one)), None)
    if granted is None or granted.received is None:
        tally.demand(not asked, "no Reply", *(one.asked for one in asked))
        return tally.result(nothing=f"{client.name} solicited nobody else")
    tally.see(asked[0].asked, granted.received)
    wanted = {str(prefix) for prefix in client.prefixes if prefix.version == 6}
    hinted = {str(each.prefix) for each in asked[0].message.prefixes}
    tally.demand(hinted >= wanted, f"hints at {', '.join(hinted) or 'nothing'}", asked[0].asked)
    assert granted.reply
    got = {str(each.prefix) for each in granted.reply.prefixes if each.valid}
    tally.demand(got >= wanted, f"got {', '.join(got) or 'nothing'}", granted.received)
    took = granted.received.time - asked[0].asked.time
    tally.demand(took * 1000 <= bound_ms, f"after {milliseconds(took)}", granted.received)
    assert granted.server
    return tally.result(f"at {granted.server.name}, {milliseconds(took)} after the Solicit")


def _elsewhere(link: AeroLink, server: Server, client: Client, moment: float) -> list[Exchange]:
    """What a Client asked other Servers for after the failure."""
    found = [one for one in exchanges(link) if one.client.name == client.name and one.asked.time >= moment]
    return [one for one in found if one.server and one.server.name != server.name]


def _granted(one: Exchange) -> bool:
    told = one.reply
    right = one.message.type in (SOLICIT, REQUEST) and told is not None and told.type == REPLY
    return right and any(each.valid for each in told.prefixes) if told else False


# --- BGP


def _updates(link: AeroLink, server: Server) -> list[tuple[Server, Session]]:
    """Every session of a Server, with its Relay."""
    found = [(relay, session) for relay in link.relays.values() for session in sessions(link, relay)]
    return [(relay, session) for relay, session in found if session.server.name == server.name]


def _announcements(session: Session, prefix: Prefix) -> list[Message]:
    return [update for update in session.heard if prefix in update.announced]


def _newest(link: AeroLink, server: Server, client: Client, moment: float | None, bound_ms: float) -> Result:
    tally = Tally(
        f"aero-failover.{client.name}.newest",
        "MOB-8, MOB-10",
        f"Relays prefer {client.name}'s new Server to {server.name}, whether or not that still announces it",
        f"announced at most {bound_ms:g} ms after the Reply, with a lower MED than all of {server.name}'s",
    )
    granted = [one for one in _elsewhere(link, server, client, moment) if _granted(one)] if moment else []
    if not granted or granted[0].delivered is None or granted[0].server is None:
        return tally.result(nothing=f"{client.name} attached nowhere else")
    new, replied, took = granted[0].server, granted[0].delivered.time, 0.0
    for prefix in client.prefixes:
        old = [update for _relay, each in _updates(link, server) for update in _announcements(each, prefix)]
        for relay, session in _updates(link, new):
            if session.end <= replied:
                continue  # over before: what came later was said in the next one
            told = [update for update in _announcements(session, prefix) if update.time >= (moment or 0.0)]
            if not told:
                tally.wrong(f"{relay.name} did not hear of {prefix} from {new.name}", granted[0].delivered)
                continue
            tally.see(told[0])
            took = max(took, told[0].time - replied)
            tally.demand((told[0].time - replied) * 1000 <= bound_ms, f"{milliseconds(took)} late", told[0])
            best = min((update.med or 0 for update in old), default=None)
            lower = best is None or (told[0].med or 0) < best
            tally.demand(lower, f"MED {told[0].med}, {server.name}'s is {best}", told[0])
    return tally.result(f"from {new.name}, the last Relay {milliseconds(took)} after the Reply")


def _ends(link: AeroLink, server: Server, one: Logged) -> bool:
    """Whether a Relay says that its session with a Server is over: of hold times that run out no capture tells."""
    fields = one.fields
    return one.node in link.relays and fields["neighbor"] == str(server.address) and not fields["up"]


def _gone(
    link: AeroLink, server: Server, client: Client, moment: float | None, ended: list[Logged], bound_ms: float
) -> Result:
    tally = Tally(
        f"aero-failover.{server.name}.gone",
        "RLY-8, SRV-5",
        f"Relays lose what {server.name} announced",
        f"withdrawn, or the session ended, at most {bound_ms:g} ms after the failure",
    )
    if moment is None:
        return tally.result(nothing="nothing failed")
    times = []
    for relay, session in _updates(link, server):
        for prefix in client.prefixes:
            told = [one for one in _announcements(session, prefix) if one.time < moment]
            if not told or session.end < moment:
                continue
            gone = [update for update in session.heard if update.time >= moment and prefix in update.withdrawn]
            said = [one for one in ended if one.node == relay.name and one.time >= moment]
            ends: list[Message | End | Logged] = [*gone[:1], *said[:1]]
            if session.closed:
                ends.append(session.closed)
            if not ends:
                tally.wrong(f"{relay.name} keeps {prefix}", told[-1])
                continue
            first = min(ends, key=lambda one: one.time)
            tally.see(first)
            times.append(first.time - moment)
            tally.demand(times[-1] * 1000 <= bound_ms, f"{relay.name}: after {milliseconds(times[-1])}", first)
    return tally.result(f"{milliseconds(max(times, default=0.0))} after the failure", "no Relay had a route of it")


def _stays(link: AeroLink, client: Client, moment: float | None) -> Result:
    tally = Tally(
        f"aero-failover.{client.name}.stays",
        "CLI-11",
        f"{client.name} has nothing to do with it: its Server answers",
        "no Solicit",
    )
    sent = [one for one in link.sent(client) if moment is not None and one.time >= moment]
    solicits = [one for one in sent if _is_dhcp(one, SOLICIT)]
    tally.see(*sent[:1])
    tally.demand(not solicits, "it solicits", *solicits)
    return tally.result("it stays where it is", "it sent nothing")


def _replayed(link: AeroLink, server: Server, client: Client, moment: float | None, bound_ms: float) -> Result:
    tally = Tally(
        f"aero-failover.{server.name}.replayed",
        "SRV-2, MOB-8",
        f"{server.name}'s new ExaBGP says what the old one said",
        f"the same prefixes with the same MED at most {bound_ms:g} ms after the failure",
    )
    if moment is None:
        return tally.result(nothing="nothing failed")
    spoken, took = _updates(link, server), 0.0
    for prefix in client.prefixes:
        told = [one for _relay, each in spoken for one in _announcements(each, prefix) if one.time < moment]
        again = [one for _relay, each in spoken for one in _announcements(each, prefix) if one.time >= moment]
        if not told:
            continue
        if not again:
            tally.wrong(f"{prefix} is not announced again", told[-1])
            continue
        tally.see(again[0])
        took = max(took, again[0].time - moment)
        tally.demand(took * 1000 <= bound_ms, f"after {milliseconds(took)}", again[0])
        tally.demand(again[0].med == told[-1].med, f"MED {again[0].med}, not {told[-1].med}", again[0])
    return tally.result(f"{milliseconds(took)} after the failure", "nothing was announced before")
