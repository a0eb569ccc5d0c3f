"""Node names on the console become addresses where a person means them."""

from __future__ import annotations

import pytest

from topologies.cli.console import address_of, with_addresses

NODES = {
    "cn1": {"interfaces": {"eth0": {"addresses": ["fe80::1/64", "2001:db8:f::2/64"]}}},
    "mn1": {
        "interfaces": {
            "eth0": {
                "addresses": ["2001:db8:a::11/64", "2001:db8:b::11/64", "fe80::11/64"],
                "preferred": ["2001:db8:b::11/64"],
            }
        }
    },
    "old": {"interfaces": {"lo": {"addresses": ["127.0.0.1/8", "::1/128"]}, "eth0": {"addresses": ["192.0.2.7/24"]}}},
    "air": {"interfaces": {}},
}


@pytest.mark.parametrize(
    ("node", "address"), [("cn1", "2001:db8:f::2"), ("mn1", "2001:db8:b::11"), ("old", "192.0.2.7"), ("air", None)]
)
def test_the_address_a_person_means(node: str, address: str | None) -> None:
    assert address_of(NODES[node]) == address


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["ping", "-c1", "cn1"], ["ping", "-c1", "2001:db8:f::2"]),
        (["curl", "http://cn1:8080/cn1"], ["curl", "http://[2001:db8:f::2]:8080/cn1"]),
        (["curl", "http://old/"], ["curl", "http://192.0.2.7/"]),
        (["curl", "http://cn1.example/"], ["curl", "http://cn1.example/"]),
        (["echo", "air", "cn12", "mn1x"], ["echo", "air", "cn12", "mn1x"]),
    ],
)
def test_whole_words_and_the_hosts_of_urls(words: list[str], expected: list[str]) -> None:
    assert with_addresses(words, NODES) == expected
