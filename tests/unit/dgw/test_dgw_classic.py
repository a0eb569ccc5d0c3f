"""Classic Proxy Mobile IPv6 (RFC 5213): gateways as access gateways of one anchor, in virtual time."""

import json
from dataclasses import replace
from ipaddress import IPv6Address, IPv6Network

import pytest
from dgw_domain import CMD, HOME_POOL, START, Domain, address, lma_config, mac

from agents.dgw.actions import Adopt, Disassociated, MobilityDatagram, RouterSolicited, Stations
from agents.dgw.config import Timing
from agents.dgw.forwarding import AnchorRoute, Dlif, SourceGate, Tunnel, TunnelGate, Uplink
from agents.dgw.freshness import ticks
from agents.dgw.gateway.core import GatewayCore
from agents.dgw.lma.core import LmaCore
from agents.dgw.messages import compose_update
from agents.wire.mobility import BindingAck, BindingUpdate, pull_mobility, push_mobility
from agents.wire.mobility_codes import AckFlag, Handoff, UpdateFlag
from agents.wire.mobility_options import (
    AccessTechnology,
    AlternateCareOfAddress,
    AnchoredPrefix,
    HandoffIndicator,
    HomeNetworkPrefix,
    LinkLocalAddress,
    MobileNodeIdentifier,
)

HOME = IPv6Network("2001:db8:100:1::/64")
ZERO = IPv6Network("::/0")
MN1 = "mn1@dmm.example"
LEGACY = UpdateFlag.ACKNOWLEDGE | UpdateFlag.PROXY


@pytest.fixture
def domain():
    return Domain("classic")


def bindings(domain):
    return domain.cmd._registrar.state.bindings


# --- the walk


def test_attachment_registers_and_advertises_the_home_prefix(domain):
    """PBU {A, P, HNP ::/0, HI 4}, PBA {HNP, option 26}, then one preferred RA (RFC 5213 §6.9.1.1, §6.9.1.2)."""
    domain.attach(1, 1)
    domain.run()
    ((_, _, _, update),) = domain.sent(BindingUpdate, address(1), CMD)
    assert update.flags == LEGACY
    assert [option.is_all_zero for option in update.every(HomeNetworkPrefix)] == [True]
    assert update.first(HandoffIndicator).value == Handoff.UNKNOWN
    assert update.first(LinkLocalAddress).address == IPv6Address(0)
    ((_, _, _, ack),) = domain.sent(BindingAck, CMD, address(1))
    assert (ack.status, ack.flags) == (0, AckFlag.PROXY)
    assert [option.network for option in ack.every(HomeNetworkPrefix)] == [HOME]
    ra = domain.ras(1)["mn1lma"]
    assert (ra.prefix, ra.preference, ra.preferred > 0, ra.valid > 0) == (HOME, "medium", True, True)
    assert domain.items(1, Tunnel) == [Tunnel(CMD)]
    assert [(up.prefix, up.peer) for up in domain.items(1, Uplink)] == [(HOME, CMD)]
    assert [gate.prefix for gate in domain.items(1, SourceGate)] == [HOME]
    lma = domain.kernel[CMD].values()
    assert set(lma) == {Tunnel(address(1)), TunnelGate(address(1), HOME, "source"), AnchorRoute(HOME, address(1))}


def test_nothing_is_advertised_before_the_anchor_agreed(domain):
    domain.filters.append(lambda t, source, destination, octets: [] if source == CMD else None)
    domain.attach(1, 1)
    domain.run(20)
    assert domain.ras(1) == {}
    assert domain.items(1, Dlif) == []
    times = [round(t - START, 3) for t, *_ in domain.sent(BindingUpdate)]
    assert times == [0, 1, 3, 7, 15]


def test_the_home_router_is_the_same_everywhere(domain):
    """One prefix, one link-local address and one link-layer address at every gateway (RFC 5213 §6.8)."""
    seen = []
    for index in (1, 2, 3, 1):
        domain.move(1, index - 1 or 3, index)
        domain.run()
        (dlif,) = domain.items(index, Dlif)
        (ra,) = domain.ras(index).values()
        seen.append((dlif.name, dlif.mac, dlif.link_local, dlif.prefix, ra.prefix, ra.preference, ra.preferred))
    assert len(set(seen)) == 1
    assert list(bindings(domain)) == [str(HOME)]
    assert [item.peer for item in domain.kernel[CMD].values() if isinstance(item, AnchorRoute)] == [address(1)]
    for index in (2, 3):
        assert domain.kernel[address(index)] == {}


