"""A right run of two Clients, one behind a NAT: they attach, ping, and the NAT forgets its translation."""

from aero_octets import UDP as UDP_PROTOCOL
from aero_octets import (
    delegated,
    discovery,
    echo,
    interface_id,
    ip,
    lladdr,
    message,
    nonce,
    observed,
    option,
    relayed,
    udp,
)
from aero_world import C2, CLIENT, CLIENT2, DUIDS, H1, INSIDE, OUTSIDE, S1, SERVER, G, World

PRE_ATTACH, ALL_SERVERS = "fe80::ffff:ffff:ffff:ffff", "ff02::1:2"
PORT, NEW_PORT = 40001, 30001
FORGETS = 5.0
SIZE = 200
CHECKS = [
    {"check": "aero-attach", "bound_ms": 1000},
    {"check": "aero-nat", "preserved": {"n1": False}},
    {"check": "aero-rebinding", "client": "c1", "bound_ms": 300},
    {"check": "aero-encapsulation", "data": ["0"], "outer": [4], "inner": [6]},
    {"check": "aero-pings", "ttl": {"h1-g": 62}, "max_lost": {"rebinding": 1}},
]


class NatWorld(World):
    """c1 attaches through n1 and is seen at another port from second 5 on; c2 has no NAT."""

    def __init__(self, tweak=lambda _tag, fields: fields):
        super().__init__(tweak, nat=True)
        for client, xid in (("c1", 0xA1), ("c2", 0xA2)):
            self.exchange(client, "solicit", 0.5, 1, xid, PORT, PRE_ATTACH)
            self.say("client-attached", 0.503, node="s1", duid=DUIDS[client])
            self.say("attached", 0.505, node=client)
        self.keepalive()
        self.pings("h1-g", "h1", "g", 2.0, 2.5, size=SIZE, ident=70, count=2)
        for number in (1, 2):
            self.ping(70, number, 2.0 + number * 0.1, PORT)
        self.say("step", FORGETS, title="the NAT forgets its translations")
        self.pings("rebinding", "h1", "g", FORGETS, 5.5, size=SIZE, ident=71, count=4)
        self.ping(71, 1, 5.1, NEW_PORT, lost=True)
        self.hint(5.102)
        self.exchange("c1", "renew", 5.11, 5, 0xB1, NEW_PORT, CLIENT)
        self.say("client-moved", 5.1135, node="s1", duid=DUIDS["c1"])
        for number in (2, 3, 4):
            self.ping(71, number, 5.1 + number * 0.05, NEW_PORT)
        self.say("step", 7.0, title="done")

    def up(self, client, tag, time, inner, port):
        """From a Client to the Server."""
        if client == "c2":
            return self.carry(tag, ("c2-wan", "s1-wan"), time, inner, source=C2)
        self.carry(tag, ("c1-wan", "n1-lan"), time, inner, source=INSIDE)
        return self.carry(tag, ("n1-wan", "s1-wan"), time + 0.0004, inner, source=OUTSIDE, ports=(port, 8060))

    def down(self, client, tag, time, inner, port):
        """From the Server to a Client."""
        if client == "c2":
            return self.carry(tag, ("s1-wan", "c2-wan"), time, inner, source=S1, destination=C2)
        outside = {"source": S1, "destination": OUTSIDE, "ports": (8060, port)}
        self.carry(tag, ("s1-wan", "n1-wan"), time, inner, **outside)
        return self.carry(tag, ("n1-lan", "c1-wan"), time + 0.0004, inner, source=S1, destination=INSIDE)

    def exchange(self, client, tag, time, kind, xid, port, source):
        """A client message through relay and Kea, and its answer."""
        name = f"{client}:{tag}"
        duid, prefix = option(1, bytes.fromhex(DUIDS[client])), f"2001:db8:1000:{'ab'[client == 'c2']}000::/56"
        seen = (OUTSIDE, port) if client == "c1" else (C2, 8060)
        asked = self.fields(
            name,
            kind=kind,
            transaction=xid,
            options=[duid, option(8, bytes(2)), option(14), delegated(prefix, 0), option(6, b"\0\x4f\0\x52")],
        )
        told = self.fields(
            f"{name}:reply",
            kind=7,
            transaction=xid,
            options=[duid, option(2, b"kea"), option(14), delegated(prefix, 300), option(79, lladdr(*seen))],
        )
        octets = message(**asked)
        inner = {"source": source, "destination": ALL_SERVERS, "sport": 546, "dport": 547, "ttl": 255}
        self.up(client, name, time, self.inner(f"{name}:inner", octets, inner), port)
        self.talk(name, time + 0.002, octets, source, seen, told)
        back = {"source": SERVER, "destination": source, "sport": 547, "dport": 546, "ttl": 255}
        if told:
            self.down(client, f"{name}:reply", time + 0.004, self.inner(f"{name}:back", message(**told), back), port)

    def talk(self, name, time, octets, source, seen, told):
        """Relay and Kea on the Server's loopback."""
        supplied, holder = option(66, option(79, lladdr(*seen))), option(18, interface_id(*seen))
        ours = self.fields(
            f"{name}:forward",
            kind=12,
            options=[holder, supplied, option(135, b"\0\0"), option(9, octets)],
            peer=source,
            hops=0,
            link="::",
            destination="::1",
        )
        if ours:
            there = ours.pop("destination")
            datagram = udp(50000, 547, relayed(**ours))
            self.put(f"{name}:forward", "s1-lo", time, ip("::1", there, UDP_PROTOCOL, datagram))
        if told:
            theirs = {"kind": 13, "options": [holder, option(9, message(**told))], "peer": source}
            datagram = udp(547, 50000, relayed(**theirs))
            self.put(f"{name}:answer", "s1-lo", time + 0.001, ip("::1", "::1", UDP_PROTOCOL, datagram))

    def inner(self, tag, payload, fields):
        """The packet inside."""
        found = self.fields(tag, payload=payload, **fields)
        datagram = udp(found["sport"], found["dport"], found["payload"])
        return ip(found["source"], found["destination"], UDP_PROTOCOL, datagram, ttl=found["ttl"])

    def ping(self, ident, number, time, port, *, lost=False):
        """An echo request of h1 and its reply."""
        tag = f"ping:{ident}:{number}"
        self.put(tag, "h1-eth0", time, echo(H1, G, ident, number, SIZE))
        self.up("c1", tag, time + 0.001, echo(H1, G, ident, number, SIZE, ttl=63), port)
        if lost:
            return
        self.put(tag, "g-eth0", time + 0.003, echo(H1, G, ident, number, SIZE, ttl=62))
        back = f"pong:{ident}:{number}"
        self.put(back, "g-eth0", time + 0.004, echo(G, H1, ident, number, SIZE, reply=True))
        self.down("c1", back, time + 0.005, echo(G, H1, ident, number, SIZE, reply=True, ttl=63), port)
        self.put(back, "h1-eth0", time + 0.007, echo(G, H1, ident, number, SIZE, reply=True, ttl=62))

    def keepalive(self):
        """c2 asks whether its Server is there."""
        asked = self.fields("ns", payload=discovery(135, CLIENT2, SERVER, SERVER, nonce(b"abcdef")))["payload"]
        answer = discovery(136, SERVER, CLIENT2, SERVER, nonce(b"abcdef"), flags=0xC0)
        self.up("c2", "ns", 1.0, asked, 8060)
        self.down("c2", "na", 1.01, answer, 8060)

    def hint(self, time):
        """The Server sees c1 somewhere else."""
        found = self.fields("hint", options=[observed(OUTSIDE, NEW_PORT)], flags=0x80)
        if found:
            packet = discovery(136, SERVER, CLIENT, SERVER, *found["options"], flags=found["flags"])
            size = self.fields("hint:size", size=len(packet))["size"]
            packet += bytes(size - len(packet))
            self.down("c1", "hint", time, packet, NEW_PORT)
