"""A whole D-GW domain of cores in virtual time: no sockets, no kernel, no waiting.

Deliveries take `delay` seconds; `filters` see every message and may drop it, hold it back or send it twice.
"""

from __future__ import annotations

import heapq
import itertools
from dataclasses import replace
from ipaddress import IPv6Address, IPv6Network

from agents.dgw.actions import (
    Adopt,
    Advertise,
    Associated,
    Consult,
    CountTraffic,
    Disassociated,
    Install,
    MobilityDatagram,
    Remove,
    RepositoryDatagram,
    RouterAdvertised,
    Send,
    SendParameterProblem,
    TrafficCounted,
)
from agents.dgw.cmd.core import CmdCore
from agents.dgw.config import AdvertisementPolicy, CmdConfig, GatewayConfig, Peer, Profile, RadvdFiles, Timing
from agents.dgw.forwarding import Uplink
from agents.dgw.gateway.core import GatewayCore
from agents.dgw.lma.config import AccessGateway, LmaConfig
from agents.dgw.lma.core import LmaCore
from agents.wire.mobility import pull_mobility
from agents.wire.mobility_codes import DFlagProfile

START = 1_760_000_000.0
CMD = IPv6Address("2001:db8:c:9::2")
HOME_POOL = IPv6Network("2001:db8:100::/48")
"""Of the classic mode's anchor."""
POOLS = {1: "2001:db8:a1::/48", 2: "2001:db8:b2::/48", 3: "2001:db8:c3::/48"}


def address(index):
    return IPv6Address(f"2001:db8:c:{index}::2")


def mac(number):
    return f"02:00:00:00:00:{0x10 + number:02x}"


def pool(index):
    return IPv6Network(f"2001:db8:{9 + index:x}{index:x}::/48")


def peer(index, operator="", dflag_profile="rfc8885"):
    return Peer(f"dgw{index}", index, address(index), pool(index), dflag_profile, operator)


def profiles(count=3):
    return tuple(Profile(f"mn{i}", f"mn{i}@dmm.example", mac(i)) for i in range(1, count + 1))


def gateway_config(index, mode, operators=None, **changes):
    """`operators`: gateway number -> operator; None: one operator for all (INTER-1: peers are one's own operator's)."""
    everyone = operators or dict.fromkeys(POOLS, "")
    mine = everyone[index]
    config = GatewayConfig(
        role="gateway",
        name=f"dgw{index}",
        index=index,
        mode=mode,
        address=address(index),
        pool=pool(index),
        wan="wan",
        phy="phy",
        cmd=CMD,
        peers=tuple(peer(i, mine) for i, other in everyone.items() if i != index and other == mine),
        profiles=profiles(),
        radvd=RadvdFiles("radvd.conf", "radvd.pid"),
        control="control",
        state="state",
        timing=Timing(),
        advertisements=AdvertisementPolicy(),
        operator=mine,
        roaming=operators is not None,
    )
    return replace(config, **changes)


def cmd_config(mode, operators=None, **changes):
    """With operators, the CMD is the home LMA as well."""
    everyone = operators or dict.fromkeys(POOLS, "")
    config = CmdConfig(
        role="cmd",
        name="cmd",
        mode=mode,
        address=CMD,
        gateways=tuple(peer(i, operator) for i, operator in everyone.items()),
        profiles=profiles(),
        control="control",
        state="state",
        wan="wan" if operators else None,
    )
    return replace(config, **changes)


def lma_config(**changes):
    config = LmaConfig(
        role="lma",
        name="lma",
        address=CMD,
        pool=HOME_POOL,
        wan="eth0",
        gateways=tuple(AccessGateway(f"dgw{i}", address(i)) for i in POOLS),
        profiles=profiles(),
        control="control",
        state="state",
    )
    return replace(config, **changes)


