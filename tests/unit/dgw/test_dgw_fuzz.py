"""Ten thousand random and mutated messages per role leave a core alive, its state consistent, its memory flat.

By default a good part of them; all with --thorough. Running agents get theirs in tests/demos/test_dgw_hostile_wire.py.
"""

import gc
import random
import tracemalloc
from collections import Counter
from dataclasses import replace
from ipaddress import IPv6Address, IPv6Network

import pytest
from dgw_domain import CMD, HOME_POOL, Domain, address, mac
from dgw_invariants import check
from test_dgw_bad_input import update

from agents.dgw.actions import (
    Adopt,
    Associated,
    Disassociated,
    Install,
    MobilityDatagram,
    NeighborSeen,
    PeerRefused,
    Remove,
    RepositoryDatagram,
    RouterSolicited,
    Send,
)
from agents.dgw.messages import compose_ack
from agents.wire.mobility import BindingAck, BindingUpdate, pull_mobility, push_mobility
from agents.wire.mobility_codes import UpdateFlag
from agents.wire.mobility_options import HandoffIndicator, HomeNetworkPrefix, LinkLocalAddress
from topologies.dgw.fuzzing import Fuzzer

PREFIXES = tuple(
    IPv6Network(text)
    for text in (
        "2001:db8:a1:1::/64",
        "2001:db8:a1:2::/64",
        "2001:db8:b2:1::/64",
        "2001:db8:c3:1::/64",
        "2001:db8:dead::/64",
        "::/64",
    )
)
ADDRESSES = (address(1), address(2), address(3), CMD)
MN_IDS = ("mn1@dmm.example", "mn2@dmm.example", "x@y")
HOMES = tuple(IPv6Network((HOME_POOL.network_address + (number << 64), 64)) for number in (1, 1, 1, 2))
"""Home network prefixes under classic mode: mn1's, mostly."""
MESSAGES = 10_000
USUALLY = 1_200
"""Messages to each role in each mode, unless thorough."""
ROLES = {"gateway": 2, "anchor": 1, "cmd": None, "lma": None, "mag": 2}
PLACES = [
    ("gateway", "relay"),
    ("gateway", "direct"),
    ("anchor", "direct"),
    ("anchor", "locator"),
    ("cmd", "relay"),
    ("cmd", "proxy"),
    ("lma", "classic"),
    ("mag", "classic"),
]


