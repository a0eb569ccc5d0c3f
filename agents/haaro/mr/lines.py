"""The router's lines to the world: which are up, and which is used for whom (spec MR-22)."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address

from agents.haaro.config import AccessLine, MrConfig
from agents.haaro.mr.cache import Correspondent


class Lines:
    """All lines of one router."""

    def __init__(self, config: MrConfig) -> None:
        self._config = config
        self._lines = {line.interface: line for line in config.lines}
        self._up = set(self._lines)
        self.used: str | None = None
        """Interface of the registration with the home agent."""
        self.translated: dict[str, bool] = {}
        """Interface -> whether the home agent saw another address (bit N)."""

    def up(self, interface: str) -> bool:
        """A line has come up; False when that is no news, or no line of ours."""
        if interface not in self._lines or interface in self._up:
            return False
        self._up.add(interface)
        return True

    def down(self, interface: str) -> bool:
        """A line has gone down; False when that is no news."""
        if interface not in self._up:
            return False
        self._up.remove(interface)
        self.translated.pop(interface, None)
        return True

    def usable(self) -> Iterator[AccessLine]:
        """Lines that are up, the most preferred first."""
        up = [line for line in self._config.lines if line.interface in self._up]
        return iter(sorted(up, key=lambda line: -line.preference))

    def best(self, *, but: str | None = None) -> AccessLine | None:
        """The line to use, or to use instead of another."""
        return next((line for line in self.usable() if line.interface != but), None)

    def get(self, interface: str) -> AccessLine | None:
        """A line that is up, by its interface."""
        return self._lines[interface] if interface in self._up else None

    @property
    def home(self) -> AccessLine | None:
        """The line of the registration with the home agent."""
        return self.get(self.used) if self.used else None

    def toward(self, peer: Correspondent) -> AccessLine | None:
        """The line to use for a correspondent: the one that works, the one configured, the home agent's."""
        for interface in (peer.line, self._config.line_for.get(peer.home)):
            if interface and (line := self.get(interface)):
                return line
        return self.home or self.best()

    def careofs(self, peer: Correspondent) -> tuple[IPv4Address, ...]:
        """Own addresses a correspondent may use, best first, those that only a NAT knows last (spec CR-12, NAT-6)."""
        first = self.toward(peer)
        lines = sorted(self.usable(), key=lambda line: (bool(self.translated.get(line.interface)), line is not first))
        return tuple(line.address for line in lines)

    def behind_nat(self, address: IPv4Address) -> bool:
        """Whether the line of this address is known to be translated, or closed from outside."""
        if self.outbound_only:
            return True
        found = next((line for line in self._config.lines if line.address == address), None)
        return bool(found and self.translated.get(found.interface))

    @property
    def outbound_only(self) -> bool:
        """O: no line takes connections from outside (spec MR-3, A-34)."""
        if self._config.outbound_only != "auto":
            return self._config.outbound_only == "yes"
        up = [line.interface for line in self.usable()]
        return bool(up) and all(self.translated.get(interface) for interface in up)
