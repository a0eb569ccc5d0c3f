"""Direct paths of AERO, doctored: rules about Predirects, Redirects, the switch and the way back, each broken."""

from functools import partial

import aero_direct_world as right
from aero_direct_world import H2, LOSS, MEDIATION, SIZE, SWITCH, DirectWorld
from aero_doctored import doctored, spoilt, without
from aero_octets import echo
from aero_world import CLIENT2, H1, G

changed, never = partial(spoilt, DirectWorld), partial(without, DirectWorld)
PREDIRECT, OWN, REDIRECT = "predirect:c1", "own:c1", "redirect:c1"
FORM, ORIGIN, HOPS, UNCHANGED = (f"aero-mediation.{name}" for name in ("form", "origin", "hops", "unchanged"))
LIMITS, BACK = "aero-path-switch.switch.hop-limit", "aero-path-loss.cut.back"
C1_SWITCHES, C1_GIVES_UP = "aero-path-switch.switch.c1", "aero-path-loss.cut.c1"


def request(number, *, ident=80, ttl=63):
    return echo(H1, H2, ident, number, SIZE, ttl=ttl)


def besides(add, world=DirectWorld):
    """A run in which something more happened."""
    made = world()
    add(made)
    return made


# -- Predirects and Redirects --------------------------------------------------------------------------


@doctored(MEDIATION, FORM, "framing rfc6706")
def another_framing():
    return changed(PREDIRECT, framing="rfc6706")


@doctored(MEDIATION, FORM, "framing nd", framing="rfc6706")
def not_as_published():
    return DirectWorld()


@doctored(MEDIATION, FORM, "wrong checksum")
def wrong_checksum():
    return changed(REDIRECT, spoilt=1)


@doctored({**MEDIATION, "framing": "rfc6706"}, FORM, "wrong checksum")
def wrong_checksum_as_published():
    return spoilt(right.PublishedWorld, REDIRECT, spoilt=1)


@doctored(MEDIATION, FORM, "Target fe80::2001:db8:1000:b000")
def target_is_another_client():
    return changed(PREDIRECT, target=CLIENT2)


@doctored(MEDIATION, FORM, "Target fe80::2001:db8:1000:a000")
def destination_is_another_client():
    return changed(PREDIRECT, destination=CLIENT2)


@doctored(MEDIATION, FORM, "2001:db8:1000:a000::/56 does not cover 2001:db8:9::2")
def prefix_not_of_the_source():
    return changed(PREDIRECT, quoted=echo(G, H2, 80, 1, SIZE))


@doctored(MEDIATION, FORM, "2001:db8:1000:b000::/56 does not cover 2001:db8:9::2")
def prefix_not_of_the_destination():
    return changed(REDIRECT, quoted=echo(H1, G, 80, 1, SIZE))


@doctored(MEDIATION, FORM, "no link-layer address")
def no_link_layer_address():
    return changed(REDIRECT, lladdrs=[])


@doctored(MEDIATION, FORM, "no token")
def no_token():
    return changed(PREDIRECT, token=None)


@doctored(MEDIATION, FORM, "no Predirect and no Redirect in the captures", outcome=None)
def no_optimisation():
    return never("predirect", "own", "redirect")


@doctored(MEDIATION, FORM, "frames conform", outcome=True)
def null_redirect():
    return changed(REDIRECT, prefix=None, lladdrs=[])


@doctored(MEDIATION, ORIGIN, "a Redirect without a Predirect")
def redirect_unasked():
    return never(PREDIRECT)


@doctored(MEDIATION, ORIGIN, "quotes a packet of no Client")
def upon_a_packet_of_nobody():
    return changed(PREDIRECT, quoted=echo(G, H2, 80, 1, SIZE))


@doctored(MEDIATION, ORIGIN, "hop limit 7")
def begins_with_another_hop_limit():
    return changed(PREDIRECT, ttl=7)


@doctored(MEDIATION, ORIGIN, "sent by c1")
def client_starts_it():
    start = partial(DirectWorld.mediate, tag="begun:c1", one="c1", other="c2", time=1.0025, about="c1")
    return besides(lambda world: start(world, quoted=request(1), ttl=8, predirect=True), partial(never, PREDIRECT))


@doctored(MEDIATION, ORIGIN, "no such packet came and went before")
def upon_a_packet_that_was_not_forwarded():
    return never("switch:1:request:on")


@doctored(MEDIATION, HOPS, "Predirect 9")
def hop_limit_of_a_predirect():
    return changed(PREDIRECT, ttl=9)


@doctored(MEDIATION, HOPS, "Redirect 8-8")
def hop_limit_of_a_redirect_stays():
    return changed(REDIRECT, ttl=8)


@doctored(MEDIATION, HOPS, "Predirect 8", hops=[[8, 7], [8, 7]])
def a_router_less_than_wanted():
    return DirectWorld()


@doctored(MEDIATION, HOPS, "no Predirect was answered", outcome=None)
def no_answer():
    return never("own", "redirect")


@doctored(MEDIATION, UNCHANGED, "changed on the way")
def prefix_changed_on_the_way():
    return changed(REDIRECT, prefix="2001:db8:1000:b000::/57")


@doctored(MEDIATION, UNCHANGED, "link-layer addresses of a Predirect changed")
def predirect_forwarded_otherwise():
    return besides(partial(again, tag=PREDIRECT, about="c1", ttl=7, predirect=True))


@doctored(MEDIATION, UNCHANGED, "link-layer addresses of a Redirect changed twice")
def redirect_forwarded_otherwise():
    return besides(partial(again, tag=REDIRECT, about="c2", ttl=6, predirect=False))


