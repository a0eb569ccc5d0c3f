"""Check "haaro-advertising": what the home agent tells whom, against its own table and who is registered.

Sources: RFC 6521 §3.1, §5.1, §5.5; spec HAARO HA-11..HA-15.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from captures.checks.base import Result, Tally, check, plural
from captures.haaro.operator import Operator
from captures.haaro.records import Advertised, Frame, Message
from captures.run import Run

Known = dict[IPv4Address, Advertised]


@dataclass
class Table:
    """Who is registered and may be told of, as the accepted requests at the home agent say."""

    owners: Known
    realms: dict[tuple[IPv4Address, IPv4Network], str]
    """Of each owner's networks: others may have the same in another realm."""
    declined: frozenset[IPv4Address]
    """Routers that the home agent does not optimise."""

    def learn(self, request: Message, reply: Message) -> None:
        """Take over an accepted registration."""
        home = request.home_address
        assert home
        told = request.capability is not None and request.capability.advertise and home not in self.declined
        if not request.lifetime or not told:
            self.owners.pop(home, None)
            return
        networks = [state.prefix for state in reply.acknowledged if state.code == 0 and state.prefix]
        realms = tuple((prefix, self.realms.get((home, prefix), "")) for prefix in networks)
        assert request.capability
        self.owners[home] = Advertised(home, int(request.capability.outbound_only), realms)

    def wanted(self, request: Message) -> list[Advertised] | None:
        """What the answer should tell; None when nothing may be told."""
        capability = request.capability
        if capability is None or not request.lifetime or request.home_address in self.declined:
            return None
        if capability.solicited is not None:
            return [self.owners[capability.solicited]] if capability.solicited in self.owners else None
        if not capability.receive:
            return None
        return [one for home, one in self.owners.items() if home != request.home_address] or None


@check("haaro-advertising")
def haaro_advertising(run: Run, scenario: str = "") -> list[Result]:
    """Judge every advertisement that left the home agent; `scenario`: what of the sheet their order shows."""
    operator = run.haaro
    assert operator
    return [_content(operator, scenario), _readable(operator)]


def _content(operator: Operator, scenario: str) -> Result:
    tally = Tally(
        "haaro-advertising.content",
        "HA-11, HA-12, HA-13, HA-14" + (f", {scenario}" if scenario else ""),
        "Each router is told of the others that allow it",
        "owners: routers registered with A then, but the asker; with S that one alone; networks and realms of the "
        "table, in its order; info 1 as they set O",
    )
    routers = operator.routers.values()
    realms = {(router.home_address, prefix): realm for router in routers for prefix, realm in router.networks}
    declined = frozenset(one.home_address for one in routers if not one.optimised)
    ranks = {router.home_address: rank for rank, router in enumerate(routers)}
    table = Table({}, realms, declined if operator.optimising else every(operator))
    texts = []
    for request, frame in _answered(operator):
        reply = frame.message
        assert reply
        if reply.code != 0:
            continue
        wanted = table.wanted(request)
        table.learn(request, reply)
        tally.see(frame)
        found = reply.advertised
        same = (found is None or not found) if wanted is None else found is not None and _set(found) == _set(wanted)
        tally.demand(same, f"{_name(operator, request.home_address)} is told {found}, not {wanted}", frame)
        places = [ranks.get(one.home_address, 0) for one in found or ()]
        title = f"{_name(operator, request.home_address)} is told of {_names(operator, found)}"
        tally.demand(places == sorted(places), f"{title} in another order than the home agent's", frame)
        texts.append(f"{_name(operator, request.home_address)}: {_names(operator, found)}")
    return tally.result("; ".join(texts), "no registration was accepted")


def every(operator: Operator) -> frozenset[IPv4Address]:
    """All home addresses."""
    return frozenset(one.home_address for one in operator.routers.values())


def _readable(operator: Operator) -> Result:
    tally = Tally(
        "haaro-advertising.readable",
        "HA-11, HA-15",
        "Advertisements are whole",
        "at most one in a reply, nothing in it that a receiver could not read",
    )
    for _request, frame in _answered(operator):
        assert frame.message
        if frame.message.advertised is not None:
            tally.see(frame)
            tally.demand(not frame.message.faults, "; ".join(frame.message.faults), frame)
    return tally.result(f"{plural(len(tally.seen), 'advertisement')} read", "no advertisement left the home agent")


def _answered(operator: Operator) -> list[tuple[Message, Frame]]:
    """Each reply of the home agent with the request it answers."""
    asked: dict[int, Message] = {}
    found = []
    for frame in operator.at_home:
        message = frame.message
        if message is None:
            continue
        if message.kind == "RRQ" and frame.inner.destination == operator.home_agent:
            asked[message.identification & 0xFFFFFFFF] = message
        elif message.kind == "RRP" and frame.inner.source == operator.home_agent:
            request = asked.get(message.identification & 0xFFFFFFFF)
            if request:
                found.append((request, frame))
    return found


def _set(owners: tuple[Advertised, ...] | list[Advertised]) -> set[tuple[object, ...]]:
    return {(one.home_address, one.info, frozenset(one.networks)) for one in owners}


def _name(operator: Operator, home: IPv4Address | None) -> str:
    router = operator.router_at(home)
    return router.name if router else str(home)


def _names(operator: Operator, owners: tuple[Advertised, ...] | None) -> str:
    return ", ".join(_name(operator, one.home_address) for one in owners or ()) or "nobody"
