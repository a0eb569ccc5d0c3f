"""Attachment and NATs of AERO, doctored: every rule of "aero-attach", "aero-nat" and "aero-rebinding" once broken."""

from aero_doctored import doctored, entry_of, replaced, spoilt, without
from aero_nat_world import CHECKS, NEW_PORT, OUTSIDE, PORT, NatWorld
from aero_octets import delegated, echo, interface_id, ip, lladdr, nonce, observed, option, relayed, udp
from aero_world import CLIENT2, H1, SERVER, G

ATTACH, NAT, REBINDING = (entry_of(CHECKS, name) for name in ("aero-attach", "aero-nat", "aero-rebinding"))
SEEN = option(79, lladdr(OUTSIDE, PORT))


def forwarded(**changes):
    return spoilt(NatWorld, "c1:solicit:forward", **changes)


def solicited(**changes):
    return spoilt(NatWorld, "c1:solicit:inner", **changes)


@doctored(ATTACH, "aero-attach.solicit", "c1 Solicit has options")
def solicit_without_rapid_commit():
    return spoilt(NatWorld, "c1:solicit", options=lambda old: [one for one in old if one != option(14)])


@doctored(ATTACH, "aero-attach.solicit", "c1 Solicit requests (82,)")
def option_79_not_requested():
    return spoilt(NatWorld, "c1:solicit", options=lambda old: [*old[:4], option(6, b"\0\x52")])


@doctored(ATTACH, "aero-attach.solicit", "c1 Solicit goes by 3")
def solicit_by_gue():
    return spoilt(NatWorld, "c1:solicit@c1-wan", code="3")


@doctored(ATTACH, "aero-attach.solicit", "inner header")
def solicit_with_hop_limit_64():
    return solicited(ttl=64)


@doctored(ATTACH, "aero-attach.solicit", "inner header")
def solicit_to_one_server():
    return solicited(destination=SERVER)


@doctored(ATTACH, "aero-attach.solicit", "comes from")
def solicit_from_another_address():
    return solicited(source=CLIENT2)


@doctored(ATTACH, "aero-attach.solicit", "no Solicit at any Client's interface", outcome=None)
def no_solicit():
    return without(NatWorld, "c1:solicit", "c2:solicit")


def granted(prefix, valid):
    return spoilt(NatWorld, "c1:solicit:reply", options=lambda old: [*old[:3], delegated(prefix, valid), old[4]])


@doctored(ATTACH, "aero-attach.prefix", "c1 got 2001:db8:1000:c000::/56")
def another_prefix():
    return granted("2001:db8:1000:c000::/56", 300)


@doctored(ATTACH, "aero-attach.prefix", "c1 got nothing")
def prefix_of_no_lifetime():
    return granted("2001:db8:1000:a000::/56", 0)


@doctored(ATTACH, "aero-attach.prefix", "c1 Solicit: 1204.")
def slow_reply():
    return spoilt(NatWorld, "c1:solicit:reply@c1-wan", time=lambda old: old + 1.2 - 0.0006)


@doctored(ATTACH, "aero-attach.prefix", "no Rapid Commit in the Reply")
def reply_without_rapid_commit():
    return spoilt(NatWorld, "c1:solicit:reply", options=lambda old: [*old[:2], *old[3:]])


@doctored(ATTACH, "aero-attach.prefix", "no DHCPv6 message at any Client's interface", outcome=None)
def silent_clients():
    return without(NatWorld, "c1:", "c2:")


@doctored(ATTACH, "aero-attach.relay", "c1 Solicit was not forwarded to Kea")
def kea_not_asked():
    return without(NatWorld, "c1:solicit:forward@")


@doctored(ATTACH, "aero-attach.relay", "c1 Solicit was not forwarded to Kea")
def relayed_with_another_octet():
    waited = replaced(option(8, bytes(2)), option(8, b"\0\1"))
    return forwarded(options=lambda old: [*old[:3], waited(old[3])])


@doctored(ATTACH, "aero-attach.relay", "hop count or link")
def one_relay_too_many():
    return forwarded(hops=1)