@pytest.mark.requirement("DLIF-9")
def test_detachment_silences_the_gateway_and_tells_the_anchor(domain):
    """PBU with lifetime 0, HI 4 and the prefix; the entry is held, then deleted (RFC 5213 §6.9.1.4, §5.3.5)."""
    domain.attach(1, 1)
    domain.run()
    domain.detach(1, 1)
    assert domain.kernel[address(1)] == {}
    assert domain.ras(1) == {}
    domain.run()
    _, _, _, update = domain.sent(BindingUpdate, address(1), CMD)[-1]
    assert (update.lifetime_units, update.first(HandoffIndicator).value) == (0, Handoff.UNKNOWN)
    assert [option.network for option in update.every(HomeNetworkPrefix)] == [HOME]
    _, _, _, ack = domain.sent(BindingAck, CMD, address(1))[-1]
    assert (ack.status, ack.lifetime_units) == (0, 0)
    assert bindings(domain)[str(HOME)].deleting
    assert domain.kernel[CMD] == {}
    assert domain.node(1) is None
    domain.run(10)
    assert bindings(domain) == {}
    domain.attach(1, 1)
    domain.run()
    assert list(bindings(domain)) != [str(HOME)]  # it rests: hosts may still be using it


@pytest.mark.requirement("DEREG-6")
def test_a_held_entry_is_revived(domain):
    domain.attach(1, 1)
    domain.run()
    domain.detach(1, 1)
    domain.run(9)
    domain.attach(1, 2)
    domain.run(11)
    assert list(bindings(domain)) == [str(HOME)]
    assert domain.ras(2)["mn1lma"].prefix == HOME


def test_silence_after_a_deregistration_ends_it(domain):
    """The state goes after INITIAL_BINDACK_TIMEOUT, and nothing is repeated (RFC 5213 §6.9.1.4)."""
    domain.attach(1, 1)
    domain.run()
    domain.filters.append(lambda t, source, destination, octets: [] if source == address(1) else None)
    domain.detach(1, 1)
    domain.run(30)
    assert domain.node(1) is None
    assert len([m for *_, m in domain.sent(BindingUpdate, address(1)) if m.lifetime_units == 0]) == 1


@pytest.mark.parametrize("late", [0.05, 0.5])
@pytest.mark.requirement("HO-13", "DEREG-3")
def test_a_late_deregistration_does_not_win(domain, late):
    """The old gateway's word arrives after the new one's: the session stays (RFC 5213 §5.3.5-1, §5.5)."""
    domain.attach(1, 1)
    domain.run()
    domain.filters.append(lambda t, source, destination, octets: [late] if source == address(1) else None)
    domain.move(1, 1, 2)
    domain.run(3)
    assert bindings(domain)[str(HOME)].care_of == address(2)
    assert not bindings(domain)[str(HOME)].deleting
    assert domain.ras(2)["mn1lma"].prefix == HOME


@pytest.mark.requirement("HO-13", "RETX-6")
def test_a_refresh_overtaken_by_the_deregistration_revives_nothing(domain):
    """RFC 5213 §5.5"""
    domain.attach(1, 1)
    domain.run()
    domain.filters.append(lambda t, s, d, o: [0.2] if s == address(1) else None)
    while len(domain.sent(BindingUpdate)) < 2:
        domain.run(0.01)
    domain.filters.clear()
    domain.detach(1, 1)
    domain.run()
    assert bindings(domain)[str(HOME)].deleting
    assert [m.status for *_, m in domain.sent(BindingAck, CMD)][-2:] == [0, 157]


def test_refresh_keeps_the_session(domain):
    """HI 5 with the prefix, at half the lifetime (RFC 5213 §6.9.1.3)."""
    domain.attach(1, 1)
    domain.run(1000)
    updates = [m for *_, m in domain.sent(BindingUpdate, address(1), CMD)]
    assert [m.first(HandoffIndicator).value for m in updates[1:]] == [Handoff.REREGISTRATION] * 6
    assert all(m.every(HomeNetworkPrefix)[0].network == HOME for m in updates[1:])
    assert bindings(domain)[str(HOME)].care_of == address(1)
    assert len(domain.events("binding-moved")) == 0


