"""Lines that carry nothing any more though they seem to be well: found out by keepalives alone (spec S18, S19, §9)."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest
from haaro_domain import host_of
from test_haaro_scenarios import optimised, two_lines

from agents.haaro.mr.tunnel import QUICKEST, SLOWEST, PeerTunnel, TunnelState

KEEPALIVE = 1.0
BOUND = 3 * KEEPALIVE + 0.2
FIRST_LINE = "c633641e"
"""198.51.100.30, C's."""
EVERY = 0.01


def silent(_node, packet):
    return FIRST_LINE in (packet[12:16].hex(), packet[16:20].hex())


def last_loss(domain, seconds):
    """Pings from A to C all the time; when the last one left that was not answered."""
    begin, sent = domain.now, {}
    while domain.now < begin + seconds:
        payload = b"ping %d" % len(sent)
        sent[b"re: " + payload] = domain.now - begin
        domain.packet(host_of("a"), host_of("c"), payload)
        domain.run(EVERY)
    domain.run(0.5)
    answered = {what for *_rest, what in domain.nodes["a"].received}
    return max((at for what, at in sent.items() if what not in answered), default=0.0)


@pytest.mark.requirement("SC-S18", "SC-S19", "TUN-11", "HOV-2")
@pytest.mark.parametrize("letters", ["c", "ac"])
@pytest.mark.parametrize("phase", [number / 20 for number in range(0, 20, 2)])
def test_whenever_a_line_falls_silent_traffic_goes_by_the_other_in_time(phase, letters):
    domain = optimised(lines=two_lines(*letters), delay=0.002)
    domain.run(phase)
    domain.lose = silent
    assert last_loss(domain, 4.0) + EVERY <= BOUND
    assert str(domain["c"].inspect()["careof"]) == "198.51.100.31", "the way over the home agent changes, too"
    assert domain.routes("a")["10.10.3.0/24"] == "198.51.100.31"
    assert domain.routes("c")["10.10.1.0/24"].startswith("198.51.100.1")
    assert [event.fields["interface"] for event in domain.events("line-silent", "C")] == ["isp1"]
    domain.run(40.0)
    assert domain.direct("a", "c")
    assert domain.direct("c", "a")
    assert domain.stream("a", "c", 1.0) == []


@pytest.mark.requirement("SC-S19", "MR-22")
def test_correspondents_that_did_not_notice_hear_of_the_new_line():
    domain = optimised(lines=two_lines("c"), delay=0.002)
    assert domain.ping("b", "c")
    domain.run(2.0)
    assert domain.direct("b", "c")
    domain.lose = silent
    domain.run(5.0)
    assert domain.routes("a")["10.10.3.0/24"] == domain.routes("b")["10.10.3.0/24"] == "198.51.100.31"


@pytest.mark.requirement("SC-S18", "TUN-8")
def test_a_silent_correspondent_is_no_reason_to_leave_a_line_that_works():
    domain = optimised(lines=two_lines("c"), delay=0.002)
    assert domain.ping("b", "c")
    domain.run(2.0)
    domain.lose = lambda _node, packet: "c633640a" in (packet[12:16].hex(), packet[16:20].hex())
    domain.run(30.0)
    assert not domain.direct("c", "a")
    assert str(domain["c"].inspect()["careof"]) == "198.51.100.30"
    assert domain.routes("b")["10.10.3.0/24"] == "198.51.100.30"
    assert not domain.events("line-silent")


@pytest.mark.requirement("SC-S18")
def test_with_one_line_there_is_nothing_to_change_to():
    domain = optimised(delay=0.002)
    domain.lose = silent
    domain.run(6.0)
    assert domain.routes("a") == domain.routes("c") == {}
    domain.lose = lambda _node, _packet: False
    for _time in range(8):
        domain.ping("a", "c")
        domain.run(10.0)
    assert domain.direct("a", "c")
    assert domain.direct("c", "a")


@pytest.mark.requirement("TUN-11")
def test_the_first_answer_already_says_how_long_the_last_keepalive_may_take():
    tunnel = PeerTunnel(IPv4Address("198.51.100.10"), IPv4Address("198.51.100.30"), "udp", TunnelState.UP)
    assert tunnel.last_word == SLOWEST, "nothing is known"
    tunnel.sequence, tunnel.probed = 1, 100.0
    tunnel.answered(1, 100.001)
    assert tunnel.last_word == QUICKEST
    tunnel.sequence, tunnel.probed = 2, 101.0
    tunnel.answered(2, 101.03)
    assert tunnel.last_word == pytest.approx(4 * 0.03)
    tunnel.answered(1, 102.0)
    assert tunnel.last_word == pytest.approx(4 * 0.03), "an answer to an older one says nothing"
