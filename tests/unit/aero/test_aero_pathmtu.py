"""The tune-out state machine, driven with a fake clock against simulated paths (spec §3.1, §3.5)."""

from __future__ import annotations

import copy
import enum

import pytest
from aero_packets import Recorder, ipv6, neighbor

from agents.aero.dataplane.departure import Departure
from agents.aero.dataplane.exits import exit_over
from agents.aero.dataplane.pathmtu import PathMtu, Probe, Purpose, State

pytestmark = pytest.mark.requirement("FRAG-3", "FRAG-13")
H = 48


class Path:
    """A path of some true MTU that answers probes (or not), with or without Packet Too Big."""

    def __init__(self, machine: PathMtu, mtu: int, *, too_big: bool = True, silent: bool = False) -> None:
        self.machine = machine
        self.mtu = mtu
        self.too_big = too_big
        self.silent = silent
        self.sent: list[Probe] = []

    def run(self, start: float, end: float) -> None:
        now = start
        for _turn in range(1000):
            for probe in list(self.machine.probes(now)):
                self.sent.append(probe)
                if self.silent:
                    continue
                if probe.size <= self.mtu:
                    self.machine.answered(probe, now)
                elif self.too_big:
                    self.machine.too_big(self.mtu, now)
            due = self.machine.next_timer()
            if due is None or due > end:
                return
            now = max(now, due)
        raise AssertionError("the machine does not come to rest")


def machine(egress: int = 1600) -> PathMtu:
    return PathMtu(H, egress, floor=1280)


class Fate(enum.Enum):
    """How an inner packet travels."""

    WHOLE = "whole, may be cut under way"
    PROVEN = "whole, not to be cut"
    SPLIT = "in parts"
    TOO_BIG = "not at all"


def fate(machine: PathMtu, inner: int) -> Fate:
    """What becomes of an inner packet at this moment; the machine itself does not hear of it."""
    peer = neighbor("2001:db8:1::/64", "2001:db8:f::1")
    [path] = peer.paths
    path.size = copy.deepcopy(machine)
    sink, refused = Recorder(), []
    departure = Departure(sink, lambda _packet, mtu: refused.append(mtu), dpd=False)
    departure.send(exit_over(peer, path), memoryview(ipv6("2001:db8:2::1", "2001:db8:1::1", inner)), 0.0)
    if refused:
        assert not sink.sent
        assert refused == [machine.inner_mtu]
        return Fate.TOO_BIG
    [first, *others] = sink.sent
    if others:
        return Fate.SPLIT
    return Fate.PROVEN if first.df else Fate.WHOLE


def test_a_sufficient_path_is_proven_at_once():
    found = machine()
    assert fate(found, 1500) is Fate.SPLIT
    found.used(1500, 0.0)
    path = Path(found, 1600)
    path.run(0.0, 0.1)
    assert [probe.size for probe in path.sent] == [1548]
    assert (found.state, found.proven) == (State.WHOLE, 1548)
    assert fate(found, 1500) is Fate.PROVEN


def test_too_big_leads_straight_to_what_fits():
    found = machine()
    found.used(1400, 0.0)
    path = Path(found, 1500)
    path.run(0.0, 0.1)
    assert [probe.size for probe in path.sent] == [1548, 1500]
    assert [fate(found, size) for size in (1452, 1453)] == [Fate.PROVEN, Fate.SPLIT]


def test_without_too_big_the_candidates_are_tried_three_times_each():
    found = machine()
    found.used(1400, 0.0)
    path = Path(found, 1400, too_big=False)
    path.run(0.0, 20.0)
    assert [probe.size for probe in path.sent] == [1548] * 3 + [1500] * 3 + [1492] * 3 + [1400]
    assert found.proven == 1400


def test_nothing_gets_through_whole():
    found = machine()
    found.used(1400, 0.0)
    path = Path(found, 1280, too_big=False)
    path.run(0.0, 30.0)
    assert found.state is State.FRAG
    assert [fate(found, size) for size in (1232, 1233, 1280, 1500)] == [Fate.WHOLE, Fate.SPLIT, Fate.SPLIT, Fate.SPLIT]
    path.sent.clear()
    path.mtu = 1600
    path.run(30.0, 700.0)
    assert found.proven == 1548