def test_a_binding_nobody_refreshes_ends(domain):
    domain.attach(1, 1)
    domain.run()
    domain.filters.append(lambda t, source, destination, octets: [] if source == address(1) else None)
    domain.run(301)
    assert bindings(domain) == {}
    assert domain.kernel[CMD] == {}
    assert domain.ras(1) == {}
    assert domain.items(1, Dlif) == []
    domain.filters.clear()
    domain.run(40)
    assert domain.ras(1)["mn1lma"].prefix.subnet_of(HOME_POOL)


def test_a_solicitation_before_the_attachment_is_a_new_interface(domain):
    domain.feed(address(1), RouterSolicited(mac(1), None))
    domain.run()
    ((_, _, _, update),) = domain.sent(BindingUpdate)
    assert update.first(HandoffIndicator).value == Handoff.NEW_INTERFACE


def test_three_nodes_do_not_share_anything(domain):
    for number in (1, 2, 3):
        domain.attach(number, 1)
    domain.run(2)
    dlifs = domain.items(1, Dlif)
    assert len({d.name for d in dlifs}) == len({d.mac for d in dlifs}) == len({d.prefix for d in dlifs}) == 3
    assert len({up.table for up in domain.items(1, Uplink)}) == 3
    domain.move(2, 1, 2)
    domain.run(2)
    assert {item.prefix: item.peer for item in domain.kernel[CMD].values() if isinstance(item, AnchorRoute)} == {
        d.prefix: address(2 if d.name.startswith("mn2") else 1) for d in dlifs
    }


# --- restart


def test_the_anchor_restarts_in_the_middle(domain):
    domain.attach(1, 1)
    domain.run()
    saved = json.loads(json.dumps(domain.cmd.saved_state()))
    fresh = LmaCore(lma_config())
    fresh.restore(saved, domain.now)
    adopted = [action for action in fresh.actions() if isinstance(action, Adopt)]
    assert {item.key: item for item in adopted[0].items} == domain.kernel[CMD]
    domain.cores[CMD] = fresh
    domain.move(1, 1, 2)
    domain.run()
    assert domain.ras(2)["mn1lma"].prefix == HOME


@pytest.mark.requirement("DEREG-7")
def test_a_session_ends_although_the_anchor_restarted(domain):
    domain.attach(1, 1)
    domain.run()
    saved = json.loads(json.dumps(domain.cmd.saved_state()))
    domain.cores[CMD] = LmaCore(lma_config())
    domain.cmd.restore(saved, domain.now)
    domain.perform(CMD)
    domain.filters.append(lambda t, source, destination, octets: [])
    domain.run(290)
    assert bindings(domain)
    domain.run(20)
    assert not bindings(domain)
    assert not domain.kernel[CMD]


def test_the_access_gateway_restarts_in_the_middle(domain):
    domain.attach(1, 1)
    domain.run()
    saved = json.loads(json.dumps(domain.gateway(1).saved_state()))
    fresh = GatewayCore(domain.configs[address(1)])
    fresh.restore(saved, domain.now)
    domain.cores[address(1)] = fresh
    domain.feed(address(1), Stations(frozenset({mac(1)})))
    domain.run()
    _, _, _, update = domain.sent(BindingUpdate, address(1), CMD)[-1]
    assert update.first(HandoffIndicator).value == Handoff.REREGISTRATION
    assert domain.ras(1)["mn1lma"].prefix == HOME
    domain.feed(address(1), Disassociated(mac(1)))
    domain.run()
    assert bindings(domain)[str(HOME)].deleting


def test_a_node_that_left_during_the_restart_is_deregistered(domain):
    domain.attach(1, 1)
    domain.run()
    saved = json.loads(json.dumps(domain.gateway(1).saved_state()))
    fresh = GatewayCore(domain.configs[address(1)])
    fresh.restore(saved, domain.now)
    domain.cores[address(1)] = fresh
    domain.feed(address(1), Stations(frozenset()))
    domain.run()
    assert bindings(domain)[str(HOME)].deleting
    assert domain.node(1) is None
    assert domain.kernel[address(1)] == {}


# --- what ends while the node stays


@pytest.mark.requirement("RA-15")
def test_a_home_prefix_that_is_lost_is_withdrawn(domain):
    """The anchor is silent until the binding ends: lifetimes 0, then nothing; no traffic alone ends nothing."""
    domain.attach(1, 1)
    domain.run(1500)
    assert domain.ras(1)["mn1lma"].preferred > 0
    domain.filters.append(lambda t, source, destination, octets: [] if source == address(1) else None)
    said = []
    for _ in range(3100):
        domain.run(0.1)
        said.append([(ra.router_lifetime, ra.valid) for ra in domain.ras(1).values()])
    assert [(0, 0)] in said
    assert said[-1] == []
    assert domain.items(1, Dlif) == []


