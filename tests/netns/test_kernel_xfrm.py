"""ESP of the kernel for the Mobility Header: what travels, what is dropped; and ESP made by an agent (SEC-1..3)."""

from __future__ import annotations

import os
import select
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv6Address
from pathlib import Path

import pytest
from esp_pair import esp_pair
from kernel_namespaces import Capture, Namespace, ipv6, send, wait_until

from agents.dgw.actions import MobilityDatagram
from agents.dgw.protection import open_channel
from agents.kernel.netlink import KernelError
from agents.kernel.rawsocket import MOBILITY_HEADER, MobilitySocket
from agents.kernel.xfrm import Xfrm
from agents.wire.esp import EspPacket, SecurityAssociation, push_esp
from agents.wire.mobility import checksum

pytestmark = [pytest.mark.netns, pytest.mark.stock]

HERE, THERE = IPv6Address("2001:db8:c:1::1"), IPv6Address("2001:db8:c:1::2")
UPDATE = bytes.fromhex("3b010500 0000 0001 c000 0004 01020000")
ACK = bytes.fromhex("3b010600 0000 0022 0001 0004 01020000")
AWAY = SecurityAssociation(HERE, THERE, 0x1001, bytes(range(32)))
BACK = SecurityAssociation(THERE, HERE, 0x1002, bytes(range(32, 64)))
ASSOCIATIONS = (AWAY, BACK)


def summed(message: bytes, source: IPv6Address = HERE, destination: IPv6Address = THERE) -> bytes:
    return message[:4] + checksum(source, destination, message).to_bytes(2, "big") + message[6:]


@dataclass
class Pair:
    here: Namespace
    there: Namespace

    def socket(self, namespace: Namespace, local: IPv6Address) -> MobilitySocket:
        with namespace.entered():
            return MobilitySocket(local)

    def xfrm(self, namespace: Namespace) -> Xfrm:
        with namespace.entered():
            return Xfrm()

    def statistics(self, namespace: Namespace) -> dict[str, int]:
        with namespace.entered():
            return self.xfrm(namespace).statistics()


@pytest.fixture
def pair() -> Iterator[Pair]:
    with esp_pair(HERE, THERE) as (here, there):
        yield Pair(here, there)


@pytest.fixture
def protected(pair: Pair) -> Pair:
    for namespace, local in ((pair.here, HERE), (pair.there, THERE)):
        pair.xfrm(namespace).adopt(local, ASSOCIATIONS, MOBILITY_HEADER)
    return pair


def receive(endpoint: MobilitySocket, timeout: float = 20) -> bytes:
    assert select.select([endpoint], [], [], timeout)[0], "nothing arrived"
    received = endpoint.receive()
    assert received is not None
    return received.data


def esp(frame: bytes) -> bool:
    return frame[12:14] == b"\x86\xdd" and frame[20] == 50


@pytest.mark.requirement("SEC-1", "SEC-2", "SEC-3")
def test_both_message_types_travel_in_esp_both_ways(protected: Pair) -> None:
    one, other = protected.socket(protected.here, HERE), protected.socket(protected.there, THERE)
    wire_tap = Capture(protected.there, "wan")
    for message in (UPDATE, ACK):
        one.send(message, THERE)
        assert receive(other)[:4] == message[:4]
        other.send(message, HERE)
        assert receive(one)[:4] == message[:4]
    wire_tap.until("fourth ESP packet", lambda _frame: sum(map(esp, wire_tap.frames)) == 4)
    assert not [frame for frame in wire_tap.frames if frame[12:14] == b"\x86\xdd" and frame[20] == MOBILITY_HEADER]


@pytest.mark.requirement("SEC-1", "SEC-3")
def test_what_is_clear_altered_forged_or_replayed_is_dropped_and_counted(protected: Pair) -> None:
    other = protected.socket(protected.there, THERE)
    clear = summed(UPDATE)
    send(protected.here, ipv6(str(HERE), str(THERE), MOBILITY_HEADER, clear))
    good = push_esp(EspPacket(AWAY.spi, 7, MOBILITY_HEADER, clear), AWAY.key)
    altered = good[:20] + bytes((good[20] ^ 1,)) + good[21:]
    unknown = push_esp(EspPacket(0x7777, 8, MOBILITY_HEADER, clear), AWAY.key)
    for packet in (altered, unknown, good, good):
        send(protected.here, ipv6(str(HERE), str(THERE), 50, packet))

    def counted() -> bool:
        names = {"XfrmInTmplMismatch", "XfrmInStateProtoError", "XfrmInNoStates", "XfrmInStateSeqError"}
        return all(protected.statistics(protected.there).get(name) == 1 for name in names)

    wait_until("four counters", counted)
    assert receive(other) == clear
    assert other.receive() is None


