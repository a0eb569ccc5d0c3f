"""Route optimisation of cores in virtual time: paths found, kept, left; NATs; forgeries (spec RO-*, §9)."""

from __future__ import annotations

import itertools
import random
from ipaddress import IPv6Address, ip_address

import pytest
from aero_domain import START, Link, Nat
from aero_packets import ipv4, ipv6

from agents.aero.config import OptimisationConfig
from agents.aero.dataplane.exits import exit_over
from agents.aero.notices import TooBig, Unreachable
from agents.aero.optimisation.pairs import Correspondent

ONE, TWO = "2001:db8:1000:2000::10", "2001:db8:1000:2100::20"


def forth(number: int) -> bytes:
    return bytes(ipv6(ONE, TWO, 100))


def back(number: int) -> bytes:
    return bytes(ipv6(TWO, ONE, 100))


def two_clients(*, one: dict | None = None, two: dict | None = None, server: dict | None = None):
    link = Link()
    home = link.add_server(1, **(server or {}))
    first = link.add_client(1, [home], **(one or {}))
    second = link.add_client(2, [home], **(two or {}))
    link.attach(first, second)
    return link, home, first, second


def of(node):
    return [each for each in node.core.cache if isinstance(each, Correspondent)]


def hops(packet: bytes) -> int:
    return packet[7] if packet[0] >> 4 == 6 else packet[8]


@pytest.mark.requirement("RO-1", "RO-3", "RO-4", "RO-5", "RO-11", "RO-12", "RO-13", "RO-14", "MODEL-0")
def test_a_flow_takes_the_direct_path_after_one_test():
    link, home, first, second = two_clients()
    sent = link.flow(first, forth, seconds=1)
    assert len(second.delivered) == sent
    limits = [hops(packet) for _t, packet in second.delivered]
    assert limits == sorted(limits)  # 63 through the Server, then 64: once the other way, never back
    assert limits[0] == 63
    assert limits[-1] == 64
    switched = next(t for t, packet in second.delivered if hops(packet) == 64)
    assert switched - link.events[0][0] < 2
    through = home.forwarded
    link.flow(first, forth, seconds=10)
    assert home.forwarded == through
    (peer,) = of(first)
    assert peer.accept == {}
    assert [each.stage.value for each in peer.forward.values()] == ["forwarding"]
    assert of(second)[0].forward == {}


@pytest.mark.requirement("RO-19", "RO-14")
def test_an_ipv4_flow_beside_an_ipv6_flow():
    families = {"families": ("ipv6", "ipv4")}
    link, home, first, second = two_clients(one=families, two=families)
    link.run(2)

    def four(number: int) -> bytes:
        return bytes(ipv4("192.0.2.17", "192.0.2.33", 100))

    link.flow(first, four, seconds=1)
    link.flow(first, forth, seconds=1)
    through = home.forwarded
    before = len(second.delivered)
    link.flow(first, four, seconds=8)
    link.flow(first, forth, seconds=8)
    assert home.forwarded == through
    assert len(second.delivered) == before + 800
    assert {str(each.address) for each in of(first)} == {"fe80::ffff:c000:220", "fe80::2001:db8:1000:2100"}


def test_directions_are_optimised_for_themselves():
    link, home, first, second = two_clients()
    link.flow(first, forth, seconds=1)
    link.send(second, back(0))
    link.run(link.now - START + 0.015)
    assert home.forwarded > 0
    link.flow(second, back, seconds=1)
    assert [each.stage.value for each in of(second)[0].forward.values()] == ["forwarding"]
    assert of(second)[0].accept


@pytest.mark.parametrize("framing", ["nd", "rfc6706"])
def test_both_framings(framing):
    settings = {"optimisation": OptimisationConfig(framing=framing)}
    _link, _home, first, second = two_clients(one=settings, two=settings, server=settings)
    _link.flow(first, forth, seconds=1)
    assert hops(second.delivered[-1][1]) == 64


@pytest.mark.requirement("RO-6")
def test_a_target_may_refuse():
    link, _home, first, second = two_clients(two={"optimisation": OptimisationConfig(target=False)})
    link.flow(first, forth, seconds=5)
    assert not of(first)
    assert not of(second)
    assert second.core.counters["predirect_refused"] == 2
    assert hops(second.delivered[-1][1]) == 63


@pytest.mark.requirement("RO-12")
def test_without_the_test_the_path_is_used_at_once():
    link, _home, first, second = two_clients(one={"optimisation": OptimisationConfig(probe=False)})
    link.flow(first, forth, seconds=1)
    assert hops(second.delivered[-1][1]) == 64


