"""Checks of ends and repetitions on made-up stories: a right one passes, each way to be wrong is found."""

import json
from dataclasses import replace
from ipaddress import IPv6Address, IPv6Network

import pytest
import synthetic as syn
from doctoring import run_of
from synthetic import World

from captures.checks import call
from captures.records import (
    AnchorGroup,
    Capture,
    Dlif,
    IpLayer,
    MobilityMessage,
    Packet,
    PrefixInformation,
    RouterAdvertisement,
)
from captures.run import Run

T0 = 1_760_000_000.0
MN_ID, MAC = "mn1@dmm.example", "02:00:00:00:00:11"
ADDRESS = {name: IPv6Address(f"2001:db8:c:{n}::2") for name, n in (("dgw1", 1), ("dgw2", 2), ("dgw3", 3), ("cmd", 9))}
POOL = {"dgw1": "2001:db8:a1::/48", "dgw2": "2001:db8:b2::/48", "dgw3": "2001:db8:c3::/48"}
PREFIX = {name: IPv6Network(pool.replace("::/48", ":1::/64")) for name, pool in POOL.items()}
CN = IPv6Address("2001:db8:f::2")


class Story:
    """Messages, advertisements, packets and events of one run; tests change them before it is judged."""

    def __init__(self, mode="relay"):
        self.mode, self.number = mode, 0
        self.messages, self.advertisements, self.packets, self.events = [], [], [], []

    def event(self, t, event, **fields):
        self.events.append({"t": T0 + t, "node": "mn1", "agent": "lab", "event": event, **fields})

    def stay(self, gateway, start, end=None):
        where = {"gateway": gateway, "cell": gateway.replace("dgw", "cell"), "mac": MAC}
        self.event(start, "attached", **where)
        if end is not None:
            self.event(end, "detached", **where)

    def pbu(self, t, source, destination, prefix, **fields):
        self.number += 1
        settled = {"lifetime": 2, "handoff": 4, "sequence": self.number, "timestamp": T0 + t, **fields}
        self.messages.append(self._message("PBU", t, source, destination, prefix, **settled))
        return self.messages[-1]

    def pba(self, t, update, **fields):
        names = {address: name for name, address in ADDRESS.items()}
        settled = {
            "lifetime": update.lifetime,
            "handoff": update.handoff,
            "sequence": update.sequence,
            "timestamp": update.timestamp,
            "status": 0,
            **fields,
        }
        ends = names[update.destination], names[update.source]
        self.messages.append(self._message("PBA", t, *ends, None, prefixes=update.prefixes, **settled))

    def _message(self, kind, t, source, destination, prefix, **fields):
        fields.setdefault("prefixes", (PREFIX[prefix],) if prefix else ())
        return MobilityMessage(
            file=f"pcap/{source}.pcapng",
            number=len(self.messages) + 1,
            time=T0 + t,
            eth_source="",
            source=ADDRESS[source],
            destination=ADDRESS[destination],
            kind=kind,
            checksum_valid=True,
            payload_proto=59,
            mn_id=MN_ID,
            **fields,
        )

    def ra(self, t, anchor, valid=8, preferred=8, lifetime=60, preference="medium"):
        option = PrefixInformation(PREFIX[anchor], True, True, valid, preferred)
        number = len(self.advertisements) + 1
        said = IPv6Address("fe80::1"), IPv6Address("fe80::ff:fe00:11"), 255, 64, False, False
        one = RouterAdvertisement(
            "pcap/mn1.pcapng", number, T0 + t, "02:d6:00:00:00:01", MAC, *said, preference, lifetime, 0, 0, None, 1460
        )
        self.advertisements.append(replace(one, prefixes=(option,)))

    def tunnelled(self, t, serving, anchor):
        outer = IpLayer(ADDRESS[serving], ADDRESS[anchor], 41, 64, 100)
        layers = (outer, IpLayer(PREFIX[anchor][0x11], CN, 17, 63, 60))
        number = len(self.packets) + 1
        self.packets.append(Packet(f"pcap/{serving}.pcapng", number, T0 + t, 114, "", "", 0x86DD, layers, 17))

    def dump(self, t, label, node, **state):
        empty = {"nodes": {}, "items": [], "pool": {"quarantine": {}}}
        self.event(t, "agent-dump", label=label, state={**empty, **state})
        self.events[-1]["node"] = node

    def find(self, kind, which=0, **fields):
        found = [m for m in self.messages if m.kind == kind and all(getattr(m, k) == v for k, v in fields.items())]
        return found[which]

    def alter(self, message, **changes):
        self.messages[self.messages.index(message)] = replace(message, **changes)

    def judge(self, directory, check, **parameters):
        gateways = {n: {"address": str(ADDRESS[n]), "pool": POOL[n], "wan": "wan", "phy": "phy"} for n in POOL}
        lab = {
            "format": 1,
            "lab": "x",
            "nodes": {},
            "domain": {
                "gateways": gateways,
                "cmd": {"node": "cmd", "address": str(ADDRESS["cmd"]), "interface": "eth0"},
                "mobiles": {"mn1": {"mn_id": MN_ID, "mac": MAC, "interface": "eth0"}},
                "mode": self.mode,
            },
        }
        (directory / "lab.json").write_text(json.dumps(lab))
        (directory / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in self.events))
        captures = [Capture("pcap/mn1.pcapng", "mn1", "eth0", advertisements=self.advertisements)]
        for name, address in ADDRESS.items():
            mine = [message for message in self.messages if message.source == address]
            seen = [packet for packet in self.packets if packet.file == f"pcap/{name}.pcapng"]
            captures.append(Capture(f"pcap/{name}.pcapng", name, "wan", packets=seen, mobility=mine))
        return {one.id: one for one in call(Run(directory, captures), {"check": check, **parameters})}