# --- one anchor, by hand


class Anchor:
    """An LMA core and the messages a test sends it."""

    def __init__(self, **changes):
        self.core = LmaCore(lma_config(**changes))
        self.now = START
        self.sequence = 0

    def ask(self, source=1, now=None, drop=(), extra=(), **fields):
        """Send one PBU of gateway `source`; the answer, or None."""
        self.now = self.now + 0.01 if now is None else now
        self.sequence += 1
        given = {
            "mn_id": MN1,
            "mac": mac(1),
            "prefixes": [ZERO],
            "handoff": Handoff.UNKNOWN,
            "sequence": self.sequence,
            "timestamp": ticks(self.now),
            "lifetime": 300,
            "extra": extra,
            "flags": LEGACY,
        }
        update = compose_update(**{**given, **fields})
        update = replace(update, options=tuple(o for o in update.options if not isinstance(o, tuple(drop))))
        here = source if isinstance(source, IPv6Address) else address(source)
        self.core.receive(MobilityDatagram(push_mobility(update, here, CMD), here, CMD), None, self.now)
        return self.answer()

    def answer(self):
        sent = [a for a in self.core.actions() if hasattr(a, "message")]
        return pull_mobility(sent[0].message, CMD, sent[0].destination) if sent else None

    def wait(self, seconds):
        self.now += seconds
        self.core.handle_timer(self.now)
        return self.answer()

    @property
    def cache(self):
        return self.core.inspect()["bindings"]


def given(ack):
    return ack.every(HomeNetworkPrefix)[0].network


