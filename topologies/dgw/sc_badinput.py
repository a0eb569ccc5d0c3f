"""Bad input (scenario SC-BADINPUT): every row of the fact sheet's §10, from a packet generator to running agents.

    cn1 --- core --- cmd         cn1 is the outsider, dgw3 the peer that sends what it should not
           /  |  \\
        dgw1 dgw2 dgw3
          |    |    |
       cell1 cell2 cell3         mn1 is at dgw1 (a serving gateway), then at dgw2 (dgw1 is its anchor), then at dgw3

Mode classic has one role that others may address, the Local Mobility Anchor in the CMD's place.

Each probe must be met with the reply that the sheet names, be counted, and leave the receiver's state as it was.
Afterwards mn1, which talks to cn1 all the time, hands over as if nothing had happened.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import Any

from topologies import traffic
from topologies.dgw.bad_messages import TOLERATED, Ground, rows_for
from topologies.dgw.basic import BasicOptions
from topologies.dgw.checks import classic_checks, walk_checks
from topologies.dgw.classic import LMA_ADDRESS, ClassicPlan
from topologies.dgw.lab import DgwLab
from topologies.dgw.plan import CMD_ADDRESS, CORRESPONDENTS, DOMAIN_NAME, DgwOptions, DgwPlan, Gateway, Mobile
from topologies.dgw.probing import Prober, network
from topologies.dgw.settling import wait_until_settled
from topologies.lab import option
from topologies.runner import Run

STRANGER = "02:00:00:00:00:99"
DISABLED = f"mn9@{DOMAIN_NAME}"
WINDOW = 10.0
"""Seconds by which a probe's Timestamp may be old when it is read."""
UNFIT = ("signalling", "tunnel", "cmd-interface", "reachability", "pace")
"""Checks of a walk that the probes themselves would fail, or that need pings."""
SENDERS = {"peer": "dgw3", "cmd": "cmd", "outsider": "cn1"}


@dataclass(frozen=True)
class BadInputOptions(BasicOptions):
    """Options of the lab."""

    protection: str = option("off", "off: inside ESP no bad message would get as far as its row", ("off",))


@dataclass(frozen=True)
class BadInputPlan(DgwPlan):
    """A domain that also knows a node whose service is off."""

    def profiles(self) -> list[dict[str, Any]]:
        """The mobile node, and one that is not served."""
        off = {"name": "mn9", "mn_id": DISABLED, "mac": Mobile(9).mac, "enabled": False}
        return [*super().profiles(), off]

    def timing(self) -> dict[str, Any]:
        """A window that a generator on a busy machine keeps to; the probes outside are outside by far."""
        return {**super().timing(), "timestamp_window": max(WINDOW, float(self.options.timestamp_window))}


@dataclass(frozen=True)
class ClassicBadInputPlan(BadInputPlan, ClassicPlan):
    """The same under classic Proxy Mobile IPv6."""

    central: str = "lma"


