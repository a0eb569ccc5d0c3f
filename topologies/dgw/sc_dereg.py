"""The end of a binding (scenario SC-DEREG).

    cn1 --- core --- cmd
            |  \\
         dgw1  dgw2       mn1 attaches at dgw1, moves to dgw2, and ...

`variant=vanish`: ... leaves the radio for good. Nobody is told; when the registration at dgw2 runs out, it is ended
with a PBU of lifetime 0, held for a while, then the anchors are told, and the prefixes rest.
`variant=reappear`: ... comes back during the hold: the binding is revived with the same prefixes.
`variant=anchor-timers`: ... stays, while dgw1 keeps its timer and asks the CMD whenever it runs out (DEREG-5).
`variant=idle`: ... stays, and does not use its first address any more: dgw1's prefix is released (DEREG-11).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from topologies import traffic
from topologies.dgw import faults
from topologies.dgw.lab import ALL_MODES, DgwLab
from topologies.dgw.plan import DgwOptions, DgwPlan, Gateway
from topologies.lab import option
from topologies.runner import Run


@dataclass(frozen=True)
class DeregOptions(DgwOptions):
    """Options of the lab."""

    variant: str = option(
        "vanish", "how the binding ends, or does not", ("vanish", "reappear", "anchor-timers", "idle")
    )
    lifetime: int = option(8, "binding lifetime in seconds, a multiple of 4", within=(4, 4 * 0xFFFF))
    hold: float = option(2.0, "MinDelayBeforeBCEDelete, seconds", within=(0, 60))
    idle: float = option(2.0, "T_idle of the variant idle, seconds", within=(0.1, 60))


@dataclass(frozen=True)
class DeregPlan(DgwPlan):
    """Short lifetimes, and timers at the anchors where the variant wants them."""

    @property
    def dereg(self) -> DeregOptions:
        """The options."""
        assert isinstance(self.options, DeregOptions)
        return self.options

    def timing(self) -> dict[str, Any]:
        """Timers and limits of all agents."""
        idle = self.dereg.idle if self.dereg.variant == "idle" else 0.0
        return {**super().timing(), "hold": float(self.dereg.hold), "idle": float(idle)}

    def gateway_config(self, gateway: Gateway) -> dict[str, Any]:
        """As usual, with the choice of DEREG-4 or DEREG-5."""
        return {**super().gateway_config(gateway), "anchor_timers": self._timers}

    def cmd_config(self) -> dict[str, Any]:
        """As usual, with the choice of DEREG-4 or DEREG-5."""
        return {**super().cmd_config(), "anchor_timers": self._timers}

    @property
    def _timers(self) -> str:
        return "run" if self.dereg.variant == "anchor-timers" else "stop"


class DeregLab(DgwLab):
    """A node vanishes, or comes back just in time: bindings end by expiry alone, and all of them end."""

    name = "sc-dereg"
    title = "The end of bindings: expiry, hold, revival, release"
    options = DeregOptions
    variants = (
        *ALL_MODES,
        *({**mode, "variant": "reappear"} for mode in ({"mode": "relay"}, {"mode": "direct"})),
        {"mode": "relay", "variant": "anchor-timers"},
        *({**mode, "variant": "idle"} for mode in ({"mode": "relay"}, {"mode": "direct"})),
    )

    def plan(self, options: DgwOptions) -> DeregPlan:
        """Size and addresses of the lab."""
        return DeregPlan(options, gateways=2, mobiles=1, correspondents=("cn1",))

    def checks(self, options: DgwOptions, slowness: float) -> list[dict[str, Any]]:
        """The walk before the end, and the end."""
        assert isinstance(options, DeregOptions)
        times = {"lifetime": options.lifetime, "tolerance_ms": 400.0 * slowness}
        ends: dict[str, list[dict[str, Any]]] = {
            "vanish": [{"check": "deregistration", **times, "hold": options.hold}],
            "reappear": [{"check": "revival", "hold": options.hold}],
            "anchor-timers": [{"check": "anchor-timers", **times}],
            "idle": [{"check": "release", "idle": options.idle, "tolerance_ms": 400.0 * slowness}],
        }
        signalling = {"check": "signalling", "prolonging": options.variant == "anchor-timers"}
        walk = [{"check": name} for name in ("cmd-interface", "identity", "prefixes")]
        return [signalling, *walk, *ends[options.variant]]

    def steps(self, options: DgwOptions) -> list[str]:
        """The script in words."""
        assert isinstance(options, DeregOptions)
        ends = {
            "vanish": "mn1 leaves the radio; its binding runs out, everything ends",
            "reappear": "mn1 leaves the radio, and comes back when its binding has just been ended",
            "anchor-timers": "mn1 stays; dgw1 asks the CMD before its binding ends",
            "idle": "mn1 stays, its first session ends; dgw1's prefix is released",
        }
        return ["mn1 attaches to dgw1 and talks to cn1", "mn1 moves to dgw2 and talks on", ends[options.variant]]

    def script(self, run: Run, options: DgwOptions) -> None:
        """Walk once, then end."""
        assert isinstance(options, DeregOptions)
        traffic.echo_server(run, "cn1")
        flows: list[traffic.Flow] = []
        for gateway in self.plan(options).gateway_list:
            run.step(f"mn1 {'moves' if flows else 'attaches'} to {gateway.name}")
            run.net.move("mn1", gateway.cell)
            source = traffic.address_in(run, "mn1", gateway.pool)
            flows.append(traffic.echo(run, f"session-{gateway.index}", "mn1", source, "cn1"))
            traffic.wait_for_progress(flows, 15)
        faults.dump_agents(run, "before")
        {"vanish": _vanish, "reappear": _reappear, "anchor-timers": _ask, "idle": _release}[options.variant](run, flows)
        faults.dump_agents(run, "after")
        run.step("done")


def _vanish(run: Run, flows: list[traffic.Flow]) -> None:
    faults.end(run, *flows)
    run.step("mn1 leaves the radio")
    mark = run.events.mark()
    run.net.detach("mn1")
    for gateway in ("dgw2", "dgw1"):
        faults.wait_event(run, "binding-deleted", gateway, mark)


def _reappear(run: Run, flows: list[traffic.Flow]) -> None:
    faults.end(run, *flows)
    run.step("mn1 leaves the radio")
    mark = run.events.mark()
    run.net.detach("mn1")
    direct = run.options.mode == "direct"
    ended = ("binding-deregistered", "dgw1") if direct else ("session-deregistered", "cmd")
    faults.wait_event(run, *ended, mark)
    run.step("mn1 is back")
    mark = run.events.mark()
    run.net.attach("mn1", "cell2")
    # Its addresses may be about to run out: not before these RAs are they sure to stay.
    for dlif in ("mn1dgw1", "mn1dgw2"):
        faults.wait_event(run, "advertised", "dgw2", mark, dlif=dlif)
    again = []
    for gateway in (Gateway(1), Gateway(2)):
        source = traffic.address_in(run, "mn1", gateway.pool)
        again.append(traffic.echo(run, f"session-{gateway.index}-again", "mn1", source, "cn1"))
    traffic.wait_for_progress(again, 150)  # beyond the end that was due


def _ask(run: Run, flows: list[traffic.Flow]) -> None:
    run.step("mn1 stays")
    mark = run.events.mark()
    faults.wait_event(run, "binding-prolonged", "dgw1", mark)
    traffic.wait_for_progress(flows, 50)


def _release(run: Run, flows: list[traffic.Flow]) -> None:
    run.step("mn1 uses its first address no more")
    mark, rest = run.events.mark(), flows[1:]
    faults.end(run, flows[0])
    faults.wait_event(run, "anchor-released", "dgw2", mark)
    faults.wait_event(run, "binding-deleted", "dgw1", mark)
    traffic.wait_for_progress(rest, 25)


LAB = DeregLab()
