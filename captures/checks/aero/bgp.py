"""Check "aero-bgp": what Servers and Relays announce and withdraw, to whom, and when.

Sources: RFC 4271; spec AERO §8, SRV-2, SRV-5, RLY-3, MOB-8.
"""

from __future__ import annotations

from dataclasses import dataclass

from captures.aero.bgp import UPDATE, Message, Prefix
from captures.aero.exchanges import REBIND, RELEASE, REPLY, REQUEST, SOLICIT, Exchange, exchanges
from captures.aero.link import AeroLink, Server
from captures.aero.records import Dhcp
from captures.aero.routes import Session, sessions
from captures.checks.base import Result, Tally, check, milliseconds, plural
from captures.run import Run

MED_BASE = 4294967295
SECOND = 1
"""The MED tells whole seconds; two clocks read at different moments may be one apart."""
SAME = 0.002
"""Seconds by which an event's clock reading may follow the packet of the same turn."""
LENGTHS = {4: range(24, 33), 6: range(48, 65)}


@check("aero-bgp")
def aero_bgp(run: Run, bound_ms: float = 250.0) -> list[Result]:
    """Judge all BGP updates; `bound_ms`: from the Reply of an attachment or Release until every Relay heard of it."""
    link = run.aero
    assert link
    spoken = {relay.name: sessions(link, relay) for relay in link.relays.values()}
    found = list(exchanges(link))
    return [
        _announced(link, spoken, found, bound_ms / 1000),
        _withdrawn(link, spoken, found, bound_ms / 1000),
        _servers_say(link, spoken),
        _servers_hear(link, spoken),
        _native(link),
    ]


def _announced(link: AeroLink, spoken: dict[str, list[Session]], found: list[Exchange], bound: float) -> Result:
    tally = Tally(
        "aero-bgp.announce",
        "SRV-2, MOB-8",
        "Each attachment is announced to every Relay before its Reply",
        f"ExaBGP has it before the Reply leaves, each Relay within {bound * 1000:g} ms; MED = 4294967295 - Unix time",
    )
    longest = 0.0
    for one in found:
        if one.message.type not in (SOLICIT, REQUEST, REBIND) or not _granted(one):
            continue
        assert one.server
        assert one.delivered
        tally.see(one.delivered)
        for prefix in _prefixes(link, one):
            said = [each for each in link.said(one.server.name, "route-announced") if each["prefix"] == str(prefix)]
            before = [each for each in said if _begin(one) - SAME <= each["t"] <= one.delivered.time + SAME]
            tally.demand(bool(before), f"{one.title}: {prefix} is not announced before the Reply", one.delivered)
            for heard in _heard(spoken, one.server, one.delivered.time):
                update = heard.announcement(prefix, _begin(one))
                if update is None:
                    tally.wrong(f"{heard.relay} did not hear of {prefix} from {one.server.name}", one.delivered)
                    continue
                took = update.time - one.delivered.time
                longest = max(longest, took)
                tally.see(update)
                tally.demand(took <= bound, f"{heard.relay} heard of {prefix} {milliseconds(took)} late", update)
                age = (update.med or 0) - (MED_BASE - int(update.time))
                tally.demand(abs(age) <= SECOND, f"MED {update.med} is {age} off", update)
                right = update.next_hop in one.server.underlay
                tally.demand(right, f"next hop {update.next_hop} is not {one.server.name}", update)
    measured = f"{plural(len(tally.seen), 'frame')}, the last Relay {milliseconds(longest)} after the Reply"
    return tally.result(measured, "no Client attached while a Relay listened")


def _withdrawn(link: AeroLink, spoken: dict[str, list[Session]], found: list[Exchange], bound: float) -> Result:
    tally = Tally(
        "aero-bgp.withdraw",
        "SRV-5",
        "Each Release is withdrawn from every Relay",
        f"within {bound * 1000:g} ms of Kea's answer",
    )
    times = []
    for one in found:
        if one.message.type != RELEASE or one.server is None or one.answered is None:
            continue
        tally.see(one.answered)
        for prefix in set(_prefixes(link, one)):
            for heard in _heard(spoken, one.server, one.answered.time):
                if not heard.held(prefix, one.answered.time):
                    continue
                update = heard.withdrawal(prefix, one.answered.time)
                if update is None:
                    tally.wrong(f"{heard.relay} still has {prefix} of {one.server.name}", one.answered)
                    continue
                tally.see(update)
                times.append(update.time - one.answered.time)
                tally.demand(times[-1] <= bound, f"{prefix}: withdrawn after {milliseconds(times[-1])}", update)
    if tally.seen and not times and not tally.problems:
        return Tally(tally.id, tally.requirement, tally.title, tally.expected).result(nothing="no Relay had the prefix")
    slowest = milliseconds(max(times)) if times else ""
    return tally.result(f"{plural(len(times), 'withdrawal')}, the slowest after {slowest}", "no answered Release")


def _servers_say(link: AeroLink, spoken: dict[str, list[Session]]) -> Result:
    tally = Tally(
        "aero-bgp.clients",
        "SRV-2",
        "Servers announce prefixes of Clients, and nothing else",
        "inside the aggregates, /48 to /64 or /24 to /32, AS path = the Server's own AS",
    )
    for session in (each for of_relay in spoken.values() for each in of_relay):
        asn = link.domain["bgp"]["servers"][session.server.name]
        for update in session.heard:
            if not update.announced and not update.withdrawn:
                continue
            tally.see(update)
            for prefix in update.announced:
                fits = _inside(link, prefix) and prefix.prefixlen in LENGTHS[prefix.version]
                tally.demand(fits, f"{session.server.name} announces {prefix}", update)
            path = not update.announced or update.as_path == (asn,)
            tally.demand(path, f"{session.server.name}: AS path {update.as_path}", update)
    return tally.result(f"{plural(len(tally.seen), 'update')} of Servers", "no update of a Server")


