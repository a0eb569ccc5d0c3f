"""The three Client models side by side: host, router, hybrid, each with what is downstream of it.

c1 (host, later hybrid) --- h1          c1, c2, c3 --- core --- s1 --- g
c2 (router) --- h2  addresses by SLAAC with the link's /64
           `--- r2  address by DHCPv6, and a prefix of its own
           `--- n2  a /64 of its own, off-link: pseudo-delegation by SLAAC
c3 (hybrid) --- h3  in the /64 that some addresses of c3's AERO interface are of
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from ipaddress import ip_network
from typing import Any, ClassVar

from testbed.waiting import wait_until
from topologies import states
from topologies import traffic as hosts
from topologies.aero import downstream, probing, traffic
from topologies.aero.lab import AeroLab
from topologies.aero.plan import NATIVE, AeroOptions, AeroPlan, Client, Lan
from topologies.lab import RUNTIME, KeaSpec, option
from topologies.runner import Run

FAMILIES = ("ipv6", "ipv4")
ADDRESSES = 64
HOST = Client(1, "host", families=FAMILIES, addresses=ADDRESSES, lans=(Lan("h1", subnet=0, detecting=True),))
SLAAC = Lan("h2", "lan", "slaac", 1, detecting=True)
DHCP = Lan("r2", "lan2", "dhcp", 2, router=True, detecting=True)
OFF_LINK = Lan("n2", "lan3", "off-link", 3, detecting=True)
ROUTER = Client(2, "router", lans=(SLAAC, DHCP, OFF_LINK))
HYBRID = Client(3, "hybrid", addresses=4, lans=(Lan("h3", subnet=0, detecting=True),))
SUB_ROUTER_DUID = "000300010200000000b2"
SHORT_LEASE = (4, 6, 12, 12)
TRANSFER = 3
"""Seconds that the connection lasts which the switch must not break."""
LOST, LEFT, SWITCH = "the Server is lost", "c2 and c3 leave", "c1 becomes a hybrid"
ROUTED, WEAK = "MODEL-R1, MODEL-R3, ENC-5", "MODEL-Y1, MODEL-Y3, ENC-5"
PROVED = {
    **dict.fromkeys(("g-c1-unused", "g-c2-unused", "g-c3-unused"), "CLI-15"),
    **dict.fromkeys(("c3-g", "g-c3", "h3-g", "g-h3", "h3-c3", "h1-g", "g-h1"), WEAK),
    "past-the-tunnel": "MODEL-H4",
}
"""What series prove that are not of the router's nodes."""
TTL = {
    "c2-h2-g": 62, "g-h2": 62, "r2-g": 62, "g-r2": 62, "r2-inside-g": 62, "g-r2-inside": 62, "n2-g": 62, "g-n2": 62,
    "c3-g": 63, "g-c3": 63, "h3-g": 62, "g-h3": 62, "h3-c3": 64, "h1-g": 62, "g-h1": 62,
}  # fmt: skip
"""Hop limits at the target: one less for each node that forwards, and hosts do not (spec §2.4, MODEL-Y3)."""


@dataclass(frozen=True)
class ModelsOptions(AeroOptions):
    """Options of the models lab."""

    end: str = option("leave", "how it ends: Clients leave, or the Server is lost", ("leave", "lost"))