class Target:
    """One core of a domain in which mn1 went from D-GW1 to D-GW2, from now on left to a hostile network."""

    def __init__(self, role, mode, seed):
        self.role, self.domain = role, Domain(mode)
        for cell in (1, 2):
            self.domain.attach(1, cell)
            self.domain.run(1)
        self.address = CMD if ROLES[role] is None else address(ROLES[role])
        self.core, self.now = self.domain.cores[self.address], self.domain.now
        self.kernel = self.domain.kernel[self.address]
        self.told = Counter()
        """Events by name."""
        self.random = random.Random(seed)
        self.fuzzer = Fuzzer(self.random, self.address, ADDRESSES, PREFIXES, MN_IDS)

    def feed(self, notice):
        """The answers to one notice; every action is carried out, every message sent must be readable."""
        self.core.receive(notice, None, self.now)
        answers = self.drain()
        self.now += self.random.choice([0.0001, 0.01, 0.2])
        due = self.core.next_timer()
        if due is not None and due <= self.now:
            self.core.handle_timer(self.now)
            self.drain()
        return answers

    def drain(self):
        sent = []
        for action in self.core.actions():
            match action:
                case Send():
                    sent.append(pull_mobility(action.message, self.address, action.destination))
                case Install():
                    self.kernel.update({item.key: item for item in action.items})
                case Remove():
                    for item in action.items:
                        del self.kernel[item.key]
                case Adopt():
                    self.kernel = {item.key: item for item in action.items}
        self.told.update(event.name for event in self.core.events())
        return sent

    def message(self):
        """A fuzzed message and its sender: an update, an answer to what waits, something small, or noise."""
        source, r = self.fuzzer.source(), self.random.random()
        waiting = [] if self.role == "lma" else list(self.core._base.exchanges)
        if r < 0.45:
            self.domain.now = self.now
            message = self.fuzzer.mutate(update(self.domain, **self.changes(source)))
        elif r < 0.85 and waiting:
            exchange = self.random.choice(waiting)
            source = exchange.peer
            message = self.fuzzer.mutate(self.answer(exchange.context))
        elif r < 0.92:
            message = self.fuzzer.small()
        else:
            message = None
        return MobilityDatagram(self.fuzzer.octets(message, source), source, self.address)

    def changes(self, source):
        """What an update from there says to this role."""
        changes = {"prefixes": [self.random.choice(PREFIXES)], "sequence": self.random.randrange(65536)}
        if self.role in ("lma", "mag"):
            changes["prefixes"] = [self.random.choice([*HOMES, PREFIXES[-1]])]
            changes["handoff"] = self.random.choice([1, 2, 3, 4, 5])
            changes["flags"] = UpdateFlag.ACKNOWLEDGE | UpdateFlag.PROXY
        elif self.role == "cmd":
            pools = {p.address: p.pool for p in self.domain.configs[address(3)].peers}
            inside = [p for p in PREFIXES if source in pools and p.subnet_of(pools[source])]
            changes["prefixes"] = [self.random.choice(inside or PREFIXES)]
        return changes

    def answer(self, asked):
        """An acceptance of an update of the target's."""
        if self.role != "mag":
            return self.fuzzer.answer(asked)
        router = LinkLocalAddress(IPv6Address(b"\xfe\x80" + bytes(6) + self.random.randbytes(8)))
        return compose_ack(asked, lifetime=300, prefixes=[self.random.choice(HOMES)], extra=[router])

    def stir(self):
        """What keeps a gateway busy: nodes come and go, invented stations and repository answers appear."""
        if self.address == CMD:
            self.feed(RepositoryDatagram(self.random.randbytes(30), self.fuzzer.source(), 5213))
            return
        self.core.resume()  # answers to something else ended its updates: an administrator lets it ask again
        number = self.random.choice([1, 1, 2])
        self.feed(self.random.choice([Associated, Associated, Disassociated])(mac(number)))
        invented = self.random.randbytes(6).hex(":")
        link_local = IPv6Address(b"\xfe\x80" + bytes(6) + self.random.randbytes(8))
        self.feed(RouterSolicited(invented, link_local))
        self.feed(NeighborSeen(mac(1), link_local))
        self.feed(PeerRefused(self.fuzzer.source()))
        self.feed(RepositoryDatagram(b'{"id": %d, "entry": {}}' % self.random.randrange(99), CMD, 5213))


def flood(role, mode, count):
    """Feed messages; what was so good that it was acted upon proves that the others were not too bad."""
    target = Target(role, mode, f"{role} {mode}")
    answers = Counter()
    for number in range(count):
        if number % 40 == 0:
            target.stir()
            check(target.core, target.kernel)
        sent = target.feed(target.message())
        answers["any"] += bool(sent)
        answers["accepted"] += any(isinstance(one, BindingAck) and one.accepted for one in sent)
    check(target.core, target.kernel)
    if role == "mag":  # which nobody registers with: it is what others accept that counts
        answers["accepted"] = target.told["anchor-active"]
    assert answers["any"] > count / 10, "else the messages were too bad to prove anything"
    assert answers["accepted"] > count / 250
    assert target.core.inspect()["counters"]["rejected"] > count / 10


@pytest.mark.requirement("SC-BADINPUT", "BAD-FLOOD")
@pytest.mark.parametrize(("role", "mode"), PLACES)
def test_random_and_mutated_messages(role, mode):
    flood(role, mode, USUALLY)


@pytest.mark.thorough
@pytest.mark.requirement("SC-BADINPUT", "BAD-FLOOD")
@pytest.mark.parametrize(("role", "mode"), PLACES)
def test_ten_thousand_random_and_mutated_messages(role, mode):
    flood(role, mode, MESSAGES)


