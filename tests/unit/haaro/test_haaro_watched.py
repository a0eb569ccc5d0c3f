"""Where the kernel has the tunnels, what may start optimisation still passes the program (spec MR-7)."""

from __future__ import annotations

import pytest
from haaro_domain import Domain

from agents.haaro.items import Watched

BY_KERNEL = {letter: {"tunnel": "ipip", "encapsulation": "ipip"} for letter in "abc"}


def watched(domain, letter):
    return {str(item.prefix) for item in domain.nodes[letter].items.values() if isinstance(item, Watched)}


@pytest.mark.requirement("MR-7", "MR-15", "MR-16")
def test_what_the_cache_knows_is_watched_until_it_goes_directly():
    domain = Domain("abc", changes=BY_KERNEL)
    domain.start()
    assert watched(domain, "a") == set(), "A knows nobody"
    assert watched(domain, "b") == {"203.0.113.11/32", "10.10.1.0/24"}
    c = {"203.0.113.11/32", "10.10.1.0/24", "203.0.113.12/32", "10.10.2.0/24"}
    assert watched(domain, "c") == c
    assert domain.ping("c", "a")
    domain.run(2.0)
    assert domain.direct("c", "a")
    assert watched(domain, "c") == {"203.0.113.12/32", "10.10.2.0/24"}
    domain.leave("a")
    domain.run(3.0)
    assert not domain.direct("c", "a")
    assert watched(domain, "c") == c


def test_nothing_is_watched_where_everything_passes_the_program():
    domain = Domain("abc")
    domain.start()
    assert not any(watched(domain, letter) for letter in "abc")


def test_policy_decides_what_is_worth_watching():
    domain = Domain("ab", changes={"b": {**BY_KERNEL["b"], "realms": ("other.example",)}})
    domain.start()
    assert watched(domain, "b") == {"203.0.113.11/32"}
    declined = Domain("ab", changes={"b": {**BY_KERNEL["b"], "accept": False}})
    declined.start()
    assert watched(declined, "b") == set()