class ModelsLab(AeroLab):
    """Host, router and hybrid Clients, with real radvd and Kea downstream."""

    name = "aero-models"
    title = "AERO Client models: host, router, hybrid"
    options: ClassVar[type] = ModelsOptions
    variants = ({"end": "leave"}, {"end": "leave", "outer": "ipv6"}, {"end": "lost"})

    def plan(self, options: Any) -> AeroPlan:
        """Three Clients without NAT; a short lease where its end is waited for."""
        lease = SHORT_LEASE if options.end == "lost" else AeroPlan.lease
        return AeroPlan(options, (HOST, ROUTER, HYBRID), lease=lease)

    def keas(self, options: Any) -> list[KeaSpec]:
        """The Server's, and the one downstream of the router."""
        below = KeaSpec(ROUTER.name, downstream.dhcp6(ROUTER, DHCP), f"{RUNTIME}/{ROUTER.name}/kea")
        return [*super().keas(options), below]

    def captures(self, options: Any) -> list[tuple[str, str]]:
        """Besides, where packets come by for a strong end system that drops them, and for a weak one that does not."""
        return [*super().captures(options), ("core", HOST.name), (HYBRID.name, HYBRID.downstream[0].interface)]

    def steps(self, options: Any) -> list[str]:
        """The script in words."""
        begin = ["Clients attach, nodes downstream get addresses"]
        if options.end == "lost":
            return [*begin, LOST, "the lease ends"]
        return [*begin, "c1 is a host", "c2 is a router", "c3 is a hybrid", SWITCH, LEFT]

    def script(self, run: Run, options: Any) -> None:
        """Attach, use every model as it is meant to be used and as it is not, end."""
        run.step("Clients attach, nodes downstream get addresses")
        traffic.attached(run, ("c1", "c2", "c3"))
        where = ((ROUTER, SLAAC), _of(HYBRID), (ROUTER, OFF_LINK))
        h2, h3, n2 = (hosts.address_in(run, lan.node, client.subnet(lan.subnet)) for client, lan in where)
        if options.end == "lost":
            _lose(run, h2, h3)
            _told(run, h2=h2, h3=h3, n2=n2)
            run.step("done")
            return
        run.step("c1 is a host")
        _host(run)
        run.step("c2 is a router")
        _router(run, h2, n2)
        run.step("c3 is a hybrid")
        _hybrid(run, h3)
        _switch(run)
        run.step(LEFT)
        for name in ("c2", "c3"):
            run.agents[name].stop()
        _told(run, h2=h2, h3=h3, n2=n2)
        run.step("done")

    def checks(self, options: Any, slowness: float) -> list[dict[str, Any]]:
        """Reachability, addresses, duplicates, advertisements, and the moment of the switch."""
        end = LOST if options.end == "lost" else LEFT
        found: list[dict[str, Any]] = [
            {"check": "aero-autoconfiguration"},
            {"check": "aero-withdrawal", "step": end, "clients": ["c2", "c3"], "bound_ms": 500 * slowness},
        ]
        if options.end == "lost":
            return [*found, {"check": "aero-pings", "requirement": ROUTED, "requirements": PROVED}]
        return [
            *found,
            {"check": "aero-attach", "bound_ms": 1000 * slowness},
            {"check": "aero-encapsulation", "inner": [4, 6]},
            {"check": "aero-pings", "requirement": ROUTED, "requirements": PROVED, "ttl": TTL},
            {"check": "aero-addresses", "client": "c1", "least": ADDRESSES},
            {"check": "aero-unused"},
            {"check": "aero-strong-host", "client": "c1"},
            {"check": "aero-sources"},
            {"check": "aero-claims"},
            {"check": "aero-pseudo-delegation", "node": OFF_LINK.node},
            {"check": "aero-sub-delegation", "client": "c2", "node": DHCP.node},
            {"check": "aero-switch", "client": "c1", "step": SWITCH},
        ]


def _of(client: Client) -> tuple[Client, Lan]:
    return client, client.downstream[0]


def _both_ways(run: Run, node: str, address: str, name: str = "") -> None:
    """A node and the native one ping each other."""
    name = name or node
    traffic.pings(run, f"{name}-g", node, address, "g", NATIVE["ipv6"])
    traffic.pings(run, f"g-{name}", "g", NATIVE["ipv6"], node, address)


def unused(client: Client) -> str:
    """An address of a Client's prefix that nobody has, in a /64 that no link has."""
    return str(ip_network(client.subnet(0xFF))[0xBAD])


def _unreachable(run: Run, client: Client) -> None:
    name = f"g-{client.name}-unused"
    target = unused(client)
    traffic.pings(run, name, "g", NATIVE["ipv6"], client.name, target, count=3, expect="none", patience=0.3)