def serving(address):
    return {"serving": ADDRESS[address]}


# --- deregistration


def vanished(mode="relay"):
    story = Story(mode)
    story.stay("dgw1", 0, 2)
    story.stay("dgw2", 2.01, 5)
    story.ra(0.1, "dgw1")
    story.ra(2.1, "dgw2")
    story.ra(2.1, "dgw1", preferred=0, preference="low")
    if mode == "direct":
        story.pba(2.03, story.pbu(2.02, "dgw2", "dgw1", "dgw1", handoff=3))
        story.pba(10.021, story.pbu(10.02, "dgw2", "dgw1", "dgw1", lifetime=0))
    else:
        story.pba(2.05, story.pbu(2.02, "dgw2", "cmd", "dgw2"))
        story.pba(2.04, story.pbu(2.03, "cmd", "dgw1", "dgw1", **serving("dgw2")))
        story.pba(10.021, story.pbu(10.02, "dgw2", "cmd", "dgw2", lifetime=0))
        story.pba(12.023, story.pbu(12.021, "cmd", "dgw1", "dgw1", lifetime=0, **serving("dgw2")))
    for node in ("dgw1", "dgw2"):
        story.dump(13, "after", node, pool={"quarantine": {"1": 1.0}})
    return story


@pytest.mark.parametrize("mode", ["relay", "direct"])
def test_a_binding_that_ends_rightly(tmp_path, mode):
    results = vanished(mode).judge(tmp_path, "deregistration", lifetime=8, hold=2)
    assert all(one.passed and one.evidence for one in results.values()), results
    assert len(results) == (3 if mode == "direct" else 4)


def test_an_end_in_locator_mode(tmp_path):
    """The anchor answered the registration in the CMD's place (CMD-LOC-3): it counts all the same"""
    story = vanished()
    story.mode = "locator"
    asked, told = story.find("PBU", 0), story.find("PBU", 1)
    story.messages.remove(story.find("PBA", 0))
    story.alter(told, sequence=asked.sequence)
    story.alter(story.find("PBA", 0), sequence=asked.sequence)
    direct = replace(story.find("PBA", 0), destination=ADDRESS["dgw2"], number=90)
    story.messages.append(direct)
    results = story.judge(tmp_path, "deregistration", lifetime=8, hold=2)
    assert results["deregistration.expiry.mn1"].passed, results["deregistration.expiry.mn1"].measured


def early(story):
    story.pba(5.2, story.pbu(5.1, "dgw2", "cmd", "dgw2", handoff=5))


def at_detach(story):
    end, answer = story.find("PBU", lifetime=0), story.find("PBA", lifetime=0)
    story.alter(end, time=T0 + 5.01)
    story.alter(answer, time=T0 + 5.02)


def end_field(**changes):
    return lambda story: story.alter(story.find("PBU", lifetime=0), **changes)


def fan_out_field(**changes):
    return lambda story: story.alter(story.find("PBU", 1, lifetime=0), **changes)


def fan_out_missing(story):
    del story.messages[-2:]


