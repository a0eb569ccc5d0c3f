"""How many random lives a test tries: one of those takes as long as hundreds of other examples."""

from __future__ import annotations

from hypothesis import settings

USUAL = 50
"""What conftest.py lets hypothesis try, unless thorough."""


def lives(usual: int, thorough: int) -> int:
    """How many, by the lane that runs."""
    return usual if settings.default.max_examples <= USUAL else thorough