def test_a_narrow_path_of_1280_with_too_big():
    found = machine()
    found.used(1400, 0.0)
    Path(found, 1280).run(0.0, 0.1)
    assert [fate(found, size) for size in (1232, 1233)] == [Fate.PROVEN, Fate.SPLIT]


def test_base_probe_at_attach():
    found = machine(1500)
    found.begin(0.0, base=True)
    path = Path(found, 1300, too_big=False)
    path.run(0.0, 30.0)
    assert Probe(Purpose.BASE, 1328) in path.sent
    assert found.mtu == 1280
    assert fate(found, 1280) is Fate.SPLIT


def test_too_big_in_mid_flow_brings_fragments_back():
    found = machine()
    found.used(1500, 0.0)
    path = Path(found, 1600)
    path.run(0.0, 0.1)
    path.mtu = 1400
    found.too_big(1400, 5.0)
    assert (found.proven, found.state) == (0, State.PROBING)
    assert fate(found, 1352) is Fate.SPLIT
    path.run(5.0, 5.1)
    assert found.proven == 1400


def test_black_hole_is_found_by_confirmation():
    found = machine()
    found.used(1500, 0.0)
    path = Path(found, 1600, too_big=False)
    path.run(0.0, 0.1)
    found.used(1500, 10.0)
    path.mtu = 1400
    path.sent.clear()
    path.run(0.1, 64.0)
    assert path.sent[:2] == [Probe(Purpose.CONFIRM, 1548), Probe(Purpose.SMALL, 0)]
    assert fate(found, 1500) is Fate.SPLIT
    path.run(64.0, 75.0)
    assert found.proven == 1400


def test_a_silent_neighbor_is_no_black_hole():
    found = machine()
    found.used(1500, 0.0)
    path = Path(found, 1600)
    path.run(0.0, 0.1)
    found.used(1500, 10.0)
    path.silent = True
    path.run(0.1, 70.0)
    assert found.proven == 1548


def test_no_confirmation_without_large_packets():
    found = machine()
    found.used(1500, 0.0)
    path = Path(found, 1600)
    path.run(0.0, 0.1)
    path.sent.clear()
    path.run(0.1, 500.0)
    assert path.sent == []


def test_more_is_looked_for_after_a_while():
    found = machine()
    found.used(1500, 0.0)
    path = Path(found, 1500)
    path.run(0.0, 1.0)
    assert found.proven == 1500
    path.mtu = 1600
    path.run(1.0, 601.0)
    assert found.proven == 1548


def test_large_packets_whole_or_too_big():
    found = machine(9000)
    assert fate(found, 8000) is Fate.PROVEN
    found.used(8000, 0.0)
    path = Path(found, 9000)
    path.run(0.0, 0.1)
    assert found.proven == 8048
    found.too_big(1500, 1.0)
    assert fate(found, 8000) is Fate.TOO_BIG
    assert found.inner_mtu == 1500


def test_no_size_below_the_floor_is_believed():
    found = machine()
    found.too_big(1279, 0.0)
    assert found.mtu == 1600


def test_a_wider_link_is_used_when_a_large_packet_wants_it():
    """The own interface was the narrow one; what is proven stays proven while more is looked for."""
    found = machine(1500)
    found.used(1500, 0.0)
    path = Path(found, 1600)
    path.run(0.0, 0.1)
    assert (found.proven, found.mtu) == (1500, 1500)
    found.egress(1600, 10.0)
    assert (found.proven, found.mtu) == (1500, 1600)
    path.sent.clear()
    found.used(1400, 11.0)
    path.run(11.0, 12.0)
    assert path.sent == [], "1400 octets fit already"
    found.used(1500, 12.0)
    path.run(12.0, 12.1)
    assert [probe.size for probe in path.sent] == [1548]
    assert (found.state, found.proven) == (State.WHOLE, 1548)


