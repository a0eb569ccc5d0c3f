"""File transfers of AERO hosts, doctored: rules about content, connection, way and cost of moves, each broken."""

from functools import partial

from aero_doctored import doctored, spoilt, without
from aero_transfer_world import (
    ACK,
    BASE,
    BEGIN,
    BY_SERVERS,
    DIRECT,
    RST,
    SERVED,
    STEP,
    SYN,
    TRANSFER,
    ServedWorld,
    TransferWorld,
)

changed, never = partial(spoilt, TransferWorld), partial(without, TransferWorld)
CONTENT, CONNECTION, WAY, MOVE, CHANGE = (
    f"aero-transfer.file.{name}" for name in ("content", "connection", "way", "c1-moving", "c1-changing")
)


# -- content -------------------------------------------------------------------------------------------


@doctored(TRANSFER, CONTENT, "20000 octets arrive")
def a_piece_never_arrives():
    return never("part:20")


@doctored(TRANSFER, CONTENT, "0 octets arrive")
def nothing_of_the_file_arrives():
    return never("part:", "again")


@doctored(TRANSFER, CONTENT, "h1 has 39000 octets")
def the_receiver_has_less():
    return changed("event:transfer", fetched=lambda told: {**told, "octets": 39000})


@doctored(TRANSFER, CONTENT, "another checksum")
def the_receiver_has_something_else():
    return changed("event:transfer", fetched=lambda told: {**told, "sha256": "cd" * 32})


# -- connection ----------------------------------------------------------------------------------------


@doctored(TRANSFER, CONNECTION, "2 pairs of ports")
def goes_on_from_another_port():
    return changed("part:30", near=45679)


@doctored(TRANSFER, CONNECTION, "opened again")
def opened_twice():
    world = TransferWorld()
    world.segment("reopen", "c1", 77, SYN, BEGIN + 0.2)
    return world


@doctored(TRANSFER, CONNECTION, "a reset")
def reset():
    world = TransferWorld()
    world.segment("reset", "c2", BASE, RST | ACK, BEGIN + 0.6)
    return world


@doctored(TRANSFER, CONNECTION, "closed by 1 of its ends")
def half_closed():
    return never("closed")


# -- way -----------------------------------------------------------------------------------------------


@doctored(TRANSFER, WAY, "never directly")
def always_by_servers():
    return TransferWorld(lambda _tag, fields: {**fields, "hops": BY_SERVERS} if "hops" in fields else fields)


@doctored(TRANSFER, WAY, "1 packet by Servers again")
def back_by_servers():
    return changed("part:30", hops=BY_SERVERS)


@doctored(TRANSFER, WAY, "directly from the beginning")
def directly_at_once():
    return TransferWorld(lambda _tag, fields: {**fields, "hops": ()} if "hops" in fields else fields)


@doctored(DIRECT, WAY, "by Servers first")
def by_servers_though_the_path_was_direct():
    return TransferWorld()


@doctored(SERVED, WAY, "directly")
def directly_though_nobody_optimises():
    return spoilt(ServedWorld, "part:30", hops=())


@doctored(SERVED, WAY, "by s1, which has failed")
def by_a_server_that_is_dead():
    world = ServedWorld()
    world.segment("late", "c2", BASE + 30 * 1000, ACK, BEGIN + 0.8, 1000, hops=BY_SERVERS)
    return world


@doctored(SERVED, "aero-transfer.file.s1-failing", "silent for 20.0 ms", bound_ms=15)
def silent_for_longer_at_a_failure():
    return ServedWorld()


# -- what moves cost -----------------------------------------------------------------------------------


@doctored(TRANSFER, MOVE, "it did not happen during the transfer")
def did_not_move():
    return never("event:moving")


@doctored(TRANSFER, CHANGE, "it did not happen during the transfer")
def changed_afterwards():
    return changed("event:changing", t=103.0)


@doctored(TRANSFER, MOVE, "silent for 20.0 ms", bound_ms=15)
def silent_for_longer():
    return TransferWorld()


@doctored(TRANSFER, MOVE, "1000 octets sent again, which is 10.0 ms", lost_ms=5)
def lost_more():
    return TransferWorld()


@doctored(TRANSFER, CHANGE, "2000 octets sent again, which is 20.0 ms")
def sent_again_without_need():
    world = TransferWorld()
    for number in (30, 31):
        world.part(f"again:{number}", number, BEGIN + (number + 1.5) * STEP)
    return world


@doctored(TRANSFER, CHANGE, "nothing arrives afterwards")
def stops_for_good():
    return never(*(f"part:{number}" for number in range(28, 40)))


@doctored(TRANSFER, CONNECTION, "no segment of it", outcome=None)
def nobody_saw_the_hosts():
    return TransferWorld(lambda tag, fields: None if tag.endswith("-eth0") else fields)