REFUSED = {
    "D flag": (129, {"flags": LEGACY | UpdateFlag.DISTRIBUTED, "extra": [AnchoredPrefix.of(HOME)]}),
    "MIPv6": (131, {"flags": UpdateFlag.ACKNOWLEDGE | UpdateFlag.HOME_REGISTRATION}),
    "MN-ID twice": (128, {"extra": [MobileNodeIdentifier.of(MN1)]}),
    "no MN-ID": (160, {"drop": [MobileNodeIdentifier]}),
    "stranger": (154, {"source": IPv6Address("2001:db8:c:66::2")}),
    "no profile": (153, {"mn_id": "mn9@dmm.example"}),
    "stale": (156, {"timestamp": ticks(START + 5)}),
    "no HNP": (158, {"drop": [HomeNetworkPrefix]}),
    "no HI": (161, {"drop": [HandoffIndicator]}),
    "no ATT": (162, {"drop": [AccessTechnology]}),
    "foreign prefix": (155, {"prefixes": [IPv6Network("2001:db8:100:77::/64")]}),
    "one prefix too many": (159, {"prefixes": [HOME, IPv6Network("2001:db8:100:77::/64")]}),
    "bad length": (155, {"prefixes": [IPv6Network("2001:db8:100::/56")]}),
    "care-of address elsewhere": (174, {"extra": [AlternateCareOfAddress(IPv6Address("2001:db8:c:66::2"))]}),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_changes_nothing(name):
    status, fields = REFUSED[name]
    anchor = Anchor()
    assert anchor.ask().status == 0
    before = anchor.core.saved_state()
    ack = anchor.ask(**fields)
    assert ack.status == status
    assert AckFlag.DISTRIBUTED not in ack.flags
    assert (AckFlag.PROXY in ack.flags) == (UpdateFlag.PROXY in fields.get("flags", LEGACY))
    assert anchor.core.saved_state() == before
    assert anchor.core.inspect()["counters"]["rejected"] == 1


def test_the_order_of_checks_is_that_of_the_rfc():
    """Everything wrong at once: mended one by one, the statuses come in the order of RFC 5213 §5.3 (spec §10)."""
    anchor = Anchor()
    wrong = {
        "flags": LEGACY | UpdateFlag.DISTRIBUTED,
        "mn_id": "mn9@dmm.example",
        "source": IPv6Address("2001:db8:c:66::2"),
        "timestamp": ticks(START - 5),
        "drop": [MobileNodeIdentifier, HomeNetworkPrefix, HandoffIndicator, AccessTechnology],
    }
    mend = [
        {"flags": LEGACY},
        {"drop": wrong["drop"][1:]},
        {"source": address(1)},
        {"mn_id": MN1},
        {"timestamp": ticks(START + 0.1)},
        {"drop": wrong["drop"][2:]},
        {"drop": wrong["drop"][3:]},
        {"drop": []},
    ]
    found = [anchor.ask(now=START + 0.1, **wrong).status]
    for one in mend:
        wrong |= one
        found.append(anchor.ask(now=START + 0.1, **wrong).status)
    assert found == [129, 160, 154, 153, 156, 158, 161, 162, 0]


def test_a_disabled_node_gets_no_service():
    off = tuple(replace(profile, enabled=False) for profile in lma_config().profiles)
    assert Anchor(profiles=off).ask().status == 152


def test_an_empty_pool_is_said_so():
    anchor = Anchor(pool=IPv6Network("2001:db8:100::/63"))
    assert anchor.ask().status == 0
    assert anchor.ask(mn_id="mn2@dmm.example", mac=mac(2)).status == 130


@pytest.mark.requirement("RETX-6", "RETX-7")
def test_a_replayed_update_is_stale():
    anchor = Anchor()
    anchor.ask()
    assert anchor.ask(timestamp=ticks(anchor.now)).status == 157


def test_options_of_distributed_gateways_are_ignored():
    ack = Anchor().ask(extra=[AnchoredPrefix.of(HOME)])
    assert ack.status == 0
    assert ack.first(AnchoredPrefix) is None


def test_option_26_is_only_answered_and_can_be_set():
    """All-zero asks, another address announces (RFC 5213 §6.8); a request without it gets none."""
    anchor = Anchor()
    assert anchor.ask().first(LinkLocalAddress) is None
    asked = anchor.ask(extra=[LinkLocalAddress(IPv6Address(0))]).first(LinkLocalAddress).address
    assert asked.is_link_local
    chosen = IPv6Address("fe80::77")
    assert anchor.ask(extra=[LinkLocalAddress(chosen)]).first(LinkLocalAddress).address == chosen
    assert anchor.ask(2, extra=[LinkLocalAddress(IPv6Address(0))]).first(LinkLocalAddress).address == chosen


def test_lifetime_0_of_somebody_else_is_ignored():
    anchor = Anchor()
    anchor.ask()
    before = anchor.core.saved_state()
    assert anchor.ask(2, lifetime=0) is None
    assert anchor.ask(2, lifetime=0, prefixes=[HOME]) is None
    assert anchor.ask(1, lifetime=0, mn_id="mn2@dmm.example") is None
    assert anchor.core.saved_state() == before


# --- which session is meant (RFC 5213 §5.4.1)


def test_the_same_interface_elsewhere_continues_at_once():
    anchor = Anchor()
    home = given(anchor.ask(1))
    assert given(anchor.ask(2)) == home
    assert [one["care_of"] for one in anchor.cache.values()] == [str(address(2))]


def test_a_new_interface_is_a_new_session():
    anchor = Anchor()
    home = given(anchor.ask(1))
    assert given(anchor.ask(2, mac=mac(2), handoff=Handoff.NEW_INTERFACE)) != home
    assert len(anchor.cache) == 2


def test_a_handover_between_interfaces_continues():
    anchor = Anchor()
    home = given(anchor.ask(1))
    assert given(anchor.ask(2, mac=mac(2), handoff=Handoff.OTHER_INTERFACE)) == home
    assert len(anchor.cache) == 1


def test_an_unknown_handoff_waits_for_the_former_gateway():
    """Silence: a further session after MaxDelayBeforeNewBCEAssign; its repetition takes the first one's place."""
    anchor = Anchor()
    home = given(anchor.ask(1))
    assert anchor.ask(2, mac=mac(2)) is None
    assert anchor.wait(1.0) is None
    assert anchor.ask(2, mac=mac(2)) is None
    ack = anchor.wait(0.49)
    assert ack.status == 0
    assert ack.sequence == anchor.sequence
    assert given(ack) != home


def test_a_clearer_update_takes_the_place_of_one_that_waits():
    anchor = Anchor()
    home = given(anchor.ask(1))
    assert anchor.ask(2, mac=None) is None
    assert given(anchor.ask(2)) == home
    assert anchor.wait(3) is None
    assert len(anchor.cache) == 1


def test_an_unknown_handoff_ends_with_the_former_gateways_word():
    anchor = Anchor()
    home = given(anchor.ask(1))
    assert anchor.ask(2, mac=None) is None
    # The de-registration is answered first, then the handover it explains.
    anchor.now += 0.01
    update = compose_update(
        mn_id=MN1, mac=mac(1), prefixes=[home], handoff=Handoff.UNKNOWN, sequence=9,
        timestamp=ticks(anchor.now), lifetime=0, flags=LEGACY,
    )  # fmt: skip
    datagram = MobilityDatagram(push_mobility(update, address(1), CMD), address(1), CMD)
    anchor.core.receive(datagram, None, anchor.now)
    first, second = [a for a in anchor.core.actions() if hasattr(a, "message")]
    assert (first.destination, second.destination) == (address(1), address(2))
    assert given(pull_mobility(second.message, CMD, address(2))) == home
    assert anchor.wait(3) is None
    assert len(anchor.cache) == 1


# --- one access gateway, by hand


def answered(domain, change):
    """Every answer of the anchor goes through `change` first."""

    def rule(t, source, destination, octets):
        if source != CMD:
            return None
        ack = change(pull_mobility(octets, source, destination))
        domain.feed(destination, MobilityDatagram(push_mobility(ack, source, destination), source, destination))
        return []

    domain.filters.append(rule)


@pytest.mark.requirement("HO-8")
def test_an_answer_with_the_d_flag_is_ignored(domain):
    """AMB-6: there is nothing distributed here."""
    answered(domain, lambda ack: replace(ack, flags=ack.flags | AckFlag.DISTRIBUTED))
    domain.attach(1, 1)
    domain.run()
    assert domain.ras(1) == {}
    assert domain.events("dropped", address(1))


def test_an_anchor_that_does_not_name_the_router_gets_one_named(domain):
    """Without option 26 the gateway makes an identity up: served, but not the same router everywhere."""
    answered(
        domain, lambda ack: replace(ack, options=tuple(o for o in ack.options if not isinstance(o, LinkLocalAddress)))
    )
    domain.attach(1, 1)
    domain.run()
    assert domain.ras(1)["mn1lma"].prefix == HOME
    assert domain.events("router-identity-changed")


def test_a_router_address_of_another_form_is_used_as_it_is(domain):
    chosen = IPv6Address("fe80::77")

    def change(ack):
        options = (LinkLocalAddress(chosen) if isinstance(o, LinkLocalAddress) else o for o in ack.options)
        return replace(ack, options=tuple(options))

    answered(domain, change)
    domain.attach(1, 1)
    domain.run()
    (dlif,) = domain.items(1, Dlif)
    assert dlif.link_local == chosen


@pytest.mark.requirement("ATT-9")
def test_a_refused_node_gets_nothing(domain):
    """RFC 5213 §6.9.1.2-11, spec ATT-9."""
    domain.cmd._registrar._profiles.clear()
    domain.attach(1, 1)
    domain.run(5)
    assert domain.ras(1) == {}
    assert domain.kernel[address(1)] == {}
    assert len(domain.sent(BindingUpdate)) == 1


@pytest.mark.requirement("RETX-10")
def test_a_prefix_the_anchor_forgot_is_not_asked_for_again():
    domain = Domain("classic", timing=Timing(lifetime=20))
    domain.attach(1, 1)
    domain.run()
    domain.cores[CMD] = LmaCore(lma_config())
    domain.kernel[CMD] = {}
    domain.run(15)
    asked = [m.every(HomeNetworkPrefix)[0].address for *_, m in domain.sent(BindingUpdate, address(1))]
    assert asked[:3] == [ZERO.network_address, HOME.network_address, ZERO.network_address]
    assert domain.ras(1)["mn1lma"].prefix.subnet_of(HOME_POOL)


def test_loss_and_delay_do_not_confuse_the_session(domain):
    """Every third message is lost, every fifth comes 0.2 s late: in the end the node is served where it is."""
    count = iter(range(10_000))

    def rule(t, source, destination, octets):
        number = next(count)
        return [] if number % 3 == 2 else [0.2] if number % 5 == 4 else None

    domain.filters.append(rule)
    domain.attach(1, 1)
    for old, new in ((1, 2), (2, 1), (1, 3)):
        domain.run(0.4)
        domain.move(1, old, new)
    domain.run(20)
    live = [one for one in bindings(domain).values() if not one.deleting]
    assert [one.care_of for one in live] == [address(3)]
    assert domain.ras(3)["mn1lma"].prefix == live[0].prefix


def test_an_accepting_answer_grants_no_more_than_was_asked():
    ack = Anchor().ask(lifetime=40)
    assert ack.lifetime_seconds == 40
    assert Anchor(timing=Timing(lifetime=20)).ask(lifetime=40).lifetime_seconds == 20
