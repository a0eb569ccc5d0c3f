"""A right run of two Clients on a direct path, one of which gets another underlay address."""

from aero_direct_world import AERO, H2, SIZE, PairWorld
from aero_octets import UDP as UDP_PROTOCOL
from aero_octets import auth, discovery, echo, ip, message, option, redirect, redirected, tllao, udp
from aero_world import C1, DUIDS, H1, SERVER

NEW = "198.51.100.9"
ALL_SERVERS = "ff02::1:2"
MOVES = 2.0
HEARD = {"check": "aero-move", "client": "c1", "peer": "c2", "new": NEW, "heard": True, "bound_ms": 50, "least": 2}
LOST = {**HEARD, "heard": False}
BY_SERVER = {"check": "aero-move", "client": "c1", "new": NEW, "bound_ms": 50}
COST = {"check": "aero-move-loss", "client": "c1", "ping": "move", "trips": 0.5, "lost_ms": 100}
RETREAT = {"check": "aero-retreat", "client": "c1", "peer": "c2", "new": NEW, "bound_ms": 50}
CHECKS, LOST_CHECKS, KEYLESS_CHECKS = [HEARD, BY_SERVER, COST], [LOST], [{**HEARD, "heard": None}, RETREAT]


class MoveWorld(PairWorld):
    """c1 moves, its Server and c2 are told, and h1 pings on."""

    def __init__(self, tweak=lambda _tag, fields: fields):
        super().__init__(tweak)
        self.lab["domain"]["clients"]["c1"]["underlay"] = [C1, NEW]
        self.series("move", 1.0, 3.0, 90)
        self.ping("before", 90, 1, 1.0, direct=True)
        self.say("moving", MOVES, node="c1", address=[NEW])
        self.between("late", "c2", "c1", MOVES + 0.001, echo(H2, H1, 90, 2, SIZE, reply=True, ttl=63), arrives=False)
        self.between("server:late", "s1", "c1", MOVES + 0.002, echo(H2, H1, 90, 3, SIZE, reply=True, ttl=62))
        self.underlay["c1"] = NEW
        self.dhcp("renew", "c1", "s1", MOVES + 0.01, 5, AERO["c1"], ALL_SERVERS)
        self.between("hint", "s1", "c1", MOVES + 0.012, discovery(136, SERVER, AERO["c1"], SERVER, flags=0x80))
        self.dhcp("reply", "s1", "c1", MOVES + 0.014, 7, SERVER, AERO["c1"])
        self.between("server:on", "s1", "c1", MOVES + 0.015, echo(H2, H1, 90, 4, SIZE, reply=True, ttl=62))
        self.tell()

    def tell(self):
        """c2 hears of it, asks at the new address, and sends there."""
        self.announce("told", MOVES + 0.02)
        self.ask("confirm", "c2", "c1", MOVES + 0.021, b"moved!")
        for number in (5, 6):
            self.ping(f"after:{number}", 90, number, MOVES + 0.025 * (number - 4), direct=True)

    def announce(self, tag, time, *, arrives=True):
        """An unsolicited advertisement from the new address."""
        found = self.fields(tag, lladdr=(NEW, 8060), proof=[auth()], flags=0x20)
        options = tllao(*found["lladdr"]), *found["proof"]
        packet = discovery(136, AERO["c1"], AERO["c2"], AERO["c1"], *options, flags=found["flags"])
        self.between(tag, "c1", "c2", time, packet, arrives=arrives)

    def dhcp(self, tag, one, other, time, kind, source, destination):
        """A message of c1's lease."""
        kind = self.fields(tag, kind=kind)["kind"]
        ports = (546, 547) if one == "c1" else (547, 546)
        datagram = udp(*ports, message(kind, 0xB1, [option(1, bytes.fromhex(DUIDS["c1"]))]))
        self.between(tag, one, other, time, ip(source, destination, UDP_PROTOCOL, datagram, ttl=255))


class LostMoveWorld(MoveWorld):
    """Nothing gets through between the new address and c2 for a while; c2 asks its Server again."""

    def tell(self):
        """Three announcements that nobody hears."""
        for number in range(3):
            self.announce(f"told:{number}", MOVES + 0.02 + number, arrives=False)
        self.ping("by-server", 90, 5, MOVES + 6, direct=False)
        self.ask("confirm", "c2", "c1", MOVES + 7.9, b"found!")
        for number in (6, 7):
            self.ping(f"after:{number}", 90, number, MOVES + 2 + number, direct=True)


class KeylessMoveWorld(MoveWorld):
    """Without tokens: the Server passes on to c2 that it had better send there, and optimises the path anew."""

    def tell(self):
        """A NULL Redirect by the Server, data by it, a test of the new path, and data on it."""
        self.null("null:own", "c1", "s1", MOVES + 0.016)
        self.null("null:passed", "s1", "c2", MOVES + 0.017)
        self.ping("by-server", 90, 5, MOVES + 0.03, direct=False)
        self.ask("test:c2", "c2", "c1", MOVES + 0.04, b"anew-2")
        self.ask("test:c1", "c1", "c2", MOVES + 0.041, b"anew-1")
        self.ping("after", 90, 6, MOVES + 0.05, direct=True)

    def null(self, tag, one, other, time):
        """Nobody should send to c1 directly, of all that has to do with this flow."""
        quoted = self.fields(tag, quoted=(H2, H1))["quoted"]
        ends = AERO.get(one, SERVER), AERO.get(other, SERVER), "::", "::"
        packet = redirect(*ends, redirected(ip(*quoted, 59, b"")), predirect=False, ttl=8)
        self.between(tag, one, other, time, packet)
