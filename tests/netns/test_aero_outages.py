"""What dies and comes back: Kea under a Server, and a Server under a Client (spec CLI-8, CLI-11, SRV-5, SRV-12)."""

from __future__ import annotations

import time

import pytest
from aero_site import ADDRESS, PREFIX, Site, Star

from testbed.waiting import wait_until

pytestmark = pytest.mark.netns

TIMES = {"t1": 2, "t2": 4, "preferred": 8, "valid": 10}
"""A lease that is renewed while a test looks on, seconds."""


@pytest.fixture
def site(network, tmp_path):
    made = Site(network(Star()), tmp_path)
    yield made
    made.close()


def attached(site: Site) -> float:
    """When the lease ends that the Client has now; it asks at longer intervals the longer nobody answered."""
    return float(wait_until("the prefix", lambda: site.state("c1")["prefixes"].get(PREFIX), timeout=30))


@pytest.mark.requirement("CLI-8", "SRV-12")
def test_kea_dies_and_returns_within_the_lease(site):
    """T1 passes unanswered, nobody loses anything; T2 finds Kea again, which remembers nothing."""
    kea = site.kea("s1", **TIMES)
    site.server("s1")
    site.client()
    ends = attached(site)
    wait_until("the way", site.reaches)
    kea.kill()
    wait_until("T1 to pass", lambda: site.state("c1")["delegations"] == {"1": "renewing"})
    assert list(site.state("c1")["prefixes"]) == [PREFIX]
    assert site.reaches()
    kea.start()
    wait_until("the lease to be extended", lambda: site.state("c1")["prefixes"].get(PREFIX, 0.0) > ends)
    assert [entry["prefixes"].keys() for entry in site.state("s1")["neighbors"]] == [{PREFIX: 0}.keys()]
    assert site.reaches()
    assert not site.said("lease-expired")
    assert len(site.said("client-attached")) == 1
    assert len(site.said("dhcp-server-unreachable")) == 1


@pytest.mark.requirement("CLI-8", "CLI-12", "SRV-5")
def test_kea_stays_away_until_the_lease_ends(site):
    """Both ends keep the prefix for as long as it was promised and no longer; Kea's return brings it back."""
    kea = site.kea("s1", **TIMES)
    site.server("s1")
    site.client()
    ends = attached(site)
    kea.kill()
    wait_until("the prefix to go", lambda: not site.state("c1")["prefixes"], timeout=20)
    assert time.time() >= ends
    wait_until("the Server to forget it", lambda: not site.state("s1")["neighbors"])
    assert "aero0" not in site.net["c1"].run(["ip", "-6", "route", "show", "table", "8060"]).out
    kea.start()
    attached(site)
    wait_until("the way", site.reaches)


@pytest.mark.requirement("CLI-11", "SRV-11")
def test_a_server_dies_and_the_next_one_of_the_list_takes_over(site):
    for name in ("s1", "s2"):
        site.kea(name)
        site.server(name)
    site.client(("s1", "s2"))
    attached(site)
    wait_until("the way", site.reaches)
    site.agents["s1"].kill()
    site.keas["s1"].kill()
    died = time.monotonic()
    wait_until("the way by the other Server", site.reaches, timeout=20)
    assert time.monotonic() - died < 15, "packets without an answer are noticed within 5 s, three solicitations later"
    state = site.state("c1")
    assert state["server"] == f"udp {ADDRESS['s2']}:8060"
    assert list(state["prefixes"]) == [PREFIX]
    assert [entry["address"] for entry in state["neighbors"]] == ["fe80::2"]
    assert [entry["duid"] for entry in site.state("s2")["neighbors"]] == [site.agents["c1"].config["duid"]]
    assert len(site.said("server-failed")) == 1


@pytest.mark.requirement("SRV-12")
def test_a_server_that_restarts_knows_its_clients_again(site):
    """Static entries vanish with the process; the next Renew rebuilds them, and the relay's secret is the old one."""
    site.kea("s1", **TIMES)
    server = site.server("s1")
    site.client()
    attached(site)
    server.kill()
    server.start()
    wait_until("the Client's entry", lambda: site.state("s1")["neighbors"])
    assert site.state("s1")["neighbors"][0]["prefixes"].keys() == {PREFIX: 0}.keys()
    wait_until("the way", site.reaches)
