"""An intruder with an account of its own tries what it can on the home agent and on a router.

a --- mra --.                     mrd: the intruder's node; it is a customer of the operator, with home address,
            +-- home agent        key and network, and sends what no router sends
c --- mrc --'-- mrd
"""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address
from typing import Any

from topologies.haaro import waiting
from topologies.haaro.hostile_messages import Account, Attack, network, on_home_agent, on_router
from topologies.haaro.intruding import Intruder
from topologies.haaro.lab import HaaroLab
from topologies.haaro.plan import HOME_AGENT, HaaroPlan, site
from topologies.haaro.streams import until_direct
from topologies.lab import AgentSpec
from topologies.pings import pings
from topologies.runner import Run

KEY = bytes(range(16))
"""Of the intruder's own account."""
FLOOD = 500
HONEST = Attack("honest", lambda a, t: a.to_agent(a.request(t)), "HA-1", "", 0)
REPLAYED_HOME = Attack("replayed", HONEST.make, "ERR-6, SC-S27", "bad_identification", 133)
REPLAYED_PEER = Attack("replayed", HONEST.make, "ERR-29, SC-S27", "bad_identification", 133)
FIRST_CLAIM = Attack(
    "foreign prefix", lambda a, t: a.to_peer(a.fixed(t) + network(a.foreign)), "CR-7, SC-S7", "refused_147", 147
)


class AttackPlan(HaaroPlan):
    """The last site has an account, and no router of ours."""

    def agents(self) -> list[AgentSpec]:
        """Home agent and honest routers."""
        home, *routers = super().agents()
        secret = {**home.secrets, "routers": [dict(one) for one in home.secrets["routers"]]}
        secret["routers"][-1]["key"] = KEY.hex()
        return [replace(home, secrets=secret), *routers[:-1]]


class AttackLab(HaaroLab):
    """Section 10 of the sheet on the wire: the named answer or silence, counted, and nothing changed."""

    name = "haaro-attack"
    title = "HAARO: what an intruder may try"
    variants = ({},)

    def plan(self, options: Any) -> HaaroPlan:
        """Two honest sites and the intruder's."""
        return AttackPlan(tuple(site(letter) for letter in "acd"))

    def steps(self, options: Any) -> list[str]:
        """The script in words."""
        return [
            "A and C register and come to talk directly",
            "the intruder registers, then attacks the home agent",
            "the intruder proves its address to A, then attacks A",
            "a request of C is replayed, tests come in floods",
            "a and c talk on",
        ]

    def script(self, run: Run, options: Any) -> None:
        """Scenarios S7 and S27 of the sheet, and its section 10."""
        a, c, d = self.plan(options).sites
        steps = self.steps(options)
        run.step(steps[0])
        waiting.registered(run, ["mra", "mrc"])
        waiting.rested(run)
        until_direct(run, "a-c", a, c)
        run.step(steps[1])
        agent, router = IPv4Address(HOME_AGENT), IPv4Address(a.home_address)
        ends = (IPv4Address(d.home_address), agent, IPv4Address(d.lines[0].address))
        own, foreign = (IPv4Address(one.network.partition("/")[0]) for one in (d, c))
        intruder = Intruder(run, "mrd", "isp1", Account(*ends, KEY, own, foreign))
        honest = intruder.play(HONEST, "ha", agent, same=False)
        intruder.play(REPLAYED_HOME, "ha", agent, octets=honest)
        for attack in on_home_agent():
            intruder.play(attack, "ha", agent)
        run.step(steps[2])
        intruder.account = intruder.prove(router)
        intruder.play(FIRST_CLAIM, "mra", router, same=False)  # A asks the home agent, and learns who the intruder is
        for attack in on_router():
            intruder.play(attack, "mra", router)
        run.step(steps[3])
        ends = (IPv4Address(c.home_address), agent, IPv4Address(c.lines[0].address))
        beside = Intruder(run, "mrc", "isp1", Account(*ends, b"", *ends[:1], *ends[:1]))
        beside.play(REPLAYED_PEER, "mra", router, octets=beside.recorded(router))
        intruder.flood("mra", router, FLOOD)
        run.step(steps[4])
        pings(run, "a-c-after", "a", a.host, "c", c.host, via="direct")
        pings(run, "c-a-after", "c", c.host, "a", a.host, via="direct")
        run.step("done")

    def checks(self, options: Any, slowness: float) -> list[dict[str, Any]]:
        """Each attack met as the sheet says, and no honest packet that suffered."""
        rows = {"ha": 2 + len(list(on_home_agent())), "mra": 2 + len(list(on_router()))}
        return [{"check": "haaro-attack", "rows": rows, "flood": FLOOD}, {"check": "haaro-paths"}]


LAB = AttackLab()