@pytest.mark.requirement("RO-17")
def test_idle_pairs_expire_in_silence():
    link, _home, first, second = two_clients()
    link.flow(first, forth, seconds=1)
    (switch,) = [t for t, _node, name, _f in link.events if name == "direct-path-used"]
    link.run(10)
    for node in (first, second):
        node.sent.clear()
    link.run(switch - START + 5 + 29.9)  # five seconds after the switch data was fresh: one sign of life was asked for
    assert of(first)
    link.run(switch - START + 5 + 30.1)
    assert not of(first)
    assert of(second)
    link.run(switch - START + 5 + 40.2)
    assert not of(second)
    peers = {first.core.address, second.core.address}
    assert not [a for a in first.sent + second.sent if IPv6Address(a.packet[24:40]) in peers]


@pytest.mark.requirement("RO-16")
@pytest.mark.parametrize("after", [1.0, 3.3, 7.0, 12.4])
def test_a_dead_path_is_left_within_eight_seconds(after):
    link, _home, first, second = two_clients()
    link.flow(first, forth, seconds=after)
    died = link.now
    link.passes = lambda a, b, _lladdr: {a, b} != {first, second}
    link.flow(first, forth, seconds=10)
    again = next(t for t, packet in second.delivered if t > died + 0.02)
    assert again - died <= 8.05
    assert hops(second.delivered[-1][1]) == 63
    link.passes = lambda *_any: True


@pytest.mark.requirement("RO-2", "RO-20")
def test_a_path_that_never_works_stays_on_the_server():
    link, _home, first, second = two_clients()
    link.passes = lambda a, b, _lladdr: {a, b} != {first, second}
    sent = link.flow(first, forth, seconds=200, rate=5)
    assert len(second.delivered) == sent
    times = [t - START for t, _node, name, _f in link.events if name == "predirect"]
    gaps = [b - a for a, b in itertools.pairwise(times)]
    assert [round(gap) for gap in gaps] == [2, 4, 8, 16, 32, 60, 60][: len(gaps)]
    assert len(gaps) >= 6
    assert first.core.counters["redirect_held_down"] >= 1


@pytest.mark.requirement("RO-2")
@pytest.mark.parametrize(("burst", "pause"), [(1, 3.0), (1, 10.0), (50, 2.5)])
def test_a_flow_with_pauses_that_never_goes_directly_is_not_asked_about_all_the_time(burst, pause):
    link, _home, first, second = two_clients()
    link.passes = lambda a, b, _lladdr: {a, b} != {first, second}
    while link.now < START + 300:
        link.flow(first, forth, seconds=burst / 50)
        link.run(link.now - START + pause)
    times = [t - START for t, _node, name, _f in link.events if name == "predirect"]
    assert len(times) <= (12 if burst == 1 else 50)


@pytest.mark.requirement("RO-2")
def test_a_fast_flow_that_lapses_again_and_again_begins_anew_each_time():
    link, home, first, second = two_clients()
    link.flow(first, forth, seconds=5)
    for _time in range(6):
        link.flow(first, forth, seconds=40)
        link.passes = lambda a, b, _lladdr: {a, b} != {first, second}
        link.flow(first, forth, seconds=8.5)
        link.passes = lambda *_any: True
        through = home.forwarded
        link.flow(first, forth, seconds=15)
        assert hops(second.delivered[-1][1]) == 64
        assert home.forwarded - through < 50 * 14


@pytest.mark.requirement("RO-2")
def test_an_optimised_pair_that_lapsed_begins_anew():
    link, _home, first, _second = two_clients()
    link.flow(first, forth, seconds=1)
    link.run(45)
    link.flow(first, forth, seconds=1)
    assert len(link.said("predirect")) == 2
    assert of(first)


@pytest.mark.requirement("RO-15", "RO-5")
@pytest.mark.parametrize(
    ("one", "two", "direct"),
    [
        ("cone", None, True),
        (None, "restricted", True),
        ("restricted", "restricted", True),
        ("cone", "restricted", True),
        ("symmetric", None, True),
        (None, "symmetric", True),
        ("symmetric", "cone", True),
        ("symmetric", "restricted", False),
        ("symmetric", "symmetric", False),
    ],
)
def test_nats_in_front_of_one_or_both(one, two, direct):
    nats = [
        {"nat": Nat(f"10.{i}.1.2", f"198.51.100.{100 + i}", 30000 + 1000 * i, kind)} if kind else {}
        for i, kind in ((1, one), (2, two))
    ]
    link, _home, first, second = two_clients(one=nats[0], two=nats[1])
    for _attempt in range(2):  # both ways at the same time
        for _packet in range(100):
            link.send(first, forth(0))
            link.send(second, back(0))
            link.run(link.now - START + 0.05)
    assert (hops(second.delivered[-1][1]), hops(first.delivered[-1][1])) == ((64, 64) if direct else (63, 63))
    assert len(second.delivered) == len(first.delivered) == 200