@doctored(ATTACH, "aero-attach.relay", "hop count or link")
def relay_with_a_link_address():
    return forwarded(link="2001:db8::1")


@doctored(ATTACH, "aero-attach.relay", "peer fe80::1")
def another_peer():
    return forwarded(peer=SERVER)


@doctored(ATTACH, "aero-attach.relay", "options (66, 135, 9)")
def relay_without_interface_id():
    return forwarded(options=lambda old: old[1:])


@doctored(ATTACH, "aero-attach.relay", "option 79 tells")
def relay_tells_another_port():
    return forwarded(options=lambda old: [old[0], option(66, option(79, lladdr(OUTSIDE, 8060))), *old[2:]])


@doctored(ATTACH, "aero-attach.relay", "Interface-ID tells (1, 0, IPv4Address('198.51.100.1'), 8060)")
def way_back_to_another_port():
    return forwarded(options=lambda old: [option(18, interface_id(OUTSIDE, 8060)), *old[1:]])


@doctored(ATTACH, "aero-attach.relay", "Interface-ID tells None")
def way_back_of_another_form():
    return forwarded(options=lambda old: [option(18, b"eth0"), *old[1:]])


@doctored(ATTACH, "aero-attach.relay", "relay port 547")
def relay_port_not_zero():
    return forwarded(options=lambda old: [*old[:2], option(135, b"\x02\x23"), old[3]])


@doctored(ATTACH, "aero-attach.relay", "Kea is asked at 2001:db8::9")
def kea_elsewhere():
    return forwarded(destination="2001:db8::9")


@doctored(ATTACH, "aero-attach.relay", "no client message at a Server", outcome=None)
def nothing_reached_a_server():
    return without(NatWorld, "c1:", "c2:")


@doctored(ATTACH, "aero-attach.answer", "c1 Solicit: Kea's answer did not reach the Client unchanged")
def answer_kept_back():
    return without(NatWorld, "c1:solicit:reply@s1-wan")


@doctored(ATTACH, "aero-attach.answer", "c1 Solicit: answer from ::1")
def answer_in_keas_name():
    return spoilt(NatWorld, "c1:solicit:back", source="::1")


@doctored(ATTACH, "aero-attach.answer", "answer from fe80::1 to fe80::2001:db8:1000:b000")
def answer_to_another_peer():
    return spoilt(NatWorld, "c1:solicit:back", destination=CLIENT2)


@doctored(ATTACH, "aero-attach.answer", "c1 Solicit: answer goes to")
def answer_to_another_port():
    return spoilt(NatWorld, "c1:solicit:reply@s1-wan", ports=(8060, 8060))


@doctored(ATTACH, "aero-attach.answer", "c1 Solicit: changed on its way")
def answer_changed_under_way():
    return spoilt(NatWorld, "c1:solicit:reply@c1-wan", payload=replaced(b"kea", b"aek"))


@doctored(ATTACH, "aero-attach.answer", "no answer of a Kea", outcome=None)
def silent_kea():
    return without(NatWorld, "c1:solicit:answer", "c2:solicit:answer", "c1:renew:answer")


@doctored(ATTACH, "aero-attach.loop", "c1 Solicit: option 79 is None")
def no_echo():
    return spoilt(NatWorld, "c1:solicit:reply", options=lambda old: old[:4])


@doctored(ATTACH, "aero-attach.loop", "option 79 is (IPv4Address('10.1.1.2'), 8060)")
def echo_of_the_inside():
    return spoilt(NatWorld, "c1:solicit:reply", options=lambda old: [*old[:4], option(79, lladdr("10.1.1.2", 8060))])


@doctored(ATTACH, "aero-attach.loop", "option 79 is None")
def echo_of_another_hardware_type():
    return spoilt(
        NatWorld, "c1:solicit:reply", options=lambda old: [*old[:4], option(79, b"\0\1" + lladdr("::", 1)[2:])]
    )


@doctored(ATTACH, "aero-attach.loop", "is seen as")
def a_nat_that_translates_nothing():
    def tweak(tag, fields):
        if tag == "c1:solicit@s1-wan":
            return {**fields, "source": "10.1.1.2", "ports": (8060, 8060)}
        same = tag in ("c1:solicit:reply", "c1:solicit:forward")
        return _unseen(fields) if same else fields

    return NatWorld(tweak)


