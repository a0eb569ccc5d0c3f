"""Moves of AERO Clients, doctored: rules about the Renew, the Server, announcements and correspondents, each broken."""

from functools import partial

from aero_direct_world import H2, SIZE
from aero_doctored import doctored, spoilt, without
from aero_move_world import COST, HEARD, LOST, MOVES, NEW, RETREAT, KeylessMoveWorld, LostMoveWorld, MoveWorld
from aero_octets import echo
from aero_world import C1, C2, H1, S1

changed, never = partial(spoilt, MoveWorld), partial(without, MoveWorld)
RENEW, SERVER, TOLD, FOLLOWS, LOSS = (
    f"aero-move.{name}" for name in ("c1.renew", "c1.server", "c1.announcement", "c2.follows", "c1.loss")
)

keyless, unsaid = partial(spoilt, KeylessMoveWorld), partial(without, KeylessMoveWorld)
TELLS, BACK = "aero-retreat.c1.tells", "aero-retreat.c2.back"


def reply(number):
    return echo(H2, H1, 90, number, SIZE, reply=True, ttl=63)


def besides(world, tag, one, time, **ends):
    """A run in which one data packet more went to c1."""
    world.between(tag, one, "c1", MOVES + time, reply(9), **ends)
    return world


# -- Renew and Server ----------------------------------------------------------------------------------


@doctored(HEARD, RENEW, "no Renew from the new address")
def no_renew_after_the_move():
    return never("renew")


@doctored(HEARD, RENEW, "no Renew from the new address")
def renew_from_the_old_address():
    return changed("renew@c1-wan", source=C1)


@doctored(HEARD, RENEW, "after 100.0 ms")
def renew_late():
    return changed("renew@c1-wan", time=MOVES + 0.1)


@doctored(HEARD, RENEW, "it solicits anew")
def attaches_anew():
    world = MoveWorld()
    world.dhcp("solicit", "c1", "s1", MOVES + 0.02, 1, "fe80::ffff:ffff:ffff:ffff", "ff02::1:2")
    return world


@doctored(HEARD, RENEW, "nobody moved, or", outcome=None)
def nobody_moved():
    return never("event:moving")


@doctored(HEARD, SERVER, "no Reply to the new address")
def reply_to_the_old_address():
    return changed("reply@s1-wan", destination=C1)


@doctored(HEARD, SERVER, "to the new address before")
def server_believes_too_early():
    return besides(MoveWorld(), "early", "s1", 0.012)


@doctored(HEARD, SERVER, "to the old address after")
def server_does_not_believe():
    return besides(MoveWorld(), "late", "s1", 0.3, destination=C1)


# -- what it costs -------------------------------------------------------------------------------------


@doctored(COST, LOSS, "1 requests lost, 0.0 allowed", lost_ms=0, trips=0)
def a_request_is_lost():
    return never("after:5:request@h2-eth0")


@doctored(COST, LOSS, "nothing arrives in the end", lost_ms=1000)
def it_ends_with_the_move():
    return never("after:6:request@h2-eth0")


@doctored(COST, LOSS, "no request or no reply arrived before the move", outcome=None)
def nothing_came_before():
    return never("before")


# -- announcements -------------------------------------------------------------------------------------


@doctored(HEARD, TOLD, "0 announcements")
def no_announcement():
    return never("told")


@doctored(HEARD, TOLD, "0 announcements")
def announcement_that_answers():
    return changed("told", flags=0x60)


@doctored(HEARD, TOLD, "0 announcements")
def announcement_that_does_not_override():
    return changed("told", flags=0)


@doctored(HEARD, TOLD, "0 announcements")
def announced_to_the_server_only():
    return changed("told@c1-wan", destination=S1)


@doctored(HEARD, TOLD, "4 announcements")
def too_many_announcements():
    world = MoveWorld()
    for number in range(3):
        world.announce(f"again:{number}", MOVES + 1.1 + number)
    return world


@doctored(LOST, TOLD, "2 announcements though nobody answered")
def gave_up_telling():
    return without(LostMoveWorld, "told:2")


@doctored(HEARD, TOLD, "without AUTH")
def announcement_unproved():
    return changed("told", proof=[])


@doctored(HEARD, TOLD, "tells [(IPv4Address('198.51.100.7'), 8060)]")
def tells_the_old_address():
    return changed("told", lladdr=(C1, 8060))


@doctored(LOST, TOLD, "too soon again")
def announced_in_haste():
    return spoilt(LostMoveWorld, "told:1@c1-wan", time=MOVES + 0.3)


@doctored(HEARD, TOLD, "after 60.0 ms")
def announced_late():
    return changed("told@c1-wan", time=MOVES + 0.06)