def _servers_hear(link: AeroLink, spoken: dict[str, list[Session]]) -> Result:
    tally = Tally(
        "aero-bgp.defaults",
        "RLY-3",
        "Relays announce defaults to Servers, and nothing else",
        "::/0 and 0.0.0.0/0 to each Server, next hop = the Relay",
    )
    for name, of_relay in spoken.items():
        relay = link.relays[name]
        for session in of_relay:
            told = {prefix for update in session.told for prefix in update.announced}
            updates = [update for update in session.told if update.announced or update.withdrawn]
            tally.see(*updates)
            others = sorted(str(prefix) for prefix in told if prefix.prefixlen)
            tally.demand(not others, f"{name} tells {session.server.name} of {', '.join(others)}", *updates)
            versions = {prefix.version for prefix in told}
            cut_short = session.closed is not None and not updates  # it broke off before anything was said
            tally.demand(
                versions == {4, 6} or cut_short,
                f"{name} offers {session.server.name} only {sorted(versions)}",
                *updates,
            )
            for update in updates:
                right = update.next_hop in relay.underlay or not update.announced
                tally.demand(right, f"next hop {update.next_hop} is not {name}", update)
    return tally.result(f"{plural(len(tally.seen), 'update')} of Relays", "no session between Relay and Server")


def _native(link: AeroLink) -> Result:
    tally = Tally(
        "aero-bgp.aggregates",
        "RLY-3",
        "The native Internet hears of the aggregates, never of a Client",
        f"each Relay announces {', '.join(map(str, link.aggregates))}",
    )
    for name, facts in link.domain.get("bgp", {}).get("natives", {}).items():
        of_relay = [each for each in link.bgp(name, facts["interface"]) if isinstance(each, Message)]
        updates = [each for each in of_relay if each.type == UPDATE and link.name_of(each.source) == name]
        tally.see(*[each for each in updates if each.announced or each.withdrawn])
        told = {prefix for update in updates for prefix in update.announced}
        missing = set(link.aggregates) - told
        tally.demand(not missing, f"{name} does not announce {', '.join(map(str, missing))}")
        for update in updates:
            others = [str(prefix) for prefix in (*update.announced, *update.withdrawn) if prefix not in link.aggregates]
            tally.demand(not others, f"{name} tells of {', '.join(others)}", update)
    return tally.result(f"{plural(len(tally.seen), 'update')} to the native Internet", "no Relay speaks with it")


@dataclass(frozen=True, slots=True)
class _Heard:
    """What a Relay heard from a Server in one session."""

    relay: str
    session: Session

    def announcement(self, prefix: Prefix, begin: float) -> Message | None:
        """The first announcement of a prefix from a moment on."""
        later = (update for update in self.session.heard if update.time >= begin - SAME)
        return next((update for update in later if prefix in update.announced), None)

    def withdrawal(self, prefix: Prefix, begin: float) -> Message | None:
        """The first withdrawal of a prefix from a moment on."""
        later = (update for update in self.session.heard if update.time >= begin - SAME)
        return next((update for update in later if prefix in update.withdrawn), None)

    def held(self, prefix: Prefix, time: float) -> bool:
        """Whether the Relay had the prefix from the Server at a moment."""
        held = False
        for update in self.session.heard:
            if update.time < time - SAME:
                held = prefix in update.announced or (held and prefix not in update.withdrawn)
        return held


def _heard(spoken: dict[str, list[Session]], server: Server, time: float) -> list[_Heard]:
    """All sessions of a Server that were up at a moment."""
    pairs = ((name, session) for name, of_relay in spoken.items() for session in of_relay)
    return [_Heard(name, each) for name, each in pairs if each.server.name == server.name and each.during(time)]


def _granted(one: Exchange) -> bool:
    if one.server is None or one.delivered is None or one.delivered.dhcp is None:
        return False
    answer = one.delivered.dhcp
    return answer.type == REPLY and any(each.valid for each in answer.prefixes)


def _begin(one: Exchange) -> float:
    return one.arrived.time if one.arrived else one.asked.time


def _prefixes(link: AeroLink, one: Exchange) -> list[Prefix]:
    """Prefixes that a Reply gives, or that a Release names, as their Clients know them."""
    answer: Dhcp | None = one.delivered.dhcp if one.delivered else None
    told = one.message if one.message.type == RELEASE or answer is None else answer
    given = {each.prefix for each in told.prefixes if each.valid or one.message.type == RELEASE}
    return [prefix for prefix in one.client.prefixes if _mapped(prefix) in map(str, given)]


def _mapped(prefix: Prefix) -> str:
    if prefix.version == 6:
        return str(prefix)
    return (
        f"::ffff:{int(prefix.network_address) >> 16:x}:{int(prefix.network_address) & 0xFFFF:x}/{96 + prefix.prefixlen}"
    )


def _inside(link: AeroLink, prefix: Prefix) -> bool:
    return any(prefix.version == one.version and prefix.network_address in one for one in link.aggregates)
