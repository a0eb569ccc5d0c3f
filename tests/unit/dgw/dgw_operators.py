"""A domain of two operators with two gateways each, and what tests look at in it."""

from ipaddress import IPv6Network

from dgw_domain import CMD, address

from agents.dgw.forwarding import AnchorRoute, Tunnel, TunnelGate, Uplink
from agents.wire.mobility_options import HomeNetworkPrefix

MODES = ["direct", "relay", "locator", "proxy"]
OPERATORS = {1: "A", 2: "B", 3: "B", 4: "A"}
PREF = {i: IPv6Network(f"2001:db8:{9 + i:x}{i:x}:1::/64") for i in OPERATORS}
LOCALNET = IPv6Network("2001:db8:a1:ffff::/64")


def walk(domain, *path, number=1):
    here = None
    for index in path:
        if here:
            domain.detach(number, here)
        domain.attach(number, index)
        domain.run(1.0)
        here = index
    return domain


def lma(domain, kind):
    return [item for item in domain.kernel[CMD].values() if isinstance(item, kind)]


def hnps(message):
    return [option.network for option in message.every(HomeNetworkPrefix)]


def between(domain, one, other):
    """Mobility messages between two gateways, whichever way."""
    ends = {address(one), address(other)}
    return [message for _, source, to, message in domain.wire if {source, to} == ends]


def assert_relays(domain, prefix, anchor, serving):
    """The LMA forwards this prefix both ways, and its two neighbours know nobody but it."""
    [route] = [r for r in lma(domain, AnchorRoute) if r.prefix == prefix]
    assert route.peer == address(serving)
    [uplink] = [u for u in lma(domain, Uplink) if u.prefix == prefix]
    assert uplink.peer == address(anchor)
    gates = {g for g in lma(domain, TunnelGate) if g.prefix == prefix}
    assert gates == {
        TunnelGate(address(serving), prefix, "source"),
        TunnelGate(address(anchor), prefix, "destination"),
    }
    assert {address(anchor), address(serving)} <= {t.peer for t in lma(domain, Tunnel)}
    assert domain.items(anchor, AnchorRoute) == [AnchorRoute(prefix, CMD)]
    assert [u.peer for u in domain.items(serving, Uplink) if u.prefix == prefix] == [CMD]
