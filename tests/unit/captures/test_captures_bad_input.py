"""Check bad-input: right probes pass, each wrong reply fails for its reason, a doctored log too."""

import json

import pytest
import synthetic_mh as mh
import synthetic_wire as wire
from doctoring import assembled, learn

from captures import layers as L
from captures.checks import call
from captures.run import Run

GATEWAY, PEER, OUTSIDER = "2001:db8:c:1::2", "2001:db8:c:3::2", "2001:db8:f::2"
HERE, THERE = "02:00:00:00:0c:01", "02:00:00:00:0c:02"
START = 1_760_000_000.0
MN_ID, HNP, MAC = "mn1@dmm.example", "2001:db8:a1:1::/64", "02:00:00:00:00:11"


def options(*left_out, stamp=START):
    full = {
        "id": mh.mn_id(MN_ID),
        "hnp": mh.prefix_option(L.HNP, HNP),
        "hi": L.OctetOption(otype=L.HANDOFF, value=3),
        "att": L.OctetOption(otype=L.ACCESS, value=3),
        "mac": mh.link_layer(L.LINK_LAYER_ID, MAC),
        "stamp": mh.timestamp(stamp),
    }
    return [option for name, option in full.items() if name not in left_out]


def problem(code=0, pointer=40):
    body = bytes((4, code, 0, 0)) + pointer.to_bytes(4, "big") + bytes(40)
    return wire.ipv6(GATEWAY, PEER, 58, wire.with_checksum(GATEWAY, PEER, 58, body, 2))


def in_ip(message, source=GATEWAY, destination=PEER):
    return wire.ipv6(source, destination, 135, message)


def binding_error(status=2):
    head = L.MobilityHeader(mhtype=7, data=bytes((status,)) + bytes(17))
    return in_ip(mh.message(GATEWAY, PEER, head, []))


class World:
    """A run directory with one probe of each kind; tests change frames and events before they judge it."""

    def __init__(self):
        self.frames, self.events = [], []
        pbu = mh.pbu(PEER, GATEWAY, options("hi"), sequence=1)
        self.rejection = {"options": options("hi"), "sequence": 1, "status": 161, "lifetime": 0}
        self.probe("no HI", pbu, {"kind": "ack", "status": 161, "flags": 0x22, "pointer": 0, "sequence": None})
        old = mh.pbu(PEER, GATEWAY, options(stamp=77), sequence=2)
        self.old = {"options": options(stamp=START + 1), "sequence": 2, "status": 157, "lifetime": 0}
        self.probe("old", old, {"kind": "ack", "status": 157, "flags": 0x22, "pointer": 0, "sequence": None})
        odd = mh.pbu(PEER, GATEWAY, options(), sequence=3)
        proto = b"\x06" + odd[1:]
        self.probe("proto", proto, {"kind": "problem", "status": 0, "flags": 0, "pointer": 40, "sequence": None})
        kind = odd[:2] + b"\x40" + odd[3:]
        self.probe("type", kind, {"kind": "error", "status": 2, "flags": 0, "pointer": 0, "sequence": None})
        self.probe("overrun", odd[:13] + b"\xff" + odd[14:], None)
        self.answers = {
            "no HI": in_ip(mh.pba(GATEWAY, PEER, **self.rejection)),
            "old": in_ip(mh.pba(GATEWAY, PEER, **self.old)),
            "proto": problem(),
            "type": binding_error(),
        }

    def probe(self, row, octets, reply):
        event = {
            "t": START + len(self.events),
            "node": "dgw3",
            "agent": "lab",
            "event": "probe",
            "row": row,
            "role": "gateway",
            "requirement": "SC-BADINPUT, RETX-7",
            "target": "dgw1",
            "source": PEER,
            "destination": GATEWAY,
            "octets": octets.hex(),
            "reply": reply,
            "counter": "rejected",
            "counted": {"rejected": 1},
            "before": "d1",
            "after": "d1",
            "tolerated": False,
        }
        self.events.append(event)

    def tunnel(self, *, leaves):
        inner = wire.echo("2001:db8:a1:1::5", OUTSIDER, 1, 7000)
        self.frames.append((START + 20, wire.ether(THERE, HERE, wire.tunnelled(OUTSIDER, GATEWAY, inner))))
        if leaves:
            self.frames.append((START + 20.1, wire.ether(HERE, THERE, inner)))
        counted = {"counter": "unknown_peer", "counted": {"unknown_peer": 1}}
        who = {"node": "cn1", "row": "stranger", "target": "dgw1", "icmp_id": 7000}
        addresses = {"inner_source": "2001:db8:a1:1::5", "inner_destination": OUTSIDER}
        self.events.append({"t": START + 20, "event": "tunnel-probe", "agent": "lab", **who, **addresses, **counted})

    def all_frames(self):
        """What the receiver's capture has, by time."""
        frames = list(self.frames)
        for event in self.events:
            if event["event"] != "probe":
                continue
            frames.append((event["t"], wire.ether(THERE, HERE, in_ip(bytes.fromhex(event["octets"]), PEER, GATEWAY))))
            answer = self.answers.get(event["row"])
            if answer:
                frames.append((event["t"] + 0.001, wire.ether(HERE, THERE, answer)))
        return sorted(frames)

    def judge(self, directory, **parameters):
        learn(frames := self.all_frames())
        gateways = {
            name: {"address": address, "pool": pool, "wan": "wan", "phy": "phy"}
            for name, address, pool in (
                ("dgw1", GATEWAY, "2001:db8:a1::/48"),
                ("dgw3", PEER, "2001:db8:c3::/48"),
            )
        }
        lab = {
            "format": 1,
            "lab": "x",
            "nodes": {},
            "domain": {"gateways": gateways},
        }
        (directory / "lab.json").write_text(json.dumps(lab))
        (directory / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in self.events))
        run = Run(directory, [assembled("dgw1-wan", frames)])
        results = call(run, {"check": "bad-input", **({"rows": {"gateway": 5}} | parameters)})
        return {result.id.removeprefix("bad-input."): result for result in results}


