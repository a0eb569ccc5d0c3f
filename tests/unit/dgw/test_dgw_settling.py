"""What agents say of what they have not come to an end with, and what labs wait for by it."""

import pytest
from dgw_domain import CMD, Domain, address, mac

from agents.dgw.actions import RouterAdvertised, RouterSolicited
from agents.dgw.forwarding import Dlif
from topologies.dgw.settling import unfinished
from topologies.tools.udp_flow import following

STEP = 0.0005


@pytest.fixture(params=["direct", "relay", "locator", "proxy"])
def domain(request):
    return Domain(request.param, delay=0.01)


def pending(domain):
    return [what for core in domain.cores.values() for what in unfinished(core.inspect())]


def test_all_rest_in_the_end_and_not_before(domain):
    """At every moment before the last message, look-up or RA somebody says that something is under way."""
    domain.attach(1, 1)
    domain.run(2)
    assert pending(domain) == []
    domain.move(1, 1, 2)
    while pending(domain):
        done = len(domain.wire), len(domain.spoken), domain.cmd.inspect()["repository"]
        domain.run(STEP)
    state = {where: core.inspect() for where, core in domain.cores.items()}
    domain.run(2)
    assert done == (len(domain.wire), len(domain.spoken), domain.cmd.inspect()["repository"])
    assert [a.active for a in domain.node(2).anchors] == [True]
    for where, core in domain.cores.items():
        assert core.inspect() == state[where], where


def test_an_answer_that_does_not_come_is_waited_for(domain):
    domain.attach(1, 1)
    domain.run(2)
    anchor = address(1)
    domain.filters.append(lambda _time, _source, destination, _octets: [] if destination == anchor else None)
    domain.move(1, 1, 2)
    domain.run(5)
    found = pending(domain)
    assert any("exchanges" in what for what in found)
    domain.filters.clear()
    domain.run(60)
    assert pending(domain) == []


def test_an_ra_that_does_not_leave_is_waited_for():
    domain = Domain("relay")
    domain.radio_loses_ras = True
    domain.attach(1, 1)
    domain.run(0.1)
    assert domain.gateway(1).inspect()["advertising"] == ["mn1dgw1"]
    assert pending(domain)
    domain.radio_loses_ras = False
    domain.run(2)
    assert pending(domain) == []


@pytest.mark.requirement("HO-1")
def test_an_ra_that_was_given_up_is_said_when_it_leaves_after_all():
    """radvd was kept from its work for longer than RAs are ordered again"""
    domain = Domain("relay")
    domain.radio_loses_ras = True
    domain.attach(1, 1)
    domain.run(5)
    assert domain.events("advertisement-missing", address(1))
    orders = len(domain.orders)
    domain.run(5)
    assert len(domain.orders) == orders, "no more orders"
    assert pending(domain)
    domain.radio_loses_ras = False
    (dlif,) = domain.items(1, Dlif)
    domain.feed(address(1), RouterAdvertised(dlif.link_local, mac(1)))
    assert len(domain.events("advertised", address(1))) == 1
    assert pending(domain) == []
    domain.feed(address(1), RouterSolicited(mac(1), None))
    domain.run(1)
    assert len(domain.events("advertised", address(1))) == 2


def test_a_look_up_without_an_answer_is_waited_for():
    domain = Domain("direct")
    domain.filters.append(lambda _time, _source, destination, _octets: [] if destination == CMD else None)
    domain.attach(1, 1)
    domain.run(0.5)
    operations = [query["operation"] for query in domain.gateway(1).inspect()["queries"]]
    assert operations == ["lookup", "update"]
    assert any("queries" in what for what in pending(domain))


def test_who_was_kept_from_sending_sends_no_burst():
    """Datagrams keep their pace while each leaves in time or nearly so, and their distance after one that did not"""
    assert following(10.0, 10.001, 0.02) == 10.02
    assert following(10.0, 10.003, 0.001) == 10.001, "a little late: the next makes up for it"
    late = following(10.0, 10.3, 0.02)
    assert late == pytest.approx(10.32)
    assert following(late, late + 0.001, 0.02) == pytest.approx(10.34)
