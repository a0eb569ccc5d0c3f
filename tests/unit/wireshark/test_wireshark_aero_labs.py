"""Frames of real AERO runs in a real tshark: it reads in them what the checks' own decoder reads.

aero_labs.pcap holds one frame of each kind that the labs put on the wire: every encapsulation over and with either IP
version, whole, in parts and behind an atomic Fragment Header, solicitations, probes, advertisements and hints, and what
Client, relay and Kea said to each other.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from scapy.utils import RawPcapReader
from wireshark_lua import SCRIPT, tshark

from captures.aero.decode import read_frame
from captures.aero.records import Frame

CAPTURE = Path(__file__).parent / "aero_labs.pcap"
CODES = ("0", "0F", "1", "1F", "2", "2F", "3")
FIELDS = (
    "code", "inner_size", "padding", "fragment.id", "fragment.offset", "nd", "nonce", "observed.size", "lladdr.port",
    "dhcp.option",
)  # fmt: skip


@pytest.fixture(scope="module")
def frames() -> list[Frame]:
    found = []
    for number, (octets, _meta) in enumerate(RawPcapReader(str(CAPTURE)), 1):
        frame = read_frame(octets, CAPTURE.name, number, 0.0, "s1", "wan")
        assert frame
        found.append(frame)
    return found


def rows(home: Path, *options: str) -> list[dict[str, list[str]]]:
    argv = ["-n", "-X", f"lua_script:{SCRIPT}", "-r", CAPTURE, *options, "-T", "fields"]
    argv += ["-E", "separator=;", "-E", "aggregator=|"]
    names = [f"roamlab.aero.{name}" for name in FIELDS]
    said = tshark(*argv, *(word for name in [*names, "_ws.lua.error"] for word in ("-e", name)), home=home)
    assert "Lua" not in said
    return [
        dict(zip((*FIELDS, "error"), (value.split("|") if value else [] for value in line.split(";")), strict=True))
        for line in said.splitlines()
    ]


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, list[str]]]:
    return rows(tmp_path_factory.mktemp("home"), "-o", "roamlab.aero.minimal:true")


def test_the_capture_holds_every_format(frames: list[Frame]) -> None:
    seen = {(frame.code, frame.outer.version) for frame in frames}
    assert seen >= {(code, version) for code in CODES for version in (4, 6)}
    inner = {(frame.code, frame.inner.version) for frame in frames if frame.inner}
    assert inner >= {(code, version) for code in CODES for version in (4, 6)}
    messages = {frame.dhcp.name for frame in frames if frame.dhcp}
    assert messages >= {"Solicit", "Reply", "Renew", "Release", "Relay-forward", "Relay-reply"}
    hints = [one for one in frames if one.discovery and one.discovery.name == "NA" and not one.discovery.nonce]
    assert hints
    assert any(frame.padding for frame in frames)


@pytest.mark.requirement("ENC-2", "ENC-3", "ENC-4")
def test_codes_and_sizes(frames: list[Frame], read: list[dict[str, list[str]]]) -> None:
    for frame, said in zip(frames, read, strict=True):
        assert not said["error"]
        assert frame.code in said["code"] or (not frame.code and not said["code"]), frame.number
        if frame.inner and (frame.fragment is None or frame.fragment.atomic):
            assert str(frame.inner.size) in said["inner_size"]
        assert said["padding"] == ([str(frame.padding)] if frame.padding else [])
        if frame.fragment:
            assert said["fragment.id"] == [f"0x{frame.fragment.identification:08x}"]
            assert said["fragment.offset"] == [str(frame.fragment.offset)]


def test_control_messages(frames: list[Frame], read: list[dict[str, list[str]]]) -> None:
    for frame, said in zip(frames, read, strict=True):
        seen = frame.discovery
        assert set(said["nd"]) == ({seen.name} if seen else set())
        if seen is None:
            continue
        assert set(said["nonce"]) == ({seen.nonce.hex(" ")} if seen.nonce else set())
        assert set(said["observed.size"]) == ({str(seen.observed.size)} if seen.observed else set())
        ports = [one.port for one in seen.lladdrs] + ([seen.observed.port] if seen.observed else [])
        assert set(said["lladdr.port"]) == set(map(str, ports))


@pytest.mark.requirement("LDRA-3", "LDRA-5")
def test_options_of_dhcp(frames: list[Frame], read: list[dict[str, list[str]]]) -> None:
    expected = {
        "Solicit": [],
        "Renew": [],
        "Release": [],
        "Reply": ["Client link-layer address"],
        "Relay-forward": ["Interface-ID of the relay", "Client link-layer address"],
        "Relay-reply": ["Interface-ID of the relay", "Client link-layer address"],
    }
    for frame, said in zip(frames, read, strict=True):
        assert said["dhcp.option"] == (expected[frame.dhcp.name] if frame.dhcp else [])
        if frame.dhcp and frame.dhcp.lladdr:
            assert said["lladdr.port"] == [str(frame.dhcp.lladdr[1])]


def test_ip_in_ip_is_aero_only_where_it_says_so(frames: list[Frame], tmp_path: Path) -> None:
    for frame, said in zip(frames, rows(tmp_path), strict=True):
        if frame.code == "1":
            assert said["code"] == (["1"] if frame.discovery else [])