def test_a_wider_link_is_tried_after_a_while_at_the_latest():
    found = machine(1500)
    found.used(1500, 0.0)
    path = Path(found, 1600)
    path.run(0.0, 0.1)
    found.egress(1600, 10.0)
    path.run(10.0, 609.0)
    assert found.proven == 1500
    path.run(609.0, 611.0)
    assert found.proven == 1548


def test_a_wider_link_ends_fragmentation_of_everything():
    found = machine(1280)
    found.used(1500, 0.0)
    path = Path(found, 1279, too_big=False)
    path.run(0.0, 10.0)
    assert found.state is State.FRAG
    path.mtu = 1600
    found.egress(1600, 10.0)
    found.used(1500, 11.0)
    path.run(11.0, 11.1)
    assert (found.state, found.proven) == (State.WHOLE, 1548)


def test_a_narrower_link_is_believed_at_once():
    found = machine(1600)
    found.used(1500, 0.0)
    path = Path(found, 1600)
    path.run(0.0, 0.1)
    found.egress(1400, 10.0)
    path.mtu = 1400
    assert fate(found, 1400) is Fate.SPLIT
    path.run(10.0, 10.1)
    assert (found.proven, found.ceiling) == (1400, 1400)


def test_an_egress_that_promises_more_than_the_path_holds():
    """Nobody says Too Big: the larger probes are lost, and what was proven goes on whole."""
    found = machine(1500)
    found.used(1500, 0.0)
    path = Path(found, 1500, too_big=False)
    path.run(0.0, 0.1)
    found.egress(9000, 10.0)
    found.used(1500, 10.0)
    path.run(10.0, 30.0)
    assert (found.state, found.proven) == (State.WHOLE, 1500)
    assert fate(found, 1452) is Fate.PROVEN


def test_a_black_hole_is_left_within_the_time_of_the_sheet():
    """Scenario 9: fragments return within 63 s after the MTU fell and nobody said so."""
    found = machine()
    path = Path(found, 1600, too_big=False)
    found.used(1500, 0.0)
    path.run(0.0, 0.1)
    path.mtu = 1400
    for second in range(1, 64):
        found.used(1500, float(second))
        path.run(float(second), float(second))
    assert fate(found, 1500) is Fate.SPLIT


def test_a_large_packet_that_came_while_another_size_was_probed_is_probed_next():
    """Spec §3.1: a packet of more than 1500 octets that goes whole starts a probe of its size."""
    found = machine(9000)
    found.begin(0.0)
    assert [probe.size for probe in found.probes(0.0)] == [1548]
    found.used(8000, 0.005)
    found.answered(Probe(Purpose.FIND, 1548), 0.01)
    path = Path(found, 9000)
    path.run(0.01, 0.1)
    assert [probe.size for probe in path.sent] == [8048]
    assert found.proven == 8048


def test_large_packets_do_not_vanish_for_long_where_nobody_says_too_big():
    """The interface takes 9000, the path 1600: the source must hear of a size that arrives, not of one octet less."""
    found = machine(9000)
    path = Path(found, 1600, too_big=False)
    size, vanished = 8000, 0
    for second in range(120):
        if fate(found, size) is Fate.TOO_BIG:
            size = found.inner_mtu
        vanished += fate(found, size) is Fate.PROVEN and size + H > 1600
        found.used(size, float(second))
        path.run(float(second), float(second))
    assert size == 1500
    assert vanished < 15
    assert fate(found, 1452) is Fate.PROVEN
    path.mtu = 9000
    path.run(120.0, 900.0)
    assert fate(found, 8000) is Fate.PROVEN


def test_a_jumbo_packet_that_does_not_fit_takes_nothing_from_the_others():
    """What 1500 octets need is a candidate below any larger size (spec FRAG-3)."""
    found = machine(9000)
    found.used(8000, 0.0)
    path = Path(found, 4000, too_big=False)
    path.run(0.0, 10.0)
    assert [probe.size for probe in path.sent] == [8048] * 3 + [1548]
    assert fate(found, 1500) is Fate.PROVEN
