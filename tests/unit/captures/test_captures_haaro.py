"""HAARO's packets as the checks see them, by a decoder that is not the agents' (spec HAARO §1.5, §2, §8)."""

from __future__ import annotations

import hashlib
import hmac
import subprocess
from ipaddress import IPv4Address, IPv4Network

import pytest
from haaro_vectors import (
    COA_A,
    COA_C,
    HA,
    HOA_A,
    HOA_B,
    HOA_C,
    HOME_TOKEN,
    K6,
    K7,
    K8,
    K8_AUTH,
    K9,
    K9_AUTH,
    K10,
    K10_AUTH,
    K11,
    K11_AUTH,
    KEY,
    KRM,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw
from scapy.utils import wrpcap

from agents.haaro.compression import Network, Owner, decode_advertisement, encode_advertisement
from captures.haaro.advertisement import read_advertisement
from captures.haaro.decode import read_frame
from captures.haaro.messages import read_message
from captures.haaro.records import (
    Advertised,
    Capability,
    CorrespondentAuth,
    Frame,
    HomeAuth,
    NetworkState,
    RoReply,
    UdpTunnel,
)

NETWORK = IPv4Network("10.10.3.0/24")
TUNNEL = b"\x04\x04\0\0"


def read(packet: Packet) -> Frame:
    frame = read_frame(bytes(Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02") / packet), "f", 1, 0.0, "n", "i")
    assert frame
    return frame


def test_a_message_without_extensions():
    message = read_message(b"\3\xcb" + bytes(18))
    assert (message.kind, message.code, message.order, message.faults) == ("RRP", 203, (), ())


def test_request_to_a_peer():
    found = read_message(K6 + K7)
    assert (found.kind, found.flags, found.lifetime) == ("RRQ", 0x22, 120)
    assert (found.home_address, found.home_agent, found.careof_address) == (HOA_C, HA, COA_C)
    assert found.identification == 0xE800000012345678
    assert found.order == ((148, 0), (144, 0), (49, 2))
    assert found.requested == (NetworkState(NETWORK, 24),)
    assert found.udp_request == UdpTunnel(forced=True, encapsulation=4)
    assert found.auths == (CorrespondentAuth(5, 6, K7[8:], K6 + K7[:2] + K7[4:8]),)
    assert found.to_peer
    assert hmac.digest(KRM, found.auths[0].covered, hashlib.sha1)[:16] == found.auths[0].authenticator
    assert not found.faults


def test_reply_of_a_peer():
    found = read_message(K8 + K8_AUTH)
    assert found.title == "RRP 0"
    assert found.acknowledged == (NetworkState(NETWORK, 24, code=0),)
    assert found.udp_reply == UdpTunnel(forced=True, code=0, keepalive=2)
    assert found.careof_addresses == (COA_A,)
    assert found.auths[0].authenticator == K8_AUTH[8:]
    assert not found.faults


def test_home_agents_request_and_reply():
    request, reply = read_message(K10 + K10_AUTH), read_message(K11 + K11_AUTH)
    assert request.capability == Capability(True, True, False, None)
    assert request.auths == (HomeAuth(256, K10_AUTH[6:], K10 + K10_AUTH[:6]),)
    assert hmac.digest(KEY, request.auths[0].covered, hashlib.md5) == request.auths[0].authenticator
    assert reply.ro_reply == RoReply(0, False, False, False)
    assert reply.udp_reply == UdpTunnel(False, code=64, keepalive=0)
    assert reply.advertised == (
        Advertised(HOA_A, 0, ((IPv4Network("10.10.1.0/24"), "foo.example.com"),)),
        Advertised(HOA_B, 1, ((IPv4Network("10.10.2.0/24"), "bar.foo.example.com"),)),
    )
    assert not request.faults
    assert not reply.faults


def test_deregistration_and_solicitation():
    assert read_message(K9 + K9_AUTH).lifetime == 0
    solicitation = read_message(K10[:24] + bytes.fromhex("990601e0cb00710d"))
    assert solicitation.capability == Capability(True, True, False, HOA_C)


def test_test_messages():
    init = read_message(bytes.fromhex("18001111111111111111"))
    assert (init.kind, init.cookie) == ("HoTI", b"\x11" * 8)
    test = read_message(bytes.fromhex("1a0000051111111111111111") + HOME_TOKEN)
    assert (test.kind, test.index, test.cookie, test.token) == ("HoT", 5, b"\x11" * 8, HOME_TOKEN)
    assert read_message(b"\x19\0" + bytes(8)).kind == "CoTI"
    assert read_message(b"\x1b\0" + bytes(18)).kind == "CoT"


@pytest.mark.parametrize("payload", [b"", b"\x01" + bytes(22), b"\x18" + bytes(8), TUNNEL + bytes(20), b"\x63" * 30])
def test_what_is_no_message(payload):
    assert read_message(payload) is None


@pytest.mark.parametrize(
    ("extension", "order", "fault"),
    [
        ("990501c0cb0071", (153, 1), "octet 24: extension 153 of length 5"),
        ("31050300c63364", (49, 3), "octet 24: extension 49 of length 5"),
        ("9409000018000a0a030000"[:22], (148, 0), "octet 24: extension 148 of length 9"),
        ("2002ffff", (32, None), "octet 24: extension 32 of length 2"),
        ("c8020102", (200, 1), None),
        ("32010003180a0a", (50, 1), "advertisement at octet 24: octet 0: cut off"),
    ],
)
def test_what_is_wrong_is_said_and_the_rest_goes_on(extension, order, fault):
    found = read_message(K6[:24] + b"\0" + bytes.fromhex(extension) + K6[24:] + K7)
    assert found.order[0] == order
    assert found.faults == ((fault.replace("24", "25"),) if fault else ())
    assert found.requested == (NetworkState(NETWORK, 24),)
    assert found.to_peer


def test_what_does_not_fit_ends_the_reading():
    found = read_message(K6[:24] + b"\x94\xff\0")
    assert found.faults == ("octet 24: extension 148 does not fit",)
    assert found.requested == ()


def test_plain_signalling():
    frame = read(IP(src=str(COA_C), dst=str(HA)) / UDP(sport=5434, dport=434) / Raw(K10 + K10_AUTH))
    assert frame.kind == "RRQ"
    assert frame.ports == (5434, 434)
    assert not frame.tunnelled


@pytest.mark.parametrize("carrier", ["udp", "ipip"])
def test_signalling_inside_the_tunnel_to_the_home_agent(carrier):
    inner = IP(src=str(HOA_C), dst=str(HOA_A)) / UDP(sport=434, dport=434) / Raw(b"\x18\0" + b"\x11" * 8)
    outer = IP(src=str(COA_C), dst=str(HA))
    around = outer / UDP(sport=434, dport=434) / Raw(TUNNEL + bytes(inner)) if carrier == "udp" else outer / inner
    frame = read(around)
    assert frame.kind == "HoTI"
    assert frame.carriers == (carrier,)
    assert [(str(layer.source), str(layer.destination)) for layer in frame.layers] == [
        (str(COA_C), str(HA)),
        (str(HOA_C), str(HOA_A)),
    ]
    assert frame.tunnel_ports == ((434, 434) if carrier == "udp" else None)
    assert frame.next_header == (4 if carrier == "udp" else None)


def test_keepalive_between_care_of_addresses():
    inner = IP(src=str(HOA_C), dst=str(HOA_A)) / ICMP(type=8, id=7, seq=3)
    frame = read(IP(src=str(COA_C), dst=str(COA_A)) / UDP(sport=40001, dport=434) / Raw(TUNNEL + bytes(inner)))
    assert frame.echo == ("request", 7, 3)
    assert frame.tunnel_ports == (40001, 434)
    assert frame.message is None
    assert frame.inner.destination == HOA_A


def test_a_tunnel_inside_a_tunnel_and_what_is_none():
    inner = IP(src="10.10.3.2", dst="10.10.1.2") / ICMP()
    middle = IP(src=str(COA_C), dst=str(COA_A)) / UDP(sport=434, dport=434) / Raw(TUNNEL + bytes(inner))
    twice = read(IP(src=str(COA_C), dst=str(HA)) / middle)
    assert twice.carriers == ("ipip", "udp")
    elsewhere = read(IP(src=str(COA_C), dst=str(HA)) / UDP(sport=9, dport=9) / Raw(TUNNEL + bytes(inner)))
    assert not elsewhere.tunnelled
    gre = read(IP(src=str(COA_C), dst=str(HA)) / UDP(sport=434, dport=434) / Raw(b"\x04\x2f\0\0" + bytes(inner)))
    assert gre.next_header == 47


def test_tshark_reads_the_same_fixed_parts(tmp_path):
    payloads = (K6 + K7, K8 + K8_AUTH, K10 + K10_AUTH)
    ends = {"src": str(COA_C), "dst": str(HOA_A)}
    packets = [Ether() / IP(**ends) / UDP(sport=434, dport=434) / Raw(payload) for payload in payloads]
    wrpcap(str(tmp_path / "made.pcap"), packets)
    names = ("mip.type", "mip.flags", "mip.code", "mip.life", "mip.homeaddr", "mip.haaddr", "mip.coa")
    argv = ["tshark", "-n", "-r", str(tmp_path / "made.pcap"), "-T", "fields", "-E", "occurrence=f"]
    said = subprocess.run(
        [*argv, *(word for name in names for word in ("-e", name))], capture_output=True, text=True, check=True
    ).stdout
    rows = [line.split("\t") for line in said.splitlines()]
    assert len(rows) == 3
    for row, payload in zip(rows, payloads, strict=True):
        found = read_message(payload)
        flags = f"{found.flags:#04x}" if found.kind == "RRQ" else ""
        code = str(found.code) if found.kind == "RRP" else ""
        careof = str(found.careof_address) if found.careof_address else ""
        ends = [str(found.home_address), str(found.home_agent), careof]
        assert row == [str(payload[0]), flags, code, str(found.lifetime), *ends]


networks = st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 32)).map(lambda pair: IPv4Network(pair, strict=False))
few = st.sampled_from([IPv4Network(f"10.{n}.{m}.0/24") for n in range(2) for m in range(3)])
realms = st.lists(st.sampled_from(["a", "b", "foo", "example", "com"]), max_size=5).map(".".join)
owners = st.builds(
    Owner,
    st.integers(0, 2**32 - 1).map(IPv4Address),
    st.lists(st.builds(Network, networks | few, realms), max_size=12).map(tuple),
    st.booleans(),
)


def as_records(found):
    return tuple(
        Advertised(o.home_address, int(o.outbound_only), tuple((n.prefix, n.realm) for n in o.networks)) for o in found
    )


@given(st.lists(owners, max_size=12).map(tuple), st.booleans())
@settings(deadline=None)
def test_two_readers_of_advertisements_agree(given_owners, compress):
    found, fault = read_advertisement(encode_advertisement(given_owners, compress=compress))
    assert fault is None
    assert found == as_records(given_owners)


@given(st.lists(owners, min_size=1, max_size=6).map(tuple), st.randoms(use_true_random=False))
@settings(deadline=None)
def test_they_agree_on_what_is_wrong_too(given_owners, chance):
    octets = bytearray(encode_advertisement(given_owners))
    for _ in range(chance.randint(1, 3)):
        octets[chance.randrange(len(octets))] = chance.randrange(256)
    found, fault = read_advertisement(bytes(octets))
    other = decode_advertisement(bytes(octets))
    assert (fault is None) == (other.error is None), (fault, other.error)
    same = tuple(Advertised(o.home_address, min(o.info, 1), o.networks) for o in found)
    assert same == as_records(other.owners)
