"""Packets of AERO, doctored: rules about formats, sizes, fragments, proofs, duplicates and fallback, each broken."""

from aero_doctored import doctored, entry_of, spoilt, without
from aero_nat_world import CHECKS as NAT_CHECKS
from aero_nat_world import NatWorld
from aero_octets import echo, ip, too_big, udp
from aero_path_world import AWAY, CHECKS, UP, PathWorld
from aero_world import C1, H1, OUTSIDE, S1, G

FRAGMENTS, SIZES, SWEEP, TUNING, HOLE, TOO_BIG, PATH, REORDERED, DUPLICATES, FALLBACK, ENCAPSULATION, PINGS = CHECKS
NATTED = entry_of(NAT_CHECKS, "aero-encapsulation")
CUT = tuple(
    f"{name}:{way}" for name in ("first:1", "cut:1", "sweep:1473", "sweep:1474", "hole:2") for way in ("up", "down")
)
FIRST, SECOND = "first:1:up:0@c1-wan", "first:1:up:1024@c1-wan"


def changed(tag, **changes):
    return spoilt(PathWorld, tag, **changes)


def header(**changes):
    return lambda old: {**old, **changes}


# -- fragments and sizes -------------------------------------------------------------------------------


@doctored(FRAGMENTS, "aero-fragments.parts", "c1: no first part")
def first_part_missing():
    return without(PathWorld, FIRST)


@doctored(FRAGMENTS, "aero-fragments.parts", "1504 octets were cut")
def too_large_to_be_cut():
    world = PathWorld()
    world.ping("jumbo", 69, 1, 9.0, 1504, cut=True)
    return world


@doctored(FRAGMENTS, "aero-fragments.parts", "1400 octets as [1024]")
def second_part_missing():
    return without(PathWorld, SECOND)


@doctored(FRAGMENTS, "aero-fragments.parts", "1400 octets as [1016, 384]")
def cut_somewhere_else():
    packet = echo(H1, G, 60, 1, 1400, ttl=63)

    def tweak(tag, fields):
        if tag == FIRST:
            return {**fields, "payload": packet[:1016]}
        if tag == SECOND:
            return {**fields, "payload": packet[1016:], "fragment": header(offset=1016)(fields["fragment"])}
        return fields

    return PathWorld(tweak)


@doctored(FRAGMENTS, "aero-fragments.parts", "offsets [0, 1032]")
def gap_between_the_parts():
    return changed(SECOND, fragment=header(offset=1032))


@doctored(FRAGMENTS, "aero-fragments.parts", "M flags")
def more_after_the_last():
    return changed(SECOND, fragment=header(more=True))


@doctored(FRAGMENTS, "aero-fragments.parts", "nothing was cut", outcome=None)
def nothing_cut():
    return without(PathWorld, *CUT)


@doctored(FRAGMENTS, "aero-fragments.alike", "outer headers differ")
def other_ttl_on_the_second():
    return changed(SECOND, ttl=63)


@doctored(FRAGMENTS, "aero-fragments.alike", "outer headers differ")
def other_traffic_class_on_the_second():
    return changed(SECOND, tos=0xB8)


@doctored(FRAGMENTS, "aero-fragments.alike", "outer headers differ")
def other_port_on_the_second():
    return changed(SECOND, ports=(8060, 8061))


@doctored(FRAGMENTS, "aero-fragments.alike", "outer headers differ")
def do_not_cut_the_second():
    return changed(SECOND, df=True)


@doctored(FRAGMENTS, "aero-fragments.alike", "Fragment Headers differ")
def other_next_header_on_the_second():
    return changed(SECOND, fragment=header(next_header=4))


@doctored(FRAGMENTS, "aero-fragments.alike", "nothing behind a Fragment Header", outcome=None)
def no_fragment_headers():
    return without(PathWorld, *CUT, "doubled", "twin")


@doctored(FRAGMENTS, "aero-fragments.fresh", "c1 uses an identification again")
def identification_again():
    def tweak(tag, fields):
        again = tag.startswith("cut:1:up")
        return {**fields, "fragment": header(ident=8)(fields["fragment"])} if again else fields

    return PathWorld(tweak)


@doctored(FRAGMENTS, "aero-fragments.fresh", "s1: identification + 3")
def identification_skipped():
    def tweak(tag, fields):
        later = tag.startswith("cut:1:down")
        return {**fields, "fragment": header(ident=3)(fields["fragment"])} if later else fields

    return PathWorld(tweak)


@doctored(SIZES, "aero-sizes.first", "c1 sent 1060 + 413")
def one_octet_more_outside():
    return changed(SECOND, payload=lambda old: old + b"x")