def again(world, tag, about, **how):
    """A message goes on with other link-layer addresses."""
    world._tweak = lambda one, fields: {**fields, "lladdrs": [("192.0.2.1", 8060)]} if one == tag else fields
    world.mediate(tag, "s1", "c2" if about == "c1" else "c1", 1.0045, about, request(1, ttl=62), **how)


@doctored(MEDIATION, UNCHANGED, "another packet is quoted")
def another_packet_quoted():
    return changed(OWN, quoted=echo(H1, "2001:db8:1000:b000::2", 80, 1, SIZE))


@doctored(MEDIATION, "aero-mediation.view-c1", "192.0.2.1")
def told_of_somewhere_else():
    return changed(PREDIRECT, lladdrs=[("192.0.2.1", 8060)])


@doctored(MEDIATION, "aero-mediation.view-c2", "8061")
def told_another_port():
    return changed(REDIRECT, lladdrs=[(right.C2, 8061)])


@doctored(MEDIATION, "aero-mediation.view-c2", "N is not 0")
def told_of_a_nat_that_is_none():
    return changed(REDIRECT, nat=True)


@doctored(MEDIATION, "aero-mediation.view-c2", "no Server told of c2", outcome=None)
def nobody_told_of_it():
    return never("predirect:c2", REDIRECT)


# -- the switch ----------------------------------------------------------------------------------------


@doctored(SWITCH, LIMITS, "hop limit 62 first")
def never_by_the_server():
    return never("switch:1:request@h2-eth0")


@doctored(SWITCH, LIMITS, "hop limit 61 in the end")
def by_the_server_in_the_end():
    return besides(lambda world: world.data("more", "c1", "c2", 80, 4, 1.5, direct=False))


@doctored(SWITCH, LIMITS, "another hop limit")
def a_router_more():
    return changed("switch:2:request@h2-eth0", octets=request(2, ttl=60))


@doctored(SWITCH, LIMITS, "back through the Server")
def back_through_the_server():
    """Once, between two direct ones."""
    return besides(lambda world: world.data("relapse", "c1", "c2", 80, 4, 1.26, direct=False))


@doctored(SWITCH, LIMITS, "no request reached its target", outcome=None)
def nothing_reached_h2():
    return never(*(f"switch:{number}:request@h2-eth0" for number in (1, 2, 3)))


@doctored(SWITCH, C1_SWITCHES, "no solicitation was answered before")
def direct_without_a_test():
    return never("test:c1:answer@c1-wan")


@doctored(SWITCH, C1_SWITCHES, "no solicitation was answered before")
def answer_to_another_solicitation():
    return changed("test:c1", nonce=b"other!")


@doctored(SWITCH, C1_SWITCHES, "direct data before the answer")
def direct_too_early():
    return besides(lambda world: world.between("early", "c1", "c2", 1.0108, request(9)))


@doctored(SWITCH, C1_SWITCHES, "a test without AUTH")
def solicitation_unproved():
    return changed("test:c1", asking=[])


@doctored(SWITCH, C1_SWITCHES, "a test without AUTH")
def advertisement_unproved():
    return changed("test:c1", options=[])


@doctored(SWITCH, C1_SWITCHES, "data through the Server after the answer")
def waiting_after_the_answer():
    return besides(lambda world: world.between("slow", "c1", "s1", 1.1, request(9)))


@doctored(SWITCH, C1_SWITCHES, "tested 7.5 ms after the Redirect", bound_ms=5)
def tested_late():
    return DirectWorld()


@doctored(SWITCH, C1_SWITCHES, "the Server still forwards")
def server_forwards_still():
    return besides(lambda world: world.between("still", "s1", "c2", 1.4, request(9, ttl=62)))


@doctored(SWITCH, C1_SWITCHES, "no Redirect, or no direct data", outcome=None)
def no_redirect():
    return never(REDIRECT)


@doctored(SWITCH, C1_SWITCHES, "no Redirect, or no direct data", outcome=None)
def no_direct_data():
    return never("switch:2:request:direct", "switch:3:request:direct")


# -- the way back --------------------------------------------------------------------------------------


@doctored(LOSS, BACK, "no request came through the Server")
def never_back():
    return besides(
        lambda world: world.data("on", "c1", "c2", 81, 4, 7.2, direct=True), partial(never, "cut:2", "cut:3")
    )


@doctored(LOSS, BACK, "after 4004.0 ms", bound_ms=3900)
def back_late():
    return DirectWorld()


@doctored(LOSS, BACK, "directly again over a path that is cut")
def over_the_cut_path():
    return besides(lambda world: world.data("relapse", "c1", "c2", 81, 4, 7.2, direct=True))


@doctored(LOSS, BACK, "the series is not in the captures", outcome=None)
def nothing_arrives_after_the_cut():
    return never("cut:2", "cut:3")


@doctored(LOSS, C1_GIVES_UP, "no round of solicitations went unanswered")
def gave_up_too_soon():
    return never("lost:c1:2")


@doctored(LOSS, C1_GIVES_UP, "gaps of 300.0 ms, 1700.0 ms")
def asked_in_haste():
    return changed("lost:c1:1@c1-wan", time=3.8)


@doctored(LOSS, C1_GIVES_UP, "direct data after the third solicitation")
def direct_for_ever():
    return besides(lambda world: world.between("on", "c1", "c2", 7.0, request(9, ident=81), arrives=False))


@doctored(LOSS, C1_GIVES_UP, "no solicitation to the other Client", outcome=None)
def nobody_asked():
    return never("test:c1", "lost:c1")
