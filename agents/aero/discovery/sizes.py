"""Runs the path MTU machines: their probes are padded solicitations (spec §3.5, §3.6)."""

from __future__ import annotations

from functools import partial

from agents.aero.dataplane.pathmtu import Probe
from agents.aero.discovery.base import Answer, Solicitation, Solicitations
from agents.aero.neighbors import Neighbor, Path
from agents.timers import Timers


class Sizes:
    """Sends the probes of all paths whose size matters, and tells their machines of the answers."""

    def __init__(self, solicitations: Solicitations) -> None:
        self._solicitations = solicitations
        self._timers: Timers[Path] = Timers()
        self._neighbors: dict[Path, Neighbor] = {}

    def begin(self, neighbor: Neighbor, path: Path, now: float, *, base: bool = False) -> None:
        """Find out what fits, e.g. at attach; `base` probes for 1280 inner octets too."""
        path.size.begin(now, base=base)
        self.wanted(neighbor, path, now)

    def wanted(self, neighbor: Neighbor, path: Path, now: float) -> None:
        """The path's machine may have something to do."""
        self._neighbors[path] = neighbor
        self._arm(path)
        self.handle_timer(now)

    def next_timer(self) -> float | None:
        """When a machine has something to probe or to give up."""
        return self._timers.next_timer()

    def handle_timer(self, now: float) -> None:
        """Probe what is due."""
        for path in list(self._timers.take(now)):
            neighbor = self._neighbors[path]
            if path in neighbor.paths and self._solicitations.cache.get(neighbor.address) is neighbor:
                self._probe(neighbor, path, now)
            else:
                del self._neighbors[path]

    def _probe(self, neighbor: Neighbor, path: Path, now: float) -> None:
        before = (path.size.mtu, path.size.proven)
        for probe in path.size.probes(now):
            inner = probe.size - path.size.overhead if probe.size else 0
            answered = partial(self._answered, path, probe)
            self._solicitations.send(neighbor, path.lladdr, now, answered=answered, retries=1, size=inner)
        self._note(neighbor, path, before)
        self._arm(path)

    def _arm(self, path: Path) -> None:
        due = path.size.next_timer()
        if due is not None:
            self._timers.set(path, due)
        else:
            self._timers.cancel(path)
            self._neighbors.pop(path, None)

    def _answered(self, path: Path, probe: Probe, solicitation: Solicitation, answer: Answer, now: float) -> None:
        if path not in solicitation.neighbor.paths:
            return  # the link-layer address is another by now
        seen = answer.observed.size if answer.observed else 0
        if seen and solicitation.size and seen < solicitation.size:
            return  # something on the way cut the padding off: nothing is proven
        before = (path.size.mtu, path.size.proven)
        path.size.answered(probe, now)
        self._note(solicitation.neighbor, path, before)
        self._neighbors.setdefault(path, solicitation.neighbor)
        self._arm(path)

    def too_big(self, neighbor: Neighbor, path: Path, mtu: int, now: float) -> None:
        """The underlay named a size (spec §2.8)."""
        before = (path.size.mtu, path.size.proven)
        path.size.too_big(mtu, now)
        self._note(neighbor, path, before)
        self.wanted(neighbor, path, now)

    def egress(self, neighbor: Neighbor, path: Path, mtu: int, now: float) -> None:
        """The interface a path begins at has this MTU now."""
        if mtu == path.size.egress_mtu:
            return
        before = (path.size.mtu, path.size.proven)
        path.size.egress(mtu, now)
        self._note(neighbor, path, before)
        self.wanted(neighbor, path, now)

    def _note(self, neighbor: Neighbor, path: Path, before: tuple[int, int]) -> None:
        after = (path.size.mtu, path.size.proven)
        if after == before:
            return
        self._solicitations.cache.changed()
        self._solicitations.outbox.say(
            "path-size",
            neighbor=neighbor.address,
            lladdr=str(path.lladdr),
            state=path.size.state.value,
            mtu=path.size.mtu,
            proven=path.size.proven,
        )
