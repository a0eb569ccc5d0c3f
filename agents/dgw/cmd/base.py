"""What the CMD's roles share: doors, peers, timers, sending, and turning state into forwarding between operators."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv6Address

from agents.core import Outbox
from agents.dgw.actions import Install, Remove, Send
from agents.dgw.authority import Authority
from agents.dgw.cmd.interoperator import Operators, items, renumber
from agents.dgw.cmd.state import CmdState
from agents.dgw.config import CmdConfig, Peer, Profile
from agents.dgw.exchanges import Exchanges
from agents.dgw.forwarding import Plan, difference
from agents.dgw.freshness import Stamper
from agents.dgw.reception import Reception
from agents.dgw.validation import Support
from agents.timers import Timers
from agents.wire.mobility import BindingUpdate, MobilityMessage, push_mobility
from agents.wire.mobility_codes import DFlagProfile


class CmdBase:
    """Holds no procedure of its own."""

    def __init__(self, config: CmdConfig) -> None:
        self.config = config
        self.outbox = Outbox()
        self.state = CmdState()
        self.timers: Timers[tuple[str, str]] = Timers()
        self.exchanges = Exchanges(config.timing, self.outbox, config.timing.spacing)
        self.stamper = Stamper()
        self.reception = Reception(
            config.address, self.dflag_profile, self.outbox, distributed=config.dgw_support, errors=config.timing.errors
        )
        self.support = Support(config.dgw_support, config.accept_legacy)
        self.gateways: dict[IPv6Address, Peer] = {peer.address: peer for peer in config.gateways}
        self.profiles: dict[str, Profile] = {profile.mn_id: profile for profile in config.profiles}
        self.authority = Authority(self.gateways, self.profiles)
        self.operators = Operators(config)
        self.plan: Plan = {}
        self.now = 0.0
        """Of the turn under way."""
        self._told: dict[IPv6Address, float] = {}
        """When each gateway was, or will be, told something last."""
        self._later: list[tuple[float, IPv6Address, bytes]] = []
        """Answers that wait for their turn: when, to whom, octets."""

    def dflag_profile(self, address: IPv6Address) -> DFlagProfile:
        """Where this peer has its D flag."""
        peer = self.gateways.get(address)
        return DFlagProfile(peer.dflag_profile) if peer else DFlagProfile.RFC8885

    def push(self, message: MobilityMessage, destination: IPv6Address) -> bytes:
        """The message's octets for this destination."""
        return push_mobility(message, self.config.address, destination, profile=self.dflag_profile(destination))

    def send(self, message: MobilityMessage, destination: IPv6Address) -> None:
        """Send at once, outside any exchange (answers)."""
        self.outbox.do(Send(destination, self.push(message, destination)))

    def tell(self, message: MobilityMessage, destination: IPv6Address) -> None:
        """Send one of several answers that a registration leads to, some time after the last one (spec RETX-5)."""
        spacing = self.config.timing.spacing
        due = max(self.now, self._told.get(destination, float("-inf")) + spacing)
        self._told = {peer: when for peer, when in self._told.items() if when + spacing > self.now}
        self._told[destination] = due
        if due > self.now:
            self._later.append((due, destination, self.push(message, destination)))
        else:
            self.send(message, destination)

    def next_telling(self) -> float | None:
        """When the next answer that waits is due."""
        return min((due for due, *_ in self._later), default=None)

    def tell_due(self) -> None:
        """Send the answers whose turn has come."""
        due = sorted((one for one in self._later if one[0] <= self.now), key=lambda one: one[0])
        self._later = [one for one in self._later if one[0] > self.now]
        for _, destination, octets in due:
            self.outbox.do(Send(destination, octets))

    def next_sequence(self) -> int:
        """The sequence number of an update of our own."""
        self.state.sequence = self.stamper.next_sequence()
        return self.state.sequence

    def granted(self, update: BindingUpdate) -> int:
        """Lifetime that an update gets, seconds."""
        return min(update.lifetime_seconds, self.config.timing.lifetime)

    def wanted(self) -> Plan:
        """Every item that the state calls for; nothing where there is one operator (spec CMD-1)."""
        relays = list(self.operators.relays(self.state))
        renumber(self.state.slots, (relay.prefix for relay in relays))
        return items(relays, self.state.slots)

    def reconcile(self, between: Callable[[], None] | None = None) -> None:
        """Bring the kernel in line with the state: install, then `between` (PBUs and answers), then tear down."""
        new = self.wanted()
        install, remove = difference(self.plan, new)
        self.plan = new
        if install:
            self.outbox.do(Install(tuple(install)))
        if between:
            between()
        if remove:
            self.outbox.do(Remove(tuple(remove)))