def not_resting(story):
    story.events[-1]["state"]["pool"] = {"quarantine": {}}


def still_there(story):
    story.events[-1]["state"]["items"] = ["tunnel 2001:db8:c:1::2"]


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        (early, "silence"),
        (end_field(handoff=3), "expiry"),
        (end_field(prefixes=(PREFIX["dgw1"],)), "expiry"),
        (lambda story: story.alter(story.find("PBA", lifetime=0), status=128), "expiry"),
        (fan_out_field(time=T0 + 10.1), "fan-out"),
        (fan_out_field(serving=None), "fan-out"),
        (fan_out_field(prefixes=(PREFIX["dgw2"],)), "fan-out"),
        (fan_out_missing, "fan-out"),
        (not_resting, "quarantine"),
        (still_there, "quarantine"),
        (lambda story: story.advertisements.pop(1), "quarantine"),
    ],
)
def test_an_end_that_is_wrong(tmp_path, change, wanted):
    story = vanished()
    change(story)
    results = story.judge(tmp_path, "deregistration", lifetime=8, hold=2)
    assert results[f"deregistration.{wanted}.mn1"].passed is False, results


def test_an_end_at_the_detachment(tmp_path):
    """DEREG-1: the very thing that must not happen"""
    story = vanished()
    at_detach(story)
    results = story.judge(tmp_path, "deregistration", lifetime=8, hold=2)
    assert results["deregistration.expiry.mn1"].passed is False


def test_no_end_was_seen(tmp_path):
    story = vanished()
    story.messages = story.messages[:4]
    results = story.judge(tmp_path, "deregistration", lifetime=8, hold=2)
    assert results["deregistration.silence.mn1"].passed is None
    assert results["deregistration.fan-out.mn1"].passed is None


# --- revival


def returned():
    story = vanished()
    del story.messages[-2:]
    story.stay("dgw2", 11)
    story.pba(11.02, story.pbu(11.01, "dgw2", "cmd", "dgw2", handoff=1))
    story.ra(11.1, "dgw2")
    story.ra(11.1, "dgw1", preferred=0, preference="low")
    return story


def test_a_right_revival(tmp_path):
    [result] = returned().judge(tmp_path, "revival", hold=2).values()
    assert result.passed, result.measured
    assert result.evidence


@pytest.mark.parametrize(
    "change",
    [
        lambda s: s.alter(s.find("PBU", handoff=1), handoff=5),
        lambda s: s.alter(s.find("PBU", handoff=1), time=T0 + 13),
        lambda s: s.alter(s.find("PBA", handoff=1), status=153),
        lambda s: s.pbu(12.02, "cmd", "dgw1", "dgw1", lifetime=0, **serving("dgw2")),
        lambda s: s.advertisements.pop(),
        lambda s: s.ra(11.2, "dgw3"),
    ],
)
def test_a_wrong_revival(tmp_path, change):
    story = returned()
    change(story)
    [result] = story.judge(tmp_path, "revival", hold=2).values()
    assert result.passed is False


# --- anchor timers


def asking():
    story = Story()
    story.stay("dgw1", 0, 2)
    story.stay("dgw2", 2.01)
    story.ra(0.1, "dgw1")
    story.pba(2.04, story.pbu(2.03, "cmd", "dgw1", "dgw1", **serving("dgw2")))
    story.pba(10.042, story.pbu(10.041, "dgw1", "cmd", "dgw1", lifetime=0), lifetime=1)
    story.pba(14.044, story.pbu(14.043, "dgw1", "cmd", "dgw1", lifetime=0), lifetime=2)
    return story


def test_an_anchor_that_asks(tmp_path):
    [result] = asking().judge(tmp_path, "anchor-timers", lifetime=8).values()
    assert result.passed, result.measured
    assert "2 times" in result.measured


@pytest.mark.parametrize(
    ("change", "outcome"),
    [
        (lambda s: s.alter(s.find("PBA", lifetime=1), lifetime=0), False),
        (lambda s: s.alter(s.find("PBU", lifetime=0), time=T0 + 6), False),
        (lambda s: s.messages.pop(), False),
        (lambda s: s.pbu(12, "cmd", "dgw1", "dgw1", lifetime=0, **serving("dgw2")), False),
        (lambda s: s.messages.__delitem__(slice(2, None)), None),
    ],
)
def test_an_anchor_that_asks_wrongly(tmp_path, change, outcome):
    story = asking()
    change(story)
    [result] = story.judge(tmp_path, "anchor-timers", lifetime=8).values()
    assert result.passed is outcome


