"""The same router when it is the target: tests answered without memory, registrations judged (spec §5.3)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from agents.haaro.keys import genuine_correspondent, sign_correspondent
from agents.haaro.mr.base import MrBase
from agents.haaro.mr.cache import Correspondent, Incoming
from agents.haaro.mr.plan import routable
from agents.haaro.mr.quota import Quota
from agents.haaro.mr.tunnels import Tunnels
from agents.haaro.notices import Datagram
from agents.wire.mip4_codes import Code, NetworkCode, NextHeader, RequestFlag
from agents.wire.mip4_extension_lists import AnyExtension
from agents.wire.mip4_extensions import (
    CareofAddresses,
    MobileCorrespondentAuth,
    MobileNetworkAck,
    MobileNetworkRequest,
    UdpTunnelReply,
    UdpTunnelRequest,
)
from agents.wire.mip4_messages import (
    CareofTest,
    CareofTestInit,
    HomeTest,
    HomeTestInit,
    RegistrationReply,
    RegistrationRequest,
)

LONGEST = 420
"""Seconds of a registration, at most (spec CR-18)."""
TESTS_PER_SECOND = 5
REFUSALS_PER_SECOND = 1


@dataclass(frozen=True)
class _Parked:
    """A request that waits for the home agent's word."""

    request: RegistrationRequest
    datagram: Datagram
    key: bytes


