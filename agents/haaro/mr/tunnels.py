"""Tunnels to correspondents: who goes first, which pair of addresses works, when one is lost (spec §5.5, §6).

One tunnel for each pair of routers.  Its successor is probed while it works, and takes over when it is up.
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Network

from agents.haaro.config import Encapsulation
from agents.haaro.mr.base import MrBase
from agents.haaro.mr.cache import Correspondent
from agents.haaro.mr.tunnel import PeerTunnel, TunnelState
from agents.haaro.notices import Echo, SendEcho
from agents.haaro.plane import KEEPALIVE

DOUBT = 2
"""Keepalives without an answer, the one that leaves included, that cast a doubt on the line."""
PRIVATE = tuple(map(IPv4Network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10")))
"""What a NAT has inside (RFC 1918, RFC 6598); Python's `is_private` is true of much more."""

Pair = tuple[IPv4Address, IPv4Address]


class Tunnels:
    """All tunnels of a router to its correspondents."""

    def __init__(self, base: MrBase) -> None:
        self._base = base
        self.when_up: Callable[[Correspondent, float], None] = lambda _peer, _now: None
        """Told when a tunnel to a correspondent begins to work."""
        self.when_lost: Callable[[Correspondent, float], None] = lambda _peer, _now: None
        """Told when none of the pairs of addresses works."""
        self.when_doubtful: Callable[[IPv4Address, float], None] = lambda _local, _now: None
        """Told of which own address a tunnel that worked does not answer."""
        self.silent: Callable[[IPv4Address, float], bool] = lambda _local, _now: False
        """Whether the home agent does not answer to this own address, either."""

    # --- which tunnel

    def agree(self, peer: Correspondent, now: float, *, moved: bool = False) -> None:
        """A registration was accepted, ours or its: have the one right tunnel (spec MR-13, CR-11, CR-19).

        `moved`: one of the ends told a new address, so that what works now may cease to.
        """
        if moved:
            peer.unreachable.clear()
        pairs = self._pairs(peer)
        if not pairs:
            return
        tunnel = peer.tunnel
        works = tunnel is not None and tunnel.up and tunnel.remote in peer.addresses()
        if tunnel and (tunnel.pair in (pairs if not moved else pairs[:1]) or (works and not moved)):
            if tunnel.up:
                self._drop(peer, peer.candidate, now)
                self._base.reconcile()
            return
        if peer.candidate and peer.candidate.pair in (pairs if not moved else pairs[:1]):
            return
        self._try(peer, pairs[0], now)

    def _pairs(self, peer: Correspondent) -> list[Pair]:
        """Every pair of addresses that may work, the best first."""
        out = peer.outgoing if peer.accepted else None
        line = self._base.lines.toward(peer)
        local = out.careof if out else line.address if line else None
        if local is None:
            return []
        remotes = peer.addresses()
        if self._base.config.probe_same_nat and self._closed(local) and peer.outbound_only:
            remotes.sort(key=lambda address: not any(address in network for network in PRIVATE))
        return [(local, remote) for remote in remotes if (local, remote) not in peer.unreachable]

    def _closed(self, local: IPv4Address) -> bool:
        return self._base.lines.behind_nat(local)

    def _goes_first(self, peer: Correspondent, local: IPv4Address) -> bool:
        """Who sends the first keepalive: whoever is inside, else the one that registered (spec TUN-7, §6)."""
        if self._closed(local):
            return True
        if peer.outbound_only:
            return False
        return peer.accepted

    def _encapsulation(self, peer: Correspondent) -> Encapsulation:
        """What was negotiated: UDP needs a reply that accepts it (spec NAT-7)."""
        if peer.outgoing and peer.accepted:
            return "udp" if peer.outgoing.udp else "ipip"
        return "udp" if peer.incoming and peer.incoming.udp else "ipip"

    def _try(self, peer: Correspondent, pair: Pair, now: float) -> PeerTunnel:
        """Set up a tunnel between these addresses, beside the present one if that works."""
        how = self._encapsulation(peer)
        first = self._goes_first(peer, pair[0])
        tunnel = PeerTunnel(*pair, how, TunnelState.PROBING if first else TunnelState.WAITING)
        peer.draining = [each for each in peer.draining if each.pair != pair]
        self._drop(peer, peer.candidate, now)
        if peer.tunnel and peer.tunnel.up:
            peer.candidate = tunnel
        else:
            peer.tunnel = tunnel
        self._base.outbox.say(
            "tunnel-tried", peer=peer.home, local=pair[0], remote=pair[1], encapsulation=how, first=first
        )
        if how == "ipip":  # no keepalives there (spec §4.5)
            self._up(peer, tunnel, now)
            return tunnel
        self._base.reconcile()
        if first:
            self._probe(peer, tunnel, now)
        else:
            patience = self._base.timing.first_keepalive * self._base.timing.first_tries + 1.0
            self._base.timers.set(("waiting", peer.home), now + patience)
        return tunnel

    # --- keepalives

    def _probe(self, peer: Correspondent, tunnel: PeerTunnel, now: float) -> None:
        """Send a keepalive, and look for its answer later."""
        tunnel.sequence = (tunnel.sequence + 1) & 0xFFFF
        tunnel.unanswered += 1
        tunnel.probed = now
        timing = self._base.timing
        if tunnel.up and tunnel.unanswered == max(DOUBT, timing.lost_after - 1):
            self.when_doubtful(tunnel.local, now)
        self._send(peer.home, tunnel, request=True, identifier=KEEPALIVE, sequence=tunnel.sequence, data=b"")
        interval = timing.keepalive if tunnel.up else timing.first_keepalive
        if tunnel.up and tunnel.unanswered >= timing.lost_after:
            interval = min(interval, tunnel.last_word)
        self._base.timers.set((self._timer_of(peer, tunnel), peer.home), now + interval)

    @staticmethod
    def _timer_of(peer: Correspondent, tunnel: PeerTunnel) -> str:
        return "candidate" if tunnel is peer.candidate else "keepalive"

    def _send(
        self, home: IPv4Address, tunnel: PeerTunnel, *, request: bool, identifier: int, sequence: int, data: bytes
    ) -> None:
        ends = (tunnel.local, tunnel.remote, tunnel.port, tunnel.encapsulation)
        self._base.outbox.do(SendEcho(request, home, identifier, sequence, data, *ends))

    def timer(self, what: str, peer: Correspondent, now: float) -> None:
        """A keepalive is due, or the first one did not come, or an old tunnel goes."""
        if what == "drained":
            self._drained(peer, now)
        elif what == "waiting":
            for tunnel in (peer.candidate, peer.tunnel):
                if tunnel and tunnel.state is TunnelState.WAITING:  # the other end is silent: knock ourselves
                    tunnel.state = TunnelState.PROBING
                    self._probe(peer, tunnel, now)
        else:
            found = peer.candidate if what == "candidate" else peer.tunnel
            if found and found.state in (TunnelState.PROBING, TunnelState.UP):
                self._keep(peer, found, now)

    def _keep(self, peer: Correspondent, tunnel: PeerTunnel, now: float) -> None:
        timing = self._base.timing
        if tunnel.unanswered >= (timing.lost_after if tunnel.up else timing.first_tries):
            self._failed(peer, tunnel, now)
        else:
            self._probe(peer, tunnel, now)

    def receive(self, echo: Echo, now: float) -> None:
        """A keepalive, or the answer to one (spec TUN-5, CR-15)."""
        peer = self._base.cache.get(echo.source)
        if peer is None or echo.encapsulation != "udp" or not (peer.accepted or peer.incoming):
            self._base.drop("echo_unknown")
            return
        tunnel = next((each for each in peer.tunnels if each.pair == (echo.local, echo.remote)), None)
        if not echo.request:
            self._answered(peer, tunnel, echo, now)
            return
        tunnel = tunnel or self._adopt(peer, echo, now)
        if tunnel is None:
            self._base.drop("echo_foreign")
            return
        if tunnel.port != echo.port:
            self._base.outbox.say("port-learnt", peer=peer.home, remote=echo.remote, port=echo.port)
            tunnel.port = echo.port
            self._base.reconcile()
        tunnel.heard = True
        self._send(peer.home, tunnel, request=False, identifier=echo.identifier, sequence=echo.sequence, data=echo.data)
        if tunnel.state is TunnelState.WAITING:
            tunnel.state = TunnelState.PROBING
            self._probe(peer, tunnel, now)

    def _adopt(self, peer: Correspondent, echo: Echo, now: float) -> PeerTunnel | None:
        """A keepalive on another pair than ours: it may be the right one (spec NAT-5, NAT-6).

        What we are trying is tried on beside it, lest two ends whose keepalives cross give up each its own pair for
        the other's, again and again (spec TUN-10).  Where both pairs work the end with the smaller home address
        follows the other.
        """
        if all(line.address != echo.local for line in self._base.lines.usable()):
            return None
        expected = echo.remote in peer.addresses()
        works = peer.tunnel is not None and peer.tunnel.up
        if works and (not expected or self._leads(peer)):
            return None
        if not peer.accepted and (not expected or peer.holds(now)):
            return None
        if peer.candidate and peer.candidate.state is TunnelState.PROBING and self._leads(peer):
            return None
        peer.unreachable.discard((echo.local, echo.remote))
        self._drop(peer, peer.candidate, now)
        tunnel = PeerTunnel(echo.local, echo.remote, "udp", TunnelState.WAITING, echo.port)
        if peer.tunnel is None or peer.tunnel.state is TunnelState.WAITING:
            peer.tunnel = tunnel
        else:
            peer.candidate = tunnel
        self._base.outbox.say("tunnel-adopted", peer=peer.home, local=echo.local, remote=echo.remote, proved=expected)
        self._base.reconcile()
        return tunnel

    def _leads(self, peer: Correspondent) -> bool:
        """Of two pairs of addresses that work, ours is the one that stays."""
        return self._base.own > peer.home

    def _answered(self, peer: Correspondent, tunnel: PeerTunnel | None, echo: Echo, now: float) -> None:
        recent = tunnel is not None and 0 <= tunnel.sequence - echo.sequence < self._base.timing.lost_after
        if tunnel is None or not recent or echo.identifier != KEEPALIVE or tunnel.state is TunnelState.WAITING:
            self._base.drop("echo_unasked")
            return
        if tunnel.state is TunnelState.DRAINING:
            return
        tunnel.answered(echo.sequence, now)
        if not tunnel.up:
            self._up(peer, tunnel, now)

    # --- up and down

    def _up(self, peer: Correspondent, tunnel: PeerTunnel, now: float) -> None:
        tunnel.state = TunnelState.UP
        tunnel.unanswered = 0
        peer.detours = 0
        peer.unreachable.clear()
        self._base.timers.cancel(("waiting", peer.home))
        if tunnel is peer.candidate:
            old, peer.tunnel, peer.candidate = peer.tunnel, tunnel, None
            self._base.timers.cancel(("candidate", peer.home))
            self.drain(peer, old, now)
        elif peer.candidate and self._leads(peer):
            beside = peer.candidate
            self._drop(peer, beside, now)
            self.drain(peer, beside, now)
        if self._closed(tunnel.local) or peer.outbound_only:
            peer.nat[tunnel.pair] = True
        self._base.outbox.say("tunnel-up", peer=peer.home, local=tunnel.local, remote=tunnel.remote, port=tunnel.port)
        if tunnel.encapsulation == "udp":
            self._base.timers.set(("keepalive", peer.home), now + self._base.timing.keepalive)
        else:
            self._base.timers.cancel(("keepalive", peer.home))  # that of one before, in UDP
        self.when_up(peer, now)
        self._base.reconcile()

    def _failed(self, peer: Correspondent, tunnel: PeerTunnel, now: float) -> None:
        """Routes back to the home agent at once; then the next pair of addresses (spec TUN-8, TUN-11)."""
        self._base.outbox.say("tunnel-failed", peer=peer.home, local=tunnel.local, remote=tunnel.remote)
        if tunnel.up or self._closed(tunnel.local) or peer.outbound_only:
            peer.nat[tunnel.pair] = False
        peer.unreachable.add(tunnel.pair)
        if tunnel is peer.candidate:
            peer.candidate = None
        else:
            peer.tunnel, peer.candidate = peer.candidate, None
            if peer.tunnel and peer.tunnel.state is TunnelState.PROBING:
                self._base.timers.set(("keepalive", peer.home), now)
        self._base.timers.cancel(("candidate", peer.home))
        pairs = self._pairs(peer)
        if tunnel.up and self.silent(tunnel.local, now):
            pairs = [pair for pair in pairs if pair[0] != tunnel.local]
        if pairs and peer.tunnel is None:
            self._try(peer, pairs[0], now)
        self._base.reconcile()
        if peer.tunnel is None:
            self.when_lost(peer, now)

    def lose_line(self, address: IPv4Address, now: float) -> None:
        """A line is gone, and every tunnel of it."""
        for peer in self._base.cache:
            peer.draining = [each for each in peer.draining if each.local != address]
            if peer.candidate and peer.candidate.local == address:
                self._drop(peer, peer.candidate, now)
            if peer.tunnel and peer.tunnel.local == address:
                self._base.outbox.say("tunnel-failed", peer=peer.home, local=address, remote=peer.tunnel.remote)
                successor = peer.candidate
                self._drop(peer, peer.tunnel, now)
                peer.tunnel, peer.candidate = successor, None
                if successor:
                    self._base.timers.cancel(("candidate", peer.home))
                    self._base.timers.set(("keepalive", peer.home), now)
        self._base.reconcile()

    def drain(self, peer: Correspondent, tunnel: PeerTunnel | None, now: float) -> None:
        """Nothing goes into it any more; what is under way still comes out for a while (spec A-39)."""
        if tunnel is None or not (tunnel.up or tunnel.heard):
            return
        tunnel.state = TunnelState.DRAINING
        tunnel.until = now + self._base.timing.grace
        peer.draining.append(tunnel)
        self._base.timers.set(("drained", peer.home), min(each.until for each in peer.draining))

    def _drained(self, peer: Correspondent, now: float) -> None:
        gone = [each for each in peer.draining if each.until <= now]
        peer.draining = [each for each in peer.draining if each.until > now]
        if peer.draining:
            self._base.timers.set(("drained", peer.home), min(each.until for each in peer.draining))
        for each in gone:
            self._base.outbox.say("tunnel-gone", peer=peer.home, local=each.local, remote=each.remote)
        self._base.reconcile()

    def close(self, peer: Correspondent, now: float) -> None:
        """The end of the relation: routes go now, the tunnel after its grace (spec CR-17)."""
        self._drop(peer, peer.candidate, now)
        tunnel, peer.tunnel = peer.tunnel, None
        for what in ("keepalive", "waiting"):
            self._base.timers.cancel((what, peer.home))
        self.drain(peer, tunnel, now)
        self._base.reconcile()

    def _drop(self, peer: Correspondent, tunnel: PeerTunnel | None, now: float) -> None:
        """Forget a tunnel that never carried anything, or that has no line any more."""
        if tunnel is None:
            return
        self._base.timers.cancel((self._timer_of(peer, tunnel), peer.home))
        if tunnel is peer.candidate:
            peer.candidate = None
        elif tunnel is peer.tunnel:
            peer.tunnel = None