@pytest.mark.requirement("SC-BADINPUT")
def test_right_answers_pass(tmp_path):
    world = World()
    world.tunnel(leaves=False)
    results = world.judge(tmp_path, tunnelled=1)
    assert {name: result.passed for name, result in results.items()} == dict.fromkeys(
        ("gateway.replies", "gateway.state", "gateway.counts", "tunnel"), True
    )
    assert results["gateway.replies"].measured == "4 replies as named, silence for 1"
    assert results["gateway.replies"].requirement == "SC-BADINPUT, RETX-7"


def reject(**changes):
    return lambda world: world.answers.update({"no HI": in_ip(mh.pba(GATEWAY, PEER, **{**world.rejection, **changes}))})


def event(index, **changes):
    return lambda world: world.events[index].update(changes)


DOCTORED = {
    "another status": (reject(status=162), "replies", "no HI: status 162 instead of 161"),
    "no D flag": (reject(flags=0x20), "replies", "flags 32 instead of 34"),
    "a lifetime": (reject(lifetime=75), "replies", "lifetime 75 instead of 0"),
    "another sequence": (reject(sequence=9), "replies", "sequence 9 instead of 1"),
    "no MN-ID echoed": (reject(options=options("hi", "id")), "replies", "mn_id None"),
    "no MAC echoed": (reject(options=options("hi", "mac")), "replies", "link_layer_id None"),
    "no HNP echoed": (reject(options=options("hi", "hnp")), "replies", "HNP "),
    "an HI from nowhere": (reject(options=options()), "replies", "handoff 3 instead of None"),
    "another time echoed": (reject(options=options("hi", stamp=5)), "replies", "Timestamp 5.0 instead of"),
    "a bad checksum": (reject(checksum=0x4711), "replies", "bad checksum"),
    "no answer": (lambda world: world.answers.pop("no HI"), "replies", "no HI: 0 answers"),
    "the sender's time at 157": (
        lambda w: w.answers.update(old=in_ip(mh.pba(GATEWAY, PEER, **{**w.old, "options": options(stamp=77)}))),
        "replies",
        "not the receiver's time",
    ),
    "another pointer": (lambda w: w.answers.update(proto=problem(pointer=41)), "replies", "(4, 0, 41)"),
    "another code": (lambda w: w.answers.update(proto=problem(code=1)), "replies", "(4, 1, 40)"),
    "an answer of the wrong kind": (lambda w: w.answers.update(proto=binding_error()), "replies", "BE instead of"),
    "another BE status": (lambda w: w.answers.update(type=binding_error(1)), "replies", "type: BE 01"),
    "an answer to what deserves none": (lambda w: w.answers.update(overrun=problem()), "replies", "overrun: answered"),
    "a probe that never arrived": (event(4, source="2001:db8::9"), "replies", "not in the receiver's capture"),
    "too few probes": (lambda world: world.events.pop(), "replies", "4 of 5 probes were sent"),
    "the state changed": (event(1, after="d2"), "state", "old: the state changed"),
    "no dump": (event(1, before="", after=""), "state", "old: the state changed"),
    "not counted": (event(2, counted={}), "counts", "proto: counted {}"),
    "counted twice": (event(2, counted={"rejected": 2}), "counts", "proto: counted {'rejected': 2}"),
}


