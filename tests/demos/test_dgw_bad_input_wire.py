"""Spec §10 on the wire: a packet generator against a running anchor and CMD; the named reply, the state unchanged."""

from __future__ import annotations

import socket
import struct
import time
from dataclasses import replace
from ipaddress import IPv6Address, IPv6Network

import pytest

from agents.dgw.freshness import ticks
from agents.dgw.messages import compose_update
from agents.wire.mobility import BindingAck, BindingError, pull_mobility, push_mobility
from agents.wire.mobility_codes import Handoff, UpdateFlag
from agents.wire.mobility_options import (
    AccessTechnology,
    HandoffIndicator,
    HomeNetworkPrefix,
    MobileNodeIdentifier,
    ServingMaar,
)
from testbed.waiting import NotYet, WaitTimeout, wait_until
from topologies import traffic
from topologies.dgw.plan import CMD_ADDRESS, CORRESPONDENTS, Gateway, Mobile
from topologies.dgw.probing import VOLATILE
from topologies.dgw.settling import wait_until_settled

pytestmark = pytest.mark.demo

D1, D2 = IPv6Address(Gateway(1).address), IPv6Address(Gateway(2).address)
CMD, CN = IPv6Address(CMD_ADDRESS), IPv6Address(CORRESPONDENTS["cn1"])
MOBILITY, PARAMETER_PROBLEM = 135, 4
IPV6_CHECKSUM = 7


class Generator:
    """Sends Mobility Headers from a node and collects what comes back to it."""

    def __init__(self, run, node):
        with run.net[node].entered():
            self.mobility = socket.socket(socket.AF_INET6, socket.SOCK_RAW, MOBILITY)
            self.icmp = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
        self.source = IPv6Address(run.address(node))
        for one in (self.mobility, self.icmp):
            one.setblocking(False)

    def send(self, octets, target, *, checksum=True):
        self.mobility.setsockopt(socket.IPPROTO_IPV6, IPV6_CHECKSUM, 4 if checksum else -1)
        self.mobility.sendto(octets, (str(target), 0))

    def drain(self):
        while self._read(self.mobility) or self._read(self.icmp):
            pass

    def reply(self, target, wanted, timeout=5):
        """The first message from `target` that `wanted` accepts."""

        def next_one():
            while data := self._read(self.mobility):
                octets, sender = data
                if sender == target:
                    message = pull_mobility(octets, sender, self.source)
                    if wanted(message):
                        return message
            while data := self._read(self.icmp):
                octets, sender = data
                if sender == target and octets[0] == PARAMETER_PROBLEM and wanted(octets):
                    return octets
            raise NotYet("no such reply")

        return wait_until(f"a reply from {target}", next_one, timeout=timeout)

    def _read(self, one):
        try:
            data, (host, *_) = one.recvfrom(65535)
        except BlockingIOError:
            return None
        return data, IPv6Address(host.partition("%")[0])

    def close(self):
        self.mobility.close()
        self.icmp.close()


@pytest.fixture
def served(deploy):
    """A lab in relay mode with mn1 attached to dgw1."""
    # A window that we keep to on a busy machine: the timestamps that are to be outside are so by far.
    run = deploy("basic", mode="relay", timestamp_window=10.0)
    run.net.attach("mn1", "cell1")
    traffic.address_in(run, "mn1", Gateway(1).pool)
    wait_until_settled(run)
    generators = [Generator(run, node) for node in ("dgw2", "cn1")]
    run.generators = dict(zip(("dgw2", "cn1"), generators, strict=True))
    yield run
    for generator in generators:
        generator.close()


def update(prefix="2001:db8:a1:1::/64", **changes):
    fields = {
        "mn_id": Mobile(1).mn_id,
        "mac": Mobile(1).mac,
        "prefixes": [IPv6Network(prefix)],
        "handoff": Handoff.SAME_INTERFACE,
        "sequence": 4242,
        "timestamp": ticks(time.time()),
        "lifetime": 300,
    }
    return compose_update(**{**fields, **changes})


def without(message, kind):
    return replace(message, options=tuple(o for o in message.options if not isinstance(o, kind)))


def plus(message, option):
    return replace(message, options=(*message.options, option))


