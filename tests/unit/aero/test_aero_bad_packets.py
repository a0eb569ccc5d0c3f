"""Spec §11 on the packet path, row by row: dropped, counted under its name, and nothing is different afterwards."""

from __future__ import annotations

import pytest
from aero_packets import ipv4, ipv6
from aero_whole import SERVER, SERVER_ADDRESS, STRANGER, attached

from agents.aero.constants import REASSEMBLY_PER_NEIGHBOR, REASSEMBLY_TIME
from agents.aero.dataplane.encapsulation import Carrier, Fragment, push_fragment
from agents.aero.dataplane.forwarder import SPARE_WINDOWS
from agents.aero.dataplane.memory import ALL_FLOWS, FLOWS, ORIGINS
from agents.aero.lladdr import Encapsulation, LinkLayerAddress
from agents.aero.neighbors import Path
from agents.wire.buffer import internet_checksum

UDP, GUE = Carrier.UDP, Carrier.GUE
RAW4, RAW41, RAW44 = Carrier.PROTOCOL_4, Carrier.PROTOCOL_41, Carrier.PROTOCOL_44
OWN, OTHER, FAR = "2001:db8:1000:2000::10", "2001:db8:1000:2100::10", "2001:db8:99::1"
AERO_CLIENT = "fe80::2001:db8:1000:2000"
GOOD = bytes(ipv6(OWN, FAR))
GOOD4 = bytes(ipv4("192.0.2.17", "192.0.2.99"))


def changed(packet: bytes, at: int, *octets: int) -> bytes:
    return packet[:at] + bytes(octets) + packet[at + len(octets) :]


def summed(packet: bytes) -> bytes:
    """With a right IPv4 header checksum again."""
    blank = changed(packet, 10, 0, 0)
    return changed(blank, 10, *internet_checksum(blank[:20]).to_bytes(2, "big"))


def part(offset: int, size: int, *, more: bool, number: int = 7, header: int = 41) -> bytes:
    whole = bytes(ipv6(OWN, FAR, 1400))
    return push_fragment(Fragment(header, offset, more, number)) + whole[offset : offset + size].ljust(size, b"\0")


