"""A middlebox begins to drop minimal encapsulation, or its fragments, in mid-flow.

c1 --- core (middlebox) --- s1 --- g
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from topologies.aero import sizes, traffic
from topologies.aero.lab import AeroLab
from topologies.aero.plan import NATIVE, AeroOptions, AeroPlan, Client
from topologies.lab import option
from topologies.pings import pings
from topologies.runner import Run

APPEARS = "a middlebox appears"
WITHIN_MS = {"drop": 8000.0, "reject": 300.0}
"""Until data goes by UDP: five seconds of silence and three solicitations; or one ICMP error."""
RULES = {
    # Before connection tracking would put fragments together (spec §13 scenario 10).
    "drop": ("prerouting priority -450", ("ip protocol { 4, 41, 44 } drop", "ip6 nexthdr { 4, 41, 44 } drop")),
    # nft's own reject sends nothing about protocols without a checksum it knows [measured]: the packets are handed to
    # the middlebox's own kernel instead, which has nobody for them and says so.
    "reject": (
        "prerouting priority mangle",
        ("ip6 nexthdr { 4, 41, 44 } meta mark set 1",),
    ),
    "fragments": ("prerouting priority -450", ("ip protocol 44 drop", "ip6 nexthdr 44 drop")),
}
REDIRECT = """table ip roamlab-redirect {
chain box {
type nat hook prerouting priority dstnat;
ip protocol { 4, 41, 44 } redirect
}
}
"""
TO_ITSELF = ["route", "add", "local", "default", "dev", "lo", "table", "100"]
PING_INTERVAL, DURATION = {"drop": 0.02, "reject": 0.2}, 12
SPARE_MS = 1000.0
"""The two directions need not notice in the same moment."""


@dataclass(frozen=True)
class MinimalOptions(AeroOptions):
    """Options of the middlebox lab."""

    encapsulation: str = option("minimal", "encapsulation that nodes want for data", ("minimal",))
    middlebox: str = option("drop", "what it does to protocols 4, 41 and 44, or to 44 alone", tuple(RULES))


class MinimalLab(AeroLab):
    """Minimal encapsulation saves eight octets, and gives way to UDP where it is not let through."""

    name = "aero-minimal"
    title = "AERO minimal encapsulation and a middlebox"
    options: ClassVar[type] = MinimalOptions
    variants = (
        {"middlebox": "drop"},
        {"middlebox": "drop", "outer": "ipv6"},
        {"middlebox": "reject"},
        {"middlebox": "reject", "outer": "ipv6"},
        {"middlebox": "fragments"},
        {"middlebox": "fragments", "outer": "ipv6"},
    )

    def plan(self, options: Any) -> AeroPlan:
        """One host Client without NAT."""
        return AeroPlan(options, (Client(1, model="host"),))

    def steps(self, options: Any) -> list[str]:
        """The script in words."""
        return ["c1 attaches and uses minimal encapsulation", APPEARS, "traffic goes on"]

    def script(self, run: Run, options: Any) -> None:
        """Ping by minimal encapsulation, put the middlebox up, ping on."""
        one, target = traffic.first_address(Client(1).prefixes["ipv6"]), NATIVE["ipv6"]
        run.step("c1 attaches and uses minimal encapsulation")
        traffic.attached(run, ("c1",))
        traffic.encapsulated(run, ("c1", "s1"), "minimal")
        for size in (84, 1500):
            pings(run, f"before-{size}", "c1", one, "g", target, size=size)
        run.step(APPEARS)
        hook, rules = RULES[options.middlebox]
        lines = (f"type filter hook {hook};", *rules)
        script = "\n".join(["table inet roamlab-middlebox {", "chain box {", *lines, "}", "}", ""])
        run.net["core"].run(["nft", "-f", "-"], input=script, check=True)
        if options.middlebox == "reject":
            run.net["core"].run(["nft", "-f", "-"], input=REDIRECT, check=True)
            for command in (["rule", "add", "fwmark", "1", "lookup", "100"], TO_ITSELF):
                run.net["core"].run(["ip", "-6", *command], check=True)
        if options.middlebox == "fragments":
            run.restart_agent("c1")  # whether fragments pass is found out when an encapsulation is taken up
            traffic.attached(run, ("c1",))
            traffic.encapsulated(run, ("c1", "s1"), "minimal", fragments=False)
        else:
            interval = PING_INTERVAL[options.middlebox]
            count = int(DURATION / interval) if options.middlebox == "drop" else 5
            pings(run, "during", "c1", one, "g", target, count=count, interval=interval)
            traffic.encapsulated(run, ("c1", "s1"), "udp")
        run.step("traffic goes on")
        for size in (84, 1500):
            pings(run, f"after-{size}", "c1", one, "g", target, size=size)
        run.step("done")

    def checks(self, options: Any, slowness: float) -> list[dict[str, Any]]:
        """Eight octets less before, UDP soon after, every packet through at rest."""
        outer, box = options.outer, options.middlebox
        small = "minimal" if box == "fragments" else "udp"
        outside = {
            "before-84": sizes.whole("minimal", outer, 84),
            "before-1500": sizes.split("minimal", outer, 1500),
            "after-84": sizes.whole(small, outer, 84),
            "after-1500": sizes.split("udp", outer, 1500),
        }
        both = {name: {"c1": list(cut), "s1": list(cut)} for name, cut in outside.items()}
        found: list[dict[str, Any]] = [
            {"check": "aero-attach", "bound_ms": 1000 * slowness},
            {"check": "aero-sizes", "sizes": both},
            {"check": "aero-encapsulation", "data": ["1", "1F", "0", "0F"] if small == "udp" else ["1", "1F", "0F"]},
            {"check": "aero-fragments"},
        ]
        if box == "fragments":
            return [*found, {"check": "aero-pings", "requirement": "FRAG-14"}]
        bound = WITHIN_MS[box]
        lost = int((bound + SPARE_MS) * slowness / 1000 / PING_INTERVAL[box])
        found.append({"check": "aero-pings", "requirement": "ENC-9", "max_lost": {"during": lost}})
        found.append({"check": "aero-fallback", "step": APPEARS, "nodes": ["c1", "s1"], "bound_ms": bound * slowness})
        return found


LAB = MinimalLab()
