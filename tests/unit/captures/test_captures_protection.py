"""Checks `protection` and `intruder` on made-up runs whose signalling is in ESP, and on doctored ones."""

import hashlib
import hmac
import json
import struct

import pytest
import synthetic_wire as wire
from doctoring import run_of, runs_of
from synthetic import ADDRESS, CORE, T0, WAN, World

from captures import redact
from captures.checks import call
from captures.run import Run

MOBILITY, ESP = 135, 50
ETHERNET, IPV6 = 14, 40
CMD, D1 = "cmd", "dgw1"


def key(spi):
    return hashlib.sha256(spi.to_bytes(4, "big")).digest()


NAMES = ("cmd", "dgw1", "dgw2", "dgw3")
PAIRS = [(a, b) for a in NAMES for b in NAMES if a != b]
SPIS = {(ADDRESS[a], ADDRESS[b]): 0x1001 + number for number, (a, b) in enumerate(PAIRS)}
SECRETS = {
    "associations": [
        {"source": source, "destination": destination, "spi": spi, "key": key(spi).hex()}
        for (source, destination), spi in SPIS.items()
    ]
}


def sealed(message, spi, sequence, secret=None):
    covered = struct.pack(">II", spi, sequence) + message + bytes((1, 2, 2, MOBILITY))
    return covered + hmac.digest(secret or key(spi), covered, "sha256")[:16]


def protect(world, number=lambda spi, count: count, secret=lambda spi: key(spi), clear=lambda tag: False):
    """Put every Mobility Header of a run into ESP; both captures of a packet get the same octets."""
    numbers, made = {}, {}
    for frame in sorted(world.frames, key=lambda frame: frame.t):
        packet = frame.data[ETHERNET:]
        if frame.data[12:14] != b"\x86\xdd" or packet[6] != MOBILITY or clear(frame.tag):
            continue
        source, destination = (str(wire.IPv6Address(packet[i : i + 16])) for i in (8, 24))
        if packet not in made:
            spi = SPIS[source, destination]
            numbers[spi] = numbers.get(spi, 0) + 1
            esp = sealed(packet[IPV6:], spi, number(spi, numbers[spi]), secret(spi))
            made[packet] = wire.ipv6(source, destination, ESP, esp)
        frame.data = frame.data[:ETHERNET] + made[packet]
    world.events += [
        {"t": T0, "node": node, "agent": "x", "event": "protection", "method": "esp"} for node in (CMD, D1)
    ]
    return world


def signalling_only(mode="relay"):
    """A run without user data: decoding takes a tenth of the time."""
    world = World(mode)
    world.frames = [frame for frame in world.frames if frame.data[20] == MOBILITY]
    return world


# --- attacks

ATTACKED = 8.0
"""Seconds after T0."""


def inject(world, octets, t=ATTACKED):
    """An ESP packet from the CMD's address that the CMD never sent, at dgw1."""
    packet = wire.ipv6(ADDRESS[CMD], ADDRESS[D1], ESP, octets)
    world.put("dgw1-wan", t, wire.ether(CORE[D1], WAN[D1], packet), "injected")


def attacked(told=2, changed=False, counted=2):
    """A protected run in which two packets were injected: a replay and a forgery."""
    world = protect(signalling_only())
    whole = next(f.data for f in world.frames if f.tag.startswith("pbu:cmd:dgw1") and f.capture == "cmd-eth0")
    inject(world, whole[ETHERNET + IPV6 :])
    inject(world, sealed(bytes.fromhex("3b010500aabb0001c000000401020000"), 0x1001, 9999, bytes(32)), ATTACKED + 0.01)
    begin, end = T0 + ATTACKED - 0.1, T0 + ATTACKED + 0.1
    common = {"node": D1, "agent": "lab", "event": "state-dump", "attack": "forged"}
    states = {"nodes": {"mn1": {"care_of": 1}}}, {"nodes": {"mn1": {"care_of": 2 if changed else 1}}}
    world.events += [
        {"t": begin, **common, "moment": "before", "state": states[0], "counters": {"x": 1}},
        {"t": begin, "node": "i", "agent": "lab", "event": "attack", "kind": "forged", "target": D1, "packets": told},
        {"t": end, **common, "moment": "after", "state": states[1], "counters": {"x": 1, "esp-replay": counted}},
    ]
    return world


def answered(status):
    """dgw1 says something to the CMD while it is attacked."""
    world = attacked()
    answer = next(f.data for f in world.frames if f.tag.startswith("pba:dgw1:cmd") and f.capture == "dgw1-wan")
    message = answer[ETHERNET + IPV6 + 8 : -16 - 4]
    message = message[:6] + bytes((status,)) + message[7:]
    packet = wire.ipv6(ADDRESS[D1], ADDRESS[CMD], ESP, sealed(message, SPIS[ADDRESS[D1], ADDRESS[CMD]], 77))
    world.put("dgw1-wan", ATTACKED + 0.02, wire.ether(WAN[D1], CORE[D1], packet), "answer")
    return world


