"""The home LMA between operators: who it stands for, and what its kernel must hold (seed draft §5, spec INTER-*).

Towards the serving gateway it is the anchor of a prefix of another operator, towards the anchor it is the serving
gateway: two chained PBU/PBA exchanges, two tunnels, re-encapsulation in between.  Inside one operator it stays out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from ipaddress import IPv6Address, IPv6Network

from agents.dgw.cmd.state import CmdState
from agents.dgw.config import CmdConfig
from agents.dgw.forwarding import FIRST_TABLE, AnchorRoute, Item, Plan, Tunnel, TunnelGate, Uplink
from agents.dgw.records import AnchorRecord


@dataclass(frozen=True)
class Relay:
    """One prefix that the LMA forwards between two gateways."""

    prefix: IPv6Network
    anchor: IPv6Address
    serving: IPv6Address


class Operators:
    """Whose gateway is whose, and what that means for a pair of them (spec INTER-7)."""

    def __init__(self, config: CmdConfig) -> None:
        self._config = config
        self._operator = {gateway.address: gateway.operator for gateway in config.gateways}

    def crosses(self, one: IPv6Address, other: IPv6Address) -> bool:
        """Whether two gateways belong to different operators: no PBU, no tunnel between them (spec INTER-1)."""
        return self._operator.get(one) != self._operator.get(other)

    def care_of(self, anchor: IPv6Address, serving: IPv6Address) -> IPv6Address:
        """Where the anchor's tunnel ends: at the serving gateway, or here (spec INTER-3)."""
        return self._config.address if self.crosses(anchor, serving) else serving

    def offered(self, record: AnchorRecord, serving: IPv6Address) -> AnchorRecord:
        """The anchor as the serving gateway is told of it: itself, or us with its DLIF (spec INTER-5, INTER-11)."""
        if not self.crosses(record.address, serving):
            return record
        local_prefixes = record.local_prefixes if self._config.share_local_prefixes else ()
        return replace(record, address=self._config.address, local_prefixes=local_prefixes)

    def relays(self, state: CmdState) -> Iterator[Relay]:
        """Every prefix to be forwarded now: both ends agreed, or the proxy promised it for the anchor."""
        for session in state.sessions.values():
            refused = {record.address for record in session.taken_back}
            for record in session.anchors:
                agreed = record.address in session.relayed or self._config.mode == "proxy"
                crosses = self.crosses(record.address, session.serving.address)
                if crosses and agreed and record.address not in refused and not session.deleting:
                    yield Relay(record.prefix, record.address, session.serving.address)
        for chain in state.chains.values():
            if chain.agreed and not chain.deleting:
                yield Relay(chain.anchor.prefix, chain.anchor.address, chain.serving)


def items(relays: Iterable[Relay], slots: dict[IPv6Network, int]) -> Plan:
    """What the LMA's kernel must hold for these relays; `slots` numbers their routing tables (spec INTER-6, §7)."""
    return {item.key: item for relay in relays for item in _relay_items(relay, FIRST_TABLE + slots[relay.prefix])}


def _relay_items(relay: Relay, table: int) -> Iterator[Item]:
    yield Tunnel(relay.anchor)
    yield Tunnel(relay.serving)
    yield TunnelGate(relay.serving, relay.prefix, "source")
    yield TunnelGate(relay.anchor, relay.prefix, "destination")
    yield AnchorRoute(relay.prefix, relay.serving, first=True)
    yield Uplink(relay.prefix, relay.anchor, table, ())


def renumber(slots: dict[IPv6Network, int], prefixes: Iterable[IPv6Network]) -> None:
    """Give each of these prefixes a slot of its own, and take back all others; a prefix keeps the slot it has."""
    wanted = list(prefixes)
    # What one prefix gives up now no other gets now: its table is cleared only after the new ones were filled.
    for prefix in wanted:
        if prefix not in slots:
            slots[prefix] = next(number for number in range(1, len(slots) + 2) if number not in slots.values())
    for gone in set(slots) - set(wanted):
        del slots[gone]
