"""The worked examples of the HAARO sheet (§3.6, §8): octets, and the messages they stand for."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

from agents.haaro.compression import Network, Owner

KCR = bytes(range(16))
NONCE5, NONCE6 = bytes.fromhex("a0a1a2a3a4a5a6a7"), bytes.fromhex("b0b1b2b3b4b5b6b7")
KEY = bytes.fromhex("00112233445566778899aabbccddeeff")
SPI = 256
HOA_A, HOA_B, HOA_C = (IPv4Address(f"203.0.113.{n}") for n in (11, 12, 13))
HA = IPv4Address("203.0.113.1")
COA_A, COA_C, NATED_C = (IPv4Address(f"198.51.100.{n}") for n in (10, 130, 77))
IDENTIFICATION = 0xE800000012345678

HOME_TOKEN = bytes.fromhex("c2489ce3e420c7a0")
CAREOF_TOKEN = bytes.fromhex("9555ce810199b7c1")
NATED_TOKEN = bytes.fromhex("a1698611439664b5")
KRM = bytes.fromhex("5d7bd23e028ee0988f99d7b539885dd5f7f20420")
DEREGISTRATION_KRM = bytes.fromhex("23e6e5e13a1d8f8c6a4a8828c6de0ebd2932e243")

K6 = bytes.fromhex(
    "01220078 cb00710d cb007101 c6336482 e8000000 12345678 94060018 0a0a0300 90060000 80040000".replace(" ", "")
)
K7 = bytes.fromhex("31160200000500068d05ae620c10f58b89006a23b961cfad")
K7_COVERING_ALL = bytes.fromhex("df0f7083c094376b8f5e4c419055f439")
K8 = bytes.fromhex(
    "03000078cb00710dcb007101e8000000123456789408010018000a0a03002c06000080000002310603 00c633640a".replace(" ", "")
)
K8_AUTH = bytes.fromhex("3116020000050006f958a1ca2524a1f4f792577c6101fd30")
K9 = bytes.fromhex("01220000cb00710dcb007101c6336482e800003c9abcdef0")
K9_AUTH = bytes.fromhex("31160200000500006e9a9574aa89bda6fa4c0058c51d5606")
K10 = bytes.fromhex("01220258cb00710dcb007101c6336482e800000012345678990201c0940600180a0a03009006000000040000")
K10_AUTH = bytes.fromhex("2014000001007dc48ad0e2a119bc19d13bc53a9b80e4")
K11 = bytes.fromhex(
    "03000258cb00710dcb007101e8000000123456789408010018000a0a03002c06004000000000310201003201002740cb00710b180a0a01"
    "03666f6f076578616d706c6503636f6d0041cb00710c9802036261728300"
)
K11_AUTH = bytes.fromhex("2014000001000c586865486da3c64735a2410e3a8c88")
"""Exactly as in the sheet."""


def owner(home_address: IPv4Address, *networks: tuple[str, str], outbound_only: bool = False) -> Owner:
    """An owner of (prefix, realm) pairs."""
    return Owner(home_address, tuple(Network(IPv4Network(p), realm) for p, realm in networks), outbound_only)


K11_OWNERS = (
    owner(HOA_A, ("10.10.1.0/24", "foo.example.com")),
    owner(HOA_B, ("10.10.2.0/24", "bar.foo.example.com"), outbound_only=True),
)
