"""A registration outlives the tokens it was made with: the peer says so, and traffic goes on meanwhile (spec S8).

a --- mra --.
            +-- home agent        mra's nonces last some seconds, not 240
c --- mrc --'
"""

from __future__ import annotations

from typing import Any

from topologies.haaro import waiting
from topologies.haaro.lab import HaaroLab
from topologies.haaro.plan import HaaroPlan, site
from topologies.haaro.streams import until_direct
from topologies.pings import Series
from topologies.runner import Run

NONCES = 3.0
"""Seconds that A's nonces last."""
LIFETIME = 10
"""Seconds of C's registration with A: renewed after three quarters, when its tokens are worth nothing any more.

The request after that comes a second later at the earliest (spec MR-21), and must be accepted before the end.
"""
INTERVAL = 0.05
ROUTERS = ["mra", "mrc"]


class NoncesLab(HaaroLab):
    """Nonces expire on the wire: 203 at a renewal, 201 at a farewell."""

    name = "haaro-nonces"
    title = "HAARO: tokens grow old"
    variants = ({},)

    def plan(self, options: Any) -> HaaroPlan:
        """A forgets its nonces soon; C's registrations with it are short, but not that short."""
        return HaaroPlan((site("a", nonce_lifetime=NONCES), site("c", peer_lifetime=LIFETIME)))

    def steps(self, options: Any) -> list[str]:
        """The script in words."""
        return [
            "A and C register and come to talk directly",
            "C renews its registration with A: its tokens are too old",
            "C leaves, with a home token that is too old",
            "A leaves",
        ]

    def script(self, run: Run, options: Any) -> None:
        """Scenario S8 of the sheet."""
        a, c = self.plan(options).sites
        steps = self.steps(options)
        run.step(steps[0])
        waiting.registered(run, ROUTERS)
        waiting.rested(run)
        until_direct(run, "a-c", a, c)
        run.step(steps[1])
        stream = Series(run, "renewal", "c", c.host, "a", a.host, interval=INTERVAL)
        waiting.told(run, "mrc", "nonces-expired")
        waiting.told(run, "mrc", "correspondent-registered", 2)
        stream.go_on()
        stream.end(via="direct")
        run.step(steps[2])
        waiting.older(run, "mrc", NONCES)
        run.agents["mrc"].stop()
        run.step(steps[3])
        run.agents["mra"].stop()
        run.step("done")

    def checks(self, options: Any, slowness: float) -> list[dict[str, Any]]:
        """What was refused and why, what followed, and that no packet suffered."""
        return [
            {"check": "haaro-nonces", "expected": [["mrc", "mra", 203], ["mrc", "mra", 201]]},
            {"check": "haaro-routability"},
            {"check": "haaro-peers", "expected": [["mrc", "mra"], ["mra", "mrc"]]},
            {"check": "haaro-leaving", "routers": ["mrc", "mra"]},
            {"check": "haaro-paths", "scenarios": {"renewal": "SC-S8"}},
        ]


LAB = NoncesLab()
