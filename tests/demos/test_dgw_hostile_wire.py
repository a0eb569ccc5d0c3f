"""Running agents on a hostile network: floods of random messages, and answers that are not what was asked for."""

from __future__ import annotations

import random
import time
from dataclasses import replace
from ipaddress import IPv6Address, IPv6Network
from pathlib import Path

import pytest
from test_dgw_bad_input_wire import CMD, Generator, without

from agents.dgw.freshness import ticks
from agents.dgw.messages import compose_ack, compose_update
from agents.wire.buffer import ipv6_checksum
from agents.wire.mobility import BindingUpdate, push_mobility
from agents.wire.mobility_codes import PBU_FLAGS, AckFlag, Handoff, UpdateFlag
from agents.wire.mobility_options import HandoffIndicator, HomeNetworkPrefix, PreviousMaar
from testbed.waiting import wait_until
from topologies import traffic
from topologies.dgw.basic import BasicLab
from topologies.dgw.classic import HOME_POOL, LMA_ADDRESS
from topologies.dgw.fuzzing import Fuzzer
from topologies.dgw.plan import Gateway, Mobile
from topologies.dgw.probing import CHECKSUM_AT, MOBILITY, Sender

pytestmark = pytest.mark.demo

MESSAGES, WARM_UP, AT_ONCE = 10_000, 2_000, 40
GROWTH = 1_500
"""KiB of resident memory that an agent may gain while it takes MESSAGES messages."""
MOBILE = Mobile(1)
PREFIXES = [IPv6Network(f"2001:db8:{pool}:1::/64") for pool in ("a1", "b2", "c3", "dead")]


class ClassicLab(BasicLab):
    """Three access gateways, two nodes."""

    def plan(self, options):
        return replace(super().plan(options), gateways=3, mobiles=2)