class CorrespondentRole:
    """Answers other routers."""

    def __init__(self, base: MrBase, tunnels: Tunnels, solicit: Callable[[IPv4Address, float], None]) -> None:
        self._base = base
        self._tunnels = tunnels
        self._solicit = solicit
        self._parked: dict[IPv4Address, _Parked] = {}
        self._tests = Quota(TESTS_PER_SECOND)
        self._refusals = Quota(REFUSALS_PER_SECOND)
        self.when_given_up: Callable[[IPv4Address], None] = lambda _home: None
        """Told when the home agent's word is waited for no more."""
        self.when_superseded: Callable[[Correspondent], None] = lambda _peer: None
        """Told when a registration of ours is over because of the correspondent's."""

    @property
    def parked(self) -> int:
        """Requests that wait for the home agent's word."""
        return len(self._parked)

    # --- return routability

    def test(self, init: HomeTestInit | CareofTestInit, datagram: Datagram, now: float) -> None:
        """Answer to where it came from, and remember nothing (spec RR-5, CR-1, CR-2)."""
        base = self._base
        if datagram.destination != base.own or not base.config.capability:
            base.drop("test_not_for_us")
        elif not self._tests.take(datagram.source, now):
            base.drop("test_too_often")
        else:
            if isinstance(init, HomeTestInit):
                index, token = base.nonces.home_test(datagram.source, now)
                answer: HomeTest | CareofTest = HomeTest(index, init.cookie, token)
            else:
                index, token = base.nonces.careof_test(datagram.source, now)
                answer = CareofTest(index, init.cookie, token)
            base.send(answer, base.own, datagram.source, datagram.port)

    # --- registration

    def receive(self, request: RegistrationRequest, datagram: Datagram, now: float) -> None:
        """First who, then when, then what (spec CR-3..CR-8)."""
        base = self._base
        auth = request.auth
        ours = datagram.destination == base.own and base.config.capability  # a router of RFC 5177 is no correspondent
        if not ours or not isinstance(auth, MobileCorrespondentAuth) or request.surplus:
            base.drop("request_not_for_us")
            return
        key = self._key(request, auth, datagram, now)
        if isinstance(key, Code):
            self._reply(request, datagram, key, None)
        elif not genuine_correspondent(request, key):
            base.counters["bad_authenticator"] += 1
            if self._refusals.take(datagram.source, now):
                base.outbox.say("request-not-genuine", home=request.home_address, source=datagram.source)
                self._reply(request, datagram, Code.FAILED_AUTHENTICATION, key)
        elif not base.guard.fresh(request.home_address, request.identification, now):
            base.counters["bad_identification"] += 1
            denial = base.guard.denial(request.identification, now)
            self._reply(request, datagram, Code.IDENTIFICATION_MISMATCH, key, identification=denial)
        elif (refusal := self._refusal(request)) is not None:
            self._reply(request, datagram, refusal, key)
        elif request.deregisters:
            self._deregister(request, datagram, key, now)
        else:
            self._judge(_Parked(request, datagram, key), now)

    def _key(
        self, request: RegistrationRequest, auth: MobileCorrespondentAuth, datagram: Datagram, now: float
    ) -> bytes | Code:
        """Made again from what the request names, or configured (spec §3.3)."""
        home = request.home_address
        peer = self._base.cache.get(home)
        if peer and peer.static_key is not None:
            return peer.static_key
        nonces = self._base.nonces
        if request.deregisters:
            return nonces.deregistration_key(home, auth.home_index, now)
        return nonces.key(home, datagram.source, auth.home_index, auth.careof_index, now)

    def _refusal(self, request: RegistrationRequest) -> Code | None:
        """What an authentic request is refused for, whoever sent it."""
        udp = request.first(UdpTunnelRequest)
        if request.malformed or (udp and (udp.reserved or not request.flags & RequestFlag.COLOCATED)):
            return Code.POORLY_FORMED
        if request.home_agent != self._base.config.home_agent or request.home_address == self._base.own:
            return Code.PROHIBITED
        if request.deregisters:
            return None
        if self._base.leaving or not self._base.config.accept:
            return Code.PROHIBITED  # who leaves has no use for what its peers bring it now (spec 7.3)
        if request.inner_encapsulation != NextHeader.IP:
            return Code.UDP_ENCAPSULATION_UNAVAILABLE if udp else Code.ENCAPSULATION_UNAVAILABLE
        return None

    def _judge(self, parked: _Parked, now: float) -> None:
        """Accept what the cache confirms; ask the home agent about what it does not (spec CR-6, CR-7)."""
        home = parked.request.home_address
        if self._confirmed(parked.request) or not self._base.config.check_prefixes:
            self._unpark(home)
            self._decide(parked, now)
            return
        waiting = home in self._parked
        self._parked[home] = parked
        if not waiting:
            self._base.outbox.say("soliciting", home=home)
            self._base.timers.set(("parked", home), now + self._base.timing.solicit)
            self._solicit(home, now)

    def _confirmed(self, request: RegistrationRequest) -> bool:
        peer = self._base.cache.get(request.home_address)
        if peer is None or not peer.known:
            return False
        known = {each.prefix for each in peer.networks}
        return all(each.bad_length or each.network in known for each in _asked(request))

    def answered(self, home: IPv4Address, now: float) -> None:
        """The home agent said what it knows of a router: look again."""
        parked = self._unpark(home)
        if parked:
            self._decide(parked, now)

    def timer(self, home: IPv4Address, now: float) -> None:
        """It did not say anything in time."""
        parked = self._unpark(home)
        if parked:
            self._decide(parked, now)

    def _unpark(self, home: IPv4Address) -> _Parked | None:
        parked = self._parked.pop(home, None)
        if parked:
            self._base.timers.cancel(("parked", home))
            self.when_given_up(home)
        return parked

    def _network_code(self, peer: Correspondent, asked: MobileNetworkRequest) -> NetworkCode:
        if asked.bad_length:
            return NetworkCode.INVALID_PREFIX_LENGTH
        return NetworkCode.OK if routable(self._base, peer, asked.network) else NetworkCode.UNAUTHORIZED

    def _decide(self, parked: _Parked, now: float) -> None:
        """The answer, with what the cache knows by now (spec CR-8)."""
        request, datagram, key = parked.request, parked.datagram, parked.key
        base = self._base
        home = request.home_address
        peer = base.cache.get(home)
        if not base.config.check_prefixes:
            peer = base.cache.entry(home)
        elif peer is None or not peer.known:
            self._reply(request, datagram, Code.PROHIBITED, key)
            return
        if self._unreachable(peer, request, datagram):
            self._reply(request, datagram, Code.PROHIBITED, key)
            return
        asked = _asked(request)
        acks = [MobileNetworkAck(each.address, each.length, self._network_code(peer, each)) for each in asked]
        granted = tuple(dict.fromkeys(ack.network for ack in acks if ack.code == NetworkCode.OK))
        if asked and not granted:
            self._reply(request, datagram, Code.MOBILE_NETWORK_ERROR, key, extensions=acks)
            return
        if not base.guard.fresh(home, request.identification, now):
            return  # while it waited, a later one was accepted
        base.guard.accept(home, request.identification)
        self._accept(peer, parked, acks, granted, now)

    def _unreachable(self, peer: Correspondent, request: RegistrationRequest, datagram: Datagram) -> bool:
        """It asks for IP in IP, which does not pass the NAT that is known between us (spec TUN-2, §10)."""
        if request.first(UdpTunnelRequest) or (peer.tunnel and peer.tunnel.encapsulation == "udp"):
            return False
        line = self._base.lines.toward(peer)
        inside = line is not None and self._base.lines.behind_nat(line.address)
        return inside or peer.outbound_only or datagram.source != request.careof_address

    def _accept(
        self,
        peer: Correspondent,
        parked: _Parked,
        acks: list[MobileNetworkAck],
        granted: tuple[IPv4Network, ...],
        now: float,
    ) -> None:
        base = self._base
        request, datagram = parked.request, parked.datagram
        lifetime = min(request.lifetime, LONGEST)
        udp = request.first(UdpTunnelRequest)
        out = peer.outgoing
        crossing = bool(out and out.pending and not out.ending) and base.own < peer.home  # spec CR-16
        held = crossing and peer.incoming is None  # asked again, it shall not wait for ours any longer
        moved = peer.incoming is not None and peer.incoming.source != datagram.source
        peer.incoming = Incoming(datagram.source, request.careof_address, now + lifetime, granted, bool(udp), held=held)
        base.timers.set(("incoming-expiry", peer.home), peer.incoming.expires)
        base.outbox.say(
            "correspondent-accepted",
            peer=peer.home,
            source=datagram.source,
            careof=request.careof_address,
            networks=granted,
            lifetime=lifetime,
            held=held,
            moved=moved,
        )
        if out and out.held:
            out.held = False
            base.timers.cancel(("held", peer.home))
        if out and out.ending and not base.leaving:
            self.when_superseded(peer)  # it begins anew: what we are taking back is over
        if not held:
            if peer.tunnel is None:
                peer.unreachable.clear()
            self._tunnels.agree(peer, now, moved=moved)
            base.reconcile()
        extensions: list[AnyExtension] = [*acks]
        if udp:
            extensions.append(UdpTunnelReply(0, udp.force))
        extensions.append(CareofAddresses(base.lines.careofs(peer)))
        code = Code.CONCURRENT if held else Code.ACCEPTED
        self._reply(request, datagram, code, parked.key, extensions=extensions, lifetime=lifetime)

    def _deregister(self, request: RegistrationRequest, datagram: Datagram, key: bytes, now: float) -> None:
        """Its networks go at once, its tunnel after the grace (spec CR-17, 7.3)."""
        base = self._base
        base.guard.accept(request.home_address, request.identification)
        self._reply(request, datagram, Code.ACCEPTED, key)
        peer = base.cache.get(request.home_address)
        if peer and (peer.incoming or peer.outgoing):
            base.outbox.say("correspondent-left", peer=peer.home)
            self.end(peer, now)

    def end(self, peer: Correspondent, now: float) -> None:
        """Its registration is over; ours, which used the same tunnel, with it."""
        peer.incoming = None
        self._base.timers.cancel(("incoming-expiry", peer.home))
        if peer.outgoing and not peer.outgoing.ending:
            self.when_superseded(peer)
        self._tunnels.close(peer, now)

    def expire(self, peer: Correspondent, now: float) -> None:
        """Its registration ended without a word: routes go, and the tunnel unless ours uses it (spec CR-18)."""
        peer.incoming = None
        self._base.outbox.say("correspondent-expired", peer=peer.home)
        if not peer.accepted:
            self._tunnels.close(peer, now)
        self._base.reconcile()

    # --- the reply

    def _reply(
        self,
        request: RegistrationRequest,
        datagram: Datagram,
        code: Code,
        key: bytes | None,
        *,
        extensions: list[AnyExtension] | list[MobileNetworkAck] | None = None,
        lifetime: int = 0,
        identification: int | None = None,
    ) -> None:
        """From the home address, through the home agent, to where the request came from (spec CR-13)."""
        reply = RegistrationReply(
            code=code,
            lifetime=lifetime,
            home_address=request.home_address,
            home_agent=request.home_agent,
            identification=request.identification if identification is None else identification,
            extensions=tuple(extensions or ()),
        )
        auth = request.auth
        if key is not None and isinstance(auth, MobileCorrespondentAuth):
            reply = sign_correspondent(reply, auth.home_index, auth.careof_index, key)
        if code not in (Code.ACCEPTED, Code.CONCURRENT):
            self._base.counters[f"refused_{int(code)}"] += 1
            self._base.outbox.say("request-refused", home=request.home_address, source=datagram.source, code=int(code))
        self._base.send(reply, self._base.own, datagram.source, datagram.port)


def _asked(request: RegistrationRequest) -> tuple[MobileNetworkRequest, ...]:
    return request.every(MobileNetworkRequest)
