"""What all procedures of a mobile router share: its state, its doors, and turning state into forwarding."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network

from agents.core import Outbox
from agents.haaro.config import MrConfig
from agents.haaro.identification import ReplayGuard, Stamper
from agents.haaro.items import Plan, difference
from agents.haaro.mr.cache import Cache, Correspondent
from agents.haaro.mr.lines import Lines
from agents.haaro.nonces import Nonces
from agents.haaro.notices import Install, Remove, Send
from agents.timers import Timers
from agents.wire.mip4 import encode
from agents.wire.mip4_codes import PORT
from agents.wire.mip4_messages import Message


@dataclass
class HomeState:
    """The registration with the home agent."""

    expires: float | None = None
    """Unix time; None: not registered."""
    careof: IPv4Address | None = None
    """Own address of the tunnel to the home agent."""
    udp: bool = False
    """That tunnel is in UDP."""
    keepalive: int = 0
    """Seconds, as the home agent wants it; 0: our own."""
    haaro: bool = False
    """The home agent optimises, too (spec MR-4)."""
    networks: tuple[IPv4Network, ...] = ()
    """Own networks that it acknowledged."""
    former: list[tuple[IPv4Address, bool, float]] = field(default_factory=list)
    """Own addresses of tunnels left behind, whether in UDP, and until when packets may come out of them."""

    @property
    def registered(self) -> bool:
        """The home agent forwards to us."""
        return self.expires is not None


class MrBase:
    """Shared by all procedures; holds none of its own."""

    def __init__(self, config: MrConfig, plan: Callable[[MrBase], Plan]) -> None:
        self.config = config
        self.networks = config.prefixes
        """Own mobile networks, as they are now (spec 7.7)."""
        self.timing = config.timing
        self.outbox = Outbox()
        self.counters: Counter[str] = Counter()
        self.timers: Timers[tuple[str, IPv4Address]] = Timers()
        """(procedure, home address of whom it is about)"""
        self.cache = Cache(config.realms, config.internet_via)
        for each in config.static_keys:
            self.cache.entry(each.home_address).static_key = each.key
        self.lines = Lines(config)
        self.home = HomeState()
        self.stamper = Stamper()
        self.nonces = Nonces(lifetime=config.nonce_lifetime)
        self.guard = ReplayGuard(config.tolerance)
        self.leaving = False
        self.plan: Plan = {}
        self._make_plan = plan

    @property
    def own(self) -> IPv4Address:
        """Own home address."""
        return self.config.home_address

    @property
    def optimising(self) -> bool:
        """We may start optimisation: registered, the home agent consents, others accept us (spec MR-7, MR-24)."""
        return self.home.registered and self.home.haaro and self.config.accept and not self.leaving

    def send(self, message: Message, source: IPv4Address, destination: IPv4Address, port: int = PORT) -> None:
        """Send a signalling message."""
        self.outbox.do(Send(encode(message), source, destination, port))

    def drop(self, counter: str) -> None:
        """Something that arrived is dropped in silence, and counted."""
        self.counters[f"dropped_{counter}"] += 1

    def translated(self, peer: Correspondent, careof: IPv4Address) -> bool:
        """A NAT or firewall is known between: only a tunnel in UDP can work (spec MR-11)."""
        return self.lines.behind_nat(careof) or peer.outbound_only or peer.translated or bool(peer.nat)

    def hold(self, peer: Correspondent, now: float) -> None:
        """Leave a correspondent alone for a while; if it is registered here by then, we try again."""
        peer.hold_until = now + self.timing.hold_down
        self.timers.set(("mutual", peer.home), peer.hold_until)

    def reconcile(self) -> None:
        """Bring data plane and kernel in line with the state: never without a way for a packet that has one."""
        new = self._make_plan(self)
        install, remove = difference(self.plan, new)
        self.plan = new
        if install:
            self.outbox.do(Install(tuple(install)))
        if remove:
            self.outbox.do(Remove(tuple(remove)))
