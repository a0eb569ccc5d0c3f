"""Registration with correspondents: from the first packet to the direct path, and to its end (spec §5.2, §7)."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Network

from agents.haaro.identification import answers
from agents.haaro.keys import genuine_correspondent, sign_correspondent
from agents.haaro.mr.base import MrBase
from agents.haaro.mr.cache import Correspondent, Outgoing, RRState
from agents.haaro.mr.registration import REFRESH, SPACING
from agents.haaro.mr.routability import Routability
from agents.haaro.mr.tunnels import Tunnels
from agents.haaro.notices import Datagram
from agents.wire.mip4_codes import Code, NextHeader
from agents.wire.mip4_extension_lists import AnyExtension
from agents.wire.mip4_extensions import (
    CareofAddresses,
    MobileCorrespondentAuth,
    MobileNetworkAck,
    MobileNetworkRequest,
    UdpTunnelReply,
    UdpTunnelRequest,
)
from agents.wire.mip4_messages import RegistrationReply, RegistrationRequest

EXPIRED = {
    Code.EXPIRED_HOME_NONCE: (True, False),
    Code.EXPIRED_CAREOF_NONCE: (False, True),
    Code.EXPIRED_NONCES: (True, True),
}
"""Code -> which tokens are worth nothing: home, care-of."""
FAREWELL_TRIES = 2


class Optimisation:
    """Our registrations with correspondents."""

    def __init__(self, base: MrBase, routability: Routability, tunnels: Tunnels) -> None:
        self._base = base
        self._routability = routability
        self._tunnels = tunnels
        self.when_ended: Callable[[float], None] = lambda _now: None
        """Told when a registration of ours is over."""
        routability.when_proved = self.advance
        routability.when_failed = self._unproved

    # --- starting

    def wanted(self, source: IPv4Address, destination: IPv4Address, now: float) -> None:
        """A packet took the way over the home agent, of a network that may be optimised (spec MR-7)."""
        base = self._base
        if source != base.own and not any(source in network for network in base.home.networks):
            return
        peer = base.cache.owner(destination)
        if peer and peer.known and not peer.accepted:
            self.start(peer, now)

    def start(self, peer: Correspondent, now: float) -> None:
        """Begin, unless something forbids it or it has begun."""
        base = self._base
        line = base.lines.toward(peer)
        if line is None or not base.optimising or peer.holds(now) or peer.outgoing is not None:
            return
        if base.lines.behind_nat(line.address) and peer.outbound_only and not base.config.probe_same_nat:
            return  # nobody can open a tunnel (spec §6)
        base.outbox.say("optimising", peer=peer.home, careof=line.address)
        peer.outgoing = Outgoing(line.address)
        peer.unreachable.clear()
        peer.refused.clear()  # a new relation: it may have heard of our networks by now
        peer.detours = 0
        self.advance(peer, now)

    def mutual(self, peer: Correspondent, now: float) -> None:
        """The tunnel works, and the correspondent has registered: so do we (spec CR-20)."""
        if peer.outgoing and peer.outgoing.ending and not self._base.leaving:
            self.drop(peer)  # it was given up for the want of a tunnel
        if peer.registered and peer.outgoing is None:
            self.start(peer, now)

    def renew(self, peer: Correspondent, now: float) -> None:
        """Register anew, from the address that is right now (spec 7.1, 7.2)."""
        base = self._base
        line = base.lines.toward(peer)
        if line is None or not base.optimising:
            return
        if peer.outgoing is None:
            peer.hold_until = 0.0
            self.start(peer, now)
            return
        if peer.outgoing.careof != line.address:
            self._routability.abandon(peer)
            old = peer.outgoing
            peer.outgoing = Outgoing(line.address, expires=old.expires, careofs=old.careofs, udp=old.udp, moved=True)
        peer.outgoing.tries = 0
        self.advance(peer, now)

    def advance(self, peer: Correspondent, now: float) -> None:
        """Do what comes next: tokens, or a request as soon as the distance between two allows."""
        out = peer.outgoing
        if out is None:
            return
        key = self._key(peer, now)
        if key is None:
            if peer.pair(out.careof).state is RRState.ACTIVE:
                peer.pair(out.careof).state = RRState.INACTIVE  # too old (spec §4.4)
            self._routability.start(peer, out.careof, now, home_only=out.ending)
        elif peer.last_request + SPACING > now:
            self._base.timers.set(("rrq", peer.home), peer.last_request + SPACING)
        else:
            self._send(peer, out, key, now)

    def _key(self, peer: Correspondent, now: float) -> tuple[int, int, bytes] | None:
        if peer.outgoing and peer.outgoing.ending:
            return self._routability.farewell_key(peer, now)
        return self._routability.key(peer, peer.outgoing.careof, now) if peer.outgoing else None

    # --- the request

    def _send(self, peer: Correspondent, out: Outgoing, key: tuple[int, int, bytes], now: float) -> None:
        base = self._base
        lifetime = 0 if out.ending else base.config.peer_lifetime
        request = RegistrationRequest(
            lifetime=lifetime,
            home_address=base.own,
            home_agent=base.config.home_agent,  # not the correspondent (spec MR-9)
            careof_address=out.careof,
            identification=base.stamper.next(peer.home, now),
            extensions=() if out.ending else tuple(self._extensions(peer, out.careof)),
        )
        out.networks = self.offered(peer)
        out.identification, out.key = request.identification, key[2]
        out.pending, out.sent, out.lifetime = True, now, lifetime
        out.tries += 1
        peer.last_request = now
        base.send(sign_correspondent(request, *key), out.careof, peer.home)
        base.timers.set(("rrq", peer.home), now + SPACING * 2 ** (out.tries - 1))

    def offered(self, peer: Correspondent) -> tuple[IPv4Network, ...]:
        """Own networks that it may be told of: the home agent acknowledged them, and it does not refuse them."""
        mine = (each for each in self._base.home.networks if each.prefixlen and each not in peer.refused)
        return tuple(each for each in mine if each in self._base.networks)

    def _extensions(self, peer: Correspondent, careof: IPv4Address) -> list[AnyExtension]:
        """Networks, and UDP where it must or should be (spec MR-10, MR-11)."""
        base = self._base
        found: list[AnyExtension] = [MobileNetworkRequest.of(each) for each in self.offered(peer)]
        wished = base.config.encapsulation == "udp" and not peer.without_udp
        if wished or base.translated(peer, careof):
            found.append(UdpTunnelRequest(force=True, encapsulation=NextHeader.IP))
        return found

    def timer(self, what: str, peer: Correspondent, now: float) -> None:
        """A request waited for its turn or got no answer; a registration is to be renewed, or ended."""
        out = peer.outgoing
        if out is None:
            return
        if what == "refresh":
            self.renew(peer, now)
        elif what == "outgoing-expiry":
            self._silent(peer, now)
        elif what == "held":
            if out.held and not peer.registered:
                out.held, out.expires = False, None
                self.renew(peer, now)
        elif not out.pending:
            self.advance(peer, now)
        elif out.tries >= (FAREWELL_TRIES if out.ending else self._base.timing.tries):
            self._silent(peer, now)
        else:
            self.advance(peer, now)

    def _silent(self, peer: Correspondent, now: float) -> None:
        """No answer: nothing of it goes directly any more (spec MR-17)."""
        out = peer.outgoing
        ending = out is not None and out.ending
        self._base.outbox.say("correspondent-silent", peer=peer.home, leaving=ending)
        if out is not None:  # its tokens may be why: a correspondent's refusal of them proves nothing (spec §10)
            self._routability.forget(peer, out.careof, home=True, of_careof=True)
        if not ending:
            self._base.hold(peer, now)
        works = peer.registered and peer.tunnel is not None and peer.tunnel.up
        self._end(peer, now, keep=ending and works)

    def _unproved(self, peer: Correspondent, now: float) -> None:
        """Return routability failed; what stands is left standing until its time ends (spec S8)."""
        self._base.hold(peer, now)
        if peer.outgoing and not peer.accepted:
            self._end(peer, now, keep=peer.registered)
        elif peer.outgoing and peer.outgoing.ending:
            self._end(peer, now)

    def drop(self, peer: Correspondent) -> None:
        """Our registration is no more, and nothing of it is under way."""
        peer.outgoing = None
        self._routability.abandon(peer)
        for what in ("rrq", "refresh", "outgoing-expiry", "held"):
            self._base.timers.cancel((what, peer.home))

    def _end(self, peer: Correspondent, now: float, *, keep: bool = False) -> None:
        """Our registration is over; `keep`: the correspondent's stands, and its tunnel."""
        self.drop(peer)
        if peer.incoming and peer.incoming.held:
            peer.incoming.held = False  # it need not wait for ours any more (spec 7.5)
            self._tunnels.agree(peer, now)
        elif not keep:
            self._tunnels.close(peer, now)
        self._base.reconcile()
        self.when_ended(now)

    # --- the reply

    def receive(self, reply: RegistrationReply, datagram: Datagram, now: float) -> None:
        """A reply from a correspondent; whatever does not prove to be one is dropped (spec MR-12)."""
        base = self._base
        peer = base.cache.get(datagram.source)
        out = peer.outgoing if peer else None
        if peer is None or out is None or not out.pending or not answers(reply.identification, out.identification):
            base.drop("reply_unexpected")
            return
        if reply.code in EXPIRED:
            # Whether or not it is signed: RFC 6521 wants every reply signed, and here no key for it exists (spec A-6).
            self._expired(peer, out, Code(reply.code), now)
            return
        genuine = isinstance(reply.auth, MobileCorrespondentAuth) and genuine_correspondent(reply, out.key)
        if not genuine or reply.surplus:
            base.drop("reply_unauthenticated")
            return
        if reply.malformed and not any(each.kind is CareofAddresses for each in reply.malformed):
            base.drop("reply_malformed")
            return
        out.pending = False
        base.timers.cancel(("rrq", peer.home))
        if out.ending:
            self._ended(peer, reply, now)
        elif reply.accepted or reply.code == Code.CONCURRENT:
            self._accepted(peer, out, reply, now)
        else:
            self._denied(peer, out, reply, now)

    def _expired(self, peer: Correspondent, out: Outgoing, code: Code, now: float) -> None:
        """A hint, since nobody signed it: it restarts return routability and ends nothing (spec §3.5, MR-18)."""
        home, careof = EXPIRED[code]
        out.pending = False
        self._base.timers.cancel(("rrq", peer.home))
        self._base.outbox.say("nonces-expired", peer=peer.home, code=int(code))
        self._routability.forget(peer, out.careof, home=home, of_careof=careof)
        if out.tries >= self._base.timing.tries or peer.static_key is not None:
            self._unproved(peer, now)
        else:
            self.advance(peer, now)

    def _accepted(self, peer: Correspondent, out: Outgoing, reply: RegistrationReply, now: float) -> None:
        base = self._base
        addresses = reply.first(CareofAddresses)
        if addresses is None:
            base.outbox.say("correspondent-without-address", peer=peer.home)
            self.finish(peer, now)
            return
        lifetime = min(out.lifetime, reply.lifetime)
        answer = reply.first(UdpTunnelReply)
        udp = bool(answer and answer.accepted)
        if not udp and base.translated(peer, out.careof):
            # No UDP without consent (spec NAT-7), and nothing but UDP gets through (spec MR-11): no tunnel.
            base.outbox.say("correspondent-without-udp", peer=peer.home)
            self.finish(peer, now)
            return
        out.tries = 0
        out.careofs = addresses.addresses
        out.udp = udp
        out.expires = out.sent + lifetime
        base.timers.set(("outgoing-expiry", peer.home), out.expires)
        base.timers.set(("refresh", peer.home), out.sent + max(SPACING, lifetime * REFRESH))
        peer.refused |= {each.network for each in reply.every(MobileNetworkAck) if each.code and not each.bad_length}
        out.networks = tuple(each for each in out.networks if each not in peer.refused)
        out.held = reply.code == Code.CONCURRENT and not peer.registered
        base.outbox.say(
            "correspondent-registered",
            peer=peer.home,
            careof=out.careof,
            careofs=out.careofs,
            lifetime=lifetime,
            udp=out.udp,
            code=reply.code,
        )
        if out.held:  # its own registration comes first (spec MR-20)
            base.timers.set(("held", peer.home), now + base.timing.held)
        else:
            self._tunnels.agree(peer, now, moved=out.moved)
            out.moved = False
        if peer.incoming and peer.incoming.held:
            self._release_held(peer, now)
        base.reconcile()

    def _release_held(self, peer: Correspondent, now: float) -> None:
        """Ours is done: now the one that crossed it is in force, through the same tunnel (spec 7.5)."""
        if peer.incoming:
            peer.incoming.held = False
            self._base.outbox.say("held-registration-applied", peer=peer.home)
            self._tunnels.agree(peer, now)

    def _denied(self, peer: Correspondent, out: Outgoing, reply: RegistrationReply, now: float) -> None:
        base = self._base
        base.outbox.say("registration-refused", by=peer.home, code=reply.code)
        if out.tries >= base.timing.tries:
            self._unproved(peer, now)
        elif reply.code == Code.IDENTIFICATION_MISMATCH:
            base.stamper.resynchronise(peer.home, reply.identification, now)
            self.advance(peer, now)
        elif reply.code == Code.FAILED_AUTHENTICATION and peer.static_key is None and out.tries < 2:
            self._routability.forget(peer, out.careof, home=True, of_careof=True)
            self.advance(peer, now)
        elif reply.code == Code.UDP_ENCAPSULATION_UNAVAILABLE and not peer.without_udp:
            peer.without_udp = True  # the other encapsulation that we have is IP in IP (spec §10)
            self.advance(peer, now)
        else:
            base.hold(peer, now)
            self._end(peer, now, keep=peer.registered)

    # --- the end

    def finish(self, peer: Correspondent, now: float) -> None:
        """Deregister with one correspondent (spec TUN-8, 7.3)."""
        if peer.outgoing is None:
            if not self._base.leaving:
                return
            line = self._base.lines.toward(peer)
            if line is None:
                return
            peer.outgoing = Outgoing(line.address)
        self._routability.abandon(peer)
        for what in ("refresh", "outgoing-expiry", "held"):
            self._base.timers.cancel((what, peer.home))
        out = peer.outgoing
        out.ending, out.tries, out.expires, out.pending = True, 0, None, False
        self.advance(peer, now)

    def _ended(self, peer: Correspondent, reply: RegistrationReply, now: float) -> None:
        self._base.outbox.say("correspondent-deregistered", peer=peer.home, code=reply.code)
        if not self._base.leaving:
            self._base.hold(peer, now)
        self._end(peer, now)