@pytest.fixture(scope="module")
def worlds():
    """The doctored worlds, their frames decoded together."""
    made = {name: World() for name in DOCTORED}
    for name, (doctor, *_) in DOCTORED.items():
        doctor(made[name])
    learn(frame for world in made.values() for frame in world.all_frames())
    return made


@pytest.mark.requirement("SC-BADINPUT")
@pytest.mark.parametrize("name", DOCTORED)
def test_wrong_answers_fail(tmp_path, worlds, name):
    _, what, text = DOCTORED[name]
    world = worlds[name]
    result = world.judge(tmp_path)[f"gateway.{what}"]
    assert result.passed is False
    assert text in result.measured


def test_a_decapsulated_packet_fails(tmp_path):
    world = World()
    world.tunnel(leaves=True)
    result = world.judge(tmp_path, tunnelled=1)["tunnel"]
    assert (result.passed, result.measured) == (False, "stranger: decapsulated")


def test_nothing_sent_is_nothing_proven(tmp_path):
    world = World()
    world.events = [{"t": START, "event": "step", "agent": "lab"}]
    results = world.judge(tmp_path, tunnelled=1, solicitations=1)
    assert {result.passed for result in results.values()} == {None}


@pytest.mark.requirement("AMB-5")
@pytest.mark.parametrize(
    ("word", "octet", "passed"), [(0x8300, 0x30, True), (0x8210, 0x22, False), (0x8310, 0x32, False)]
)
def test_the_d_flag_is_where_its_gateway_has_it(tmp_path, word, octet, passed):
    """dgw3 speaks as the draft did, dgw1 as published; neither flag in both places"""
    frames = [
        (PEER, GATEWAY, mh.pbu(PEER, GATEWAY, options(), flags=word)),
        (GATEWAY, PEER, mh.pba(GATEWAY, PEER, options(), flags=octet)),
        (GATEWAY, OUTSIDER, mh.pbu(GATEWAY, OUTSIDER, options(), flags=0x8210)),
        (OUTSIDER, GATEWAY, mh.pba(OUTSIDER, GATEWAY, options(), flags=0x22)),
    ]
    ether = [(START + n, wire.ether(HERE, THERE, in_ip(data, s, d))) for n, (s, d, data) in enumerate(frames)]
    (tmp_path / "pcap").mkdir()
    (tmp_path / "pcap" / "dgw1-wan.pcapng").write_bytes(wire.pcapng(ether))
    common = {"wan": "wan", "phy": "phy"}
    gateways = {
        "dgw1": {"address": GATEWAY, "pool": "2001:db8:a1::/48", **common},
        "dgw3": {"address": PEER, "pool": "2001:db8:c3::/48", **common, "dflag_profile": "draft03"},
    }
    domain = {"gateways": gateways, "mode": "relay", "cmd": {"node": "cmd", "address": OUTSIDER, "interface": "eth0"}}
    captures = [{"file": "pcap/dgw1-wan.pcapng", "node": "dgw1", "interface": "wan"}]
    lab = {"format": 1, "lab": "x", "nodes": {}, "domain": domain, "captures": captures}
    (tmp_path / "lab.json").write_text(json.dumps(lab))
    (tmp_path / "events.jsonl").write_text(json.dumps({"t": START, "event": "step"}) + "\n")
    run = Run(tmp_path)
    [result] = [r for r in call(run, {"check": "signalling"}) if r.id == "signalling.flags"]
    assert result.passed is passed
    assert len([m for m in run.signalling if m.distributed]) == (4 if passed or word == 0x8310 else 2)