# --- release


def released():
    story = Story()
    story.stay("dgw1", 0, 2)
    story.stay("dgw2", 2.01)
    story.ra(0.1, "dgw1")
    story.ra(2.1, "dgw1", preferred=0, preference="low")
    story.tunnelled(4, "dgw2", "dgw1")
    story.pba(6.502, story.pbu(6.5, "dgw2", "cmd", "dgw1", lifetime=0))
    story.pba(6.504, story.pbu(6.503, "cmd", "dgw1", "dgw1", lifetime=0, **serving("dgw2")))
    story.ra(6.51, "dgw1", valid=0, preferred=0, lifetime=0)
    story.ra(6.61, "dgw1", valid=0, preferred=0, lifetime=0)
    return story


def test_a_right_release(tmp_path):
    results = released().judge(tmp_path, "release", idle=2)
    assert [one.passed for one in results.values()] == [True, True], results


@pytest.mark.parametrize(
    ("change", "wanted", "outcome"),
    [
        (lambda s: s.messages.__delitem__(slice(2, None)), "signalling", False),
        (lambda s: s.tunnelled(6, "dgw2", "dgw1"), "signalling", False),
        (lambda s: s.packets.clear(), "signalling", False),
        (lambda s: s.alter(s.find("PBU"), prefixes=(PREFIX["dgw1"], PREFIX["dgw3"])), "signalling", False),
        (lambda s: s.ra(7, "dgw1", preferred=0, preference="low"), "farewell", False),
        (lambda s: s.ra(7, "dgw1", valid=8, preferred=0, lifetime=0), "farewell", False),
        (lambda s: s.ra(7, "dgw1", valid=0, preferred=0, lifetime=0, preference="low"), "farewell", False),
        (lambda s: [s.ra(7 + n, "dgw1", valid=0, preferred=0, lifetime=0) for n in (0, 1)], "farewell", False),
        (lambda s: s.advertisements.__delitem__(slice(2, None)), "farewell", None),
    ],
)
def test_a_wrong_release(tmp_path, change, wanted, outcome):
    story = released()
    change(story)
    results = story.judge(tmp_path, "release", idle=2)
    assert results[f"release.{wanted}.mn1.dgw1"].passed is outcome


# --- retransmission


def repeated():
    story = Story()
    story.stay("dgw1", 0, 2)
    story.stay("dgw2", 2.01)
    for t in (2.02, 2.27, 2.77, 3.77):
        update = story.pbu(t, "dgw2", "cmd", "dgw2")
        story.pba(t + 0.01, update)
    items = ["tunnel 2001:db8:c:1::2"]
    story.dump(5, "stay 1", "dgw2", nodes={MN_ID: {}}, items=items)
    story.dump(5, "stay 1", "dgw1", nodes={MN_ID: {}}, items=["tunnel 2001:db8:c:2::2", "anchor-route x"])
    story.dump(5, "stay 1", "cmd", sessions={MN_ID: {}})
    return story


def schedule(story, directory):
    return story.judge(directory, "retransmission", stay=1, lost=3, initial_ms=250)


def test_the_right_schedule(tmp_path):
    results = schedule(repeated(), tmp_path)
    assert [one.passed for one in results.values()] == [True, True], results


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        (lambda s: s.alter(s.find("PBU", 2), time=T0 + 2.52), "schedule"),
        (lambda s: s.alter(s.find("PBU", 1), timestamp=T0 + 2.02), "schedule"),
        (lambda s: s.alter(s.find("PBU", 1), sequence=1), "schedule"),
        (lambda s: s.pbu(5.77, "dgw2", "cmd", "dgw2"), "schedule"),
        (lambda s: s.events[-2]["state"]["items"].append("tunnel 2001:db8:c:3::2"), "once"),
        (lambda s: s.events[-2]["state"].update(nodes={}), "once"),
        (lambda s: s.events[-1]["state"].update(sessions={}), "once"),
    ],
)
def test_a_wrong_schedule(tmp_path, change, wanted):
    story = repeated()
    change(story)
    assert schedule(story, tmp_path)[f"retransmission.{wanted}.mn1.1"].passed is False


def left_early(after=None):
    story = Story()
    story.stay("dgw1", 0, 2)
    story.stay("dgw2", 2.01, 2.3)
    story.stay("dgw1", 2.31)
    for t in (2.02, 2.27, *([after] if after else [])):
        story.pbu(t, "dgw2", "cmd", "dgw2")
    story.event(5, "step", title="done")
    return story


