"""Netlink batches on the real kernel: order, refusals of a whole batch, answers, waiting for carriers."""

import ipaddress

import pytest

from testbed import requests
from testbed.namespace import Namespace
from testbed.netlink import Netlink, NetlinkError
from testbed.requests import LOOPBACK

pytestmark = pytest.mark.netns


@pytest.fixture
def inside():
    """Enter a new namespace for the test."""
    namespace = Namespace.create()
    with namespace.entered():
        yield namespace
    namespace.close()


def pair(namespace, first, second, what="pair"):
    ends = [
        requests.End(f"v{index}", index, f"02:00:00:00:00:{index % 256:02x}", namespace.fd) for index in (first, second)
    ]
    return requests.veth(*ends, None, what)


def test_refused_requests_are_named_and_the_others_done(inside):
    bad = pair(inside, 300, 301, "bad")
    address = requests.add_address(LOOPBACK, ipaddress.ip_interface("10.0.0.1/8"), "good")
    with Netlink() as netlink:
        netlink.run([pair(inside, 10, 11)])
        refused = [pair(inside, 10, 11, f"pair {number}") for number in range(250)]
        with pytest.raises(
            NetlinkError, match=r"^kernel refused: 250 of 251 requests failed: pair 0: .*; and 245 more$"
        ):
            netlink.run([*refused[:120], address, *refused[120:]])
        with pytest.raises(NetlinkError) as caught:
            netlink.run([address, refused[7], bad])  # sent before: the same request again
        assert caught.value.failures == [("pair 7", 17)]
        names = {link["index"] for link in netlink.run([requests.get_link(0, "all")])}
        assert names == {LOOPBACK, 10, 11, 300, 301}
        netlink.run([requests.delete_address(LOOPBACK, ipaddress.ip_interface("10.0.0.1/8"), "good")])


def test_the_kernels_own_words_are_given(inside):
    route = requests.add_route("default", "192.0.2.1", "route", {})
    with (
        Netlink() as netlink,
        pytest.raises(
            NetlinkError, match=r"^kernel refused: 1 of 2 requests failed: route: Nexthop has invalid gateway"
        ),
    ):
        netlink.run([requests.set_link(LOOPBACK, "lo up", up=True), route])


def test_waiting_ends_with_the_carrier_event_or_names_what_lacks_it(inside):
    with Netlink() as netlink:
        netlink.run([pair(inside, 10, 11)])
        with pytest.raises(TimeoutError, match=r"^no carrier on first, second after 0\.05 s$"):
            requests.wait_running(netlink, {10: "first", 11: "second"}, 0.05)
        netlink.run([requests.set_link(11, "up", up=True)])
        requests.wait_running(netlink, {10: "first", 11: "second"}, 10)
        links = {link["index"]: link for link in netlink.run([requests.get_link(0, "all")])}
        assert [links[index].get_attr("IFLA_OPERSTATE") for index in (10, 11)] == ["UP", "UP"]
        assert links[11].get_attr("IFLA_ADDRESS") == "02:00:00:00:00:0b"
