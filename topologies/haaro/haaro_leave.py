r"""A site comes home: it takes leave of its peers, of the home agent last, and is reached without a tunnel.

a --- mra --- isp1 --.
b --- mrb --- isp1 ---+-- home agent --- cn
c --- mrc --- isp1 --'        |
       \----- home link ------'
"""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address
from typing import Any

from agents.haaro.inner import EchoMessage, push_echo, push_udp
from agents.haaro.items import TUNNEL_PORT
from agents.wire.mip4 import TUNNEL_IP
from topologies import states
from topologies.haaro import waiting
from topologies.haaro.lab import HaaroLab
from topologies.haaro.plan import CORRESPONDENT, HOME_LINK, HaaroPlan, Site, opposite, site
from topologies.haaro.raw import Raw
from topologies.haaro.streams import until_direct
from topologies.pings import Series, next_identifier, pings
from topologies.runner import Run

GRACE = 3.0
"""Seconds that peers still take packets out of the old tunnel."""
BELOW = 4000
"""Metric of the way home, under that of any tunnel."""
PAIRS = [["mrc", "mra"], ["mra", "mrc"], ["mrc", "mrb"], ["mrb", "mrc"]]
ROUTERS = ["mra", "mrb", "mrc"]
INTERVAL = 0.02


class LeaveLab(HaaroLab):
    """Deregistration with every peer and then with the home agent, the grace, and life without a tunnel."""

    name = "haaro-leave"
    title = "HAARO: a site returns home"
    variants = ({},)

    def plan(self, options: Any) -> HaaroPlan:
        """Three sites, the third with a home link."""
        a, b, c = (site(letter, timing={"grace": GRACE}) for letter in "abc")
        return HaaroPlan((a, b, replace(c, home_link=True)))

    def steps(self, options: Any) -> list[str]:
        """The script in words."""
        return [
            "A, B, C register; c talks to a and b directly",
            "C comes home and takes leave of A, B and the home agent",
            "packets in the old tunnel, within the grace and after it",
            "a, b and cn ping c at home",
            "A and B leave",
        ]

    def script(self, run: Run, options: Any) -> None:
        """Scenario S11 of the sheet."""
        a, b, c = self.plan(options).sites
        run.step(self.steps(options)[0])
        waiting.registered(run, ROUTERS)
        waiting.rested(run)
        for other in (a, b):
            until_direct(run, f"{other.letter}-c", other, c)
        raw = Raw(run, "mrc")  # before: what it sends must come within the grace
        run.step(self.steps(options)[1])
        stream = Series(run, "leave", "a", a.host, "c", c.host, interval=INTERVAL)
        pings(run, "before", "b", b.host, "c", c.host, via="direct")
        self._come_home(run, c)
        run.agents["mrc"].request({"request": "leave"})
        states.when(run, "mrc", "to have left", lambda now: not now["registered"])
        waiting.star(run, [("mra", "mrc"), ("mrb", "mrc")])
        run.step(self.steps(options)[2])
        _late(run, raw, c, a, delivered=True)
        stream.go_on()
        stream.end(via="")
        tunnel = f"tunnel {c.home_address}"
        states.when(run, "mra", "to have no tunnel left", lambda now: not any(tunnel in one for one in now["items"]))
        _late(run, raw, c, a, delivered=False)
        run.step(self.steps(options)[3])
        for name, node, source in (("a-home", "a", a.host), ("b-home", "b", b.host), ("cn-home", "cn", CORRESPONDENT)):
            pings(run, name, node, source, "c", c.host, via="ha" if node != "cn" else "")
        run.step(self.steps(options)[4])
        for name in ROUTERS:
            run.agents[name].stop()
        run.step("done")

    @staticmethod
    def _come_home(run: Run, c: Site) -> None:
        """The home link has a way to the site, which tunnels are preferred to; the site's way out is by it."""
        ways = ["ip", "route", "add"]
        for prefix in (c.network, f"{c.home_address}/32"):
            run.net["ha"].run([*ways, prefix, "via", c.at_home, "metric", str(BELOW)], check=True)
        gateway = opposite(c.at_home)
        run.net["mrc"].run(["ip", "route", "replace", "default", "via", gateway, "dev", HOME_LINK], check=True)
        run.log("came-home", node=c.router, interface=HOME_LINK)

    def checks(self, options: Any, slowness: float) -> list[dict[str, Any]]:
        """Registrations, who was told in which order, the grace, the way home."""
        return [
            {"check": "haaro-registration", "bound_ms": 500 * slowness},
            {"check": "haaro-advertising"},
            {"check": "haaro-routability"},
            {"check": "haaro-load"},
            {"check": "haaro-peers", "expected": PAIRS},
            {"check": "haaro-tunnels"},
            {"check": "haaro-leaving", "routers": ROUTERS, "scenario": "SC-S11"},
            {"check": "haaro-home", "router": "mrc", "interface": HOME_LINK, "grace": GRACE},
            {"check": "haaro-paths", "leaving": {"leave": "mrc"}},
        ]


def _late(run: Run, raw: Raw, c: Site, a: Site, *, delivered: bool) -> None:
    """A packet that was under way in the tunnel from C to A when C left."""
    number = next_identifier()
    echo = EchoMessage(True, number, 1, b"")
    inner = push_echo(IPv4Address(c.host), IPv4Address(a.host), echo)
    local, remote = (IPv4Address(one.lines[0].address) for one in (c, a))
    raw.send(str(local), str(remote), push_udp(local, remote, (TUNNEL_PORT, TUNNEL_PORT), TUNNEL_IP + inner))
    run.log("late-packet", node="mrc", peer="mra", host="a", icmp_id=number, delivered=delivered)


LAB = LeaveLab()
