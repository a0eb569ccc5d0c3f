"""What the domain does when a part of it fails: agents, links, the CMD.

    cn1 --- core --- cmd
           /  |  \\
        dgw1 dgw2 dgw3       mn1 walks dgw1, dgw2 (, dgw3)

`failure=gateway-crash`: the agents of dgw2 are killed in the middle of a handover, first as the new gateway before it
has its answer, then as the old one before its answer is heard; started again, they know what they said.
`failure=cmd-away`: nobody reaches the CMD during a handover; the new prefix works alone, and with the others later.
`failure=cmd-crash`: the CMD is killed before a handover and started again.
`failure=link-down`: the anchor's core link fails, first for a moment, then during a handover and for long.
`failure=old-gateway-dead`: the gateway that the node left is dead and comes back later.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from topologies import traffic
from topologies.dgw import faults
from topologies.dgw.lab import DgwLab
from topologies.dgw.plan import DgwOptions, DgwPlan, Gateway
from topologies.lab import option
from topologies.runner import Run

ROUNDS = 15
TRIES = 5
"""Updates without an answer after which a peer counts as unreachable (spec RETX-2)."""
Flows = list[traffic.Flow]


@dataclass(frozen=True)
class FailureOptions(DgwOptions):
    """Options of the lab."""

    protection: str = option("off", "off: what is to be lost is found by its Mobility Header, not inside ESP", ("off",))
    failure: str = option(
        "gateway-crash", "what fails", ("gateway-crash", "cmd-away", "cmd-crash", "link-down", "old-gateway-dead")
    )
    timeout: float = option(0.25, "INITIAL_BINDACK_TIMEOUT, seconds (RFC 6275: 1)", within=(0.01, 32))
    longest: float = option(1.0, "MAX_BINDACK_TIMEOUT, seconds (RFC 6275: 32)", within=(0.01, 32))
    local_only_after: int = option(3, "serve locally after this many updates that the CMD left unanswered; 0: never")


@dataclass(frozen=True)
class FailurePlan(DgwPlan):
    """Short timeouts, and local service without a CMD."""

    @property
    def failure(self) -> FailureOptions:
        """The options."""
        assert isinstance(self.options, FailureOptions)
        return self.options

    def timing(self) -> dict[str, Any]:
        """Timers and limits of all agents."""
        times = {"initial_timeout": float(self.failure.timeout), "max_timeout": float(self.failure.longest)}
        return {**super().timing(), **times, "unreachable_after": TRIES, "refused_pause": float(self.failure.longest)}

    def gateway_config(self, gateway: Gateway) -> dict[str, Any]:
        """As usual, with local service if the CMD is silent."""
        return {**super().gateway_config(gateway), "local_only_after": self.failure.local_only_after}


class FailureLab(DgwLab):
    """Agents are killed, links fail, the CMD is away: what can go on goes on, and all of it recovers."""

    name = "sc-failure"
    scenario = ""
    title = "Failures: crashed agents, a missing CMD, core links down"
    options = FailureOptions
    variants = (
        {"mode": "relay", "failure": "gateway-crash"},
        {"mode": "direct", "failure": "gateway-crash"},
        {"mode": "relay", "failure": "cmd-away"},
        {"mode": "locator", "failure": "cmd-crash"},
        {"mode": "proxy", "failure": "link-down"},
        {"mode": "direct", "failure": "link-down"},
        {"mode": "relay", "failure": "old-gateway-dead"},
    )

    def plan(self, options: DgwOptions) -> FailurePlan:
        """Size and addresses of the lab."""
        return FailurePlan(options, gateways=3, mobiles=1, correspondents=("cn1",))

    def checks(self, options: DgwOptions, slowness: float) -> list[dict[str, Any]]:
        """Sessions during and after the faults, and the rules that hold whatever fails."""
        assert isinstance(options, FailureOptions)
        bound = 1000.0 * (options.longest + 2.0)
        return [
            {"check": "recovery", "bound_ms": bound * slowness, "unaffected_ms": 500.0 * slowness},
            {"check": "tunnel"},
            # Who cannot be told that the node is elsewhere keeps its DLIFs, silent, until it can.
            {"check": "identity", "grace": 60.0 * slowness},
            {"check": "prefixes"},
        ]

    def steps(self, options: DgwOptions) -> list[str]:
        """The script in words."""
        assert isinstance(options, FailureOptions)
        return ["mn1 attaches to dgw1 and talks to cn1", *(STEPS[options.failure])]

    def script(self, run: Run, options: DgwOptions) -> None:
        """Attach, fail, recover."""
        assert isinstance(options, FailureOptions)
        traffic.echo_server(run, "cn1")
        run.step("mn1 attaches to dgw1")
        run.net.attach("mn1", "cell1")
        SCRIPTS[options.failure](run, [_session(run, 1)])
        run.step("done")


def _session(run: Run, index: int) -> traffic.Flow:
    source = traffic.address_in(run, "mn1", Gateway(index).pool)
    flow = traffic.echo(run, f"session-{index}", "mn1", source, "cn1")
    traffic.wait_for_progress([flow], ROUNDS)
    return flow


def _gateway_crash(run: Run, flows: Flows) -> None:
    run.step("dgw2's agent dies before it has its answer")
    with faults.fault(run, "new-gateway-crash", "dgw2"):
        loss = faults.Loss(run, "dgw2", "binding-acknowledgement")
        run.net.move("mn1", "cell2")
        loss.wait(1)
        run.agents["dgw2"].kill()
        loss.stop()
        run.restart_agent("dgw2")
    flows.append(_session(run, 2))
    traffic.wait_for_progress(flows, ROUNDS)
    run.step("dgw2's agent dies when its answer is lost")
    with faults.fault(run, "old-gateway-crash", "dgw2"):
        loss = faults.Loss(run, "dgw2", "binding-acknowledgement", "out")
        run.net.move("mn1", "cell3")
        loss.wait(1)
        run.agents["dgw2"].kill()
        loss.stop()
        run.restart_agent("dgw2")
    flows.append(_session(run, 3))
    traffic.wait_for_progress(flows, ROUNDS)


def _cmd_away(run: Run, flows: Flows) -> None:
    run.step("the CMD is cut off, mn1 moves to dgw2")
    mark = run.events.mark()
    with faults.fault(run, "cmd-away", "cmd"), faults.cut_off(run, "cmd", "eth0"):
        run.net.move("mn1", "cell2")
        flows.append(_session(run, 2))
        faults.wait_event(run, "peer-unreachable", "dgw2", mark)
    run.step("the CMD is back")
    faults.wait_event(run, "anchor-active", "dgw2", mark)
    traffic.wait_for_progress(flows, ROUNDS)


def _cmd_crash(run: Run, flows: Flows) -> None:
    run.step("the CMD is killed, mn1 moves to dgw2")
    mark = run.events.mark()
    with faults.fault(run, "cmd-crash", "cmd"):
        run.agents["cmd"].kill()
        run.net.move("mn1", "cell2")
        faults.wait_event(run, "retransmitted", "dgw2", mark, transmission=2)
        run.restart_agent("cmd")
    run.step("the CMD runs again")
    faults.wait_event(run, "anchor-active", "dgw2", mark)
    flows.append(_session(run, 2))
    traffic.wait_for_progress(flows, ROUNDS)


def _link_down(run: Run, flows: Flows) -> None:
    run.step("mn1 moves to dgw2")
    run.net.move("mn1", "cell2")
    flows.append(_session(run, 2))
    traffic.wait_for_progress(flows, ROUNDS)
    routes = [(Gateway(1).pool, Gateway(1).address)]
    run.step("dgw1's core link fails for a moment")
    with faults.fault(run, "link-down", "dgw1", ["session-2"]), faults.link_down(run, "core", "dgw1", routes):
        traffic.wait_for_progress(flows[1:], ROUNDS)
    traffic.wait_for_progress(flows, ROUNDS)
    run.step("dgw1's core link fails, mn1 moves to dgw3")
    mark = run.events.mark()
    teller = "dgw3" if run.options.mode == "direct" else "cmd"
    with faults.fault(run, "link-down-for-long", "dgw1"), faults.link_down(run, "core", "dgw1", routes):
        run.net.move("mn1", "cell3")
        flows.append(_session(run, 3))
        faults.wait_event(run, "peer-unreachable", teller, mark)
        traffic.wait_for_progress(flows[1:], ROUNDS)
    traffic.wait_for_progress(flows, ROUNDS)


def _old_gateway_dead(run: Run, flows: Flows) -> None:
    run.step("dgw1 dies, mn1 moves to dgw2")
    with faults.fault(run, "old-gateway-dead", "dgw1"), faults.cut_off(run, "dgw1", "wan"):
        run.agents["dgw1"].kill()
        run.net.move("mn1", "cell2")
        flows.append(_session(run, 2))
        traffic.wait_for_progress(flows[1:], 4 * ROUNDS)
        run.restart_agent("dgw1")
    run.step("dgw1 is back")
    traffic.wait_for_progress(flows, ROUNDS)


SCRIPTS: dict[str, Callable[[Run, Flows], None]] = {
    "gateway-crash": _gateway_crash,
    "cmd-away": _cmd_away,
    "cmd-crash": _cmd_crash,
    "link-down": _link_down,
    "old-gateway-dead": _old_gateway_dead,
}
STEPS = {
    "gateway-crash": [
        "mn1 moves to dgw2, whose agent is killed before the answer comes, and started again",
        "mn1 moves to dgw3; dgw2's agent is killed when its answer as an anchor was lost, and started again",
    ],
    "cmd-away": ["the CMD is cut off while mn1 moves to dgw2", "the CMD is back"],
    "cmd-crash": ["the CMD is killed, mn1 moves to dgw2", "the CMD is started again"],
    "link-down": ["mn1 moves to dgw2", "dgw1's core link fails for a moment", "it fails again, mn1 moves to dgw3"],
    "old-gateway-dead": ["dgw1 dies, mn1 moves to dgw2", "dgw1 is back"],
}
LAB = FailureLab()