def _host(run: Run) -> None:
    for family in FAMILIES:
        probing.every_address(run, f"g-c1-{family}", "g", HOST.own_addresses(family), "c1")
    probing.from_any_source(run, "c1", NATIVE["ipv6"])
    probing.from_any_source(run, "c1", NATIVE["ipv4"])
    _unreachable(run, HOST)
    first, near = HOST.own_addresses("ipv6")[0], HOST.underlay["ipv6"]
    run.net["core"].run(["ip", "-6", "route", "add", first, "via", near], check=True)
    traffic.pings(run, "past-the-tunnel", "core", "2001:db8:e::6", "c1", first, count=3, expect="none", patience=0.3)


def _router(run: Run, h2: str, n2: str) -> None:
    given = probing.lease(run, DHCP.node, SUB_ROUTER_DUID)
    _both_ways(run, "h2", h2)
    _both_ways(run, "r2", given["address"])
    _both_ways(run, "r2", given["inside"], "r2-inside")
    _both_ways(run, "n2", n2)
    away = str(ip_network(ROUTER.subnet(OFF_LINK.subnet))[0xBAD])
    traffic.pings(run, "n2-away", "n2", n2, "c2", away, count=2, expect="none", patience=0.3)
    probing.from_any_source(run, "c2", NATIVE["ipv6"])
    _unreachable(run, ROUTER)
    probing.claim(run, "h2", str(ip_network(ROUTER.subnet(SLAAC.subnet))[1]), against="c2")


def _hybrid(run: Run, h3: str) -> None:
    first = HYBRID.own_addresses("ipv6")[0]
    _both_ways(run, "c3", first)
    _both_ways(run, "h3", h3)
    traffic.pings(run, "h3-c3", "h3", h3, "c3", first)
    probing.from_any_source(run, "c3", NATIVE["ipv6"])
    _unreachable(run, HYBRID)
    for address in (first, HYBRID.own_addresses("ipv6")[-1]):
        probing.claim(run, "h3", address, against="c3")
    probing.claim(run, "h3", str(ip_network(HYBRID.subnet(0))[0x5EE]), against=None)


def _switch(run: Run) -> None:
    """A connection is open while the host becomes a hybrid, and goes on until its end."""
    going = probing.connection(run, "c1", HOST.own_addresses("ipv6")[1], "g", NATIVE["ipv6"], TRANSFER)
    run.step(SWITCH)
    run.agents["c1"].request({"request": "model", "model": "hybrid"})
    h1 = hosts.address_in(run, "h1", HOST.subnet(0))
    _both_ways(run, "h1", h1)
    probing.claim(run, "h1", HOST.own_addresses("ipv6")[1], against="c1")
    going.finish()


def _lose(run: Run, h2: str, h3: str) -> None:
    """The Server's agent is killed; Clients notice by what they send, then their leases end."""
    _both_ways(run, "h2", h2)
    _both_ways(run, "h3", h3)
    run.step(LOST)
    run.agents["s1"].kill()
    for node, address in (("h2", h2), ("h3", h3)):
        argv = ["ping", "-6", "-n", "-q", "-i", "0.5", "-I", address, NATIVE["ipv6"]]
        run.spawn(node, argv)
    for name in ("c2", "c3"):
        states.when(run, name, "to have lost its Server", lambda now: not now["neighbors"])
    run.step("the lease ends")
    for name in ("c2", "c3"):
        states.when(run, name, "to have lost its prefix", lambda now: not now["prefixes"])


def _told(run: Run, **addresses: str) -> None:
    """Wait until nodes know that their addresses are over: radvd says so later than its Client knows.

    It speaks on one link after the other: with n2, the last of the router's, all have heard it.
    """
    for node, address in addresses.items():
        wait_until(f"{node} to be told", partial(probing.deprecated, run, node, address), timeout=hosts.PATIENCE)


LAB = ModelsLab()