@doctored(SIZES, "aero-sizes.first", "s1 sent nothing of it")
def one_side_silent():
    return without(PathWorld, "first:1:down")


@doctored(SIZES, "aero-sizes.whole", "nobody sent anything of it", outcome=None)
def nobody_sent():
    return without(PathWorld, "whole:1:up", "whole:1:down")


@doctored(SIZES, "aero-sizes.other", "the script sent no other", outcome=None, sizes={"other": {"c1": [1]}})
def series_without_name():
    return PathWorld()


@doctored(SWEEP, "aero-sweep.sweep", "1 request missing at g: [1471]")
def one_size_missing_there():
    return without(PathWorld, "sweep:1471@g-eth0")


@doctored(SWEEP, "aero-sweep.sweep", "1 reply missing at h1: [1474]")
def one_size_missing_back():
    return without(PathWorld, "sweep:1474:reply@h1-eth0")


@doctored(SWEEP, "aero-sweep.sweep", "1 request of another size at g: [1471]")
def size_changed_under_way():
    return changed("sweep:1472@g-eth0", octets=echo(H1, G, 63, 1472, 1471, ttl=62))


@doctored(SWEEP, "aero-sweep.sweep.c1", "1472 octets as 1060 + 484")
def one_size_cut_that_fits():
    world = without(PathWorld, "sweep:1472:up")
    world.inside("cut", "up", 3.101, echo(H1, G, 63, 1472, 1472, ttl=63), cut=True)
    return world


@doctored(SWEEP, "aero-sweep.sweep.s1", "s1 sent nothing of sweep", outcome=None)
def one_side_of_the_sweep_silent():
    return without(PathWorld, *(f"sweep:{size}:down" for size in range(1470, 1475)))


@doctored(SWEEP, "aero-sweep.other", "the script sent no other", outcome=None, name="other")
def no_sweep():
    return PathWorld()


# -- what is proven ------------------------------------------------------------------------------------


@doctored(TUNING, "aero-tuning.c1", "1400 octets whole, proven 0")
def whole_without_a_proof():
    return without(PathWorld, "probe:answer")


@doctored(TUNING, "aero-tuning.c1", "1400 octets whole, proven 0")
def answer_to_another_probe():
    return changed("probe:answer@c1-wan", payload=lambda old: old[:-6] + b"foreig")


@doctored(TUNING, "aero-tuning.c1", "1400 octets whole, proven 1400")
def smaller_probe():
    return changed("probe@c1-wan", pad=lambda old: old - 100)


@doctored(TUNING, "aero-tuning.s1", "1400 octets cut, proven 1500")
def cut_though_proven():
    world = PathWorld()
    world.inside("again", "down", 3.9, echo(G, H1, 68, 1, 1400, reply=True, ttl=63), cut=True)
    return world


@doctored(TUNING, "aero-tuning.c1", "1400 octets whole, proven 0")
def too_big_not_heeded():
    return told_smaller(PathWorld())


@doctored(TUNING, "aero-tuning.c1", "proven", outcome=True)
def too_big_heeded():
    world = without(PathWorld, "whole", "sweep", "hole")
    return told_smaller(world)


def told_smaller(world):
    """A router says after the probe that 1300 octets fit."""
    quoted = ip(C1, S1, 17, udp(8060, 8060, echo(H1, G, 61, 0, 1400)), df=True)[:68]
    world.put("smaller", "c1-wan", 1.5, too_big("198.51.100.6", C1, 1300, quoted))
    return world


@doctored(TUNING, "aero-tuning.c1", "no packet of 1281 to 1500 octets", outcome=None)
def no_large_packets():
    return without(PathWorld, "first", "whole", "cut", "sweep", "probe", "return", "hole")


@doctored(TUNING, "aero-tuning.c1", "1440 octets cut, proven 1500")
def cut_after_two_lost_probes():
    return without(PathWorld, "lost:2")


@doctored(HOLE, "aero-black-hole.c1", "large packets went on whole")
def hole_unnoticed():
    return without(PathWorld, "hole:2:up")


@doctored(HOLE, "aero-black-hole.c1", "cut again after 3501.", bound_ms=3400)
def hole_noticed_late():
    return PathWorld()


@doctored(HOLE, "aero-black-hole.c1", "2 probes lost before")
def two_lost_probes():
    return without(PathWorld, "lost:1")


@doctored(HOLE, "aero-black-hole.c1", "no small solicitation was answered meanwhile")
def silent_neighbor():
    return without(PathWorld, *(f"small:{number}:answer" for number in range(3)))