def state(run, node):
    agents = run.inspect(node)["agents"]
    [found] = agents.values()
    return {key: value for key, value in found.items() if key not in VOLATILE}


ROWS = {
    "no MN-ID": (lambda m: without(m, MobileNodeIdentifier), 160),
    "unknown MN": (lambda m: plus(without(m, MobileNodeIdentifier), MobileNodeIdentifier.of("x@y")), 153),
    "two MN-IDs": (lambda m: plus(m, MobileNodeIdentifier.of("x@y")), 128),
    "no HNP": (lambda m: without(m, HomeNetworkPrefix), 158),
    "no HI": (lambda m: without(m, HandoffIndicator), 161),
    "no ATT": (lambda m: without(m, AccessTechnology), 162),
    "a foreign prefix": (lambda _: update(prefix="2001:db8:dead:1::/64"), 155),
    "an all-zero prefix": (lambda m: plus(without(m, HomeNetworkPrefix), HomeNetworkPrefix.all_zero()), 155),
    "option 68 from a gateway": (lambda m: plus(m, ServingMaar(D2)), 154),
    "an old timestamp": (lambda _: update(timestamp=77), 157),
    "a timestamp of the future": (lambda _: update(timestamp=ticks(time.time() + 60)), 156),
    "no D flag": (lambda m: replace(m, flags=UpdateFlag.ACKNOWLEDGE | UpdateFlag.PROXY), 129),
    "a Mobile IPv6 registration": (
        lambda m: replace(m, flags=UpdateFlag.ACKNOWLEDGE | UpdateFlag.HOME_REGISTRATION),
        131,
    ),
}
CMD_OWN = {"a foreign prefix", "option 68 from a gateway", "no HNP", "no HI", "no ATT", "no MN-ID", "unknown MN"}


def test_rejections(served):
    generator = served.generators["dgw2"]
    for node, target, rows in (("dgw1", D1, ROWS), ("cmd", CMD, {k: ROWS[k] for k in ROWS if k in CMD_OWN})):
        before = state(served, node)
        for row, (change, status) in rows.items():
            good = update("2001:db8:b2:1::/64") if node == "cmd" else update()
            generator.drain()
            generator.send(push_mobility(change(good), D2, target), target)
            ack = generator.reply(target, lambda message: isinstance(message, BindingAck))
            assert ack.status == status, f"{row} at {node}"
        assert state(served, node) == before, node


def test_strangers_are_not_authorised(served):
    generator, before = served.generators["cn1"], state(served, "dgw1")
    generator.send(push_mobility(update(), CN, D1), D1)
    assert generator.reply(D1, lambda m: isinstance(m, BindingAck)).status == 154
    assert state(served, "dgw1") == before


def test_undecodable_headers(served):
    """BE status 2; Parameter Problem code 0 with pointer 40 and 41; silence for a bad checksum and an overrun"""
    generator, before = served.generators["dgw2"], state(served, "dgw1")
    good = push_mobility(update(), D2, D1)
    counters = served.inspect("dgw1")["agents"]["dgw"]["counters"]
    generator.send(good[:4] + b"\xba\xad" + good[6:], D1, checksum=False)
    generator.send(good[:13] + b"\xff" + good[14:], D1)
    generator.send(good[:2] + b"\x40" + good[3:], D1)
    error = generator.reply(D1, lambda m: isinstance(m, BindingError))
    assert (error.status, error.home_address) == (2, IPv6Address("::"))
    for octets, pointer in ((b"\x06" + good[1:], 40), (good[:1] + b"\x00" + good[2:], 41)):

        def answered(octets=octets, pointer=pointer):
            generator.send(octets, D1)
            try:  # error answers are rate-limited: ask until one comes
                return generator.reply(
                    D1, lambda m, p=pointer: isinstance(m, bytes) and parameter(m) == (0, p), timeout=0.2
                )
            except WaitTimeout:
                return None

        wait_until(f"Parameter Problem with pointer {pointer}", answered)
    assert state(served, "dgw1") == before
    now = served.inspect("dgw1")["agents"]["dgw"]["counters"]
    assert now["option-overrun"] == counters.get("option-overrun", 0) + 1
    assert "checksum" not in now, "the kernel drops it before us"


def parameter(message):
    code, pointer = message[1], struct.unpack_from("!I", message, 4)[0]
    return code, pointer
