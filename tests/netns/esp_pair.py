"""Two namespaces on one link, on a kernel that has ESP."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from ipaddress import IPv6Address

import pytest
from kernel_namespaces import Namespace, wait_until, wire

from agents.kernel.xfrm import unavailable


@contextmanager
def esp_pair(here: IPv6Address, there: IPv6Address) -> Iterator[tuple[Namespace, Namespace]]:
    """With these addresses at the two ends of their link `wan`."""
    with closing(Namespace("here")) as first, closing(Namespace("there")) as second:
        with first.entered():
            reason = unavailable()
        if reason:
            pytest.skip(f"this kernel has no ESP: {reason}")
        wire(first, "wan", second, "wan")
        first.batch(f"addr add {here}/64 dev wan nodad")
        second.batch(f"addr add {there}/64 dev wan nodad")
        wait_until("the link", lambda: "state UP" in first.run("ip", "link", "show", "wan"))
        yield first, second