@doctored(HOLE, "aero-black-hole.c1", "a Packet Too Big arrived")
def somebody_said_so():
    world = PathWorld()
    quoted = ip(C1, S1, 17, udp(8060, 8060, echo(H1, G, 68, 1, 1440)), df=True)[:68]
    world.put("smaller", "c1-wan", 10.15, too_big("198.51.100.6", C1, 1400, quoted))
    return world


@doctored(HOLE, "aero-black-hole.c1", "c1 sent no large packet then", outcome=None)
def nothing_large_in_the_hole():
    return without(PathWorld, "hole")


@doctored(HOLE, "aero-black-hole.c1", "the script has no such step", outcome=None, step="nothing happens")
def no_hole():
    return PathWorld()


@doctored(TOO_BIG, "aero-too-big.large", "MTU 1480")
def another_mtu_told():
    return changed("told", mtu=1480)


@doctored(TOO_BIG, "aero-too-big.large", "1360 octets")
def error_larger_than_1280():
    return changed("told", quoted=echo(H1, G, 64, 1, 8000)[:1312])


@doctored(TOO_BIG, "aero-too-big.large", "from fe80::1")
def error_from_a_link_local_address():
    return changed("told", source="fe80::1")


@doctored(TOO_BIG, "aero-too-big.large", "quotes 2001:db8:1000:a000::77")
def error_about_another_source():
    return changed("told", quoted=echo("2001:db8:1000:a000::77", G, 64, 1, 1232))


@doctored(TOO_BIG, "aero-too-big.large", "no Packet Too Big at the source", outcome=None)
def source_untold():
    return without(PathWorld, "told")


@doctored(TOO_BIG, "aero-too-big.other", "the script sent no other", outcome=None, name="other")
def nothing_large():
    return PathWorld()


# -- duplicates ----------------------------------------------------------------------------------------


@doctored(DUPLICATES, "aero-duplicates.delivered", "identification missing")
def doubled_packet_without_header():
    return changed("doubled:1:up@s1-wan", fragment=None)


@doctored(DUPLICATES, "aero-duplicates.delivered", "identification present", detected=False)
def header_where_none_is_wanted():
    return PathWorld()


@doctored(DUPLICATES, "aero-duplicates.delivered", "1 duplicates of 1 delivered")
def duplicate_delivered():
    world = PathWorld()
    world.put("twin", "g-eth0", 5.1, echo(H1, G, 65, 2, 84, ttl=62))
    return world


@doctored(DUPLICATES, "aero-duplicates.delivered", "not every packet was delivered")
def original_lost():
    return without(PathWorld, "doubled:2@g-eth0")


@doctored(DUPLICATES, "aero-duplicates.delivered", "the network duplicated nothing", outcome=None)
def nothing_doubled():
    return without(PathWorld, "twin")


@doctored(DUPLICATES, "aero-duplicates.counted", "counted 2, 1 in the capture")
def counted_too_much():
    return changed("event:counters", dpd_dup=2)


@doctored(DUPLICATES, "aero-duplicates.counted", "counted 1", detected=False)
def counted_though_off():
    return PathWorld()


@doctored(DUPLICATES, "aero-duplicates.counted", "no counters of s1 in the event log", outcome=None)
def no_counters():
    return without(PathWorld, "event:counters")


@doctored(DUPLICATES, "aero-duplicates", "the script sent no other", outcome=None, name="other")
def no_such_series():
    return PathWorld()


# -- identifications -----------------------------------------------------------------------------------


@doctored(PATH, "aero-fragment-path.c1", "not atomic")
def question_in_a_first_fragment():
    return changed("atomic:asked@c1-wan", fragment=header(more=True))


@doctored(PATH, "aero-fragment-path.c1", "padded")
def question_with_padding():
    return changed("atomic:asked@c1-wan", pad=400)


@doctored(PATH, "aero-fragment-path.c1", "no answer")
def question_unanswered():
    return without(PathWorld, "atomic:told@c1-wan")


@doctored(PATH, "aero-fragment-path.c1", "answered by 1")
def answer_without_header():
    return changed("atomic:told@c1-wan", fragment=None)


@doctored(PATH, "aero-fragment-path.c1", "frames conform", outcome=True, kept=False)
def answer_without_header_where_a_middlebox_takes_it():
    return answer_without_header()


@doctored(PATH, "aero-fragment-path.c1", "c1 sent no NS behind a Fragment Header", outcome=None)
def never_asked_behind_a_header():
    return without(PathWorld, "atomic")


@doctored(REORDERED, "aero-reordered", "counted 2, 1 in the capture")
def counted_more_than_overtaken():
    return changed("event:counters", reorder=2)


