"""Lab options from the command line: conversion, refusal, one line each."""

from __future__ import annotations

from typing import Any

import pytest
from fake_lab import FakeLab

from topologies.cli.errors import Mistake
from topologies.cli.options import configure, gather, one_lab


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, {}),
        ({"mode": "relay"}, {"mode": "relay"}),
        ({"moves": "20"}, {"moves": 20}),
        ({"loss": "0.5"}, {"loss": 0.5}),
        ({"loss": "none"}, {"loss": None}),
        ({"camera": "off"}, {"camera": False}),
        ({"camera": "Yes"}, {"camera": True}),
    ],
)
def test_words_become_the_types_of_the_labs_options(settings: dict[str, str], expected: dict[str, Any]) -> None:
    values, options = configure(FakeLab(), settings)
    assert values == expected
    assert all(getattr(options, key) == value for key, value in expected.items())


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"mod": "relay"}, "did you mean 'mode'?"),
        ({"mode": "rely"}, "direct, relay"),
        ({"moves": "many"}, "a whole number"),
        ({"loss": "much"}, "a number"),
        ({"camera": "perhaps"}, "true or false"),
    ],
)
def test_what_the_lab_does_not_know_is_a_usage_error(settings: dict[str, str], reason: str) -> None:
    with pytest.raises(Mistake, match=r".*") as refused:
        configure(FakeLab(), settings)
    assert reason in str(refused.value)
    assert "\n" not in str(refused.value)


def test_flags_win_over_pairs_and_dashes_are_understood() -> None:
    gathered = gather(["ra-profile=lowpref", "mode=direct", "note=a=b"], mode="relay", tunnel=None)
    assert gathered == {"ra_profile": "lowpref", "mode": "relay", "note": "a=b"}


@pytest.mark.parametrize("pair", ["mode", "=relay", ""])
def test_a_pair_without_its_halves_is_refused(pair: str) -> None:
    with pytest.raises(Mistake, match="KEY=VALUE"):
        gather([pair])


def test_the_lab_is_named_once() -> None:
    assert one_lab("basic", None) == one_lab(None, "basic") == one_lab("basic", "basic") == "basic"
    with pytest.raises(Mistake, match="which lab"):
        one_lab("basic", "ietf83")
    with pytest.raises(Mistake, match="name a lab"):
        one_lab(None, None)