ROWS = {
    "empty payload": (UDP, b"", "enc_bad_first"),
    **{f"first octet {first:#04x}": (UDP, bytes((first,)) + bytes(60), "enc_bad_first") for first in (0, 5, 0x30, 255)},
    "protocol 4 with IPv6 inside": (RAW4, GOOD, "enc_bad_first"),
    "protocol 41 with IPv4 inside": (RAW41, GOOD4, "enc_bad_first"),
    "GUE proto 4 with IPv6 inside": (GUE, b"\0\x04\0\0" + GOOD, "enc_bad_first"),
    "GUE proto 41 with IPv4 inside": (GUE, b"\0\x29\0\0" + GOOD4, "enc_bad_first"),
    "GUE proto 17": (GUE, b"\0\x11\0\0" + GOOD, "enc_bad_first"),
    "GUE variant 2": (GUE, b"\x80\x29\0\0" + GOOD, "enc_bad_first"),
    "GUE variant 3": (GUE, b"\xc0\x29\0\0" + GOOD, "enc_bad_first"),
    "GUE control": (GUE, b"\x20\x29\0\0" + GOOD, "enc_bad_first"),
    "GUE with unknown flags": (GUE, b"\0\x29\x80\0" + GOOD, "enc_bad_first"),
    "GUE header past its end": (GUE, b"\x1f\x29\0\0" + GOOD, "enc_bad_first"),
    "GUE header cut short": (GUE, b"\0\x29\0", "enc_bad_first"),
    "IPv4 behind a Fragment Header of IPv6": (
        UDP,
        push_fragment(Fragment(41, 0, False, 1)) + GOOD4,
        "bad_inner",
    ),
    "IPv6 behind a Fragment Header of IPv4": (
        RAW44,
        push_fragment(Fragment(4, 0, False, 1)) + GOOD,
        "bad_inner",
    ),
    "nothing behind a Fragment Header": (UDP, push_fragment(Fragment(41, 0, False, 1)), "bad_inner"),
    "IPv6 header cut short": (UDP, GOOD[:39], "bad_inner"),
    "IPv4 header cut short": (UDP, b"\x45" + GOOD4[1:19], "bad_inner"),
    "IPv6 longer than what came": (UDP, GOOD[:-1], "bad_inner"),
    "IPv4 longer than what came": (UDP, GOOD4[:-1], "bad_inner"),
    "IPv4 shorter than its header": (UDP, summed(changed(GOOD4, 2, 0, 19)), "bad_inner"),
    "IPv4 with 4 words of header": (UDP, summed(changed(GOOD4, 0, 0x44)), "bad_inner"),
    "IPv4 header checksum": (UDP, changed(GOOD4, 10, GOOD4[10] ^ 1), "bad_inner"),
    "jumbogram": (UDP, changed(changed(GOOD, 4, 0, 0), 6, 0), "bad_inner"),
    "IPv4 multicast": (UDP, bytes(ipv4("192.0.2.17", "224.0.0.5")), "bad_destination"),
    "IPv4 broadcast": (UDP, bytes(ipv4("192.0.2.17", "255.255.255.255")), "bad_destination"),
    "to nowhere": (UDP, bytes(ipv6(OWN, "::")), "bad_destination"),
    "to loopback": (UDP, bytes(ipv6(OWN, "::1")), "bad_destination"),
    "IPv6 multicast data": (UDP, bytes(ipv6(OWN, "ff0e::1")), "control_unexpected"),
    "to another's link-local address": (UDP, bytes(ipv6(OWN, "fe80::77")), "control_unexpected"),
    **{
        f"from {source}": (UDP, bytes(ipv6(source, FAR)), "bad_source")
        for source in ("ff02::1", "::", "::1", AERO_CLIENT)
    },
    "Fragment Header cut short": (RAW44, b"\x29\0\0\0\0\0\0", "enc_bad_first"),
    "Fragment Header of TCP": (RAW44, changed(part(0, 1024, more=True), 0, 6), "enc_bad_first"),
    "Fragment Header of TCP in GUE": (GUE, b"\0\x2c\0\0" + changed(part(0, 1024, more=True), 0, 6), "enc_bad_first"),
    "empty part": (UDP, part(0, 0, more=True), "fragment_size"),
    "part of 1023 octets with more to come": (UDP, part(0, 1023, more=True), "fragment_size"),
    "part beyond the cap": (UDP, part(9216, 8, more=False), "fragment_beyond_cap"),
    "first part without the whole header": (UDP, part(0, 40, more=True), "fragment_tiny"),
    "another's source": (UDP, bytes(ipv6(OTHER, FAR)), "origin_fail"),
    "the Server's own source": (UDP, bytes(ipv6(SERVER_ADDRESS, FAR)), "origin_fail"),
}


@pytest.mark.requirement("SEC9-7", "ENC-2", "ENC-12", "SRV-6", "FRAG-8")
@pytest.mark.parametrize(("through", "payload", "counter"), ROWS.values(), ids=ROWS)
def test_dropped_counted_nothing_changed(through, payload, counter):
    server, _client = attached()
    source = next(iter(server.node.core.cache)).path.lladdr
    if through is not UDP:  # a path in that encapsulation, as if it had been proven
        prove(server, through)
    before = server.state()
    server.arrive(payload, str(source.ip), through=through, port=6080 if through is GUE else source.port)
    assert server.counted() == {counter: 1}
    assert not server.sent
    assert not server.delivered
    assert not server.asked
    assert len(server.forwarder.reassembly) == 0
    assert server.state() == before


def prove(server, through) -> None:
    kind = Encapsulation.GUE if through is GUE else Encapsulation.MINIMAL
    client = next(iter(server.node.core.cache))
    lladdr = LinkLayerAddress(kind, client.path.lladdr.ip, kind.port)
    server.node.core.cache.set_paths(client, [*client.paths, Path.to(lladdr, 1500, preference=0)])


@pytest.mark.requirement("CLI-13", "SRV-6")
def test_a_client_takes_data_from_its_server_only():
    _server, client = attached()
    for host in (STRANGER, SERVER):
        client.arrive(bytes(ipv6(FAR, OTHER)), host)
    assert client.counted() == {"origin_fail": 1, "not_mine": 1}
    assert not client.delivered
    client.arrive(bytes(ipv6(FAR, OWN)), SERVER)
    assert len(client.delivered) == 1


def test_reserved_bits_of_a_fragment_header_mean_nothing():
    server, _client = attached()
    for octets in (part(0, 1024, more=True), part(1024, 376, more=False)):
        server.arrive(changed(octets, 1, 0xFF)[:3] + bytes((octets[3] | 6,)) + octets[4:])
    assert len(server.delivered) == 1
    assert server.counted() == {}