# -- the correspondent ---------------------------------------------------------------------------------


@doctored(HEARD, FOLLOWS, "no direct data to the new address")
def stays_with_the_server():
    return never(*(f"after:{number}:reply:direct" for number in (5, 6)))


@doctored(HEARD, FOLLOWS, "to another address again")
def falls_back():
    return besides(MoveWorld(), "again", "c2", 0.3, destination=C1, source=C2)


@doctored(HEARD, FOLLOWS, "to another address again")
def falls_back_to_the_server():
    world = MoveWorld()
    world.data("again", "c2", "c1", 90, 9, MOVES + 0.3, direct=False)
    return world


@doctored(HEARD, FOLLOWS, "only 1 packets to the new address")
def follows_with_one_packet():
    return never("after:6:reply:direct")


@doctored(HEARD, FOLLOWS, "169.0 ms before the announcement")
def follows_before_it_is_told():
    return changed("told@c2-wan", time=MOVES + 0.2)


@doctored(LOST, FOLLOWS, "before the new address had answered")
def follows_untested():
    return spoilt(LostMoveWorld, "confirm:answer@c2-wan", time=MOVES + 8.5)


@doctored(LOST, FOLLOWS, "an announcement arrived")
def heard_though_lost():
    world = LostMoveWorld()
    world.announce("heard", MOVES + 3.5)
    return world


@doctored(HEARD, FOLLOWS, "no announcement arrived")
def follows_without_being_told():
    return never("told@c2-wan")


@doctored(HEARD, FOLLOWS, "after 10.8 ms", bound_ms=10)
def follows_late():
    return MoveWorld()


@doctored(HEARD, FOLLOWS, "the new address was not confirmed")
def not_confirmed():
    return never("confirm")


@doctored(HEARD, FOLLOWS, "the new address was not confirmed")
def asked_without_an_answer():
    return never("confirm:answer@c2-wan")


@doctored(HEARD, FOLLOWS, "nobody moved, or", outcome=None)
def nobody_followed():
    return never("event:moving")


# -- without tokens ------------------------------------------------------------------------------------


@doctored(RETREAT, TELLS, "no NULL Redirect")
def nobody_is_sent_back():
    return unsaid("null:own")


@doctored(RETREAT, TELLS, "sent to 203.0.113.7")
def sent_back_by_nobody_who_is_believed():
    return keyless("null:own@c1-wan", destination=C2)


@doctored(RETREAT, TELLS, "about another flow")
def sent_back_from_elsewhere():
    return keyless("null:own", quoted=(H1, H2))


@doctored(RETREAT, TELLS, "85.8 ms after the Reply")
def sent_back_late():
    return keyless("null:own@c1-wan", time=MOVES + 0.1)


@doctored(RETREAT, TELLS, "-1.2 ms after the Reply")
def sent_back_before_the_server_believes_it():
    return keyless("null:own@c1-wan", time=MOVES + 0.013)


@doctored(RETREAT, TELLS, "it announces itself without a proof")
def announced_all_the_same():
    world = KeylessMoveWorld()
    world.announce("told", MOVES + 0.02)
    return world


@doctored(RETREAT, TELLS, "data to c2 before that answered")
def goes_on_directly():
    world = KeylessMoveWorld()
    world.between("early", "c1", "c2", MOVES + 0.02, echo(H1, H2, 90, 9, SIZE, ttl=63))
    return world


@doctored(RETREAT, TELLS, "nobody moved, or", outcome=None)
def nobody_moved_without_tokens():
    return unsaid("event:moving")


@doctored(RETREAT, BACK, "no NULL Redirect arrived")
def not_passed_on():
    return unsaid("null:passed@c2-wan")


@doctored(RETREAT, BACK, f"from {NEW}")
def passed_on_by_nobody():
    return keyless("null:passed@c2-wan", source=NEW)


@doctored(RETREAT, BACK, "after 60.0 ms")
def passed_on_late():
    return keyless("null:passed@c2-wan", time=MOVES + 0.06)


@doctored(RETREAT, BACK, "to the old address afterwards")
def does_not_go_back():
    return besides(KeylessMoveWorld(), "again", "c2", 0.3, destination=C1, source=C2)


@doctored(RETREAT, BACK, "no data by the Server")
def nothing_by_the_server():
    return unsaid("by-server:reply:up")


@doctored(RETREAT, BACK, "never directly again")
def not_optimised_anew():
    return unsaid("after:reply:direct")


@doctored(RETREAT, BACK, "nobody moved, or", outcome=None)
def nobody_went_back():
    return unsaid("event:moving")