def _unseen(fields):
    """Options with the Client's own address where the outside one was."""
    old, new = lladdr(OUTSIDE, PORT)[2:], lladdr("10.1.1.2", 8060)[2:]
    return {**fields, "options": [one.replace(old, new) for one in fields["options"]]}


@doctored(ATTACH, "aero-attach.loop", "no Reply at any Client's interface", outcome=None)
def no_reply():
    return without(NatWorld, "c1:solicit:reply", "c2:solicit:reply", "c1:renew:reply")


@doctored(ATTACH, "aero-attach.order", "no Reply after the entry of c2")
def entry_without_a_reply():
    return without(NatWorld, "c2:solicit:reply@s1-wan")


@doctored(ATTACH, "aero-attach.order", "entry after the Reply")
def reply_before_the_entry():
    def tweak(tag, fields):
        late = tag == "event:client-attached" and fields["duid"].endswith("11")
        return {**fields, "t": fields["t"] + 0.004} if late else fields

    return NatWorld(tweak)


@doctored(ATTACH, "aero-attach.order", "no Server said that a Client attached", outcome=None)
def no_entry():
    return without(NatWorld, "event:client-attached")


@doctored(ATTACH, "aero-attach.whole", "c2 fragments a control message")
def solicitation_behind_a_first_fragment():
    return spoilt(NatWorld, "ns@c2-wan", fragment={"more": True, "ident": 5})


@doctored(ATTACH, "aero-attach.whole", "c1 fragments a control message")
def dhcp_behind_an_atomic_header():
    return spoilt(NatWorld, "c1:solicit@c1-wan", fragment={"ident": 5})


@doctored(ATTACH, "aero-attach.whole", "control messages, all whole", outcome=True)
def small_solicitation_behind_an_atomic_header():
    return spoilt(NatWorld, "ns@c2-wan", fragment={"ident": 5})


@doctored(ATTACH, "aero-attach.whole", "nothing of the kind", outcome=None)
def no_control_messages():
    return without(NatWorld, "c1:", "c2:", "n", "hint")


@doctored(ATTACH, "aero-attach.private", "DHCPv6 outside the tunnel at s1")
def bare_dhcp_on_the_underlay():
    world = NatWorld()
    world.put("bare", "s1-wan", 1.0, ip("2001:db8:e::7", "2001:db8:f::1", 17, udp(546, 547, b"\1\0\0\1\0\x0e\0\0")))
    return world


@doctored(ATTACH, "aero-attach.private", "a relay message on s1's underlay")
def relay_message_in_the_tunnel():
    world = NatWorld()
    inner = {"source": CLIENT2, "destination": SERVER, "sport": 547, "dport": 547, "ttl": 255}
    packet = world.inner("forged", relayed(12, [], CLIENT2), inner)
    world.up("c2", "forged", 1.5, packet, 8060)
    return world


@doctored(ATTACH, "aero-attach.private", "no DHCPv6 on any Server's loopback", outcome=None)
def silent_loopback():
    return NatWorld(lambda tag, fields: None if tag.endswith("@s1-lo") else fields)


# -- NATs ----------------------------------------------------------------------------------------------


@doctored(NAT, "aero-nat.n1", "10.1.1.2 is not translated")
def source_passes_the_nat():
    return spoilt(NatWorld, "c1:solicit@n1-wan", source="10.1.1.2")


@doctored(NAT, "aero-nat.n1", "the destination changed")
def destination_changed():
    return spoilt(NatWorld, "c1:solicit@n1-wan", ports=(PORT, 8061))


@doctored(NAT, "aero-nat.n1", "port 8060 became 8060")
def port_kept():
    return spoilt(NatWorld, "c1:solicit@n1-wan", ports=(8060, 8060))


@doctored(NAT, "aero-nat.n1", "port 8060 became 40001", preserved={"n1": True})
def port_not_kept():
    return NatWorld()


