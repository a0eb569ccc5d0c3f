"""Answers to pings are heard whether or not ping still waits for them."""

from __future__ import annotations

import pytest

from testbed.mininet_api import Topo
from testbed.nodes import Host
from topologies.replies import Replies

pytestmark = pytest.mark.netns
ADDRESSES = {4: ("192.0.2.1", "192.0.2.2"), 6: ("2001:db8::1", "2001:db8::2")}


class Pair(Topo):
    def build(self, **_opts):
        self.addHost("one", cls=Host)
        self.addHost("other", cls=Host)
        own, its = ([f"{ADDRESSES[4][end]}/24", f"{ADDRESSES[6][end]}/64"] for end in (0, 1))
        self.addLink("one", "other", params1={"addresses": own}, params2={"addresses": its})


@pytest.mark.parametrize("version", [4, 6])
def test_answers_of_one_series_are_heard_from_the_beginning_to_the_end(network, version):
    node = network(Pair())["one"]
    ping = ["ping", "-n", "-q", "-i", "0.01", "-W", "5", ADDRESSES[version][1]]
    with Replies(node, version, 7) as replies:
        assert replies.until(1, 0.0) == 0
        node.run([*ping, "-e", "8", "-c", "1"], check=True, timeout=30)
        assert replies.until(1, 0.1) == 0, "those are another's"
        node.run([*ping, "-e", "7", "-c", "3"], check=True, timeout=30)
        assert replies.until(3, 20.0) == 3
        assert replies.until(4, 0.1) == 3, "waits for what does not come, but not for ever"
