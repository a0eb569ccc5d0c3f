"""Sessions, speakers and agents come and go: in the end all Relays know where every Client is (spec §8)."""

from __future__ import annotations

import random
from ipaddress import ip_network

import pytest
from aero_domain import START
from aero_routing import RoutedLink, asn, routed, update
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lanes import lives

from agents.aero.bgp.notices import BgpConnected
from agents.aero.notices import ChangeServer

SERVERS, RELAYS = ("203.0.113.1", "203.0.113.2"), ("203.0.113.9", "203.0.113.10")
GARBAGE = (
    b"{",
    b"done",
    b"error",
    b'{"type": "update"}',
    b"[" * 3000,
    b'{"type":"state","neighbor":{"state":"up"}}',
    b"\xff",
)
FOREIGN = ("2001:db8:1000:2000::/56", "2001:db8:1000::/40", "::/0", "192.0.2.0/24", "2001:db9::/56")

servers, relays = st.sampled_from(SERVERS), st.sampled_from(RELAYS)
steps = st.one_of(
    st.tuples(st.just("session"), servers, relays, st.booleans()),
    st.tuples(st.just("speaker"), st.sampled_from(SERVERS + RELAYS), st.booleans()),
    st.tuples(st.just("agent"), servers),
    st.tuples(st.just("change"), st.integers(0, 1)),
    st.tuples(st.just("line"), st.sampled_from(SERVERS + RELAYS), st.sampled_from(GARBAGE)),
    st.tuples(st.just("lie"), relays, servers, st.sampled_from(FOREIGN), st.sampled_from((None, [64512], []))),
    st.tuples(st.just("time"), st.sampled_from((0.2, 3.0, 40.0, 70.0))),
)


class Sessions:
    """Two Servers, two Relays, two Clients."""

    def __init__(self) -> None:
        self.link, nodes = routed(relays=(1, 2))
        self.nodes = {node.ip: node for node in nodes.values()}
        homes = [nodes["s1"], nodes["s2"]]
        homes[1].dhcp.numbers = homes[0].dhcp.numbers
        self.clients = [self.link.add_client(n, homes[n - 1 :] + homes[: n - 1]) for n in (1, 2)]
        self.link.attach(*self.clients)
        self.up = {(server, relay) for server in SERVERS for relay in RELAYS}

    def pause(self, seconds: float) -> None:
        self.link.run(self.link.now - START + seconds)

    def session(self, server: str, relay: str, up: bool) -> None:
        if {server, relay} <= set(self.link.speakers) and ((server, relay) in self.up) != up:
            self.link.session(server, relay, up=up)
            (self.up.add if up else self.up.discard)((server, relay))

    def speaker(self, ip: str, up: bool) -> None:
        if up and ip not in self.link.speakers:
            self.link.start_bgp(self.nodes[ip])
        elif not up and ip in self.link.speakers:
            self.link.stop_bgp(self.nodes[ip])
            self.up = {each for each in self.up if ip not in each}

    def agent(self, ip: str) -> None:
        """A Server's agent dies and is there again; its ExaBGP goes on."""
        speaker = self.link.speakers.get(ip)
        if speaker:
            speaker.helper.agent_gone()
            self.link._act(speaker)
        self.link.reboot_server(self.nodes[ip])
        if speaker:
            speaker.helper.agent_connected()
            self.link.feed(self.nodes[ip], BgpConnected())

    def change(self, number: int) -> None:
        core = self.clients[number].core
        self.link.feed(self.clients[number], ChangeServer(1 - core._attachment.choice.number))

    def line(self, ip: str, octets: bytes) -> None:
        self.link.hear(ip, octets + b"\n")

    def lie(self, relay: str, server: str, prefix: str, path: list[int] | None) -> None:
        """A Server announces what is not its to announce, or by a way that is none."""
        hop = "2001:db8:f::66" if ":" in prefix else "203.0.113.66"
        if (server, relay) in self.up:
            self.link.hear(relay, update(server, prefix, hop, med=0, path=path or [asn(server)]))
            self.link.hear(relay, update(server, withdrawn=prefix))

    def time(self, seconds: float) -> None:
        self.pause(seconds)

    def settled(self) -> None:
        for ip in SERVERS + RELAYS:
            self.speaker(ip, True)
        for server in SERVERS:
            for relay in RELAYS:
                self.session(server, relay, False)
                self.session(server, relay, True)
        self.pause(310)  # what was left behind unheard ends with its lease
        for ip in SERVERS:
            self._check_speaker(ip)
        for ip in RELAYS:
            self._check_relay(ip)
        for client in self.clients:
            (prefix,) = client.core.prefixes
            here = client.core.cache.default.address
            assert {self.nodes[ip].core._routes[prefix] for ip in RELAYS} == {here}

    def _check_speaker(self, ip: str) -> None:
        speaker, core = self.link.speakers[ip], self.nodes[ip].core
        assert not speaker.helper._flight
        assert not speaker.helper._changed
        wanted = {(str(route.prefix), ()): (str(route.next_hop), route.med) for route in core._speaker._all()}
        assert speaker.routes == wanted
        assert {prefix for prefix, _peers in wanted} == {
            str(p) for each in core.cache if each.duid for p in each.prefixes
        }
        assert core.cache.default.address == self.nodes[RELAYS[0]].core.address

    def _check_relay(self, ip: str) -> None:
        core = self.nodes[ip].core
        ranks: dict = {}
        for server in SERVERS:
            for route in self.nodes[server].core._speaker._all():
                ranks.setdefault(route.prefix, []).append(
                    (route.med, int(route.next_hop), self.nodes[server].core.address)
                )
        assert core._routes == {prefix: min(found)[2] for prefix, found in ranks.items()}
        assert all(ip_network(p).prefixlen == 56 for p in core._routes)


@pytest.mark.requirement("RLY-2", "RLY-8", "MOB-8", "MOB-10", "SRV-5", "SEC9-14")
@settings(
    max_examples=lives(10, thorough=200),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)
@given(st.lists(steps, max_size=12), st.integers(0, 1 << 16))
def test_all_relays_know_where_everybody_is(trouble, seed):
    random.seed(seed)  # of retransmissions
    world = Sessions()
    for what, *how in trouble:
        getattr(world, what)(*how)
        world.pause(0.1)
    world.settled()
    assert isinstance(world.link, RoutedLink)
