"""Single rules of the mobile router that scenarios do not come by: toward the home agent, and of its tests."""

from __future__ import annotations

import pytest
from haaro_asking import C_NET, alone, answer_home, ask_a, feed_a, requests
from haaro_domain import Domain, address, home_of, host_of, network_of

from agents.haaro.compression import Network, Owner, encode_advertisement
from agents.haaro.mr.cache import RRState
from agents.haaro.mr.quota import Quota
from agents.haaro.notices import Leave
from agents.wire.mip4 import encode
from agents.wire.mip4_extensions import (
    PrefixAdvertisement,
    RoReply,
    UdpTunnelRequest,
)
from agents.wire.mip4_messages import HomeTest, HomeTestInit

COA_C = address("198.51.100.30")
TESTS = ("HoTI", "CoTI")


# --- the home agent's replies


ADV = PrefixAdvertisement(encode_advertisement([Owner(home_of("a"), (Network(network_of("a")),))]))


@pytest.mark.requirement("ERR-21", "MR-4")
@pytest.mark.parametrize(
    ("changes", "extensions", "haaro"),
    [
        ({"learn": False}, (RoReply(), ADV), True),
        ({"capability": False}, (RoReply(nat=True), ADV), False),
        ({}, (ADV,), False),
        ({}, (RoReply(16), ADV), False),
        ({"learn": False}, (RoReply(15), ADV), True),
    ],
    ids=["R=0", "no capability", "no RO Reply", "declined", "accepted with a remark"],
)
def test_what_was_not_asked_for_is_not_used(changes, extensions, haaro):
    domain = alone(**changes)
    answer_home(domain, "c", *extensions)
    core = domain["c"]
    assert core.registered
    assert core._base.home.haaro is haaro
    assert not list(core.cache)
    assert not core._base.lines.outbound_only


@pytest.mark.requirement("ERR-16")
def test_dropped_replies_are_counted_and_logged():
    domain = alone()
    answer_home(domain, "c", key=bytes(16))
    assert not domain["c"].registered
    assert domain["c"]._base.counters["dropped_reply_unauthenticated"] == 1
    assert [e.fields["reason"] for e in domain.events("reply-dropped")] == ["reply_unauthenticated"]
    assert domain.events("reply-not-genuine")


@pytest.mark.requirement("ERR-17", "NAT-7")
def test_a_home_agent_without_udp_is_asked_for_ip_in_ip():
    domain = alone()
    assert answer_home(domain, "c", code=142).first(UdpTunnelRequest)
    domain.run(1.1)
    assert answer_home(domain, "c").first(UdpTunnelRequest) is None
    assert domain["c"].registered
    assert not domain["c"]._base.home.udp


@pytest.mark.requirement("ERR-17")
def test_who_is_prohibited_backs_off_and_then_asks_for_everything_again():
    domain = alone()
    answer_home(domain, "c", code=142)
    domain.run(1.1)
    answer_home(domain, "c", code=129)
    refused = domain.now
    domain.run(60.0)
    later = requests(domain, "C", refused)
    assert later[0][0] - refused == pytest.approx(30.0)
    assert later[0][1].first(UdpTunnelRequest)


@pytest.mark.requirement("ERR-17")
@pytest.mark.parametrize("code", [2, 128, 130, 131, 135, 136, 137, 138, 139, 200])
def test_every_other_denial_is_backed_off_from(code):
    domain = alone()
    answer_home(domain, "c", code=code)
    denied = domain.now
    assert not domain["c"].registered
    assert domain.events("registration-refused")[0].fields["code"] == code
    domain.run(31.0)
    assert [t - denied for t, _m in requests(domain, "C", denied + 0.001)] == pytest.approx([30.0])


@pytest.mark.requirement("MR-21", "HOV-3")
def test_the_end_keeps_its_distance_from_the_request_before():
    domain = Domain("a")
    domain.start()
    domain["a"]._home.refresh(domain.now)
    domain.perform(domain.nodes["a"])
    domain.run(0.3)
    domain.leave("a")
    domain.run(2.0)
    (before, _), (end, last) = requests(domain, "A")[-2:]
    assert last.lifetime == 0
    assert end - before == pytest.approx(1.0)
    assert domain["a"].left


@pytest.mark.requirement("HOV-3")
@pytest.mark.parametrize("code", [128, 129, 131, 137])
def test_an_end_that_is_refused_is_an_end_all_the_same(code):
    domain = alone()
    answer_home(domain, "c")
    domain.run(2.0)
    domain.leave("c")
    domain.run(0.1)
    answer_home(domain, "c", code=code)
    left = domain.now
    assert domain["c"].left
    assert not domain["c"].registered
    domain.run(60.0)
    assert not requests(domain, "C", left + 0.001)


# --- return routability


@pytest.mark.requirement("RR-1", "RR-7")
def test_states_of_return_routability():
    domain = Domain("ac")
    domain.start()
    pair = domain["c"].cache.get(home_of("a")).pair(COA_C)
    assert pair.state is RRState.INACTIVE
    domain.packet(host_of("c"), host_of("a"))
    domain.run(0.001)
    assert pair.state is RRState.IN_PROGRESS
    domain.run(0.5)
    assert pair.state is RRState.ACTIVE