@pytest.mark.requirement("SEC9-15", "FRAG-7")
@pytest.mark.parametrize(
    ("second", "counter"),
    [
        (part(1016, 384, more=False), "fragment_overlap"),
        (part(0, 1032, more=True), "fragment_overlap"),
        (part(0, 1024, more=True), "fragment_duplicate"),
        (part(8, 8, more=True), "fragment_overlap"),
    ],
)
def test_overlaps_end_a_packet_and_duplicates_do_not(second, counter):
    server, _client = attached()
    server.arrive(part(0, 1024, more=True))
    server.arrive(second)
    server.arrive(part(1024, 376, more=False))
    abandoned = counter == "fragment_overlap"
    assert len(server.delivered) == (not abandoned)
    assert server.counted() == ({counter: 1, "fragment_abandoned": 1} if abandoned else {counter: 1})
    server.now += REASSEMBLY_TIME
    server.arrive(part(0, 1024, more=True))
    server.arrive(part(1024, 376, more=False))
    assert len(server.delivered) == 1 + (not abandoned)


@pytest.mark.requirement("SEC9-15", "FRAG-7", "FRAG-8")
def test_a_ninth_part_ends_a_packet():
    server, _client = attached()
    for number in range(9):
        server.arrive(part(64 * number, 64, more=True))
    assert server.counted() == {"fragment_too_many": 1}


@pytest.mark.requirement("SEC9-15", "FRAG-8")
def test_parts_that_never_get_company_cost_a_bounded_amount():
    server, _client = attached()
    for number in range(5000):
        server.arrive(part(0, 1024, more=True, number=number))
    assert len(server.forwarder.reassembly) == REASSEMBLY_PER_NEIGHBOR
    assert server.forwarder.reassembly.evicted == 5000 - REASSEMBLY_PER_NEIGHBOR
    server.now += REASSEMBLY_TIME
    server.arrive(part(0, 1024, more=True, number=9999))
    assert len(server.forwarder.reassembly) == 1


@pytest.mark.requirement("SEC9-15", "FRAG-8")
def test_a_stranger_has_no_place_for_parts():
    server, _client = attached()
    for number in range(100):
        server.arrive(part(0, 1024, more=True, number=number), STRANGER)
    assert len(server.forwarder.reassembly) == 0
    assert server.counted() == {"origin_fail": 100}


@pytest.mark.requirement("SEC9-15", "FRAG-9")
@pytest.mark.parametrize("destination", ["fe80::1", "ff02::1:2"])
def test_control_in_parts_reaches_nobody(destination):
    server, _client = attached()
    whole, before = bytes(ipv6(AERO_CLIENT, destination, 160, hops=255)), server.state()
    server.arrive(push_fragment(Fragment(41, 0, True, 1)) + whole[:80])
    server.arrive(push_fragment(Fragment(41, 80, False, 1)) + whole[80:])
    assert server.counted() == {"control_fragmented": 1}
    assert (server.state(), server.sent, server.asked) == (before, [], [])


def test_what_strangers_and_inventive_clients_make_us_hold_is_bounded():
    server, _client = attached()
    for number in range(ORIGINS + 100):
        server.arrive(GOOD, f"100.{64 + number // 65536}.{number >> 8 & 255}.{number & 255}")
    assert len(server.forwarder._memory.origins) <= ORIGINS
    for number in range(ALL_FLOWS + 100):
        server.arrive(changed(GOOD, 20, *number.to_bytes(4, "big")))
    assert 0 < server.forwarder._memory.judged <= 200
    assert sum(len(origin.flows) for origin in server.forwarder._memory.origins.values()) <= FLOWS


def test_duplicate_windows_of_neighbors_that_are_gone_are_forgotten():
    server, _client = attached()
    made = [server.forwarder._new_window(address) for address in range(10 * SPARE_WINDOWS)]
    assert len(made) > len(server.forwarder._windows)
    assert len(server.forwarder._windows) <= 2 * len(server.node.core.cache) + SPARE_WINDOWS


def test_the_kernels_own_noise_is_discarded():
    _server, client = attached()
    for destination in ("ff02::2", "ff02::16", "ff02::fb", "fe80::1"):
        client.forwarder.from_kernel(memoryview(ipv6("fe80::1", destination)), client.now)
    client.forwarder.from_kernel(memoryview(b"\x60"), client.now)
    assert client.counted() == {"kernel_noise": 4, "bad_inner": 1}
    assert not client.sent
