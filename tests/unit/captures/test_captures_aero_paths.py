"""Checks of Predirects, Redirects and moves: they pass on what is right, fail on what is wrong, or see nothing."""

from __future__ import annotations

from ipaddress import IPv6Address, IPv6Network

import pytest
from aero_wire import CLIENT, INNER, SERVER, G, Wire, carried
from scapy.layers.inet6 import IPv6
from scapy.packet import Raw

from agents.wire.nd import Redirect
from agents.wire.nd_options import LinkLayerOption, RedirectedHeader, RouteInformation, Token
from agents.wire.redirects import Framing, push_redirect
from captures.checks.aero.mediation import aero_mediation
from captures.checks.aero.moves import aero_move

OWN = IPv6Network("2001:db8:1000:a000::/56")
HERE = LinkLayerOption(True, 0, IPv6Address("::ffff:198.51.100.7"), 8060)
QUOTED = RedirectedHeader(bytes(IPv6(src=G, dst=INNER, nh=59)))
TOKEN = Token(3, bytes(16))


def redirect(*options, target: str = CLIENT, framing: Framing = Framing.ND, spoilt: bool = False) -> bytes:
    """A Redirect of c1, the target, to its Server."""
    own, server = IPv6Address(CLIENT), IPv6Address(SERVER)
    chosen = options or (HERE, RouteInformation(OWN, 300), TOKEN, QUOTED)
    payload = push_redirect(Redirect(IPv6Address(target), IPv6Address(target), False, chosen), framing, own, server)
    payload = payload[:-1] + bytes((payload[-1] ^ spoilt,))
    return carried(bytes(IPv6(src=CLIENT, dst=SERVER, nh=framing.value, hlim=8) / Raw(payload)))


def form(wire: Wire, framing: str = "nd"):
    return aero_mediation(wire.run(), framing)[0].passed


def test_right_redirects_in_both_framings():
    assert form(Wire().put(redirect())) is True
    assert form(Wire().put(redirect(framing=Framing.RFC6706)), "rfc6706") is True


@pytest.mark.parametrize(
    "packet",
    [
        redirect(framing=Framing.RFC6706),
        redirect(target="fe80::2001:db8:1000:b000"),
        redirect(spoilt=True),
        redirect(HERE, RouteInformation(OWN, 300), QUOTED),
        redirect(RouteInformation(OWN, 300), TOKEN, QUOTED),
        redirect(HERE, RouteInformation(OWN, 300), TOKEN, RedirectedHeader(bytes(IPv6(src=INNER, dst=G)))),
    ],
    ids=["framing", "target", "checksum", "token", "link-layer address", "prefix"],
)
def test_doctored_redirects(packet):
    assert form(Wire().put(packet)) is False


def test_a_redirect_that_nobody_asked_for():
    results = {one.id: one.passed for one in aero_mediation(Wire().put(redirect()).run())}
    assert results["aero-mediation.origin"] is False
    assert results["aero-mediation.hops"] is False


def test_nothing_is_no_success():
    assert {one.passed for one in aero_mediation(Wire().run())} == {None}
    run = Wire().run()
    run.aero.clients["c2"] = run.aero.clients["c1"]
    assert {one.passed for one in aero_move(run, "c1", "c2", "198.51.100.9", True, 50.0)} == {None}