RUNS = {
    "relay": lambda: protect(World("relay")),
    "direct": lambda: protect(World("direct")),
    "one in the clear": lambda: protect(signalling_only(), clear=lambda tag: tag.startswith("pba:cmd:dgw2")),
    "all in the clear": lambda: protect(signalling_only(), clear=lambda tag: True),
    "another key": lambda: protect(signalling_only(), secret=lambda spi: bytes(32) if spi == 0x1001 else key(spi)),
    "one number twice": lambda: protect(signalling_only(), number=lambda spi, count: min(count, 2)),
    "numbers from 0": lambda: protect(signalling_only(), number=lambda spi, count: count - 1),
    "attacked": attacked,
    "one more told": lambda: attacked(told=3),
    "state changed": lambda: attacked(changed=True),
    "one not counted": lambda: attacked(counted=1),
    "accepted": lambda: answered(0),
    "rejected otherwise": lambda: answered(157),
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """All runs, their captures decoded together."""
    made = runs_of(tmp_path_factory.mktemp("protected"), {name: world() for name, world in RUNS.items()})
    for run in made.values():
        (run.directory / "secrets.json").write_text(json.dumps({"cmd": SECRETS}))
    return made


def results(run, check, **parameters):
    return {result.id: result for result in call(run, {"check": check, **parameters})}


@pytest.mark.requirement("SEC-1", "SEC-2", "SEC-3")
@pytest.mark.parametrize("mode", ["relay", "direct"])
def test_a_protected_run_passes_and_its_signalling_can_be_read(runs, mode):
    found = results(runs[mode], "protection")
    assert [result.passed for result in found.values()] == [True, True, True]
    assert all(result.evidence for result in found.values())
    inside = results(runs[mode], "signalling")
    assert inside
    assert all(result.passed for result in inside.values())
    assert all(result.passed for result in results(runs[mode], "cmd-interface").values())


@pytest.mark.parametrize(
    ("name", "result", "text"),
    [
        ("one in the clear", "protection.esp", "in the clear"),
        ("all in the clear", "protection.icv", "no ESP packet"),
        ("another key", "protection.icv", "ICV is wrong"),
        ("one number twice", "protection.sequence", "2 after 2"),
        ("numbers from 0", "protection.sequence", "number 0"),
    ],
)
def test_a_doctored_run_fails(runs, name, result, text):
    found = results(runs[name], "protection")[result]
    assert found.passed is not True
    assert text in found.measured


@pytest.mark.parametrize("secrets", [None, "crossed"])
def test_without_the_right_keys_nothing_is_proved(runs, secrets):
    run = runs["attacked"]
    crossed = [{**one, "source": one["destination"], "destination": one["source"]} for one in SECRETS["associations"]]
    run = Run(run.directory, run.captures.values())
    run.secrets = {"cmd": {"associations": crossed}} if secrets else {}
    found = results(run, "protection")["protection.icv"]
    assert found.passed is (False if secrets else None)
    assert ("is no association" if secrets else "no keys in secrets.json") in found.measured


def test_attacks_that_come_to_nothing(runs):
    found = results(runs["attacked"], "intruder", allow_status=[154])
    assert {name: result.passed for name, result in found.items()} == dict.fromkeys(found, True)
    assert found["intruder.wire"].measured == "dgw1: 2 forged"
    assert {frame["pcap"] for frame in found["intruder.wire"].evidence} == {"pcap/dgw1-wan.pcapng"}


@pytest.mark.parametrize(
    ("name", "result", "text"),
    [
        ("one more told", "intruder.wire", "dgw1: 3 injected, 2 arrived"),
        ("state changed", "intruder.state", "changed nodes.mn1.care_of"),
        ("one not counted", "intruder.counted", "2 sent, 1 counted"),
        ("accepted", "intruder.answers", "PBA 0 by dgw1 while it is attacked"),
        ("rejected otherwise", "intruder.answers", "PBA 157 by dgw1"),
    ],
)
def test_attacks_that_come_to_something(runs, name, result, text):
    found = results(runs[name], "intruder", allow_status=[154])[result]
    assert found.passed is False
    assert text in found.measured


def test_without_attack_nothing_is_proved(runs):
    assert {result.passed for result in results(runs["relay"], "intruder").values()} == {None}


# --- what may leave the house


@pytest.mark.requirement("SEC-5")
def test_redacted_reports_tell_neither_nodes_nor_addresses(tmp_path):
    paths = redact.export(run_of(World("relay"), tmp_path))
    assert [path.name for path in paths] == ["verdict.json", "report.html"]
    verdict = json.loads(paths[0].read_text())
    assert len(verdict["checks"]) == len(json.loads((tmp_path / "verdict.json").read_text())["checks"])
    told = [(tmp_path / path.name).read_text() for path in paths]
    redacted = [path.read_text() for path in paths]
    for secret in ("2001:db8", "02:d6:00"):
        assert any(secret in text for text in told), f"{secret}: nothing to hide"
    for secret in ("2001:db8", "dmm.example", "02:00:00:00:00:11", "02:d6:00", "fe80:"):
        assert not any(secret in text for text in redacted), secret
    assert all("address-1" in text for text in redacted)


@pytest.mark.requirement("SEC-5")
def test_one_value_one_pseudonym():
    one = redact.Pseudonyms()
    first = one.redact("mn1@dmm.example at 2001:db8:a1:1::/64, 02:00:00:00:00:11, 192.0.2.1")
    assert first == "node-id-1 at address-1/64, mac-1, address-2"
    again = "MN1@dmm.example: 2001:DB8:A1:1:0::, 2001:db8::2: gone"
    assert one.redact(again) == "node-id-1: address-1, address-3: gone"
    other = "12:30:15 UTC, 1.234.5, a::before, ::, dgw1:phy"
    assert one.redact(other) == other