@pytest.mark.requirement("RR-14", "RR-3")
def test_tests_are_repeated_five_times_and_then_left_alone():
    domain = Domain("ac")
    domain.start()
    domain.run(70.0)  # C's clock of solicitations is at rest
    domain.lose = lambda node, _packet: node.name == "A"
    begin = domain.now
    for _second in range(63):
        domain.packet(host_of("c"), host_of("a"))
        domain.run(1.0)
    times = [t - begin for t, word in domain.talked if t >= begin and word == "C>A HoTI"]
    assert times[:5] == pytest.approx([0, 1, 3, 7, 15])
    assert 61.0 <= times[5] <= 62.0, "held down for 30 s"
    failed = next(t for t, who, e in domain.log if e.name == "rr-failed" and who == "C")
    assert failed - begin == pytest.approx(31.0)
    cookies = [m.cookie for _t, _who, m, _a in domain.sent if isinstance(m, HomeTestInit)]
    assert len(set(cookies)) == len(cookies)


@pytest.mark.requirement("MR-24", "HOV-4")
def test_without_the_home_agent_tunnels_live_on_and_nothing_is_tested():
    lives = {letter: {"home_lifetime": 100, "peer_lifetime": 420} for letter in "ac"}
    domain = Domain("ac", changes=lives)
    domain.start()
    assert domain.ping("c", "a")
    domain.run(2.0)
    domain.lose = lambda node, packet: node.name == "HA"
    domain.run(120.0)
    assert not domain["a"].registered
    assert not domain["c"].registered
    assert domain.stream("a", "c", 1.0) == [], "directly, as before"
    domain.run(120.0)  # home tokens are too old now
    begin = domain.now
    domain.lose = lambda node, packet: True
    domain.run(10.0)
    assert domain.events("tunnel-failed")
    assert not [word for word in domain.since(begin) if word.endswith(TESTS)]
    domain.lose = lambda node, packet: False
    domain.run(130.0)  # requests are as far apart by now as the lifetime they ask for
    assert domain["c"].registered
    domain.ping("c", "a")
    domain.run(35.0)
    domain.ping("c", "a")
    domain.run(5.0)
    assert domain.direct("a", "c")


@pytest.mark.requirement("CR-1")
def test_who_leaves_answers_tests_as_long_as_it_can():
    domain = Domain("ac")
    domain.start()
    domain.lose = lambda _node, _packet: True
    domain.feed(domain.nodes["a"], Leave())
    assert isinstance(feed_a(domain, encode(HomeTestInit(bytes(8))), "203.0.113.13"), HomeTest)


@pytest.mark.requirement("SC-S20", "CR-1")
def test_a_router_without_the_capability_is_no_correspondent():
    domain = Domain("ac", changes={"a": {"capability": False}})
    domain.start()
    assert feed_a(domain, encode(HomeTestInit(bytes(8))), "203.0.113.13") is None
    assert ask_a(domain, (1, 1, bytes(20)), C_NET) is None
    assert domain["a"]._base.counters["dropped_request_not_for_us"] == 1


@pytest.mark.requirement("RR-14", "CR-2")
def test_no_second_has_more_than_its_quota_wherever_it_begins():
    quota = Quota(5)
    taken = [n / 10 for n in range(100) if quota.take("x", n / 10)]
    for begin in taken:
        assert len([t for t in taken if begin <= t < begin + 0.999]) <= 5
    assert len(taken) == 50
    assert quota.take("y", 9.9), "each source has its own"
    assert quota.take("x", 5.0), "a clock that goes back does not lock anyone out"


@pytest.mark.requirement("MR-12", "HA-6")
@pytest.mark.parametrize(("granted", "lasts"), [(5000, 600), (100, 100)])
def test_a_lifetime_is_the_shorter_one_and_counts_from_the_request(granted, lasts):
    domain = alone()
    begin = domain.now
    domain.run(0.5)
    answer_home(domain, "c", lifetime=granted)
    assert domain["c"]._base.home.expires == pytest.approx(begin + lasts)


@pytest.mark.requirement("HA-19", "HA-12", "HA-2")
def test_who_is_silent_is_forgotten_with_all_its_routes():
    domain = Domain("ac", ha_changes={"max_lifetime": 100})
    domain.start()
    domain.lose = lambda node, _packet: node.name == "A"
    domain.run(5.0)
    begin = domain.now
    domain.run(120.0)
    assert set(domain.routes("HA")) == {"203.0.113.13/32", "10.10.3.0/24"}
    assert not domain.tunnels("HA", "a")
    assert [e.fields["home_address"] for e in domain.events("binding-expired", "HA")] == [home_of("a")]
    assert "HA>A RRP 0" not in domain.since(begin), "in silence"
    domain.run(80.0)
    assert domain.knows("c") == {}