class BadInputLab(DgwLab):
    """Every kind of bad input, sent to gateway, anchor and CMD, or to the LMA: the named reply, the state unchanged."""

    name = "sc-badinput"
    title = "Bad input, row by row"
    options = BadInputOptions
    variants = (
        {"mode": "relay"},
        {"mode": "direct"},
        {"mode": "relay", "dflag_profile": "mixed"},
        {"mode": "classic"},
    )

    def plan(self, options: DgwOptions) -> BadInputPlan:
        """Size and addresses of the lab."""
        kind = ClassicBadInputPlan if options.mode == "classic" else BadInputPlan
        return kind(options, gateways=3, mobiles=1, correspondents=("cn1",))

    def checks(self, options: DgwOptions, slowness: float) -> list[dict[str, Any]]:
        """The probes, and a walk that suffered nothing from them."""
        rows = {role: len(rows_for(role)) for role in self._roles(options)}
        if "anchor" in rows:
            rows["anchor"] += len(rows_for("anchor", TOLERATED))
        walk = classic_checks(slowness) if options.mode == "classic" else walk_checks(slowness)
        suffered = [check for check in walk if check["check"] not in UNFIT]
        return [{"check": "bad-input", "rows": rows, "tunnelled": 3, "solicitations": 1}, *suffered]

    def _roles(self, options: DgwOptions) -> tuple[str, ...]:
        if options.mode == "classic":
            return ("lma",)
        return ("gateway", "anchor") if options.mode == "direct" else ("gateway", "cmd", "anchor")

    def steps(self, options: DgwOptions) -> list[str]:
        """The script in words."""
        if options.mode == "classic":
            return [
                "mn1 attaches to dgw1 and talks to cn1",
                "bad messages to the anchor, and tunnelled packets from strangers",
                "mn1 moves to dgw2 and to dgw3: all is as it should be",
            ]
        return [
            "mn1 attaches to dgw1 and talks to cn1",
            f"bad messages to {', '.join(self._roles(options)[:-1])}",
            "mn1 moves to dgw2; bad messages to dgw1, now its anchor; tunnelled packets from strangers",
            "mn1 moves to dgw3: all is as it should be",
        ]

    def script(self, run: Run, options: DgwOptions) -> None:
        """Probe each role, hand over in between."""
        plan = self.plan(options)
        first = plan.gateway_list[0]
        prober = Prober(run, {g.name for g in plan.gateway_list if plan.dflag_profile(g) == "draft03"})
        traffic.echo_server(run, "cn1")
        run.step("mn1 attaches to dgw1")
        run.net.attach("mn1", first.cell)
        address = traffic.address_in(run, "mn1", plan.pool_at(first))
        flow = traffic.echo(run, "session-1", "mn1", address, "cn1")
        traffic.wait_for_progress([flow], 10)
        prober.solicit("mn1", "eth0", STRANGER, first.name)
        prober.introduce(Mobile(1), first.name)
        wait_until_settled(run)
        if options.mode == "classic":
            self._probe_lma(run, prober, address, flow)
        else:
            self._probe_all(run, options, prober, address, flow)
        run.step("done")

    def _probe_lma(self, run: Run, prober: Prober, address: str, flow: traffic.Flow) -> None:
        run.step("bad messages to the anchor")
        here = self._ground("lma", LMA_ADDRESS, address)
        prober.play(rows_for("lma"), here, "lma", {**SENDERS, "serving": "dgw1"})
        self._probe_tunnels(prober, "lma", LMA_ADDRESS, address, "dgw1")
        for cell in ("cell2", "cell3"):
            run.step(f"mn1 moves to {cell}")
            run.net.move("mn1", cell)
            # Long enough for what dgw3 is told next not to pass for an answer to its last probe.
            traffic.wait_for_progress([flow], 50)

    def _probe_all(self, run: Run, options: DgwOptions, prober: Prober, address: str, flow: traffic.Flow) -> None:
        first, second, third = self.plan(options).gateway_list
        run.step("bad messages to the serving gateway")
        here = self._ground("gateway", first.address, address)
        prober.play(rows_for("gateway"), here, first.name, {**SENDERS, "serving": "dgw1"})
        if options.mode != "direct":
            run.step("bad messages to the CMD")
            self._probe_cmd(prober, address, third)

        run.step("mn1 moves to dgw2")
        run.net.move("mn1", second.cell)
        new = traffic.echo(run, "session-2", "mn1", traffic.address_in(run, "mn1", second.pool), "cn1")
        traffic.wait_for_progress([flow, new], 10)
        wait_until_settled(run)
        run.step("bad messages to the anchor")
        there = self._ground("anchor", first.address, address)
        rows = [*rows_for("anchor"), *rows_for("anchor", TOLERATED)]
        prober.play(rows, there, first.name, {**SENDERS, "serving": "dgw2"})
        self._probe_tunnels(prober, first.name, first.address, address, "dgw2")

        run.step("mn1 moves to dgw3")
        run.net.move("mn1", third.cell)
        traffic.address_in(run, "mn1", third.pool)
        traffic.wait_for_progress([flow, new], 20)

    def _ground(self, role: str, target: str, address: str) -> Ground:
        """What a good update to `target` would say: that mn1 has moved, with its prefix of dgw1."""
        one = IPv6Address(target)
        return Ground(role, one, one, Mobile(1).mn_id, Mobile(1).mac, network(address), DISABLED, 0.0, 0)

    def _probe_cmd(self, prober: Prober, address: str, sender: Gateway) -> None:
        """A gateway registers prefixes of its own pool; the serving one, others than it did."""
        new = network(sender.pool.replace("::/48", ":1::"))
        for foreign in (True, False):
            ground = self._ground("cmd", CMD_ADDRESS, str(new.network_address) if foreign else address)
            rows = [row for row in rows_for("cmd") if (row.sender != "serving") == foreign]
            prober.play(rows, ground, "cmd", {**SENDERS, "serving": "dgw1"})

    def _probe_tunnels(self, prober: Prober, anchor: str, where: str, address: str, serving: str) -> None:
        """Only from where mn1 is, and only with mn1's source, may packets come out of a tunnel at its anchor."""
        outside = CORRESPONDENTS["cn1"]
        rows = (
            ("unknown outer source", "cn1", (address, outside), "unknown_peer"),
            ("a gateway without a tunnel", "dgw3", (address, outside), "unknown_peer"),
            ("inner source of nobody", serving, ("2001:db8:dead::1", outside), "outside_binding"),
        )
        for why, node, inner, counter in rows:
            prober.tunnelled(why, node, anchor, where, inner, counter)


LAB = BadInputLab()
