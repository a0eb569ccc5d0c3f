"""Elements of nftables sets by netlink are the very elements that nft makes of their text."""

from __future__ import annotations

import errno
import json
from collections.abc import Iterator
from ipaddress import IPv6Address, IPv6Network

import pytest
from kernel_namespaces import Namespace

from agents.kernel import gate
from agents.kernel.elements import AT_ONCE, Element, Elements
from agents.kernel.netlink import KernelError

pytestmark = [pytest.mark.netns, pytest.mark.stock]

LOCAL, PEER = IPv6Address("2001:db8:c:1::2"), IPv6Address("2001:db8:c:2::2")
PREFIX = IPv6Network("2001:db8:a1:1::/64")
SIMPLE = (
    gate.source_element("mn1dgw1", PREFIX),
    gate.source_element("m", PREFIX),
    gate.peer_element(PEER),
    gate.tunnel_element(PEER, PREFIX, "source"),
    gate.tunnel_element(PEER, PREFIX, "destination"),
    gate.bar_element(PREFIX),
)
RANGE = gate.local_element(PEER, PREFIX, IPv6Network("2001:db8:5::/64"))


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    made = Namespace("gateway")
    with made.entered():
        yield made
    made.close()


@pytest.fixture
def table(namespace: Namespace) -> Iterator[gate.Gate]:
    made = gate.Gate(LOCAL, "wan")
    made.prepare()
    yield made
    made.close()


def listed(namespace: Namespace) -> dict[str, list]:
    """What nft shows of each set."""
    found = json.loads(namespace.run("nft", "-j", "list", "table", "ip6", "roamlab"))["nftables"]
    return {entry["set"]["name"]: entry["set"].get("elem", []) for entry in found if "set" in entry}


def by_nft(namespace: Namespace, *elements: Element) -> dict[str, list]:
    """The same, when nft adds them."""
    for element in elements:
        namespace.run("nft", "add", "element", "ip6", "roamlab", element.set, "{", element.text, "}")
    return listed(namespace)


def test_every_kind_is_what_nft_makes_of_its_text(namespace: Namespace, table: gate.Gate) -> None:
    table.permit(*SIMPLE)
    ours = listed(namespace)
    assert sum(map(len, ours.values())) == len(SIMPLE)
    assert all(element["elem"]["counter"]["packets"] == 0 for element in ours["sources"])
    assert by_nft(namespace, *SIMPLE) == ours, "nft finds every one of them there already"
    table.forbid(*SIMPLE[1:])
    left = listed(namespace)
    assert [element["elem"]["val"]["concat"][0] for element in left["sources"]] == ["mn1dgw1"]
    assert sum(map(len, left.values())) == 1


def test_ranges_go_by_nft_and_with_what_else_goes_with_them(namespace: Namespace, table: gate.Gate) -> None:
    table.permit(RANGE, SIMPLE[0])
    found = listed(namespace)
    assert [len(found[name]) for name in ("tunnel_local", "sources")] == [1, 1]
    table.forbid(SIMPLE[0], RANGE)
    assert not any(listed(namespace).values())


def test_a_refused_change_changes_nothing_and_the_next_one_goes(namespace: Namespace, table: gate.Gate) -> None:
    elements = Elements("roamlab")
    elements.add(SIMPLE[:3])
    with pytest.raises(KernelError, match="nftables refused") as caught:
        elements.delete([*SIMPLE[:3], SIMPLE[4]])
    assert caught.value.code == errno.ENOENT
    assert sum(map(len, listed(namespace).values())) == 3, "all of them or none"
    elements.add(SIMPLE)
    elements.add(SIMPLE)
    assert sum(map(len, listed(namespace).values())) == len(SIMPLE)
    with pytest.raises(ValueError, match="range"):
        elements.add([RANGE])
    elements.close()


def test_many_at_once_and_more_than_go_at_once(namespace: Namespace, table: gate.Gate) -> None:
    prefixes = list(IPv6Network("2001:db8:a1::/48").subnets(new_prefix=64))[: 3 * AT_ONCE]
    many = [gate.source_element("mn1dgw1", prefix) for prefix in prefixes]
    table.permit(*many[:AT_ONCE])
    assert len(listed(namespace)["sources"]) == AT_ONCE
    table.permit(*many)
    assert len(listed(namespace)["sources"]) == len(many)
    table.forbid(*many)
    assert listed(namespace)["sources"] == []


def test_without_the_table_the_refusal_is_told(namespace: Namespace) -> None:
    elements = Elements("nowhere")
    with pytest.raises(KernelError, match="ENOENT"):
        elements.add(SIMPLE[:1])
    elements.close()
