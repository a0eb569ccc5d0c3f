"""Attacks on the signalling, with and without protection (scenario SC-SEC).

    cn1 --- core --- cmd
            | | \\
         dgw1 dgw2 intruder      overhears all signalling at the core (a mirror port), and sends what it likes
           |    |
        cell1  cell2             mn1 attaches in cell1 and moves to cell2; then the attacks; then it moves back

With ESP (protection esp, xfrm or auto) the intruder replays and alters what it overheard, makes up ESP packets without
the keys, and sends updates in the clear in the names of the gateways and the CMD, good but for the missing protection.
Without (protection off) it replays updates, sends stale ones and ones for prefixes of others.  In both cases it also
tries under its own address.  Nothing may come of any of it: no binding changes, every attempt is counted, sessions go
on.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from testbed.validation import LabError
from testbed.waiting import NotYet, wait_until
from topologies import traffic
from topologies.dgw.checks import walk_checks
from topologies.dgw.lab import DgwLab
from topologies.dgw.plan import CMD_ADDRESS, PROTECTION_HELP, PROTECTIONS, DgwOptions, DgwPlan, DgwTopo, Gateway
from topologies.dgw.settling import wait_until_settled
from topologies.lab import option
from topologies.runner import Run

INTRUDER = "intruder"
ADDRESS = "2001:db8:bad::2"
WITH_ESP = ("replayed", "altered", "keyless", "unprotected", "stranger")
WITHOUT = ("replayed", "stale", "foreign", "stranger")
STRANGER = (154,)
REJECTIONS = (154, 155, 157)
"""What updates without protection may be answered with: not authorised, foreign prefix, not newer."""


@dataclass(frozen=True)
class SecOptions(DgwOptions):
    """Options of the lab."""

    protection: str = option("auto", PROTECTION_HELP, PROTECTIONS)


class SecTopo(DgwTopo):
    """The usual domain with one host too many."""

    def build(self, **options: Any) -> None:  # type: ignore[override]
        """Names, addresses and links."""
        super().build(**options)
        self._add_leaf("core", INTRUDER, INTRUDER, ADDRESS)


@dataclass(frozen=True)
class SecPlan(DgwPlan):
    """The usual plan with the intruder."""

    topology = SecTopo

    def captures(self) -> list[tuple[str, str]]:
        """Also what the intruder sends."""
        return [*super().captures(), (INTRUDER, "eth0")]


class SecLab(DgwLab):
    """Forged, replayed and altered signalling changes nothing and is counted."""

    name = "sc-sec"
    title = "Attacks on the signalling, with and without ESP"
    options = SecOptions
    variants = (
        {"protection": "off"},
        {"protection": "esp"},
        {"protection": "auto", "mode": "direct"},
    )
    # An emulated machine may need longer than the usual window from stamping an update to reading it.
    stock_variants = ({"protection": "xfrm", "tunnel": "ip6tnl", "timestamp_window": 5.0},)

    def plan(self, options: DgwOptions) -> DgwPlan:
        """Size and addresses of the lab."""
        return SecPlan(options, gateways=2, mobiles=1, correspondents=("cn1",))

    def checks(self, options: DgwOptions, slowness: float) -> list[dict[str, Any]]:
        """As for any walk, and that the intruder achieved nothing."""
        allowed = REJECTIONS if options.protection == "off" else STRANGER
        walk = [check for check in walk_checks(slowness) if check["check"] not in ("signalling", "reachability")]
        return [
            {"check": "signalling", "allow_status": list(allowed)},
            *walk,
            {"check": "intruder", "allow_status": list(allowed)},
        ]

    def steps(self, options: DgwOptions) -> list[str]:
        """The script in words."""
        attacks = WITHOUT if options.protection == "off" else WITH_ESP
        return [
            "mn1 attaches to dgw1, talks to cn1, moves to dgw2; the intruder overhears the signalling",
            f"the intruder sends messages: {', '.join(attacks)}",
            "mn1 moves back to dgw1",
        ]

    def script(self, run: Run, options: DgwOptions) -> None:
        """Walk, attack, walk on."""
        targets = {CMD_ADDRESS: "cmd", Gateway(1).address: "dgw1"}
        if options.mode == "direct":
            del targets[CMD_ADDRESS]  # a repository hears no Mobility Header
        intruder = Attacker(run)
        traffic.echo_server(run, "cn1")
        run.step("mn1 attaches to dgw1")
        run.net.attach("mn1", "cell1")
        old = self._open(run, Gateway(1))
        run.step("mn1 moves to dgw2")
        run.net.move("mn1", "cell2")
        flows = [old, self._open(run, Gateway(2))]
        traffic.wait_for_progress(flows, 5)
        wait_until_settled(run)
        intruder.wait_until_heard(targets)
        for kind in WITHOUT if options.protection == "off" else WITH_ESP:
            run.step(f"the intruder sends messages: {kind}")
            intruder.attack(kind, targets, flows)
        run.step("mn1 moves back to dgw1")
        run.net.move("mn1", "cell1")
        traffic.wait_for_progress(flows, 30)
        run.step("done")

    def _open(self, run: Run, gateway: Gateway) -> traffic.Flow:
        address = traffic.address_in(run, "mn1", gateway.pool)
        flow = traffic.echo(run, f"session-{gateway.index}", "mn1", address, "cn1")
        traffic.wait_for_progress([flow], 20)
        return flow


class Attacker:
    """The intruder's program, and what its victims' agents hold before and after."""

    def __init__(self, run: Run) -> None:
        """Mirror all signalling that passes the core to the intruder, and start it."""
        self._run = run
        rules = "add table ip6 mirror; add chain ip6 mirror copy { type filter hook prerouting priority 0; }; "
        rules += f'add rule ip6 mirror copy iifname != "{INTRUDER}" meta l4proto {{ 50, 135 }} '
        rules += f'dup to {ADDRESS} device "{INTRUDER}"'
        run.net["core"].run(["nft", rules], check=True)
        argv = [sys.executable, "-m", "topologies.tools.intruder", "eth0"]
        self._program = run.spawn(INTRUDER, argv, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self._answer()

    def wait_until_heard(self, targets: Iterable[str]) -> None:
        """Wait until signalling to all of these was overheard."""

        def heard() -> bool:
            found = self._ask(do="heard")["heard"]
            missing = [target for target in targets if not found.get(target)]
            if missing:
                raise NotYet(f"nothing to {', '.join(missing)}")
            return True

        wait_until("the intruder to overhear signalling", heard, timeout=traffic.PATIENCE)

    def attack(self, kind: str, targets: dict[str, str], flows: list[traffic.Flow]) -> None:
        """Send, wait until all of it was counted at its target, write down state and counters of before and after."""
        for target, node in targets.items():
            before = self._dump(node, "before", kind)
            count = int(self._ask(do=kind, target=target)["injected"])
            if not count:
                raise LabError(f"the intruder had nothing to send to {node}: {kind}")
            self._run.log("attack", node=INTRUDER, kind=kind, target=node, packets=count)
            self._wait_until_refused(node, before + count)
            traffic.wait_for_progress(flows, 5)  # also for what its answers cause elsewhere
            self._dump(node, "after", kind)

    def _wait_until_refused(self, node: str, goal: int) -> None:
        def refused() -> bool:
            count = sum(self._look(node)[1].values())
            if count < goal:
                raise NotYet(f"{node} has refused {count} of {goal}")
            return True

        wait_until(f"{node} to refuse what the intruder sent", refused, timeout=traffic.PATIENCE)

    def _dump(self, node: str, moment: str, attack: str) -> int:
        """Write down an agent's state; how many messages it has refused so far."""
        state, counters = self._look(node)
        self._run.log("state-dump", node=node, moment=moment, attack=attack, state=state, counters=counters)
        return sum(counters.values())

    def _look(self, node: str) -> tuple[dict[str, Any], dict[str, int]]:
        """An agent's whole state, and apart from it what it (or its kernel) refused."""
        agent = self._run.agents[node]
        state = dict(agent.request({"request": "inspect"})["state"])
        protection = dict(agent.request({"request": "protection"})["protection"])
        counters = {**state.pop("counters"), **protection.pop("refused", {})}
        return {**state, "protection": protection}, counters

    def _ask(self, **request: Any) -> dict[str, Any]:
        assert self._program.stdin
        self._program.stdin.write(json.dumps(request).encode() + b"\n")
        self._program.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._program.stdout
        line = self._program.stdout.readline()
        if not line:
            raise LabError(f"the intruder's program ended, exit {self._program.wait()}")
        answer: dict[str, Any] = json.loads(line)
        return answer


LAB = SecLab()