@pytest.mark.requirement("SC-BADINPUT", "BAD-FLOOD")
@pytest.mark.parametrize(
    ("role", "mode"),
    [
        ("gateway", "relay"),
        ("cmd", "relay"),
        ("lma", "classic"),
        pytest.param("anchor", "direct", marks=pytest.mark.thorough),
        pytest.param("mag", "classic", marks=pytest.mark.thorough),
    ],
)
def test_memory_stays_flat(role, mode):
    """Every sender, node and station is a new one: nothing may be kept of them"""
    target = Target(role, mode, 1)
    for _ in range(400):
        target.feed(target.message())
    target.stir()
    sizes = []
    tracemalloc.start()
    try:
        for _ in range(3):
            for number in range(200):
                if number % 40 == 0:
                    target.stir()
                target.feed(target.message())
            gc.collect()
            sizes.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    assert sizes[2] - sizes[1] < 30_000, sizes


@pytest.mark.requirement("SC-BADINPUT", "HO-8")
def test_a_crammed_request_gets_an_answer_that_fits():
    """A hundred unaligned prefixes fit into a request; aligned in the answer they would not"""
    target = Target("anchor", "direct", 2)
    target.domain.now = target.now
    good = update(target.domain)
    prefixes = [HomeNetworkPrefix(p.network_address, 48) for p in PREFIXES] * 16
    options = bytearray(32)
    options[:] = b""
    for option in (*[o for o in good.options if not isinstance(o, HomeNetworkPrefix)], *prefixes):
        data = option.push_data()
        options += bytes((option.type, len(data))) + data
    options += bytes(-(12 + len(options)) % 8)
    head = bytes((59, (12 + len(options)) // 8 - 1, 5, 0, 0, 0)) + bytes.fromhex("00018210004b")
    assert len(head) + len(options) <= 2048
    [ack] = target.feed(MobilityDatagram(head + bytes(options), address(2), address(1)))
    assert ack.status == 155
    assert 1 < len(ack.every(HomeNetworkPrefix)) < len(prefixes)


@pytest.mark.requirement("SC-BADINPUT", "CMD-4")
def test_an_unknown_handoff_indicator_is_relayed_as_it_came():
    target = Target("cmd", "relay", 3)
    target.domain.now = target.now
    odd = update(target.domain, prefixes=[PREFIXES[3]], handoff=77)
    sent = target.feed(MobilityDatagram(push_mobility(odd, address(3), CMD), address(3), CMD))
    told = [m for m in sent if isinstance(m, BindingUpdate)]
    assert told
    assert {m.first(HandoffIndicator).value for m in told} == {77}


@pytest.mark.requirement("SC-BADINPUT")
def test_a_flood_of_errors_under_invented_addresses_gets_few_answers():
    target = Target("anchor", "direct", 4)
    octets = bytearray(push_mobility(update(target.domain), address(2), address(1)))
    octets[2] = 64
    answers = 0
    for number in range(2000):
        source = IPv6Address((0x20010DB8 << 96) + number + 1)
        target.core.receive(MobilityDatagram(bytes(octets), source, address(1)), None, target.now)
        answers += len(target.drain())
    assert 1 < answers <= 64
    assert target.core.inspect()["counters"]["unknown-type"] == 2000


@pytest.mark.requirement("SC-BADINPUT")
def test_a_registration_remembers_few_prefixes_as_taken_back():
    """Corrections without end for one registration (spec CMD-PROXY-2)"""
    target = Target("gateway", "relay", 5)
    answered = target.core._base.answered["mn1@dmm.example"]
    for number in range(1000):
        ack = compose_ack(answered.context, lifetime=0, prefixes=[])
        named = HomeNetworkPrefix.of(IPv6Network((PREFIXES[0].network_address + (number + 5 << 64), 64)))
        ack = replace(ack, status=155, options=(*ack.options, named))
        target.feed(MobilityDatagram(push_mobility(ack, CMD, address(2)), CMD, address(2)))
    assert 1 < len(answered.refused) <= 64
