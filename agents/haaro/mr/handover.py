"""Lines come, go and change: the home agent first, then every correspondent (spec 7.1, 7.2, 7.6)."""

from __future__ import annotations

from ipaddress import IPv4Address

from agents.haaro.config import AccessLine
from agents.haaro.mr.base import MrBase
from agents.haaro.mr.cache import Correspondent
from agents.haaro.mr.optimisation import Optimisation
from agents.haaro.mr.registration import HomeRegistration
from agents.haaro.mr.tunnel import SLOWEST
from agents.haaro.mr.tunnels import Tunnels


class Handover:
    """Decides which line is used."""

    def __init__(self, base: MrBase, home: HomeRegistration, optimisation: Optimisation, tunnels: Tunnels) -> None:
        self._base = base
        self._home = home
        self._optimisation = optimisation
        self._tunnels = tunnels
        tunnels.when_lost = self.path_lost
        tunnels.when_doubtful = self.doubt
        tunnels.silent = self.silent

    def line_up(self, interface: str, now: float) -> None:
        """A line can be used: it is, if there is no other or none as good."""
        base = self._base
        if not base.lines.up(interface):
            return
        base.outbox.say("line-up", interface=interface)
        line, best = self._home.line, base.lines.best()
        if best and (line is None or line.preference < best.preference):
            self.move(best.interface, now)

    def move(self, interface: str, now: float) -> None:
        """Register by this line; the present one works until the home agent agrees (spec 7.1)."""
        line = self._base.lines.get(interface)
        if line is None or self._base.leaving:
            return
        self._base.outbox.say("moving", interface=interface, careof=line.address)
        self._home.use(line, now)

    def line_down(self, interface: str, now: float) -> None:
        """A line is gone with everything that ran over it (spec 7.2)."""
        base = self._base
        address = next((line.address for line in base.config.lines if line.interface == interface), None)
        if address is None or not base.lines.down(interface):
            return
        base.outbox.say("line-down", interface=interface)
        self._tunnels.lose_line(address, now)
        for peer in base.cache:
            if peer.line == interface:
                peer.line = None
        used = self._home.line
        if used is not None and used.interface == interface:
            best = base.lines.best()
            if best is None:
                base.lines.used = None
                self._home.suspend()
                return
            base.lines.used = None
            self._home.use(best, now)  # correspondents follow when the home agent has agreed
        else:
            self.renew_moved(now)

    def registered(self, moved: bool, now: float) -> None:
        """The home agent knows where we are: correspondents whose line is another now hear of it at once."""
        self.renew_moved(now)

    def renew_moved(self, now: float) -> None:
        """Register anew with everyone to whom we are not what we said, or who lost the tunnel."""
        for peer in self._base.cache:
            if self._out_of_place(peer):
                self._optimisation.renew(peer, now)

    def _out_of_place(self, peer: Correspondent) -> bool:
        line = self._base.lines.toward(peer)
        if line is None or not (peer.outgoing or peer.incoming):
            return False
        out = peer.outgoing
        if out:
            rests = peer.accepted and not out.held and not out.pending
            changed = out.networks != self._optimisation.offered(peer)  # spec 7.7
            return not out.ending and (out.careof != line.address or (rests and (peer.tunnel is None or changed)))
        return peer.tunnel is None or peer.tunnel.local != line.address

    def doubt(self, address: IPv4Address, now: float) -> None:
        """A correspondent does not answer: the home agent's word tells the line's failure from the correspondent's."""
        line = self._home.line
        if line and line.address == address and self._base.home.registered and not self._base.leaving:
            self._home.refresh(now)

    def silent(self, address: IPv4Address, now: float) -> bool:
        """The home agent does not answer to this address, either."""
        line = self._home.line
        return line is not None and line.address == address and self._home.unanswered(now) >= SLOWEST

    def path_lost(self, peer: Correspondent, now: float) -> None:
        """No pair of addresses works by this line: the next line, or an end (spec TUN-8)."""
        base = self._base
        line = self._home.line
        if line and peer.tunnel is None and self.silent(line.address, now):
            self._leave_silent(line, now)
        if peer.outgoing is None or base.leaving:
            return
        present = peer.outgoing.careof
        tried = {local for local, _remote in peer.unreachable} | {present}
        other = next((line for line in base.lines.usable() if line.address not in tried), None)
        if other and base.home.registered and peer.detours < len(base.config.lines):
            peer.detours += 1
            base.outbox.say("line-changed", peer=peer.home, interface=other.interface)
            peer.line = other.interface
            self._optimisation.renew(peer, now)
        else:
            peer.line = None
            base.hold(peer, now)
            self._optimisation.finish(peer, now)

    def _leave_silent(self, line: AccessLine, now: float) -> None:
        """Nothing is heard by the home agent's line, though it seems to be up: the next one, if there is one."""
        other = self._base.lines.best(but=line.interface)
        if other:
            self._base.outbox.say("line-silent", interface=line.interface)
            self._home.use(other, now)
