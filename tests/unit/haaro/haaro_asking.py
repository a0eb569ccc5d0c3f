"""Requests made by hand, to a home agent alone and to a router that acts as correspondent."""

from __future__ import annotations

from ipaddress import IPv4Address

from haaro_domain import HA, PORT, Domain, home_of, key_of, network_of

from agents.haaro.ha.core import HaCore
from agents.haaro.identification import timestamp
from agents.haaro.keys import genuine_home, sign_correspondent, sign_home
from agents.haaro.notices import Datagram, Install, Send
from agents.wire.mip4 import decode, encode
from agents.wire.mip4_extensions import MobileNetworkRequest
from agents.wire.mip4_messages import RegistrationReply
from agents.wire.mip4_messages import RegistrationRequest as Request

COA = IPv4Address("198.51.100.10")
MNR = MobileNetworkRequest.of(network_of("a"))
C_NET = MobileNetworkRequest.of(network_of("c"))


class Agent:
    """A home agent alone, asked by hand."""

    def __init__(self, **changes):
        domain = Domain("a", ha_changes=changes)
        self.core: HaCore = domain.ha.core
        self.now = domain.now
        self.installed = []

    def ask(self, *extensions, source=COA, port=PORT, key=None, spi=256, surplus=b"", **fields):
        """The reply to a request, None for silence."""
        self.now += 1.0
        fields = {
            "lifetime": 300,
            "home_address": home_of("a"),
            "home_agent": HA,
            "careof_address": COA,
            "identification": timestamp(self.now),
        } | fields
        request = sign_home(Request(extensions=extensions, **fields), spi, key or key_of("a"))
        return self.raw(encode(request) + surplus, source, port)

    def raw(self, data, source=COA, port=PORT):
        self.core.receive(Datagram(data, source, port, HA), None, self.now)
        actions = list(self.core.actions())
        self.installed += [item for each in actions if isinstance(each, Install) for item in each.items]
        sent = [decode(each.data) for each in actions if isinstance(each, Send)]
        assert all(genuine_home(each, key_of("a")) for each in sent)
        return sent[0] if sent else None


def prepared():
    """A domain in which A can judge C, and what C needs for a request to A."""
    domain = Domain("ac")
    domain.start()
    assert domain.ping("a", "c")
    domain.run(2.0)
    out = domain["c"].cache.get(home_of("a")).outgoing
    key = domain["c"]._routability.key(domain["c"].cache.get(home_of("a")), out.careof, domain.now)
    return domain, key


def ask_a(domain, key, *extensions, source="198.51.100.30", **fields):
    domain.run(0.1)
    fields = {
        "lifetime": 100,
        "home_address": home_of("c"),
        "home_agent": HA,
        "careof_address": IPv4Address("198.51.100.30"),
        "identification": timestamp(domain.now),
    } | fields
    request = sign_correspondent(Request(extensions=extensions, **fields), *key)
    return feed_a(domain, encode(request), source)


def feed_a(domain, data, source="198.51.100.30"):
    count = len(domain.sent)
    node = domain.nodes["a"]
    domain.feed(node, Datagram(data, IPv4Address(source), PORT, home_of("a")))
    answers = [m for _t, who, m, _a in domain.sent[count:] if who == "A" and not isinstance(m, Request)]
    return answers[0] if answers else None


# --- a router alone


def requests(domain, name, since=0.0, *, to=None):
    return [
        (t, m)
        for t, who, m, action in domain.sent
        if isinstance(m, Request) and who == name and t >= since and to in (None, action.destination)
    ]


def answer_home(domain, letter, *extensions, code=0, lifetime=100, key=None):
    """A home agent's reply to a router's last request, made by hand."""
    node = domain.nodes[letter]
    request = [m for _t, who, m, _a in domain.sent if who == node.name][-1]
    reply = RegistrationReply(
        code=code,
        lifetime=lifetime,
        home_address=request.home_address,
        home_agent=HA,
        identification=request.identification,
        extensions=extensions,
    )
    octets = encode(sign_home(reply, 256, key or node.core.config.key))
    domain.feed(node, Datagram(octets, HA, PORT, node.core.config.lines[0].address))
    return request


def alone(letter="c", **changes):
    """A router whose requests nobody but the test answers."""
    domain = Domain(letter, changes={letter: changes})
    domain.lose = lambda _node, _packet: True
    node = domain.nodes[letter]
    node.core.start(domain.now)
    domain.perform(node)
    return domain
