"""ESP made by the agents on real protocol-50 sockets (SEC-1..3): what arrives, what is refused, a missing peer."""

from __future__ import annotations

import select
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv6Address
from pathlib import Path

import pytest
from kernel_namespaces import Capture, Namespace, ipv6, send, wait_until, wire

from agents.dgw.actions import Discarded, MobilityDatagram, PeerRefused
from agents.dgw.protection import Channel, Heard, open_channel
from agents.kernel.rawsocket import MOBILITY_HEADER
from agents.kernel.xfrm import unavailable
from agents.wire.esp import PROTOCOL, SecurityAssociation
from agents.wire.mobility import checksum

pytestmark = pytest.mark.netns

HERE, THERE = IPv6Address("2001:db8:c:1::1"), IPv6Address("2001:db8:c:1::2")
UPDATE = bytes.fromhex("3b010500 0000 0001 c000 0004 01020000")
SUMMED = UPDATE[:4] + checksum(HERE, THERE, UPDATE).to_bytes(2, "big") + UPDATE[6:]
ASSOCIATIONS = (
    SecurityAssociation(HERE, THERE, 0x1001, bytes(range(32))),
    SecurityAssociation(THERE, HERE, 0x1002, bytes(range(32, 64))),
)


@dataclass
class Pair:
    here: Namespace
    there: Namespace
    directory: Path

    def channel(self, namespace: Namespace) -> Channel:
        local = HERE if namespace is self.here else THERE
        with namespace.entered():
            return open_channel("esp", local, ASSOCIATIONS, self.directory / f"{namespace.name}.json")


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    here, there = Namespace("here"), Namespace("there")
    wire(here, "wan", there, "wan")
    here.batch(f"addr add {HERE}/64 dev wan nodad")
    there.batch(f"addr add {THERE}/64 dev wan nodad")
    wait_until("the link", lambda: "state UP" in here.run("ip", "link", "show", "wan"))
    yield Pair(here, there, tmp_path)
    here.close()
    there.close()


def hear(channel: Channel) -> Heard:
    ready, _, _ = select.select(channel.sockets(), [], [], 20)
    assert ready, "nothing came"
    return next(heard for one in ready for heard in channel.read(one))


@pytest.mark.requirement("SEC-1", "SEC-2", "SEC-3")
def test_a_message_travels_in_esp_and_its_copies_and_clear_ones_are_refused(pair: Pair) -> None:
    one, other, tap = pair.channel(pair.here), pair.channel(pair.there), Capture(pair.there, "wan")
    one.send(SUMMED, THERE)
    got = hear(other)
    assert isinstance(got, MobilityDatagram)
    assert (got.data, got.source, got.destination, got.summed) == (SUMMED, HERE, THERE, False)
    frame = tap.until("ESP packet", lambda frame: frame[12:14] == b"\x86\xdd" and frame[20] == PROTOCOL)
    send(pair.here, frame[14:])
    send(pair.here, frame[14:70] + bytes((frame[70] ^ 1,)) + frame[71:])
    send(pair.here, ipv6(str(HERE), str(THERE), MOBILITY_HEADER, SUMMED))
    refused: list[Heard] = []

    def all_refused() -> bool:
        refused.extend(heard for socket in other.sockets() for heard in other.read(socket))
        return len(refused) == 3

    wait_until("three refusals", all_refused)
    kinds = {heard.counter for heard in refused if isinstance(heard, Discarded)}
    assert kinds == {"esp-replay", "unprotected"}, "an altered copy still has the number of the first"


@pytest.mark.requirement("SEC-1")
def test_both_ends_restarted_understand_each_other_at_once(pair: Pair) -> None:
    for _restart in range(3):
        one, other = pair.channel(pair.here), pair.channel(pair.there)
        for sender, receiver, peer in ((one, other, THERE), (other, one, HERE)):
            sender.send(SUMMED, peer)
            assert isinstance(hear(receiver), MobilityDatagram)
            receiver.settle()
    assert other.inspect()["sent"]["0x1002"] > 2 * 256, "the numbers reserved by the first two were skipped"


def test_a_peer_without_agent_is_noticed(pair: Pair) -> None:
    """RFC 6275 §11.3.5 for protocol 50: a kernel without ESP and without our socket answers ICMPv6 type 4 code 1"""
    with pair.there.entered():
        if not unavailable():
            pytest.skip("this kernel knows ESP and keeps quiet")
    channel = pair.channel(pair.here)
    channel.send(SUMMED, THERE)
    assert hear(channel) == PeerRefused(THERE)


def test_a_stranger_is_answered_in_the_clear(pair: Pair) -> None:
    with pair.here.entered():
        stranger = open_channel("off", HERE, (), pair.directory / "stranger.json")
    with pair.there.entered():
        channel = open_channel("esp", THERE, (), pair.directory / "there.json")
    stranger.send(SUMMED, THERE)
    assert isinstance(hear(channel), MobilityDatagram)
    channel.send(SUMMED, HERE)
    assert isinstance(hear(stranger), MobilityDatagram)
