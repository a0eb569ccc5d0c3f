"""Delays as only netem makes them, measured with the packets themselves."""

import re

import pytest

from testbed.features import refusal
from testbed.mininet_api import Topo

pytestmark = [pytest.mark.netns, pytest.mark.stock]

DELAY = 20
"""ms, one way"""
COARSE = 30
"""ms by which the fastest of some packets may come late: under emulation timers and processes are slow"""


@pytest.fixture(autouse=True)
def netem() -> None:
    if refusal("netem"):
        pytest.skip(f"this kernel has no netem: {refusal('netem')}")


class Chain(Topo):
    """a – b without impairment, a – c with."""

    def build(self, **impairment):
        self.addHost("a")
        for number, (name, options) in enumerate({"b": {}, "c": impairment}.items(), start=1):
            self.addHost(name)
            self.addLink(
                "a", name, intfName1=name, intfName2="eth0",
                params1={"addresses": [f"2001:db8:{number}::1/64"]},
                params2={"addresses": [f"2001:db8:{number}::2/64"]}, **options,
            )  # fmt: skip


def answers(net, target, count, *options):
    """Round-trip times in ms of the requests that were answered."""
    argv = ["ping", "-6", "-n", "-c", str(count), *options, target]
    return [float(text) for text in re.findall(r"time=([\d.]+) ms", net["a"].run(argv, timeout=120).out)]


def test_a_delay_is_added_in_each_direction_and_on_its_link_alone(network):
    net = network(Chain(delay=DELAY))
    plain = min(answers(net, "2001:db8:1::2", 5, "-i", "0.1"))
    delayed = answers(net, "2001:db8:2::2", 5, "-i", "0.1")
    assert len(delayed) == 5
    assert 2 * DELAY <= min(delayed) < 2 * DELAY + plain + COARSE
    assert plain < DELAY


def test_delay_and_loss_go_together(network):
    net = network(Chain(delay=DELAY, loss=30))
    first = answers(net, "2001:db8:2::2", 5, "-i", "1")  # address resolution suffers loss too
    assert first
    times = answers(net, "2001:db8:2::2", 200, "-i", "0.02", "-W", "2")
    assert min(times) >= 2 * DELAY
    assert 0.35 < len(times) / 200 < 0.63  # 49 % come and go, standard deviation 3.5 %
