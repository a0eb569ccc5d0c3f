"""To and fro between two gateways, and a former gateway that speaks too late (scenario SC-PINGPONG).

          cn1
           |                 mn1: cell1 -> cell2 -> cell1 -> cell2
    cmd -- core
          /    \\             prefix A (dgw1): preferred, deprecated, preferred, deprecated
       dgw1 == dgw2          prefix B (dgw2):            preferred, deprecated, preferred
        |       |
      cell1   cell2          one tunnel, whose ends swap roles at every move; no third prefix

While mn1 is back at dgw1, two messages leave dgw2 that it did not mean any more: the PBU of its first stay once again
(rejected with 157) and a de-registration (ignored). They go where dgw2's PBUs go: to dgw1 in direct mode, else to
the CMD.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

from testbed.waiting import NotYet, wait_until
from topologies.dgw import dumps, replays
from topologies.dgw.lab import ALL_MODES, DgwLab
from topologies.dgw.plan import CMD_ADDRESS, DgwOptions, DgwPlan, Gateway, Mobile
from topologies.dgw.probing import Prober
from topologies.dgw.settling import wait_until_settled
from topologies.dgw.walking import Walk
from topologies.lab import option
from topologies.runner import Run
from topologies.traffic import PATIENCE


@dataclass(frozen=True)
class PingPongOptions(DgwOptions):
    """Options of the lab."""

    protection: str = option("off", "off: what is replayed must be readable; for replays of ESP see sc-sec", ("off",))


class PingPongLab(DgwLab):
    """A node goes to and fro; replays of what its old gateway said change nothing."""

    name = "sc-pingpong"
    options = PingPongOptions
    title = "Ping-pong between two gateways, with replayed updates"
    repeated_dumps = True
    variants = (*ALL_MODES, {"mode": "direct", "ra_profile": "lowpref"}, {"mode": "relay", "ra_profile": "lowpref"})

    def plan(self, options: DgwOptions) -> DgwPlan:
        """Size and addresses of the lab."""
        return DgwPlan(options, gateways=2, mobiles=1, correspondents=("cn1",))

    def checks(self, options: DgwOptions, slowness: float) -> list[dict[str, Any]]:
        """As for any walk, and what became of the replays."""
        return [*super().checks(options, slowness), {"check": "replay"}]

    def steps(self, options: DgwOptions) -> list[str]:
        """The script in words."""
        return [
            "mn1 attaches to dgw1, moves to dgw2 and back to dgw1",
            "dgw2's PBU is replayed, and a de-registration is sent in its name",
            "mn1 moves to dgw2 again",
        ]

    def script(self, run: Run, options: DgwOptions) -> None:
        """To, fro, replay, to."""
        walk = Walk(run, self.plan(options))
        for number, label in ((1, "first stay at dgw1"), (2, "first stay at dgw2"), (1, "back at dgw1")):
            walk.visit("mn1", number)
            dumps.settled(run, label)
        self._replay(run, options.mode)
        walk.visit("mn1", 2)
        dumps.settled(run, "back at dgw2")

    def _replay(self, run: Run, mode: str) -> None:
        receiver, target = ("dgw1", Gateway(1).address) if mode == "direct" else ("cmd", CMD_ADDRESS)
        old, prober = replays.recorded_update(run, "dgw2", target), Prober(run)
        prober.introduce(Mobile(1), "dgw1")
        wait_until_settled(run)
        run.step("dgw2's PBU once again")
        messages = (
            ("stale", "dgw2's PBU once again", lambda _now: old, 157),
            (
                "deregistration",
                "De-registration by the gateway the node left",
                partial(replays.deregistration, old),
                None,
            ),
        )
        for label, title, made, status in messages:
            counted = _counted(run, receiver)
            replays.send(run, prober.sender("dgw2"), target, made, label=label, title=title, status=status)
            wait_until(f"{receiver} to count it", partial(_counts_more, run, receiver, counted), timeout=PATIENCE)
            dumps.agents(run, label)


def _counted(run: Run, node: str) -> int:
    """How many messages an agent rejected or ignored so far."""
    counters = run.agents[node].request({"request": "inspect"})["state"]["counters"]
    return sum(counters.values())


def _counts_more(run: Run, node: str, before: int) -> bool:
    if _counted(run, node) <= before:
        raise NotYet(f"{before} counted, as before")
    return True


LAB = PingPongLab()
