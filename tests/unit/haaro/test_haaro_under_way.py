"""What was under way in the tunnel of a router that leaves still comes out of it."""

from __future__ import annotations

import pytest
from haaro_domain import Domain

from agents.haaro.items import Tunnel, TunnelRoute
from agents.haaro.notices import Leave


@pytest.mark.requirement("HOV-3")
def test_the_tunnel_to_the_home_agent_is_listened_to_for_the_grace_after_leaving():
    domain = Domain("a")
    domain.start()
    node = domain.nodes["a"].core
    node.receive(Leave(), None, domain.now)
    domain.perform(domain.nodes["a"])
    domain.run(1.0)
    items = domain.nodes["a"].items.values()
    assert [item for item in items if isinstance(item, Tunnel)]
    assert not [item for item in items if isinstance(item, TunnelRoute)], "nothing goes into it"
    domain.run(domain.nodes["a"].core.config.timing.grace)
    assert not [item for item in domain.nodes["a"].items.values() if isinstance(item, Tunnel)]
