"""Timers, pools, identities, freshness: the small parts that the cores are made of."""

from ipaddress import IPv6Address, IPv6Network
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.dgw.exchanges import Pacer
from agents.dgw.freshness import Freshness, Stamper, ticks
from agents.dgw.identity import complete_identity, link_local_of, mac_of, own_identity
from agents.dgw.pool import PoolEmpty, PrefixPool
from agents.timers import Timers
from agents.wire.mobility_codes import Status


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.one_of(st.none(), st.floats(0, 100)))))
def test_timers_keep_the_last_word(changes):
    timers, model = Timers(), {}
    for key, due in changes:
        if due is None:
            timers.cancel(key)
            model.pop(key, None)
        else:
            timers.set(key, due)
            model[key] = due
    assert timers.next_timer() == min(model.values(), default=None)
    taken = list(timers.take(50))
    assert sorted(taken) == sorted(key for key, due in model.items() if due <= 50)
    assert [model[key] for key in taken] == sorted(model[key] for key in taken)
    assert timers.next_timer() == min((due for due in model.values() if due > 50), default=None)


def test_pool_hands_out_and_rests():
    """ATT-3, quarantine"""
    pool = PrefixPool(IPv6Network("2001:db8:a1::/62"))
    assert [str(pool.allocate(f"mn{i}", 0.0)) for i in (1, 2, 3)] == [f"2001:db8:a1:{i}::/64" for i in (1, 2, 3)]
    with pytest.raises(PoolEmpty):
        pool.allocate("mn4", 0.0)
    pool.release(pool.prefix(2), until=10.0)
    with pytest.raises(PoolEmpty):
        pool.allocate("mn4", 9.0)
    assert pool.slot(pool.allocate("mn4", 11.0)) == 2
    pool.release(pool.prefix(3))
    assert pool.slot(pool.allocate("mn5", 11.0)) == 3


def test_pool_keeps_off_reserved_prefixes():
    reserved = IPv6Network("2001:db8:a1:1::/64")
    pool = PrefixPool(IPv6Network("2001:db8:a1::/48"), (reserved,))
    assert pool.allocate("mn1", 0.0) == IPv6Network("2001:db8:a1:2::/64")


def test_identity_of_the_worked_example():
    """Spec §4: 00:11:22:33:01:01 -> fe80::211:22ff:fe33:101"""
    link_local = link_local_of("00:11:22:33:01:01")
    assert link_local == IPv6Address("fe80::211:22ff:fe33:101")
    assert mac_of(link_local) == "00:11:22:33:01:01"


@given(st.integers(1, 0xFFFF), st.integers(1, 0xFFFF))
def test_identities_are_unique_and_reversible(gateway, slot):
    identity = own_identity(gateway, slot)
    assert mac_of(identity.link_local) == identity.mac
    assert int(identity.mac[:2], 16) & 3 == 2, "unicast, locally administered"
    assert complete_identity(identity.mac, None) == complete_identity(None, identity.link_local) == identity


@pytest.mark.parametrize(
    ("mac", "link_local"),
    [("01:00:5e:00:00:01", None), ("00:00:00:00:00:00", None), (None, "2001:db8::1"), (None, "fe80::1"), (None, None)],
)
def test_unusable_identities(mac, link_local):
    """Spec §10, DLIF-7: 69 not in fe80::/10, 70 multicast or zero, neither usable"""
    assert complete_identity(mac, IPv6Address(link_local) if link_local else None) is None


def test_sequence_rule_of_the_example():
    """RETX-8: last 15: 16..32782 pass, 0..15 and 32783..65535 fail"""
    freshness = Freshness(sequence=15)
    passed = [s for s in range(65536) if freshness.check(None, s, 0.0, 0.3) is None]
    assert passed == list(range(16, 32783))


def test_timestamps_rise_even_when_the_clock_steps_back():
    """RETX-4, AMB: a sender never repeats a timestamp"""
    stamper = Stamper()
    given_out = [stamper.timestamp(now) for now in (100.0, 100.0, 50.0, 100.00001, 101.0)]
    assert given_out == sorted(set(given_out))


@given(st.floats(-10, 10))
def test_window(offset):
    """RETX-6: |ts - now| <= window"""
    status = Freshness().check(ticks(1000.0 + offset), 1, 1000.0, 0.3)
    assert (status is None) == (abs(ticks(1000.0 + offset) - ticks(1000.0)) <= 0.3 * 65536)
    assert status in (None, Status.TIMESTAMP_MISMATCH)


@given(st.lists(st.floats(0, 0.4), min_size=4, max_size=40))
def test_pacer_never_exceeds_the_rate(pauses):
    """RETX-5, CMD-6"""
    pacer, now, sent = Pacer(3, 0.01), 0.0, []
    peer = IPv6Address("2001:db8::1")
    for pause in pauses:
        now = max(now + pause, pacer.earliest(peer, now + pause))
        pacer.record(peer, now)
        sent.append(now)
    assert all(later - earlier >= 1.0 - 1e-9 for earlier, later in zip(sent, sent[3:], strict=False))
    assert all(later - earlier >= 0.01 - 1e-9 for earlier, later in pairwise(sent))
