"""Lost acknowledgements, a slow anchor, a node that leaves before the answer (scenario SC-LOSS).

    cn1 --- core --- cmd
           /  |  \\
        dgw1 dgw2 dgw3       mn1: dgw1, then dgw2, then dgw3, then for a moment dgw2 again

1. dgw2 loses the first `lost` acknowledgements of the handover to it: it asks again after 1, 3, 7 ... times `timeout`.
2. dgw1 gets no updates at first when mn1 moves on to dgw3: the CMD answers without it, and once more when it is there.
3. mn1 comes by dgw2, which gets no answers, and leaves it: dgw2 falls silent about it.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv6Network
from typing import Any

from topologies import traffic
from topologies.dgw import faults
from topologies.dgw.lab import ALL_MODES, DgwLab
from topologies.dgw.plan import DgwOptions, DgwPlan, Gateway
from topologies.lab import option
from topologies.runner import Run

ROUNDS = 15


@dataclass(frozen=True)
class LossOptions(DgwOptions):
    """Options of the lab."""

    protection: str = option("off", "off: what is to be lost is found by its Mobility Header, not inside ESP", ("off",))
    lost: int = option(3, "acknowledgements lost in the first part", within=(1, 10))
    timeout: float = option(0.25, "INITIAL_BINDACK_TIMEOUT, seconds (RFC 6275: 1)", within=(0.01, 32))
    parts: str = option("all", "play all three parts, or the first alone", ("all", "loss"))


@dataclass(frozen=True)
class LossPlan(DgwPlan):
    """Another first timeout."""

    def timing(self) -> dict[str, Any]:
        """Timers and limits of all agents."""
        assert isinstance(self.options, LossOptions)
        return {**super().timing(), "initial_timeout": float(self.options.timeout)}


class LossLab(DgwLab):
    """Acknowledgements are lost, an anchor is slow, a node leaves too early: repeated as agreed, done once."""

    name = "sc-loss"
    title = "Lost signalling: retransmission, partial answers, and when to stop"
    options = LossOptions
    variants = (*ALL_MODES, {"mode": "relay", "timeout": 1.0, "parts": "loss"})

    def plan(self, options: DgwOptions) -> LossPlan:
        """Size and addresses of the lab."""
        return LossPlan(options, gateways=3, mobiles=1, correspondents=("cn1",))

    def checks(self, options: DgwOptions, slowness: float) -> list[dict[str, Any]]:
        """What was repeated when, and that the walk went well in the end."""
        assert isinstance(options, LossOptions)
        initial, tolerance = 1000.0 * options.timeout, 100.0 * slowness
        found: list[dict[str, Any]] = [{"check": name} for name in ("cmd-interface", "identity", "prefixes")]
        found += [
            {
                "check": "retransmission",
                "stay": 1,
                "lost": options.lost,
                "initial_ms": initial,
                "tolerance_ms": tolerance,
            },
            {"check": "recovery", "bound_ms": 1000.0 * (4 + 16 * options.timeout) * slowness},
        ]
        if options.parts == "loss":
            return [{"check": "signalling"}, *found]
        if options.mode == "relay":
            found.append({"check": "partial-answer", "stay": 2, "slow": "dgw1", "tolerance_ms": 200.0 * slowness})
        return [*found, {"check": "no-retransmission", "stay": 3, "initial_ms": initial}]

    def steps(self, options: DgwOptions) -> list[str]:
        """The script in words."""
        assert isinstance(options, LossOptions)
        first = [
            "mn1 attaches to dgw1 and talks to cn1",
            f"mn1 moves to dgw2, which loses the first {options.lost} acknowledgements",
        ]
        more = [
            "mn1 moves to dgw3; dgw1 does not hear of it at first",
            "mn1 comes by dgw2, which gets no answer, and leaves it; back at dgw3 its sessions go on",
        ]
        return first + (more if options.parts == "all" else [])

    def script(self, run: Run, options: DgwOptions) -> None:
        """Three parts, each with its own kind of loss."""
        assert isinstance(options, LossOptions)
        traffic.echo_server(run, "cn1")
        run.step("mn1 attaches to dgw1")
        flows = [_arrive(run, 1)]
        _lose_answers(run, options.lost, flows)
        if options.parts == "all":
            _slow_anchor(run, flows)
            _leave_early(run, flows)
        run.step("done")


def _arrive(run: Run, index: int) -> traffic.Flow:
    gateway = Gateway(index)
    run.net.move("mn1", gateway.cell)
    return _session(run, index)


def _session(run: Run, index: int) -> traffic.Flow:
    source = traffic.address_in(run, "mn1", Gateway(index).pool)
    flow = traffic.echo(run, f"session-{index}", "mn1", source, "cn1")
    traffic.wait_for_progress([flow], ROUNDS)
    return flow


def _lose_answers(run: Run, count: int, flows: list[traffic.Flow]) -> None:
    run.step(f"mn1 moves to dgw2, which loses {count} acknowledgements")
    mark = run.events.mark()
    with faults.fault(run, "lost-answers", "dgw2"):
        loss = faults.Loss(run, "dgw2", "binding-acknowledgement")
        run.net.move("mn1", "cell2")
        if count > 1:
            faults.wait_event(run, "retransmitted", "dgw2", mark, transmission=count)
        loss.wait(count)
        loss.stop()
    faults.wait_event(run, "anchor-active", "dgw2", mark)
    flows.append(_session(run, 2))
    traffic.wait_for_progress(flows, ROUNDS)
    faults.dump_agents(run, "stay 1")


def _slow_anchor(run: Run, flows: list[traffic.Flow]) -> None:
    run.step("mn1 moves to dgw3; dgw1 is slow")
    mark, (slow, fast) = run.events.mark(), map(_prefix, flows)
    with faults.fault(run, "slow-anchor", "dgw1"):
        loss = faults.Loss(run, "dgw1", "binding-update")
        run.net.move("mn1", "cell3")
        faults.wait_event(run, "anchor-active", "dgw3", mark, prefix=fast)
        loss.wait(1)
        loss.stop()
    if run.options.mode == "proxy":  # promised at once, whatever the anchor says
        faults.wait_event(run, "binding-moved", "dgw1", mark)
    else:
        faults.wait_event(run, "anchor-active", "dgw3", mark, prefix=slow)
    flows.append(_session(run, 3))
    traffic.wait_for_progress(flows, ROUNDS)


def _leave_early(run: Run, flows: list[traffic.Flow]) -> None:
    run.step("mn1 comes by dgw2 and leaves before the answer")
    mark = run.events.mark()
    with faults.fault(run, "no-answers", "dgw2"):
        loss = faults.Loss(run, "dgw2", "binding-acknowledgement")
        run.net.move("mn1", "cell2")
        faults.wait_event(run, "retransmitted", "dgw2", mark, transmission=2)
        run.net.move("mn1", "cell3")
    traffic.wait_for_progress(flows, 4 * ROUNDS)
    loss.stop()
    traffic.wait_for_progress(flows, 2 * ROUNDS)


def _prefix(flow: traffic.Flow) -> str:
    return str(IPv6Network((flow.fields["source"], 64), strict=False))


LAB = LossLab()