@doctored(REORDERED, "aero-reordered", "1 taken for grossly late")
def taken_for_old():
    return PathWorld(lambda tag, fields: {**fields, "reorder_gross": 1} if tag == "event:counters" else fields)


@doctored(REORDERED, "aero-reordered", "the network reordered nothing", outcome=None)
def nothing_overtaken():
    return changed("doubled:3:up@s1-wan", time=5.102)


@doctored(REORDERED, "aero-reordered", "no counters of s1", outcome=None)
def reordering_uncounted():
    return without(PathWorld, "event:counters")


# -- fallback ------------------------------------------------------------------------------------------


@doctored(FALLBACK, "aero-fallback.c1", "no data by minimal encapsulation before")
def never_minimal():
    return changed("before:1:up@c1-wan", code="0")


@doctored(FALLBACK, "aero-fallback.c1", "no data by UDP afterwards")
def never_by_udp():
    return without(PathWorld, "during:2:up", "during:3:up", "hole")


@doctored(FALLBACK, "aero-fallback.c1", "minimal still after 300.0 ms", bound_ms=250)
def late_fallback():
    return PathWorld()


@doctored(FALLBACK, "aero-fallback.c1", "no data for 600.0 ms before UDP")
def traffic_pauses_before_udp():
    world = without(PathWorld, "during:2:up", "during:3:up", "hole")
    world.carry("late", UP, 8.001, echo(H1, G, 67, 3, 84, ttl=63), **AWAY)
    return world


@doctored(FALLBACK, "aero-fallback.c1", "minimal again after UDP")
def minimal_again():
    world = PathWorld()
    world.carry("again", UP, 7.7, echo(H1, G, 67, 9, 84, ttl=63), **AWAY, code="1")
    return world


@doctored(FALLBACK, "aero-fallback.c1", "the script has no such step", outcome=None, step="nothing happens")
def no_middlebox():
    return PathWorld()


# -- encapsulation -------------------------------------------------------------------------------------


@doctored(ENCAPSULATION, "aero-encapsulation.outer", "outer TTL 63")
def outer_ttl_copied():
    return changed("whole:1:up@c1-wan", ttl=63)


@doctored(ENCAPSULATION, "aero-encapsulation.outer", "outer flow label 5")
def outer_flow_label():
    return over_ipv6(flow=5)


@doctored(ENCAPSULATION, "aero-encapsulation.outer", "c1 sends from (4444, 8060)")
def random_source_port():
    return changed("whole:1:up@c1-wan", ports=(4444, 8060))


@doctored(ENCAPSULATION, "aero-encapsulation.outer", "no UDP checksum over IPv6")
def no_checksum_over_ipv6():
    return over_ipv6(checksum=0)


def over_ipv6(**outer):
    """A packet between IPv6 underlay addresses."""
    world = PathWorld()
    world.lab["domain"]["clients"]["c1"]["underlay"].append("2001:db8:e::7")
    ends = {"source": "2001:db8:e::7", "destination": "2001:db8:f::1"}
    world.carry("six", ("c1-wan",), 3.9, echo(H1, G, 68, 1, 84, ttl=63), **ends, **outer)
    return world


@doctored(ENCAPSULATION, "aero-encapsulation.format", "overhead 16 of code 2")
def gue_with_an_extra_word():
    return changed("whole:1:up@c1-wan", code="2", front=bytes.fromhex("0129000000000000"))


@doctored(ENCAPSULATION, "aero-encapsulation.format", "outer options")
def outer_ipv4_options():
    return changed("whole:1:up@c1-wan", options=bytes(4))


@doctored(ENCAPSULATION, "aero-encapsulation.format", "next header 17")
def fragment_of_something_else():
    return changed("doubled:1:up@c1-wan", code="1", fragment=header(next_header=17))


@doctored(ENCAPSULATION, "aero-encapsulation.format", "reserved bits set")
def reserved_bits():
    return changed("doubled:1:up@c1-wan", fragment=header(reserved=1))


@doctored(ENCAPSULATION, "aero-encapsulation.format", "4 announces IPv6")
def protocol_4_with_ipv6_inside():
    world = PathWorld()
    world.put("wrong", "c1-wan", 3.9, ip(C1, S1, 4, echo(H1, G, 68, 1, 84)))
    return world


@doctored(ENCAPSULATION, "aero-encapsulation.format", "4 announces IPv6")
def header_4_with_ipv6_inside():
    return changed("doubled:1:up@c1-wan", fragment=header(next_header=4))


@doctored(ENCAPSULATION, "aero-encapsulation.format", "inner packet cut off")
def inner_packet_cut_off():
    return changed("whole:1:up@c1-wan", payload=lambda old: old[:-5])