@pytest.mark.requirement("RO-20")
def test_two_clients_behind_one_nat_stay_on_the_server():
    inside = [{"nat": Nat(f"10.1.1.{i}", "198.51.100.1", 30000 + i)} for i in (2, 3)]
    link, _home, first, second = two_clients(one=inside[0], two=inside[1])
    sent = link.flow(first, forth, seconds=20)
    assert len(second.delivered) == sent
    assert hops(second.delivered[-1][1]) == 63
    assert not link.said("direct-path-used")


@pytest.mark.requirement("ENC-10", "ENC-11")
def test_minimal_encapsulation_between_clients_once_proved():
    link, _home, first, second = two_clients(one={"encapsulation": "minimal"}, two={"encapsulation": "minimal"})
    link.flow(first, forth, seconds=2)
    (peer,) = of(first)
    assert peer.path.lladdr.encapsulation.name == "MINIMAL"
    assert hops(second.delivered[-1][1]) == 64
    died = link.now
    link.passes = lambda a, b, lladdr: {a, b} != {first, second} or lladdr.encapsulation.name == "UDP"
    link.flow(first, forth, seconds=12)
    again = next(t for t, packet in second.delivered if t > died + 0.02)
    assert again - died <= 8.05
    assert of(first)[0].path.lladdr.encapsulation.name == "UDP"
    assert hops(second.delivered[-1][1]) == 64


@pytest.mark.parametrize("word", ["too big", "unreachable"])
def test_what_the_underlay_says_of_a_correspondent_that_is_gone(word):
    link, _home, first, second = two_clients(one={"encapsulation": "minimal"}, two={"encapsulation": "minimal"})
    link.flow(first, forth, seconds=2)
    (peer,) = of(first)
    assert len(peer.paths) == 2
    link.run(60)
    assert not of(first)
    there = peer.path.lladdr
    link.feed(first, TooBig(there.ip, 1400) if word == "too big" else Unreachable(there, protocol=True))
    link.flow(first, forth, seconds=2)
    assert hops(second.delivered[-1][1]) == 64


@pytest.mark.requirement("RO-14", "RO-13")
def test_only_the_accepted_pair_comes_in_directly():
    link, _home, first, second = two_clients()
    link.flow(first, forth, seconds=1)
    before = len(second.delivered)
    foreign = bytes(ipv6("2001:db8:1000:ff00::1", TWO, 100))
    peer = of(first)[0]
    first.plane._departure.send(exit_over(peer, peer.path), memoryview(foreign), link.now)
    link.run(link.now - START + 0.1)
    assert len(second.delivered) == before
    assert second.plane.counters["origin_fail"] == 1


def both_ways(link, first, second, seconds: float, rate: float = 10.0) -> int:
    count = int(seconds * rate)
    for _packet in range(count):
        link.send(first, forth(0))
        link.send(second, back(0))
        link.run(link.now - START + 1 / rate)
    return count


@pytest.mark.requirement("RO-5", "RO-16")
@pytest.mark.parametrize("seed", range(10))
def test_lost_control_packets_delay_a_path_and_break_nothing(seed):
    chance = random.Random(seed)
    link, _home, first, second = two_clients()
    link.lose = lambda _a, _b, packet: len(packet) != 100 and chance.random() < 0.2
    sent = both_ways(link, first, second, 120)
    assert min(len(second.delivered), len(first.delivered)) > 0.8 * sent
    link.lose = lambda *_any: False
    both_ways(link, first, second, 10)
    before = len(second.delivered), len(first.delivered)
    sent = both_ways(link, first, second, 130)
    assert (len(second.delivered), len(first.delivered)) == (before[0] + sent, before[1] + sent)
    assert hops(second.delivered[-1][1]) == hops(first.delivered[-1][1]) == 64


def test_addresses_of_the_domain_are_what_the_tests_think():
    _link, _home, first, second = two_clients()
    assert ip_address(ONE) in next(iter(first.core.prefixes))
    assert ip_address(TWO) in next(iter(second.core.prefixes))
