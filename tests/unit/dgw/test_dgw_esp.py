"""Userland ESP of the agents: what is opened, what is refused and counted, restarts (spec SEC-1..3, §10 first row)."""

import json
from ipaddress import IPv6Address

import pytest
from dgw_domain import CMD, Domain, address

from agents.dgw.actions import Discarded, MobilityDatagram
from agents.dgw.config import check_associations
from agents.dgw.esp import RESERVED_AHEAD, EspDatabase, Exhausted, Sender, Unacceptable
from agents.wire.esp import LAST_SEQUENCE, EspPacket, SecurityAssociation, push_esp

D1, D2, STRANGER = address(1), address(2), IPv6Address("2001:db8:f::2")
SA12 = SecurityAssociation(D1, D2, 0x1001, bytes(range(32)))
SA21 = SecurityAssociation(D2, D1, 0x1002, bytes(range(32, 64)))
BOTH = (SA12, SA21)
MESSAGE = bytes.fromhex("3b010500aabb0001c000000401020000")


def database(local, saved=None, associations=BOTH):
    made = EspDatabase(local, associations, lambda: None)
    if saved is not None:
        made.restore(json.loads(json.dumps(saved)))
    return made


def refused(receiver, packet, source=D1):
    with pytest.raises(Unacceptable) as error:
        receiver.open(packet, source)
    return error.value.counter


@pytest.mark.requirement("SEC-1", "SEC-2", "SEC-3")
def test_sealed_here_opened_there_both_ways():
    one, other = database(D1), database(D2)
    assert other.open(one.seal(MESSAGE, D2), D1) == MESSAGE
    assert one.open(other.seal(MESSAGE, D1), D2) == MESSAGE
    assert one.seal(MESSAGE, STRANGER) is None
    assert (one.requires(D2), one.requires(STRANGER)) == (True, False)


@pytest.mark.requirement("SEC-1")
def test_what_is_not_genuine_and_new_is_refused_by_kind():
    one, other = database(D1), database(D2)
    packet = one.seal(MESSAGE, D2)
    assert refused(other, packet[:-1] + bytes((packet[-1] ^ 1,))) == "esp-integrity"
    assert refused(other, packet, STRANGER) == "esp-unknown-spi"
    assert refused(other, b"\x77" + packet[1:]) == "esp-unknown-spi"
    assert refused(other, packet[:7]) == "esp-malformed"
    assert refused(other, packet[:20]) == "esp-malformed"
    assert other.open(packet, D1) == MESSAGE
    assert refused(other, packet) == "esp-replay"
    other_protocol = push_esp(EspPacket(SA12.spi, 9, 17, MESSAGE), SA12.key)
    assert refused(other, other_protocol) == "esp-selector"


@pytest.mark.requirement("SEC-1")
def test_forged_numbers_do_not_move_the_window():
    one, other = database(D1), database(D2)
    assert refused(other, push_esp(EspPacket(SA12.spi, 4_000_000, 135, MESSAGE), bytes(32))) == "esp-integrity"
    assert other.open(one.seal(MESSAGE, D2), D1) == MESSAGE


@pytest.mark.requirement("SEC-1")
def test_a_restarted_sender_is_no_replay_and_a_restarted_receiver_remembers():
    written = []
    sender = EspDatabase(D1, BOTH, lambda: written.append(sender.saved_state()))
    receiver = database(D2)
    old = [sender.seal(MESSAGE, D2) for _ in range(RESERVED_AHEAD + 20)]
    assert len(written) == 2, "numbers are reserved in advance, not one by one"
    for packet in old:
        receiver.open(packet, D1)
    sender = database(D1, written[-1])  # killed: nothing was written since
    assert receiver.open(sender.seal(MESSAGE, D2), D1) == MESSAGE
    receiver = database(D2, receiver.saved_state())
    assert refused(receiver, old[-1]) == "esp-replay"
    assert receiver.open(sender.seal(MESSAGE, D2), D1) == MESSAGE


def test_new_keys_begin_to_count_anew():
    receiver = database(D2)
    sender = database(D1)
    for _ in range(100):
        receiver.open(sender.seal(MESSAGE, D2), D1)
    renewed = (SecurityAssociation(D1, D2, SA12.spi, bytes(32)), SA21)
    receiver = database(D2, receiver.saved_state(), renewed)
    assert receiver.open(database(D1, None, renewed).seal(MESSAGE, D2), D1) == MESSAGE


def test_a_key_is_never_used_beyond_its_last_number():
    sender = database(D1)
    sender.seal(MESSAGE, D2)
    [mark] = sender.saved_state()["senders"]
    sender = database(D1, {"senders": {mark: {"reserved": LAST_SEQUENCE}}, "windows": {}})
    with pytest.raises(Exhausted, match="0x1001"):
        sender.seal(MESSAGE, D2)


@pytest.mark.requirement("SEC-5")
def test_keys_are_in_no_saved_state_and_in_no_text():
    one = database(D1)
    one.seal(MESSAGE, D2)
    shown = json.dumps([one.saved_state(), one.inspect()]) + repr(BOTH) + repr(Sender())
    assert SA12.key.hex() not in shown
    assert repr(SA12.key) not in shown


@pytest.mark.requirement("SEC-1")
@pytest.mark.parametrize("target", [D1, CMD])
def test_what_protection_refused_is_counted_and_changes_nothing(target):
    domain = Domain("relay")
    domain.attach(1, 1)
    domain.run(1)
    core = domain.cores[target]
    before, sent = core.saved_state(), len(domain.wire)
    domain.feed(target, Discarded(D2, "unprotected", "in the clear"))
    assert core.inspect()["counters"] == {"unprotected": 1}
    assert (core.saved_state(), len(domain.wire)) == (before, sent)


@pytest.mark.requirement("SEC-1")
def test_the_checksum_inside_esp_is_ours_to_verify():
    domain = Domain("relay")
    domain.feed(D1, MobilityDatagram(MESSAGE, CMD, D1, summed=False))
    assert domain.gateway(1).inspect()["counters"] == {"checksum": 1}
    assert not domain.wire


@pytest.mark.requirement("SEC-2")
def test_every_peer_needs_an_association_each_way():
    check_associations("esp", D1, [D2], BOTH)
    check_associations("off", D1, [D2], ())
    check_associations("external", D1, [D2], ())
    for given in ((), (SA12,), (SA21,), (SA12, SA21, SA21)):
        with pytest.raises(ValueError, match="needs one association from"):
            check_associations("auto", D1, [D2], given)


def test_associations_are_checked():
    with pytest.raises(ValueError, match="not 32"):
        SecurityAssociation(D1, D2, 0x1001, bytes(16))
    with pytest.raises(ValueError, match="SPI 255"):
        SecurityAssociation(D1, D2, 255, bytes(32))
