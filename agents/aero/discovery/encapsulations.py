"""Other encapsulations than UDP: tried with solicitations, used once answered, left when they fail (spec §2.10, ENC-9).

Each sender tries for its own direction (ENC-10).  A neighbor behind a NAT stays on UDP (ENC-11).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from ipaddress import IPv6Address

from agents.aero.constants import FALLBACK_TIME
from agents.aero.discovery.base import Answer, Solicitation, Solicitations
from agents.aero.lladdr import Encapsulation, LinkLayerAddress, Underlay
from agents.aero.neighbors import Neighbor, Path
from agents.timers import Timers


class Encapsulations:
    """Brings neighbors to the encapsulation this node prefers, and back to UDP when that fails."""

    def __init__(self, solicitations: Solicitations, wanted: Encapsulation) -> None:
        self._solicitations = solicitations
        self._wanted = wanted
        self._again: Timers[IPv6Address] = Timers()
        self.behind_nat: Callable[[], bool] = lambda: False
        """Whether this node is itself what others see elsewhere."""

    def next_timer(self) -> float | None:
        """When a failed encapsulation is tried again."""
        return self._again.next_timer()

    def handle_timer(self, now: float) -> None:
        """Try again."""
        for address in list(self._again.take(now)):
            neighbor = self._solicitations.cache.get(address)
            if neighbor:
                self.improve(neighbor, now)

    def improve(self, neighbor: Neighbor, now: float) -> None:
        """Try the preferred encapsulation at every underlay address of the neighbor that it may be used with."""
        if self._wanted is Encapsulation.UDP or self.behind_nat():
            return
        for path in list(neighbor.paths):
            if path.lladdr.encapsulation is Encapsulation.UDP and not path.nat:
                self._try(neighbor, path, now)

    def take_up(
        self, neighbor: Neighbor, lladdr: LinkLayerAddress, solicitation: Solicitation, answer: Answer, now: float
    ) -> bool:
        """Use the preferred encapsulation where our own question has just been answered in it, whoever began to ask:
        a neighbor that had not started when it was tried says so by trying itself (ENC-10); whether it is this one."""
        plain = (path for path in neighbor.paths if path.lladdr.encapsulation is Encapsulation.UDP)
        base = next((path for path in plain if path.lladdr.ip == lladdr.ip), None)
        if lladdr.encapsulation is not self._wanted or base is None:
            return False
        self._works(base, solicitation, answer, now)
        return True

    def _try(self, neighbor: Neighbor, base: Path, now: float) -> None:
        lladdr = LinkLayerAddress(self._wanted, base.lladdr.ip, self._wanted.port)
        if neighbor.path_at(lladdr) and neighbor.path_at(lladdr) is neighbor.path:
            return
        if not self._solicitations.waiting_for(lladdr):
            answered = partial(self._works, base)
            self._solicitations.send(neighbor, lladdr, now, answered=answered, lost=self._failed)

    def _works(self, base: Path, solicitation: Solicitation, answer: Answer, now: float) -> None:
        neighbor, lladdr = solicitation.neighbor, solicitation.lladdr
        if base not in neighbor.paths or base.nat:
            return
        path = admit(self._solicitations, neighbor, base, lladdr)
        path.preference = base.preference + 1
        path.last_received = now
        self._solicitations.cache.changed()
        self._solicitations.outbox.say("encapsulation-used", neighbor=neighbor.address, lladdr=str(lladdr))
        if lladdr.encapsulation is Encapsulation.MINIMAL:
            path.fragments = False
            self._solicitations.send(neighbor, lladdr, now, answered=partial(self._fragments_pass, path), atomic=True)

    def _fragments_pass(self, path: Path, solicitation: Solicitation, answer: Answer, now: float) -> None:
        """A Fragment Header got through; whether it came back tells if its identification survives (FRAG-14)."""
        path.fragments = True
        path.identifications = answer.atomic
        self._solicitations.cache.changed()
        self._solicitations.outbox.say(
            "fragments-pass",
            neighbor=solicitation.neighbor.address,
            lladdr=str(path.lladdr),
            identifications=answer.atomic,
        )

    def _failed(self, solicitation: Solicitation, now: float) -> None:
        self._again.set(solicitation.neighbor.address, now + FALLBACK_TIME)

    def fall_back(self, neighbor: Neighbor, path: Path, now: float) -> bool:
        """A path is unusable: leave it for UDP, if it is not the last one; whether that was possible (ENC-9)."""
        if path.lladdr.encapsulation is Encapsulation.UDP:
            return False
        self._solicitations.forget(neighbor, path)
        remaining = [each for each in neighbor.paths if each is not path]
        self._solicitations.cache.set_paths(neighbor, remaining)
        self._again.set(neighbor.address, now + FALLBACK_TIME)
        self._solicitations.outbox.say(
            "encapsulation-left", neighbor=neighbor.address, lladdr=str(path.lladdr), paths=len(remaining)
        )
        return bool(remaining)

    def leave(self, neighbor: Neighbor, now: float, ip: Underlay | None = None) -> None:
        """There is a NAT between us and the neighbor, or that address of it: what goes there goes by UDP (ENC-11)."""
        for path in [each for each in neighbor.paths if ip in (None, each.lladdr.ip)]:
            if path.lladdr.encapsulation is not Encapsulation.UDP:
                self.fall_back(neighbor, path, now)


def admit(solicitations: Solicitations, neighbor: Neighbor, base: Path, lladdr: LinkLayerAddress) -> Path:
    """Take up a further link-layer address of a neighbor at an underlay address that is known to be its own."""
    known = neighbor.path_at(lladdr)
    if known:
        return known
    path = Path.to(lladdr, base.size.egress_mtu, link_id=base.link_id, preference=0)
    solicitations.cache.set_paths(neighbor, [*neighbor.paths, path])
    return path
