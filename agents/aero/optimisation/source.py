"""A Client as the source of a flow: Redirects, and the direct path's test, keeping and loss (spec RO-11 to -17)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from ipaddress import IPv6Address

from agents.aero.addresses import aero_address
from agents.aero.constants import FORWARD_TIME, KEEPALIVE_TIME, MAX_RETRY, RETRANS_TIMER
from agents.aero.discovery.base import Answer, Solicitation, Solicitations
from agents.aero.discovery.encapsulations import Encapsulations
from agents.aero.lladdr import Encapsulation, LinkLayerAddress
from agents.aero.neighbors import Path, Reachability
from agents.aero.optimisation.candidates import usable
from agents.aero.optimisation.correspondents import Correspondents
from agents.aero.optimisation.messages import Mediation, covering, inside
from agents.aero.optimisation.pairs import Correspondent, Forward, PrefixPair, Stage
from agents.aero.optimisation.settings import Client
from agents.timers import Timers

IN_USE = 60.0
"""A Redirect concerns a pair that data was sent for so lately (spec RO-11)."""
TEST_TIME = MAX_RETRY * RETRANS_TIMER + 1.0
"""Until a test is over one way or the other."""
HOLD_DOWN = 10.0
"""So long a path that did not answer is not tested again for the same link-layer addresses (spec §5.3)."""
LOOK_AGAIN = 1.0
"""Until an idle pair is looked at again."""

_Key = tuple[IPv6Address, PrefixPair]


class Source:
    """Takes Redirects, and keeps direct paths."""

    def __init__(
        self,
        client: Client,
        correspondents: Correspondents,
        solicitations: Solicitations,
        encapsulations: Encapsulations,
    ) -> None:
        self._client = client
        self._correspondents = correspondents
        self._solicitations = solicitations
        self._encapsulations = encapsulations
        self._keepalives: Timers[_Key] = Timers()
        self._held_down: dict[PrefixPair, tuple[float, frozenset[LinkLayerAddress]]] = {}

    def redirected(self, mediation: Mediation, now: float) -> str | None:
        """Take a Redirect of a Server of ours; the name of a counter when it is dropped."""
        prefixes, theirs = self._client.prefixes, mediation.prefix
        prefix = covering(tuple(prefixes), mediation.source)
        if theirs is None or prefix is None or any(inside(theirs, own) or inside(own, theirs) for own in prefixes):
            return "redirect_prefix"
        pair = PrefixPair(prefix, theirs)
        if not self._in_use(mediation.message.target, pair, now):
            return "redirect_unused"
        lladdrs = usable(mediation.lladdrs, self._client)
        if not lladdrs or not mediation.lifetime:
            return "redirect_lladdr"
        if self._is_held_down(mediation.message.target, pair, {lladdr for lladdr, _nat in lladdrs}, now):
            return "redirect_held_down"
        target = self._correspondents.meet(mediation.message.target, aero_address(prefix), lladdrs)
        if target is None:
            return "redirect_prefix"
        until = now + min(FORWARD_TIME, mediation.lifetime)
        if mediation.token:
            target.tokens.of(aero_address(prefix)).put(mediation.token, until, now, shared=True)
        forward = self._correspondents.source_of(target, pair, aero_address(prefix), now + TEST_TIME)
        if self._client.settings.probe or forward.stage is Stage.FORWARDING:
            self._test(target, forward, self._candidates(target, forward, lladdrs), now)
        else:
            self._take(target, forward, until, now)
        return None

    def _in_use(self, address: IPv6Address, pair: PrefixPair, now: float) -> bool:
        """Whether data was sent for the pair lately, through the Server or directly."""
        correspondent = self._correspondents.get(address)
        forward = correspondent.forward.get(pair) if correspondent else None
        since = now - IN_USE
        return (forward is not None and forward.use.last >= since) or self._correspondents.uses.used(pair, since)

    def _is_held_down(self, address: IPv6Address, pair: PrefixPair, told: set[LinkLayerAddress], now: float) -> bool:
        """Whether all that is known of where the target is was tried lately, in vain."""
        self._held_down = {each: held for each, held in self._held_down.items() if held[0] > now}
        held, known = self._held_down.get(pair), self._correspondents.get(address)
        found = {path.lladdr for path in known.paths} if known else set()
        return held is not None and told | found <= held[1]

    @staticmethod
    def _candidates(
        target: Correspondent, forward: Forward, told: Sequence[tuple[LinkLayerAddress, bool]]
    ) -> list[LinkLayerAddress]:
        """Where to look for the target: where its Server says, and where it was seen itself (spec RO-15)."""
        lladdrs = [lladdr for lladdr, _nat in told]
        if forward.stage is Stage.FORWARDING:
            return lladdrs
        return [*lladdrs, *(each for each in _udp(target) if each not in lladdrs)]

    # --- testing

    def _test(self, target: Correspondent, forward: Forward, lladdrs: Sequence[LinkLayerAddress], now: float) -> None:
        """Ask the target at each of its link-layer addresses; the first to answer is used (spec RO-12)."""
        for lladdr in lladdrs:
            path = target.path_at(lladdr)
            if path is None or (forward.stage is Stage.FORWARDING and path is target.path):
                continue  # in use: its keepalive tells
            forward.untested.add(lladdr)
            self._solicitations.send(
                target,
                lladdr,
                now,
                own=forward.own,
                answered=partial(self._works, forward, path),
                lost=partial(self._silent, forward),
            )

    def _works(self, forward: Forward, path: Path, solicitation: Solicitation, answer: Answer, now: float) -> None:
        target = solicitation.neighbor
        if not isinstance(target, Correspondent) or path not in target.paths:
            return
        self._reached(path, solicitation, answer, now)
        forward.untested.discard(solicitation.lladdr)
        if target.forward.get(forward.pair) is not forward:
            return
        if forward.stage is Stage.TESTING or target.path is None or target.path.reachability is Reachability.FAILED:
            self._correspondents.prefer(target, path)
            self._take(target, forward, now + FORWARD_TIME, now)
        elif path is not target.path:  # its Server names it anew, and it answers: it is where the target is now
            self._correspondents.prefer(target, path)

    def _silent(self, forward: Forward, solicitation: Solicitation, now: float) -> None:
        target = solicitation.neighbor
        forward.untested.discard(solicitation.lladdr)
        self._nowhere(solicitation, now)
        if not isinstance(target, Correspondent) or target.forward.get(forward.pair) is not forward:
            return
        path = target.path_at(solicitation.lladdr)
        if path:
            path.reachability = Reachability.FAILED
            self._correspondents.cache.changed()
            if target.path is None:
                self.lost(target, now)
        if forward.stage is Stage.TESTING and not forward.untested:
            told = frozenset(each.lladdr for each in target.paths)
            self._held_down[forward.pair] = now + HOLD_DOWN, told
            self._correspondents.outbox.say("direct-path-silent", correspondent=target.address, pair=str(forward.pair))
            self._correspondents.leave(target, forward, "silent")

    def _take(self, target: Correspondent, forward: Forward, until: float, now: float) -> None:
        self._held_down.pop(forward.pair, None)
        self._correspondents.use(target, forward, until)
        self._keepalives.set((target.address, forward.pair), now + KEEPALIVE_TIME)
        if not self._client.behind_nat:  # spec ENC-11
            self._encapsulations.improve(target, now)

    # --- keeping

    def next_timer(self) -> float | None:
        """When a direct path in use is to be asked for a sign of life."""
        return self._keepalives.next_timer()

    def handle_timer(self, now: float) -> None:
        """Ask where data goes (spec RO-16)."""
        for key in list(self._keepalives.take(now)):
            target = self._correspondents.get(key[0])
            forward = target.forward.get(key[1]) if target else None
            if target and forward and forward.stage is Stage.FORWARDING:
                idle = now - forward.use.last > KEEPALIVE_TIME
                self._keepalives.set(key, now + (LOOK_AGAIN if idle else KEEPALIVE_TIME))
                if not idle:
                    self._ask(target, forward, now)

    def confirm(self, target: Correspondent, now: float) -> None:
        """Ask a neighbor that has moved, or that we moved away from, for a sign of life of its path."""
        forwards = list(target.forward.values())
        using = [each for each in forwards if each.stage is Stage.FORWARDING]
        for forward in using[:1]:
            self._ask(target, forward, now)
        for forward in forwards:
            if forward.stage is Stage.TESTING and target.paths:
                forward.untested.clear()
                self._test(target, forward, _udp(target), now)
        path = target.path
        if not forwards and path:
            self._solicitations.send(target, path.lladdr, now, answered=partial(self._reached, path))

    def _reached(self, path: Path, solicitation: Solicitation, answer: Answer, now: float) -> None:
        path.reachability, path.last_received = Reachability.REACHABLE, now
        if isinstance(solicitation.neighbor, Correspondent):
            solicitation.neighbor.unanswered.discard(path.lladdr)

    def _nowhere(self, solicitation: Solicitation, now: float) -> None:
        target = solicitation.neighbor
        if isinstance(target, Correspondent) and solicitation.lladdr in target.unanswered:
            self._correspondents.lose(target, solicitation.lladdr)

    def _ask(self, target: Correspondent, forward: Forward, now: float) -> None:
        path = target.path
        if path is None:
            self.lost(target, now)
            return
        self._solicitations.send(
            target,
            path.lladdr,
            now,
            own=forward.own,
            answered=partial(self._alive, forward, path),
            lost=partial(self._dead, forward, path),
        )

    def _alive(self, forward: Forward, path: Path, solicitation: Solicitation, answer: Answer, now: float) -> None:
        target = solicitation.neighbor
        self._reached(path, solicitation, answer, now)
        if isinstance(target, Correspondent) and path in target.paths and forward.stage is Stage.FORWARDING:
            self._correspondents.use(target, forward, now + FORWARD_TIME)

    def _dead(self, forward: Forward, path: Path, solicitation: Solicitation, now: float) -> None:
        target = solicitation.neighbor
        if not isinstance(target, Correspondent) or path not in target.paths:
            return
        if path is not target.path:
            return  # another one is in use by now, and will be asked
        path.reachability = Reachability.FAILED
        self._correspondents.cache.changed()
        self._correspondents.outbox.say("path-failed", neighbor=target.address, lladdr=str(path.lladdr))
        self._encapsulations.fall_back(target, path, now)
        self.lost(target, now)

    def moved(self) -> None:
        """From where we are now, what was silent may answer."""
        self._held_down.clear()

    def seen(self, target: Correspondent, lladdr: LinkLayerAddress, now: float) -> None:
        """A correspondent proved to be at a link-layer address that nobody told of: it is tested, too (spec RO-15)."""
        for forward in target.forward.values():
            self._test(target, forward, [lladdr], now)
        path = target.path_at(lladdr)
        if path and not target.forward:
            self._solicitations.send(target, lladdr, now, answered=partial(self._reached, path), lost=self._nowhere)

    def lost(self, target: Correspondent, now: float) -> None:
        """The path in use is dead: everything goes through the Server, at once; what is left is tested (spec RO-16)."""
        left = [path.lladdr for path in target.paths if path.reachability is not Reachability.FAILED]
        left = [lladdr for lladdr in left if lladdr in _udp(target)]
        for forward in list(target.forward.values()):
            if forward.stage is not Stage.FORWARDING:
                continue
            if left:
                self._correspondents.pause(target, forward, now + TEST_TIME, "path-failed")
                self._test(target, forward, left, now)
            else:
                self._correspondents.leave(target, forward, "path-failed")


def _udp(target: Correspondent) -> list[LinkLayerAddress]:
    """Its link-layer addresses that control packets go to (spec §2.10)."""
    return [path.lladdr for path in target.paths if path.lladdr.encapsulation is Encapsulation.UDP]
