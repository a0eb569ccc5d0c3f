"""How many examples hypothesis tries: the same ones every time, and with --thorough as many new ones as one has
patience for.
"""

from __future__ import annotations

import pytest
from hypothesis import settings
from lanes import USUAL

EXAMPLES = {"usual": USUAL, "thorough": 400}


def pytest_configure(config: pytest.Config) -> None:
    for name, count in EXAMPLES.items():
        settings.register_profile(name, max_examples=count, deadline=None, derandomize=name == "usual")
    settings.load_profile("thorough" if config.getoption("--thorough") else "usual")