@doctored(NAT, "aero-nat.n1", "no datagram on both sides of n1", outcome=None)
def nothing_outside():
    return NatWorld(lambda tag, fields: None if tag.endswith("@n1-wan") else fields)


@doctored(REBINDING, "aero-rebinding.hint", "OBSERVED None")
def hint_without_observed():
    return spoilt(NatWorld, "hint", options=[])


@doctored(REBINDING, "aero-rebinding.hint", "OBSERVED Seen")
def hint_of_another_port():
    return spoilt(NatWorld, "hint", options=[observed(OUTSIDE, PORT)])


@doctored(REBINDING, "aero-rebinding.hint", "S flag set")
def hint_that_says_it_was_asked_for():
    return spoilt(NatWorld, "hint", flags=0xC0)


@doctored(REBINDING, "aero-rebinding.hint", "larger than what caused it")
def hint_that_amplifies():
    def tweak(tag, fields):
        if tag != "hint":
            return fields
        return {**fields, "options": [*fields["options"], b"\xfe\x20" + bytes(254)]}

    return NatWorld(tweak)


@doctored(REBINDING, "aero-rebinding.hint", "larger than what caused it")
def hint_before_any_packet():
    return spoilt(NatWorld, "hint@s1-wan", time=5.05)


@doctored(REBINDING, "aero-rebinding.hint", "no hint left the Server", outcome=None)
def no_hint():
    return without(NatWorld, "hint")


@doctored(REBINDING, "aero-rebinding.hint", "no hint left the Server", outcome=None)
def hint_with_a_nonce_is_an_answer():
    return spoilt(NatWorld, "hint", options=[nonce(b"abcdef"), observed(OUTSIDE, NEW_PORT)])


@doctored(REBINDING, "aero-rebinding.believed", "the Reply tells")
def reply_tells_the_old_port():
    return spoilt(NatWorld, "c1:renew:reply", options=lambda old: [*old[:4], SEEN])


@doctored(REBINDING, "aero-rebinding.believed", "the Reply tells")
def renew_answered_by_something_else():
    return spoilt(NatWorld, "c1:renew:reply", kind=2)


@doctored(REBINDING, "aero-rebinding.believed", "data went to the new address before the Reply")
def data_believed_at_once():
    world = NatWorld()
    world.down("c1", "early", 5.103, echo(G, H1, 71, 1, 200, reply=True, ttl=63), NEW_PORT)
    return world


@doctored(REBINDING, "aero-rebinding.believed", "the Server did not say that the Client moved")
def move_untold():
    return without(NatWorld, "event:client-moved")


@doctored(REBINDING, "aero-rebinding.believed", "the entry changed before Kea's answer")
def moved_before_the_answer():
    return spoilt(NatWorld, "event:client-moved", t=lambda old: old - 0.002)


@doctored(REBINDING, "aero-rebinding.believed", "still to 198.51.100.1:40001 after the Reply")
def old_port_after_the_reply():
    return spoilt(NatWorld, "pong:71:3@s1-wan", ports=(8060, PORT))


@doctored(REBINDING, "aero-rebinding.believed", "no Renew after the rebinding", outcome=None)
def no_renew():
    return without(NatWorld, "c1:renew:", "c1:renew@")


@doctored(REBINDING, "aero-rebinding.outage", "nothing came back")
def nothing_came_back():
    return without(NatWorld, "pong:71")


@doctored(REBINDING, "aero-rebinding.outage", "silent for 350.0 ms", bound_ms=300)
def long_silence():
    world = without(NatWorld, "ping:71:4", "pong:71:4")
    world.put("late", "h1-eth0", 5.60, echo(H1, G, 71, 4, 200))
    world.put("late", "h1-eth0", 5.607, echo(G, H1, 71, 4, 200, reply=True, ttl=62))
    return world


@doctored(REBINDING, "aero-rebinding.outage", "h1 sent none of them", outcome=None)
def host_without_capture():
    return NatWorld(lambda tag, fields: None if tag.endswith("@h1-eth0") else fields)


@doctored(REBINDING, "aero-rebinding.outage", "no pings during a rebinding", outcome=None)
def no_pings_then():
    return without(NatWorld, "event:pings")