class Domain:
    """Three gateways (or those of `operators`) and a CMD, connected; those with an index in `draft03` put their D
    flag where the draft had it.

    `only` changes the configuration of single gateways, by index; `networks`: gateway's index to its local prefixes.
    """

    def __init__(
        self,
        mode,
        delay=0.001,
        timing=None,
        gateway_changes=None,
        cmd_changes=None,
        only=None,
        draft03=(),
        operators=None,
        networks=None,
    ):
        changes = dict(gateway_changes or {})
        if timing:
            changes["timing"] = timing
        self.mode, self.delay, self.now = mode, delay, START
        self.operators = operators
        self.draft03 = {address(i) for i in draft03}
        local = {
            i: {"local_prefixes": tuple(map(IPv6Network, found)), "local_interfaces": ("loc",)}
            for i, found in (networks or {}).items()
        }
        self.configs = {
            address(i): gateway_config(
                i,
                mode,
                operators,
                **{
                    "dflag_profile": self._profile(i),
                    **changes,
                    **local.get(i, {}),
                    **(only or {}).get(i, {}),
                },
            )
            for i in operators or POOLS
        }
        for config in self.configs.values():
            peers = tuple(replace(p, dflag_profile=self._profile(config.index, p.index)) for p in config.peers)
            self.configs[config.address] = replace(config, peers=peers)
        self.cores = {a: GatewayCore(c) for a, c in self.configs.items()}
        changes = {"timing": timing} if timing else {}
        self.cores[CMD] = self.central(operators, {**(cmd_changes or {}), **changes})
        self.kernel = {a: {} for a in self.cores}
        self.advertised = dict.fromkeys(self.cores, ())
        self.spoken = []
        """(time, gateway's address, advertisement) of every RA that left."""
        self.orders = []
        """(time, gateway, advertisements) of every set of RAs ordered."""
        self.wire = []
        """(time, source, destination, decoded message) of every Mobility Header sent."""
        self.log = []
        """(time, address, event)"""
        self.filters = []
        """Callables (time, source, destination, octets) -> list of delays; [] drops."""
        self.radio_loses_ras = False
        self.idle = {}
        """Prefixes without traffic, and the count at which it stands still; all others are busy."""
        self._queue = []
        self._count = itertools.count()

    def _profile(self, *indices):
        return "draft03" if {address(i) for i in indices} & self.draft03 else "rfc8885"

    def pull(self, octets, source, destination):
        """The message, decoded as its receiver decodes it."""
        profile = DFlagProfile.DRAFT03 if {source, destination} & self.draft03 else DFlagProfile.RFC8885
        return pull_mobility(octets, source, destination, profile=profile)

    def central(self, operators, changes):
        """The core of the node all gateways know."""
        if self.mode == "classic":
            return LmaCore(lma_config(**changes))
        cmd = cmd_config(self.mode, operators, **changes)
        seen = tuple(replace(p, dflag_profile=self._profile(p.index)) for p in cmd.gateways)
        return CmdCore(replace(cmd, gateways=seen))

    def gateway(self, index):
        return self.cores[address(index)]

    def node(self, index, number=1):
        return self.gateway(index)._base.state.nodes.get(f"mn{number}@dmm.example")

    @property
    def cmd(self):
        return self.cores[CMD]

    def session(self, number=1):
        return self.cmd._base.state.sessions.get(f"mn{number}@dmm.example")

    # --- what tests do

    def attach(self, number, index):
        self.feed(address(index), Associated(mac(number)))

    def detach(self, number, index):
        self.feed(address(index), Disassociated(mac(number)))

    def move(self, number, old, new):
        self.detach(number, old)
        self.attach(number, new)

    def run(self, seconds=0.5):
        """Let virtual time pass, handling everything due."""
        end = self.now + seconds
        while True:
            due = [(t, a) for a, c in self.cores.items() if (t := c.next_timer()) is not None]
            timer = min(due, default=(float("inf"), None), key=lambda entry: entry[0])
            message = self._queue[0] if self._queue else (float("inf"),)
            if min(timer[0], message[0]) > end:
                break
            if message[0] <= timer[0]:
                at, _, destination, notice = heapq.heappop(self._queue)
                self.now = max(self.now, at)
                self.feed(destination, notice)
            else:
                self.now = max(self.now, timer[0])
                self.cores[timer[1]].handle_timer(self.now)
                self.perform(timer[1])
        self.now = end

    def feed(self, destination, notice):
        self.cores[destination].receive(notice, None, self.now)
        self.perform(destination)

    # --- the world

    def perform(self, node):
        core = self.cores[node]
        for action in core.actions():
            match action:
                case Send():
                    decoded = self.pull(action.message, node, action.destination)
                    self.wire.append((self.now, node, action.destination, decoded))
                    datagram = MobilityDatagram(action.message, node, action.destination)
                    self._deliver(node, action.destination, action.message, datagram)
                case Consult():
                    datagram = RepositoryDatagram(action.message, node, action.port)
                    self._deliver(node, action.destination, action.message, datagram)
                case Install():
                    self.kernel[node].update({item.key: item for item in action.items})
                    tables = [item.table for item in self.kernel[node].values() if isinstance(item, Uplink)]
                    assert len(tables) == len(set(tables)), "removing one uplink would empty another's table"
                case Remove():
                    for item in action.items:
                        del self.kernel[node][item.key]
                case Adopt():
                    self.kernel[node] = {item.key: item for item in action.items}
                case Advertise():
                    self._advertise(node, action)
                case CountTraffic():
                    notice = TrafficCounted(self.traffic())
                    heapq.heappush(self._queue, (self.now, next(self._count), node, notice))
                case SendParameterProblem():
                    self.wire.append((self.now, node, action.offending.source, action))
        for event in core.events():
            self.log.append((self.now, node, event))

    def traffic(self):
        gateways = [core for core in self.cores.values() if isinstance(core, GatewayCore)]
        prefixes = {n.own.prefix for core in gateways for n in core._base.state.nodes.values() if n.own}
        return {prefix: self.idle.get(prefix, int(self.now)) for prefix in prefixes}

    def _advertise(self, node, action):
        self.advertised[node] = action.advertisements
        self.orders.append((self.now, node, action.advertisements))
        for ra in action.advertisements:
            dlif = self.kernel[node].get(("dlif", ra.dlif))
            assert dlif is not None, f"RA on {ra.dlif}, which does not exist"
            if not self.radio_loses_ras:
                client = next(p.mac for p in profiles() if p.name == ra.dlif[: len(p.name)])
                self.spoken.append((self.now, node, ra))
                notice = RouterAdvertised(dlif.link_local, client)
                heapq.heappush(self._queue, (self.now + 0.005, next(self._count), node, notice))

    def _deliver(self, source, destination, octets, notice):
        delays = [self.delay]
        for rule in self.filters:
            answer = rule(self.now, source, destination, octets)
            if answer is not None:
                delays = answer
        if destination in self.cores:
            for delay in delays:
                heapq.heappush(self._queue, (self.now + delay, next(self._count), destination, notice))

    # --- what tests look at

    def sent(self, kind, source=None, destination=None):
        return [
            (t, s, d, m)
            for t, s, d, m in self.wire
            if isinstance(m, kind) and source in (None, s) and destination in (None, d)
        ]

    def events(self, name, node=None):
        return [e for _, a, e in self.log if e.name == name and node in (None, a)]

    def items(self, index, kind):
        return [item for item in self.kernel[address(index)].values() if isinstance(item, kind)]

    def heard(self, dlif, since=0.0):
        """(time, advertisement) of every RA of this DLIF that left, wherever it was."""
        return [(t, ra) for t, _, ra in self.spoken if ra.dlif == dlif and t >= since]

    def ras(self, index, number=1):
        return {ra.dlif: ra for ra in self.advertised[address(index)] if ra.dlif.startswith(f"mn{number}")}
