"""What a home agent keeps encoded says what encoding anew for every reply would say (spec HA-11, HA-12, HA-15)."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from itertools import chain

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.haaro.compression import Block, Network, Owner, Prepared, decode_advertisement, encode_advertisement, joined
from agents.haaro.config import OwnedPrefix
from agents.haaro.ha.directory import OWNERS, Directory
from agents.haaro.realms import SLOTS
from topologies.bench.registering import OPTIMISE, Crowd, advertised, owner_of, sites

RANKS = 20 * OWNERS
NOBODY = -1
PLENTY = 0xFFFF

realms = st.lists(st.sampled_from(["a", "b", "foo", "example", "com", "x1", "x2", "x3"]), max_size=4).map(".".join)
prefixes = st.tuples(st.integers(0, 63), st.integers(4, 32)).map(
    lambda pair: IPv4Network((10 << 24 | pair[0] << 10, pair[1]), strict=False)
)
owners = st.builds(
    Owner,
    st.integers(1, 2**32 - 1).map(IPv4Address),
    st.lists(st.builds(Network, prefixes, realms), max_size=3).map(tuple),
    st.booleans(),
)
ranks = st.integers(0, RANKS - 1)
changes = st.lists(st.tuples(ranks, owners | st.none()), max_size=60)
asked = st.sets(ranks, max_size=4)


def full(rank):
    """An owner with a realm of its own below a shared one, as most are."""
    networks = (Network(IPv4Network((10 << 24 | rank << 8, 24)), f"site{rank}.op{rank % 3}.example"),)
    return Owner(IPv4Address(1000 + rank), networks)


def told(model, without=NOBODY):
    return tuple(model[rank] for rank in sorted(model) if rank != without)


def heard(directory, without=NOBODY, limit=PLENTY):
    found = decode_advertisement(directory.encoded(without, limit))
    assert found.error is None
    return found.owners


@given(st.sets(ranks), changes, asked, st.booleans())
@settings(deadline=None)
def test_any_order_of_comings_and_goings(present, story, askers, compress):
    directory, model = Directory(compress), {}
    for rank in sorted(present, key=lambda rank: rank * 37 % RANKS):
        model[rank] = full(rank)
        directory.put(rank, model[rank])
    for rank, owner in story:
        directory.put(rank, owner)
        model.pop(rank, None)
        if owner:
            model[rank] = owner
        for without in (NOBODY, rank, *askers):
            expected = told(model, without)
            assert heard(directory, without) == expected
            assert decode_advertisement(encode_advertisement(expected, compress=compress)).owners == expected


@pytest.mark.parametrize("compress", [True, False])
def test_a_whole_house_filled_and_emptied_again(compress):
    directory, model = Directory(compress), {}
    for rank in (each * 37 % RANKS for each in range(RANKS)):
        model[rank] = full(rank)
        directory.put(rank, model[rank])
    for rank in range(RANKS):
        assert heard(directory, rank) == told(model, rank)
    for rank in (each * 29 % RANKS for each in range(RANKS)):
        directory.put(rank, None)
        assert heard(directory, rank) == told(model, rank)
        del model[rank]
        assert heard(directory) == told(model)
    assert directory.encoded(NOBODY, PLENTY) == b""


@given(st.lists(owners, max_size=40), st.integers(0, 900), st.booleans())
@settings(deadline=None)
def test_a_limit_cuts_the_last_in_order(everyone, limit, compress):
    directory = Directory(compress)
    for rank, owner in enumerate(everyone):
        directory.put(rank, owner)
    octets = directory.encoded(NOBODY, limit)
    assert len(octets) <= limit
    found = heard(directory, limit=limit)
    whole = heard(directory)
    assert found[:-1] == whole[: len(found)][:-1]
    if found:
        last, same = found[-1], whole[len(found) - 1]
        assert (last.home_address, last.networks) == (same.home_address, same.networks[: len(last.networks)])
        assert last.networks or not same.networks, "an owner who would seem to have no networks"


@given(st.lists(st.lists(owners, max_size=20), max_size=12))
@settings(deadline=None)
def test_blocks_mean_the_same_behind_any_others(groups):
    blocks = [Block(map(Prepared, group)) for group in groups]
    for order in (blocks, blocks[::-1], blocks[1::2] + blocks[::2]):
        found = decode_advertisement(joined(order))
        assert found.error is None
        assert found.owners == tuple(owner for each in order for owner in groups[blocks.index(each)])


def test_more_strings_than_a_dictionary_has_slots():
    groups = [[full(rank) for rank in range(start, start + 50)] for start in (0, 50, 100)]
    blocks = [Block(map(Prepared, group)) for group in groups]
    found = decode_advertisement(joined([blocks[2], blocks[0], blocks[1]]))
    assert found.error is None
    assert found.owners == (*groups[2], *groups[0], *groups[1])


@pytest.mark.parametrize("limit", range(0, 3000, 217))
def test_a_limit_within_blocks_that_are_kept_joined(limit):
    directory = Directory()
    for rank in range(RANKS):
        directory.put(rank, full(rank))
    for without in (NOBODY, 0, RANKS // 2):
        whole = heard(directory, without)
        found = heard(directory, without, limit)
        assert found == whole[: len(found)]
        left = limit - len(directory.encoded(without, limit))
        assert len(found) == len(whole) or 0 <= left < 40


def test_a_change_costs_one_block(monkeypatch):
    directory = Directory()
    for rank in range(RANKS):
        directory.put(rank, full(rank))
    directory.encoded(NOBODY, PLENTY)
    directory.put(7, full(RANKS))
    encoded = []
    monkeypatch.setattr(
        "agents.haaro.ha.directory.Block",
        type("Counting", (Block,), {"__init__": lambda self, owners, *more: _counted(self, encoded, owners, *more)}),
    )
    directory.encoded(NOBODY, PLENTY)
    directory.encoded(7, PLENTY)
    directory.encoded(7, PLENTY)
    assert 0 < len(encoded) <= 4 * OWNERS


def _counted(block, encoded, owners, *more):
    owners = list(owners)
    encoded += owners
    Block.__init__(block, owners, *more)


SHARED = IPv4Network("192.168.0.0/24")


def in_two_realms():
    """60 sites of two networks each, and two of one that has the same addresses in both."""
    first, second, *rest = sites(62, 2)
    realms = ("one.example", "two.example")
    twins = [
        replace(each, router=replace(each.router, prefixes=(OwnedPrefix(SHARED, realm),)))
        for each, realm in zip((first, second), realms, strict=True)
    ]
    return [*twins, *rest]


def strings(members):
    """Labels, and runs of labels up to a realm's end: what a dictionary would have to hold."""
    realms = {owned.realm for each in members for owned in each.router.prefixes}
    parts = [realm.split(".") for realm in realms]
    return {".".join(each[start:]) for each in parts for start in range(len(each))} | {*chain(*parts)}


@pytest.mark.requirement("HA-12", "HA-15", "MR-5", "SC-S23")
def test_scale():
    """More than 40 routers and 128 strings in one reply, whoever asks: everyone else's networks, in order."""
    members = in_two_realms()
    assert len(strings(members)) > SLOTS
    sizes = {}
    for compress in (True, False):
        crowd = Crowd(members, OPTIMISE, compress=compress)
        crowd.register()
        for asker in members:
            octets = crowd.reply_to(asker)
            found = advertised(octets)
            assert found.error is None
            assert found.owners == tuple(owner_of(each) for each in members if each is not asker)
        sizes[compress] = len(octets)
    assert sizes == {True: 1864, False: 4169}