@doctored(ENCAPSULATION, "aero-encapsulation.format", "3 octets behind it")
def padding_behind_data():
    return changed("whole:1:up@c1-wan", pad=3)


@doctored(ENCAPSULATION, "aero-encapsulation.fields", "traffic class 184")
def traffic_class_not_copied():
    return changed("whole:1:up@c1-wan", tos=0xB8)


@doctored(ENCAPSULATION, "aero-encapsulation.fields", "the kernel fragmented the outer packet")
def cut_by_the_kernel():
    return changed("whole:1:up@c1-wan", place=0x2000, df=False)


@doctored(ENCAPSULATION, "aero-encapsulation.fields", "DF on a fragment")
def fragment_with_df():
    return changed("doubled:1:up@c1-wan", df=True)


@doctored(ENCAPSULATION, "aero-encapsulation.fields", "probe without DF")
def probe_without_df():
    return changed("probe@c1-wan", df=False)


@doctored(ENCAPSULATION, "aero-encapsulation.fields", "1400 octets whole without DF")
def large_without_df():
    return changed("whole:1:up@c1-wan", df=False)


@doctored(ENCAPSULATION, "aero-encapsulation.codes", "data by code 3")
def another_encapsulation():
    return changed("whole:1:up@c1-wan", code="3")


@doctored(ENCAPSULATION, "aero-encapsulation.codes", "data over IPv4", outer=[6])
def another_underlay():
    return PathWorld()


@doctored(ENCAPSULATION, "aero-encapsulation.codes", "IPv6 data", inner=[4])
def another_inner_version():
    return PathWorld()


@doctored(NATTED, "aero-encapsulation.codes", "minimal toward a NAT", data=["0", "1"])
def minimal_toward_a_nat():
    world = NatWorld()
    reply = echo(G, H1, 70, 9, 200, reply=True, ttl=63)
    world.carry("nat", ("s1-wan",), 3.0, reply, source=S1, destination=OUTSIDE, code="1")
    return world


@doctored(ENCAPSULATION, "aero-encapsulation.codes", "no data by code 2", data=["0", "0F", "1", "2"])
def wanted_and_not_seen():
    return PathWorld()


@doctored(ENCAPSULATION, "aero-encapsulation.codes", "no data", outcome=None)
def control_only():
    return PathWorld(lambda tag, fields: None if ":up" in tag or ":down" in tag or tag.startswith("twin") else fields)


@doctored(ENCAPSULATION, "aero-encapsulation.recursion", "inner source 198.51.100.7")
def underlay_source_inside():
    return inside(C1, "198.18.9.2")


@doctored(ENCAPSULATION, "aero-encapsulation.recursion", "inner destination = outer destination")
def outer_destination_inside():
    return inside("192.0.2.17", S1)


@doctored(ENCAPSULATION, "aero-encapsulation.recursion", "c1 speaks for 192.0.2.99")
def foreign_source():
    return inside("192.0.2.99", "198.18.9.2")


def inside(source, destination):
    """An IPv4 packet of c1's, whose prefix is 192.0.2.16/28 here, too."""
    world = PathWorld()
    world.lab["domain"]["clients"]["c1"]["prefixes"].append("192.0.2.16/28")
    world.carry("four", ("c1-wan",), 3.9, echo(source, destination, 68, 1, 84), **AWAY)
    return world


# -- pings ---------------------------------------------------------------------------------------------


@doctored(PINGS, "aero-pings.large", "1 replies")
def reply_where_none_may_be():
    world = PathWorld()
    world.put("sudden", "h1-eth0", 4.1, echo(G, H1, 64, 1, 8000, reply=True))
    return world


@doctored(PINGS, "aero-pings.first", "1 requests and 0 replies are missing")
def request_lost():
    return without(PathWorld, "first:1@g-eth0")


@doctored(PINGS, "aero-pings.first", "0 requests and 1 replies are missing")
def reply_lost():
    return without(PathWorld, "first:1:reply@h1-eth0")


@doctored(PINGS, "aero-pings.first", "1399 octets arrived")
def size_changed():
    return changed("first:1@g-eth0", octets=echo(H1, G, 60, 1, 1399, ttl=62))


@doctored(PINGS, "aero-pings.first", "hop limit 61, not 62")
def one_hop_too_many():
    return changed("first:1@g-eth0", octets=echo(H1, G, 60, 1, 1400, ttl=61))


@doctored(PINGS, "aero-pings.first", "its sender's capture holds no request", outcome=None)
def sender_silent():
    return without(PathWorld, "first:1")