def test_silence_about_a_node_that_left(tmp_path):
    [result] = left_early().judge(tmp_path, "no-retransmission", stay=1, initial_ms=250).values()
    assert result.passed, result.measured
    [result] = left_early(2.77).judge(tmp_path, "no-retransmission", stay=1, initial_ms=250).values()
    assert result.passed is False


def test_a_recording_that_ends_too_early_proves_no_silence(tmp_path):
    story = left_early()
    story.events.pop()
    [result] = story.judge(tmp_path, "no-retransmission", stay=1, initial_ms=250).values()
    assert result.passed is None


def in_parts():
    story = Story()
    story.stay("dgw1", 0, 2)
    story.stay("dgw2", 2.01, 4)
    story.stay("dgw3", 4.01)
    update = story.pbu(4.02, "dgw3", "cmd", "dgw3")
    story.pba(4.52, update, anchors=(group("dgw2"),))
    story.pba(5.0, story.pbu(4.9, "cmd", "dgw1", "dgw1", **serving("dgw3")))
    story.pba(5.01, update, anchors=(group("dgw1"),))
    return story


def group(name):
    return AnchorGroup(ADDRESS[name], PREFIX[name], Dlif(None, None))


def test_an_answer_in_parts(tmp_path):
    [result] = in_parts().judge(tmp_path, "partial-answer", stay=2, slow="dgw1").values()
    assert result.passed, result.measured


@pytest.mark.parametrize(
    "change",
    [
        lambda s: s.alter(s.find("PBA"), time=T0 + 4.03),
        lambda s: s.alter(s.find("PBA"), anchors=(group("dgw2"), group("dgw1"))),
        lambda s: s.messages.pop(),
        lambda s: s.alter(s.find("PBA", 2), time=T0 + 4.8),
    ],
)
def test_an_answer_in_wrong_parts(tmp_path, change):
    story = in_parts()
    change(story)
    [result] = story.judge(tmp_path, "partial-answer", stay=2, slow="dgw1").values()
    assert result.passed is False


# --- recovery, on the made-up walk with its flows


@pytest.fixture(scope="module")
def faulty(tmp_path_factory):
    world = World("direct")
    lab = {"node": "dgw1", "agent": "lab", "fault": "link-down"}
    world.events.append({"t": syn.T0 + 4.0, "event": "fault", "unaffected": ["ping2"], **lab})
    world.events.append({"t": syn.T0 + 4.3, "event": "fault-ended", **lab})
    silent = tmp_path_factory.mktemp("silent")
    whole = run_of(world, tmp_path_factory.mktemp("whole"))
    world.drop(lambda frame: frame.tag.startswith("pong:12:") and frame.t - syn.T0 > 4.0)
    return whole, run_of(world, silent)


def test_sessions_during_and_after_a_fault(faulty):
    results = {one.id: one for one in call(faulty[0], {"check": "recovery", "bound_ms": 200, "unaffected_ms": 150})}
    assert {"recovery.link-down.unaffected.ping2", "recovery.link-down.after.camera"} <= set(results)
    assert all(one.passed and one.evidence for one in results.values()), results


def test_a_session_that_noticed_and_never_recovered(faulty):
    results = {one.id: one for one in call(faulty[1], {"check": "recovery", "bound_ms": 200, "unaffected_ms": 150})}
    wrong = {id_ for id_, one in results.items() if one.passed is not True}
    assert wrong == {"recovery.link-down.unaffected.ping2", "recovery.link-down.after.ping2"}


def test_no_fault_proves_nothing(tmp_path):
    [result] = Story().judge(tmp_path, "recovery").values()
    assert result.passed is None


# --- the end of a recording


@pytest.mark.parametrize("later", [True, False])
def test_an_update_after_the_end_of_its_senders_recording_is_not_missed(tmp_path, later):
    """Recorders end one after the other: the answer to a last refresh may be all that is left of it"""
    story = vanished()
    refresh = story.pbu(13, "dgw2", "cmd", "dgw2", handoff=5)
    story.pba(13.001, refresh)
    story.messages.remove(refresh)
    if later:
        story.tunnelled(13.002, "dgw2", "dgw1")
    echo = story.judge(tmp_path, "signalling")["signalling.echo"]
    assert ("answers no PBU" in echo.measured) == later
