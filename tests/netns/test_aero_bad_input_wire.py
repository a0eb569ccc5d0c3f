"""Spec §11 on the wire: ten thousand forged packets against a running Server and a running Client, real Kea."""

from __future__ import annotations

import sys
from ipaddress import IPv6Address, IPv6Network
from pathlib import Path

import pytest
from aero_site import ADDRESS, OWN, SERVICE, Site, Star

from agents.aero.addresses import PRE_ATTACH
from agents.aero.constants import ALL_DHCP_SERVERS
from agents.aero.inner_packets import push_discovery, push_udp
from agents.aero.optimisation.messages import compose, header_between, push_mediation
from agents.wire.dhcpv6 import Message, MessageType, RelayedMessage, push_dhcpv6
from agents.wire.dhcpv6_options import ClientId, ClientLinkLayer, IaPd, RelayMessage, RelaySupplied
from agents.wire.nd import NeighborAdvertisement, NeighborSolicitation
from agents.wire.nd_options import LinkLayerOption, Nonce
from agents.wire.redirects import Framing
from testbed.waiting import wait_until

pytestmark = pytest.mark.netns

S1, C1 = IPv6Address("fe80::1"), IPv6Address("fe80::2001:db8:1000:2000")
THIEF = ClientId(bytes.fromhex("00030001020000000066"))
COUNT = 10_000
GROWTH = 4 << 20
"""Octets that a process may grow by meanwhile."""
ELSEWHERE = ClientLinkLayer(IPv6Address("::ffff:10.0.4.2"), 8060)
CORRESPONDENT = IPv6Network("2001:db8:1000:3000::/56")
ABOUT = header_between(CORRESPONDENT, CORRESPONDENT)
MOVED = LinkLayerOption(True, 0, ELSEWHERE.ip, 8060)


def dhcp(payload: bytes) -> bytes:
    return push_udp(PRE_ATTACH, ALL_DHCP_SERVERS, 546, 547, payload)


def request(kind: int) -> bytes:
    return dhcp(push_dhcpv6(Message(kind, 0x123456, (THIEF, IaPd(1)))))


def relay_forward() -> bytes:
    inside = RelayMessage(push_dhcpv6(Message(MessageType.RENEW, 1, (THIEF, IaPd(1)))))
    options = (RelaySupplied((ELSEWHERE,)), inside)
    return dhcp(push_dhcpv6(RelayedMessage(MessageType.RELAY_FORWARD, 0, IPv6Address("::"), C1, options)))


SEEDS = [
    push_udp(IPv6Address(OWN), IPv6Address(SERVICE), 7, 7, bytes(52)),
    push_udp(IPv6Address(SERVICE), IPv6Address(OWN), 7, 7, bytes(1352)),
    push_discovery(NeighborSolicitation(S1, (Nonce(b"nonce!"),)), C1, S1),
    push_discovery(NeighborAdvertisement(C1, override=True, options=(MOVED,)), C1, S1),
    push_discovery(NeighborAdvertisement(S1, override=True, options=(MOVED,)), S1, C1),
    request(MessageType.REPLY),
    request(MessageType.RECONFIGURE),
    request(MessageType.RELEASE),
    relay_forward(),
    *(
        push_mediation(
            compose(
                predirect=predirect, prefix=CORRESPONDENT, lifetime=300, lladdrs=(MOVED,), token=None, header=ABOUT
            ),
            framing,
            *ends,
        )
        for predirect in (True, False)
        for framing in Framing
        for ends in ((C1, S1), (S1, C1))
    ),
]


@pytest.fixture
def site(network, tmp_path):
    made = Site(network(Star()), tmp_path)
    made.kea("s1")
    made.server("s1")
    made.client()
    wait_until("the prefix", lambda: made.state("c1")["prefixes"])
    wait_until("the way", made.reaches)
    made.net["c1"].run(["ping", "-c1", "-W1", "-s1400", "-I", OWN, SERVICE], check=True)
    wait_until("the sizes to be proven", lambda: all(proven(made.state(name)) for name in ("s1", "c1")))
    yield made
    made.close()


def proven(state: dict) -> bool:
    """Whether all that a large packet sets off is over."""
    return all(path["state"] == "whole" for neighbor in state["neighbors"] for path in neighbor["paths"])


def calm(state: dict) -> bool:
    """Whether no question about a path that is used waits for its answer."""
    used = [path for neighbor in state["neighbors"] for path in neighbor["paths"] if path["preference"]]
    return all(path["reachability"] != "probing" for path in used)


def at_rest(site: Site, name: str) -> dict:
    """A node's whole state, once its questions have been answered."""
    wait_until(f"{name} to know whom it reaches", lambda: calm(site.state(name)))
    return site.state(name)


def bombard(site: Site, target: str, in_the_name_of: str, seed: int) -> None:
    argv = [sys.executable, "-m", "topologies.tools.aero_noise", ADDRESS[target], str(COUNT), str(seed)]
    sources = [ADDRESS[in_the_name_of], "10.0.4.2", "192.0.2.77"]
    text = "\n".join(seed.hex() for seed in SEEDS) + "\n"
    done = site.net["x"].run([*argv, *sources], input=text, timeout=60, check=True)
    assert int(done.out) == COUNT


def resident(agent) -> int:
    lines = Path(f"/proc/{agent.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) * 1024


def lasting(state: dict) -> dict:
    """What no packet of this kind may change.

    A forged solicitation in another encapsulation makes the Server ask, and the Client itself answers: that proves
    a further path, which nobody uses (spec §2.10).
    """
    neighbors = [
        {**neighbor, "paths": [path for path in neighbor["paths"] if path["preference"]]}
        for neighbor in state["neighbors"]
    ]
    kept = {key: value for key, value in state.items() if key not in ("counters", "dataplane")}
    return {**kept, "neighbors": neighbors}


@pytest.mark.requirement("SRV-3", "SRV-6", "CLI-3", "LDRA-2", "FRAG-8", "ENC-2", "ENC-12")
@pytest.mark.parametrize(("target", "friend"), [("s1", "c1"), ("c1", "s1")])
def test_ten_thousand_forged_packets(site, target, friend):
    bombard(site, target, friend, 1)  # once, so that what a process ever learns of it is learnt
    wait_until("the way afterwards", site.reaches)
    agent, before, size = site.agents[target], lasting(at_rest(site, target)), resident(site.agents[target])
    counted = sum(site.state(target)["dataplane"].values())
    bombard(site, target, friend, 2)
    wait_until("the way afterwards", site.reaches)
    assert agent.running
    after = at_rest(site, target)
    assert sum(after["dataplane"].values()) - counted > COUNT / 4, "it did arrive, and was dropped"
    assert {"enc_bad_first", "bad_inner", "origin_fail", "fragment_beyond_cap"} <= set(after["dataplane"])
    assert resident(agent) - size < GROWTH
    assert lasting(after) == before
    assert site.net["c1"].run(["ping", "-c3", "-i0.2", "-W1", "-I", OWN, SERVICE]).exit == 0