class Flood:
    """Random messages to one agent: from a peer's own address, and from invented ones through an outsider."""

    def __init__(self, run, target, address, prefix, mobile=MOBILE, flags=PBU_FLAGS):
        """What an update that the target would accept says: `prefix`, `mobile`, `flags`."""
        self.run, self.target, self.address, self.prefix = run, target, IPv6Address(address), prefix
        self.mobile, self.flags = mobile, flags
        self.peer, self.outsider = Sender(run, "dgw3"), Sender(run, "cn1")
        self.source = IPv6Address(Gateway(3).address)
        peers = [IPv6Address(Gateway(n).address) for n in (1, 2, 3, 4)]
        self.random, self.unsummed = random.Random(target), 0
        self.unsummed = self.lost()  # what an earlier flood lost
        self.fuzzer = Fuzzer(self.random, self.address, [*peers, CMD], [*PREFIXES, prefix], [mobile.mn_id, "x@y"])

    def pour(self, count):
        """Send `count` messages, never more at once than a socket's buffer holds."""
        agent = self.run.agents[self.target]
        for number in range(count):
            if number % AT_ONCE == 0:
                agent.request({"request": "inspect"})  # answered when all before it was taken
            self.send_one()
        agent.request({"request": "inspect"})

    def send_one(self):
        good = compose_update(
            mn_id=self.mobile.mn_id,
            mac=self.mobile.mac,
            prefixes=[self.prefix],
            handoff=Handoff.SAME_INTERFACE,
            sequence=self.random.randrange(65536),
            timestamp=ticks(time.time()),
            lifetime=300,
            flags=self.flags,
        )
        kind = self.random.random()
        if kind < 0.6:
            message = self.fuzzer.mutate(good)
        elif kind < 0.8:
            message = self.fuzzer.mutate(self.fuzzer.answer(replace(good, sequence=self.random.randrange(60))))
        else:
            message = self.fuzzer.small() if kind < 0.9 else None
        if self.random.random() < 0.8:
            octets = self.fuzzer.octets(message, self.source)
            if len(octets) >= 8:
                order = {"protocol": MOBILITY, "octets": octets.hex(), "checksum": CHECKSUM_AT}
            else:  # the kernel looks into what it takes for a Mobility Header: nothing that short goes out by it
                order = {"packet": self.packet(self.source, octets).hex()}
            self.peer.send(destination=str(self.address), **order)
        else:
            invented = IPv6Address((0x20010DB8 << 96) | self.random.getrandbits(90))
            packet = self.packet(invented, self.fuzzer.octets(message, invented)[:1400])  # such are not fragmented
            self.outsider.send(destination=str(self.address), packet=packet.hex())

    def packet(self, source, octets):
        """The whole IPv6 packet, its checksum right; one too short for a checksum the receiving kernel drops."""
        self.unsummed += len(octets) < 6
        if len(octets) >= 6:
            blank = octets[:4] + bytes(2) + octets[6:]
            octets = octets[:4] + ipv6_checksum(source, self.address, MOBILITY, blank).to_bytes(2, "big") + octets[6:]
        head = b"\x60\0\0\0" + len(octets).to_bytes(2, "big") + bytes((MOBILITY, 64))
        return head + source.packed + self.address.packed + octets

    def memory(self):
        """Resident memory of the agent, KiB."""
        status = Path(f"/proc/{self.run.agents[self.target].pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0])

    def lost(self):
        """Messages that the socket had no room for: dropped there, and not for want of a checksum."""
        rows = self.run.net[self.target].run(["cat", "/proc/net/raw6"], check=True).out.splitlines()[1:]
        return sum(int(row.split()[-1]) for row in rows if row.split()[1].endswith(":0087")) - self.unsummed


def drown(role, flood):
    """Ten thousand messages: the agent takes them, and grows no larger."""
    run, node = flood.run, flood.target
    flood.pour(WARM_UP)
    before = flood.memory()
    flood.pour(MESSAGES)
    grown = flood.memory() - before
    print(f"{role}: {before} KiB before, {grown:+} KiB after {MESSAGES} messages, {flood.lost()} lost")
    assert flood.lost() < MESSAGES / 100
    assert grown < GROWTH, role
    counters = run.inspect(node)["agents"][run.agents[node].name]["counters"]
    assert counters["rejected"] > MESSAGES / 10


@pytest.mark.requirement("BAD-FLOOD")
@pytest.mark.requirement("SC-BADINPUT")
def test_ten_thousand_messages_to_the_anchor_of_classic_mode(deploy):
    """Alive afterwards, no larger, and what it forwards goes on; its node hands over as ever"""
    run = deploy(ClassicLab(), mode="classic")
    traffic.echo_server(run, "cn1")
    pids = {node: agent.pid for node, agent in run.agents.items()}
    for mobile in ("mn1", "mn2"):
        run.net.attach(mobile, "cell1")
    address, other = (traffic.address_in(run, mobile, HOME_POOL) for mobile in ("mn1", "mn2"))
    flow = traffic.echo(run, "session", "mn1", address, "cn1")
    home, theirs = (str(IPv6Network((one, 64), strict=False)) for one in (address, other))
    # Of mn2, whose session follows whoever registers it, as it must: mn1's stays where it is.
    flood = Flood(run, "lma", LMA_ADDRESS, IPv6Network(theirs), Mobile(2), UpdateFlag.ACKNOWLEDGE | UpdateFlag.PROXY)
    drown("lma", flood)
    traffic.wait_for_progress([flow], 20)
    assert {node: agent.pid for node, agent in run.agents.items()} == pids
    assert all(agent.running for agent in run.agents.values())
    bindings = run.inspect("lma")["agents"]["lma"]["bindings"]
    assert bindings[home]["care_of"] == Gateway(1).address
    for mobile in ("mn1", "mn2"):
        run.net.move(mobile, "cell2")
    back = traffic.echo(run, "session-2", "mn2", other, "cn1")
    traffic.wait_for_progress([flow, back], 20)


@pytest.mark.requirement("BAD-FLOOD")
@pytest.mark.requirement("SC-BADINPUT")
def test_ten_thousand_messages_to_every_role(deploy):
    """Alive afterwards, no larger, and nodes hand over as ever"""
    run = deploy("sc-simul", mode="relay", mobiles=2)
    traffic.echo_server(run, "cn1")
    pids = {node: agent.pid for node, agent in run.agents.items()}
    for mobile in ("mn1", "mn2"):
        run.net.attach(mobile, "cell1")
    address = traffic.address_in(run, "mn2", Gateway(1).pool)
    flow = traffic.echo(run, "session", "mn2", address, "cn1")
    for role, node, where, prefix in (
        ("gateway", "dgw1", Gateway(1).address, PREFIXES[0]),
        ("cmd", "cmd", CMD, PREFIXES[2]),
        ("anchor", "dgw1", Gateway(1).address, PREFIXES[0]),
    ):
        if role == "anchor":
            run.net.move("mn1", "cell2")
            traffic.address_in(run, "mn1", Gateway(2).pool)
        drown(role, Flood(run, node, where, prefix))
    assert {node: agent.pid for node, agent in run.agents.items()} == pids
    assert all(agent.running for agent in run.agents.values())
    run.net.move("mn2", "cell2")
    second = traffic.address_in(run, "mn2", Gateway(2).pool)
    traffic.wait_for_progress([flow, traffic.echo(run, "session-2", "mn2", second, "cn1")], 20)
    run.net.move("mn1", "cell4")
    traffic.address_in(run, "mn1", Gateway(4).pool)


# --- the CMD answers something else than was asked


class FalseCmd:
    """In the place of the CMD, whose agent was stopped: answers updates of D-GW1 as a test wants."""

    def __init__(self, run):
        run.agents["cmd"].stop()
        self.run, self.generator = run, Generator(run, "cmd")
        self.gateway = IPv6Address(Gateway(1).address)

    def answer(self, change):
        """Wait for an update and answer it, changed; the update."""
        update = self.generator.reply(self.gateway, lambda message: isinstance(message, BindingUpdate))
        prefixes = [option.network for option in update.every(HomeNetworkPrefix)]
        ack = change(compose_ack(update, lifetime=update.lifetime_seconds, prefixes=prefixes))
        self.generator.send(push_mobility(ack, CMD, self.gateway), self.gateway)
        return update

    def again(self):
        """mn1 leaves and comes back: another update is due."""
        self.run.net.detach("mn1")
        self.generator.drain()
        self.run.net.attach("mn1", "cell1")

    def state(self):
        return self.run.inspect("dgw1")["agents"]["dgw"]

    def told(self, event):
        return [e for e in self.run.events.events() if e["event"] == event and e["node"] == "dgw1"]


@pytest.fixture
def false_cmd(deploy):
    run = deploy("basic", mode="relay")
    made = FalseCmd(run)
    yield made
    made.generator.close()


@pytest.mark.requirement("SC-BADINPUT", "RETX-10")
@pytest.mark.parametrize(
    ("change", "counter"),
    [
        (lambda ack: replace(without(ack, HandoffIndicator), options=(*ack.options, HandoffIndicator(1))), "mismatch"),
        (lambda ack: replace(ack, status=152), None),
    ],
    ids=["another HI", "152"],
)
def test_an_answer_that_ends_all_repetition(false_cmd, change, counter):
    """Ignored or rejected; nothing more is sent until an administrator resumes"""
    first = lambda ack: change(without(ack, HandoffIndicator) if counter else ack)  # noqa: E731
    false_cmd.run.net.attach("mn1", "cell1")
    false_cmd.answer(first)
    wait_until("dgw1 to halt", lambda: false_cmd.state()["halted"])
    if counter:
        assert false_cmd.state()["counters"][counter] == 1
    false_cmd.again()
    wait_until("dgw1 to withhold an update", lambda: false_cmd.told("update-withheld"))
    assert false_cmd.run.agents["dgw1"].request({"request": "resume"})["resumed"] == 1
    false_cmd.again()
    false_cmd.answer(lambda ack: ack)
    traffic.address_in(false_cmd.run, "mn1", Gateway(1).pool)


@pytest.mark.requirement("SC-BADINPUT")
def test_answers_of_a_plain_lma_and_groups_that_cannot_be(false_cmd):
    """D=0: marked, the own prefix served; option 67 naming the gateway itself or a prefix of its pool: ignored"""
    own = PreviousMaar.of(false_cmd.gateway, IPv6Network("2001:db8:b2:7::/64"))
    inside = PreviousMaar.of(IPv6Address(Gateway(2).address), IPv6Network("2001:db8:a1:7::/64"))
    false_cmd.run.net.attach("mn1", "cell1")
    false_cmd.answer(lambda ack: replace(ack, flags=AckFlag.PROXY))
    traffic.address_in(false_cmd.run, "mn1", Gateway(1).pool)
    assert false_cmd.state()["legacy_peers"] == [str(CMD)]
    false_cmd.again()
    false_cmd.answer(lambda ack: replace(ack, options=(*ack.options, own, inside)))
    wait_until("both groups to be ignored", lambda: len(false_cmd.told("anchor-ignored")) == 2)
    assert false_cmd.state()["legacy_peers"] == []
    assert [item for item in false_cmd.state()["items"] if item.startswith("tunnel ")] == []


@pytest.mark.requirement("SC-BADINPUT")
def test_a_host_without_mobility_support(false_cmd):
    """ICMPv6 type 4 code 1 from its kernel: an alarm, and a pause"""
    false_cmd.generator.close()
    false_cmd.run.net.attach("mn1", "cell1")
    wait_until("the alarm", lambda: false_cmd.told("peer-without-mobility"))
    assert all(exchange["sent"] == 1 for exchange in false_cmd.state()["exchanges"])
