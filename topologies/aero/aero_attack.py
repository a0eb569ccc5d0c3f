"""Every row of the sheet's table of attacks, tried on running agents (spec §9).

h1 --- c1 ---- core --- s1, s2      c1 and the attacker c3 are Clients of s1, c2 is one of s2
h2 --- c2 ------|   '-- r1 --- i --- g
       c3 ------|
        x ------'                   the outsider: overhears all at the core, and sends in anybody's name

h1 and h2 ping each other directly all the while.  Before and after every attack the victim's state is written down:
it must be the same, and every packet counted.  What lies about link-layer addresses leads to x: nobody may send data
there.  Without DHCPv6 authentication one attack works, and is shown to: a Rebind in another Client's name (spec §6.11).
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import Any, ClassVar

from agents.wire.dhcpv6 import MessageType
from testbed.nodes import Host
from testbed.validation import LabError
from testbed.waiting import NotYet, wait_until
from topologies import states
from topologies import traffic as hosts
from topologies.aero import attacks, traffic
from topologies.aero.attacks import OUTSIDER, Attack
from topologies.aero.faults import kill
from topologies.aero.members import Client, Server
from topologies.aero.network import opposite
from topologies.aero.plan import OFF, ON, TokenOptions
from topologies.aero.relays import RelayLab, RelayPlan, RelayTopo
from topologies.lab import option
from topologies.pings import Series, pinging, pings
from topologies.runner import Run

INTERVAL, DIRECT = 0.05, 62
"""Between pings, seconds; the hop limit they arrive with: c1 and c2 forward."""
LEASE = (4, 100, 200, 300)
"""T1, T2, preferred, valid, seconds: a Renew to overhear comes soon."""
RESTART = "c2 leaves, s2 is killed and starts again"


@dataclass(frozen=True)
class AttackOptions(TokenOptions):
    """Options of the lab."""

    auth: str = option(ON, "DHCPv6 authentication between Clients and Servers", (ON, OFF))


class AttackTopo(RelayTopo):
    """The usual network with one host too many."""

    def build(self, **options: Any) -> None:  # type: ignore[override]
        """Names, addresses and links."""
        super().build(**options)
        self.addHost("x", cls=Host, role="outsider", routes=[("default", opposite(OUTSIDER))])
        self._to_core("x", {"ipv4": OUTSIDER}, 1500)


@dataclass(frozen=True)
class AttackPlan(RelayPlan):
    """Relay, Servers, Clients, and the outsider."""

    def topo(self) -> AttackTopo:
        """The topology."""
        return AttackTopo(
            relays=self.relay_list, native_mtu=self.native_mtu, servers=self.server_list, clients=self.clients
        )

    def captures(self) -> list[tuple[str, str]]:
        """Also what the outsider sends."""
        return [*super().captures(), ("x", "wan")]

    def domain(self) -> dict[str, Any]:
        """Also who attacks."""
        return {**super().domain(), "outsider": {"node": "x", "interface": "wan", "underlay": OUTSIDER}}

    def server_config(self, server: Server) -> dict[str, Any]:
        """Keys of all Clients, or none."""
        keys = {client.duid: _key(client) for client in self.clients} if self._options.auth == ON else {}
        return {**super().server_config(server), "auth_keys": keys}

    def client_config(self, client: Client) -> dict[str, Any]:
        """Its key."""
        return {**super().client_config(client), "auth_key": _key(client) if self._options.auth == ON else ""}

    @property
    def _options(self) -> AttackOptions:
        assert isinstance(self.options, AttackOptions)
        return self.options


def _key(client: Client) -> str:
    return f"{0xA0 + client.index:02x}" * 32


class AttackLab(RelayLab):
    """An attacker that is a Client and one that is not: nothing diverts traffic, everything is counted."""

    name = "aero-attack"
    title = "Attacks on the AERO link"
    options: ClassVar[type] = AttackOptions
    variants = ({}, {"auth": OFF}, {"tokens": OFF})

    def plan(self, options: Any) -> AttackPlan:
        """Two router Clients, and the attacker."""
        clients = (Client(1), Client(2), Client(3, "host"))
        return AttackPlan(options, clients, relays=1, optimise=True, tokens=options.tokens == ON, lease=LEASE)

    def steps(self, options: Any) -> list[str]:
        """The script in words."""
        last = RESTART if options.auth == ON else "a stolen DUID, without authentication"
        return ["c1, c2 and c3 attach", "h1 and h2 find the direct path", "the attacks", "h1 pings on", last]

    def script(self, run: Run, options: Any) -> None:
        """Attach, optimise, overhear, attack."""
        run.step("c1, c2 and c3 attach")
        fight = Fight(run)
        traffic.attached(run, ("c1", "c2", "c3"))
        states.when(run, "r1", "to have 3 routes", lambda now: now["routes"] == 3)
        traffic.settled(run, ("c1", "c2", "c3"))
        h1, h2 = (hosts.address_in(run, f"h{n}", Client(n).prefixes["ipv6"]) for n in (1, 2))
        run.step("h1 and h2 find the direct path")
        traffic.optimised(run, "finding", "h1", h1, "h2", h2, interval=INTERVAL)
        wait_until("the outsider to overhear a Renew", fight.knows_a_request, timeout=hosts.PATIENCE)
        run.step("the attacks")
        with pinging(Series(run, "meanwhile", "h1", h1, "h2", h2, count=200, interval=INTERVAL)):
            for attack in _all(fight.heard(), IPv6Address(h1), IPv6Address(h2), options):
                fight.carry_out(attack)
            fight.talk(attacks.bgp())
        run.step("h1 pings on")
        pings(run, "after", "h1", h1, "h2", h2)
        if options.auth == OFF:
            run.step("a stolen DUID, without authentication")
            fight.steal()
        else:
            run.step(RESTART)
            self._restart(run, fight)
            pings(run, "restarted", "h1", h1, "h2", h2)
        run.step("done")

    @staticmethod
    def _restart(run: Run, fight: Fight) -> None:
        """c2 leaves, s2 is killed and starts again: what c2 said before must not bring it back, nor send it away."""
        fight.heard()  # all that is waiting to be read: there must be room for more
        run.agents["c2"].stop()
        wait_until("the outsider to overhear a Release", fight.knows_a_release, timeout=hosts.PATIENCE)
        kill(run, "s2", "aerod")
        run.agents["s2"].start()
        states.when(run, "s2", "to have its Relay again", _complete)
        for attack in attacks.after_restart(fight.heard()):
            fight.carry_out(attack)
        run.agents["c2"].start()
        traffic.attached(run, ("c2",))
        states.when(run, "r1", "to have 3 routes", lambda now: now["routes"] == 3)

    def checks(self, options: Any, slowness: float) -> list[dict[str, Any]]:
        """The attacks, and that traffic did not notice."""
        return [
            {"check": "aero-attack", "theft": options.auth == OFF},
            {"check": "aero-pings", "requirement": "RO-14", "ttl": {"meanwhile": DIRECT, "after": DIRECT}},
        ]


def _complete(now: dict[str, Any]) -> bool:
    """Whether a Server that started again has all that comes by itself: its Relay, and BGP, whose program is slower."""
    return now["relay"] is not None and all(now["bgp"]["sessions"].values())


def _all(heard: list[dict[str, str]], h1: IPv6Address, h2: IPv6Address, options: AttackOptions) -> Iterator[Attack]:
    yield from attacks.mediations()
    yield from attacks.advertisements(time.time())
    yield from attacks.replays(heard, tokens=options.tokens == ON)
    yield from attacks.data(h1, h2)
    yield from attacks.leases(heard, auth=options.auth == ON)
    yield from attacks.errors()


class Fight:
    """The attackers' programs, and what their victims hold before and after."""

    def __init__(self, run: Run) -> None:
        """Mirror all that passes the core to the outsider, and start both."""
        self._run = run
        rules = "add table ip mirror; add chain ip mirror copy { type filter hook prerouting priority 0; }; "
        rules += f'add rule ip mirror copy iifname != "x" udp dport 8060 dup to {OUTSIDER} device "x"'
        run.net["core"].run(["nft", rules], check=True)
        argv = [sys.executable, "-m", "topologies.tools.aero_attacker"]
        self._programs = {
            name: run.spawn(name, [*argv, *more], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
            for name, more in (("x", ["wan"]), ("c3", []))
        }
        for name in self._programs:
            self._answer(name)

    def heard(self) -> list[dict[str, str]]:
        """What passed the core so far."""
        found: list[dict[str, str]] = self._ask("x", do="heard")["packets"]
        return found

    def knows_a_request(self) -> bool:
        """Whether there is a request of the second Client to replay."""
        if not attacks.requests(self.heard()):
            raise NotYet("none passed the core")
        return True

    def knows_a_release(self) -> bool:
        """Whether there is a Release of the second Client to replay."""
        if not attacks.overheard(self.heard(), (MessageType.RELEASE,)):
            raise NotYet("none passed the core")
        return True

    def carry_out(self, attack: Attack) -> None:
        """Send, wait until it is counted, write down state and counters of before and after."""
        if not attack.payloads:
            raise LabError(f"nothing to send: {attack.kind}")
        before = self._dump(attack, "before")
        begin = time.time()
        sent = self._ask(attack.by, do="send", packets=attack.packets)["sent"]
        wanted = sent if attack.count is None else attack.count
        self._wait_until_counted(attack, before, wanted)
        self._run.log(
            "attack",
            node=attack.by,
            row=attack.row,
            kind=attack.kind,
            victim=attack.victim,
            source=attack.source,
            target=attack.target,
            protocol=attack.protocol,
            packets=sent,
            counters=list(attack.counters),
            counted=wanted,
            begin=begin,
        )
        self._dump(attack, "after")

    def talk(self, octets: bytes) -> None:
        """Speak BGP with the Relay, which does not know us (spec §9 "BGP announcement")."""
        relay = attacks.where(attacks.R1)
        attack = Attack("SEC9-14", "BGP, by an outsider", "r1", relay, (), (octets,), count=0)
        self._dump(attack, "before")
        begin = time.time()
        told = self._ask("x", do="talk", target=relay, port=179, octets=octets.hex())
        fields = {"row": attack.row, "kind": attack.kind, "victim": "r1", "source": OUTSIDER, "target": relay}
        self._run.log("attack", node="x", **fields, protocol=6, counters=[], counted=0, packets=1, begin=begin, **told)
        self._dump(attack, "after")

    def steal(self) -> None:
        """What goes through without authentication."""
        attack = attacks.theft()
        self._dump(attack, "before")
        begin = time.time()
        self._ask("x", do="send", packets=attack.packets)

        def stolen(now: dict[str, Any]) -> bool:
            return any(OUTSIDER in path["lladdr"] for one in now["neighbors"] for path in one["paths"])

        states.when(self._run, attack.victim, "to believe the thief", stolen)
        self._run.log("theft", node="x", row=attack.row, victim=attack.victim, begin=begin)

    def _wait_until_counted(self, attack: Attack, before: dict[str, int], wanted: int) -> None:
        def counted() -> bool:
            now = self._look(attack.victim)[1]
            rise = sum(now.get(name, 0) - before.get(name, 0) for name in attack.counters)
            if rise < wanted:
                raise NotYet(f"{attack.victim} has counted {rise} of {wanted} ({attack.kind})")
            return True

        wait_until(f"{attack.victim} to count what was sent", counted, timeout=hosts.PATIENCE)

    def _dump(self, attack: Attack, moment: str) -> dict[str, int]:
        state, counters = self._look(attack.victim)
        self._run.log(
            "state-dump", node=attack.victim, moment=moment, attack=attack.kind, state=state, counters=counters
        )
        return counters

    def _look(self, node: str) -> tuple[dict[str, Any], dict[str, int]]:
        """An agent's whole state, and apart from it what it counted."""
        state = dict(states.state(self._run, node))
        control, data = (Counter(state.pop(name)) for name in ("counters", "dataplane"))
        return state, dict(control + data)

    def _ask(self, name: str, **request: Any) -> dict[str, Any]:
        program = self._programs[name]
        assert program.stdin
        program.stdin.write(json.dumps(request).encode() + b"\n")
        program.stdin.flush()
        return self._answer(name)

    def _answer(self, name: str) -> dict[str, Any]:
        program = self._programs[name]
        assert program.stdout
        line = program.stdout.readline()
        if not line:
            raise LabError(f"the attacker's program on {name} ended, exit {program.wait()}")
        answer: dict[str, Any] = json.loads(line)
        return answer


LAB = AttackLab()