def test_states_that_match_are_adopted_and_count_on_the_rest_is_swept(protected: Pair) -> None:
    one, other = protected.socket(protected.here, HERE), protected.socket(protected.there, THERE)
    tap = Capture(protected.there, "wan")
    one.send(UPDATE, THERE)
    receive(other)
    again = protected.xfrm(protected.here)
    again.adopt(HERE, ASSOCIATIONS, MOBILITY_HEADER)  # as a restarted agent does
    one.send(UPDATE, THERE)
    receive(other)
    tap.until("second ESP packet", lambda _frame: sum(map(esp, tap.frames)) == 2)
    assert [frame[58:62] for frame in tap.frames if esp(frame)] == [b"\0\0\0\1", b"\0\0\0\2"]
    assert set(again.states()) == set(ASSOCIATIONS)
    renewed = SecurityAssociation(HERE, THERE, AWAY.spi, bytes(32))
    again.adopt(HERE, (renewed, BACK), MOBILITY_HEADER)
    assert set(again.states()) == {renewed, BACK}
    again.adopt(HERE, (), MOBILITY_HEADER)
    assert not list(again.states())
    assert not list(again.policies())
    assert protected.here.run("ip", "xfrm", "state") == protected.here.run("ip", "xfrm", "policy") == ""


def test_somebody_elses_states_and_policies_stay(pair: Pair) -> None:
    state = ["src", str(HERE), "dst", str(THERE), "proto", "esp", "spi", "0x300", "reqid", "9", "mode", "transport"]
    algorithms = ["auth-trunc", "hmac(sha256)", "0x" + "11" * 32, "128", "enc", "cipher_null", ""]
    pair.here.run("ip", "xfrm", "state", "add", *state, *algorithms)
    before = pair.here.run("ip", "xfrm", "state")
    xfrm = pair.xfrm(pair.here)
    xfrm.adopt(HERE, ASSOCIATIONS, MOBILITY_HEADER)
    assert len(list(xfrm.states())) == 2
    xfrm.adopt(HERE, (), MOBILITY_HEADER)
    assert pair.here.run("ip", "xfrm", "state") == before


@pytest.mark.requirement("SEC-3")
def test_an_agents_esp_and_the_kernels_understand_each_other(pair: Pair, tmp_path: Path) -> None:
    with pair.here.entered():
        agent = open_channel("esp", HERE, ASSOCIATIONS, tmp_path / "here.json")
    with pair.there.entered():
        kernel = open_channel("xfrm", THERE, ASSOCIATIONS, tmp_path / "there.json")
    for sender, receiver, peer, source in ((agent, kernel, THERE, HERE), (kernel, agent, HERE, THERE)):
        sender.send(summed(UPDATE, source, peer), peer)
        [first, *_] = receiver.sockets()
        assert select.select([first], [], [], 20)[0], f"nothing from {sender.method}"
        [heard] = receiver.read(first)
        assert isinstance(heard, MobilityDatagram)
        assert heard.data == summed(UPDATE, source, peer)


def test_the_choice_of_auto_is_xfrm(pair: Pair, tmp_path: Path) -> None:
    with pair.here.entered():
        assert open_channel("auto", HERE, ASSOCIATIONS, tmp_path / "state.json").method == "xfrm"


def test_refusal_says_which_state_and_never_the_key(protected: Pair) -> None:
    other = SecurityAssociation(IPv6Address("2001:db8::9"), THERE, AWAY.spi, os.urandom(32))
    with pytest.raises(KernelError, match="ESP state 0x1001") as refused:
        protected.xfrm(protected.here).adopt(HERE, (*ASSOCIATIONS, other), MOBILITY_HEADER)
    assert other.key.hex() not in str(refused.value)
