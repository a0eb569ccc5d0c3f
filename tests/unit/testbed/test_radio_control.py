"""The control interface of hostapd and wpa_supplicant, and what they are told to do."""

from __future__ import annotations

import socket
import threading
import time
from pathlib import Path

import pytest

from testbed.radio.control import Control, Report, fields, parse
from testbed.radio.programs import CHANNELS, SECURITY, Hostapd, Supplicant
from testbed.validation import LabError


@pytest.mark.parametrize(
    ("data", "name", "mac"),
    [
        (b"<3>AP-STA-CONNECTED 02:00:00:00:00:11", "AP-STA-CONNECTED", "02:00:00:00:00:11"),
        (b"<3>AP-STA-CONNECTED 02:00:00:00:00:11 auth_alg=ft", "AP-STA-CONNECTED", "02:00:00:00:00:11"),
        (b"<3>AP-STA-DISCONNECTED 02:00:00:00:00:1F\n", "AP-STA-DISCONNECTED", "02:00:00:00:00:1f"),
        (
            b"<3>CTRL-EVENT-CONNECTED - Connection to 02:72:61:00:03:e9 completed [id=0 id_str=]",
            "CTRL-EVENT-CONNECTED",
            "02:72:61:00:03:e9",
        ),
        (b"<3>CTRL-EVENT-SCAN-RESULTS ", "CTRL-EVENT-SCAN-RESULTS", None),
        (b"<3>SME: Trying to authenticate with 02:72:61:00:03:ea (SSID='x')", "SME:", "02:72:61:00:03:ea"),
        (b"<4>\xff\xfe", "\ufffd\ufffd", None),
    ],
)  # fmt: skip
def test_an_event_has_a_name_and_perhaps_an_address(data: bytes, name: str, mac: str | None) -> None:
    report = parse(data, 5.0)
    assert report is not None
    assert (report.t, report.name, report.mac) == (5.0, name, mac)


@pytest.mark.parametrize("data", [b"", b"OK\n", b"PONG", b"AP-STA-CONNECTED 02:00:00:00:00:11", b"<x>AP", b"<"])
def test_an_answer_is_no_event(data: bytes) -> None:
    assert parse(data, 5.0) is None


def test_the_fields_of_an_answer() -> None:
    assert fields("state=ENABLED\nssid[0]=a=b\nnonsense\n\n") == {"state": "ENABLED", "ssid[0]": "a=b"}


class Program:
    """The program's side of a control socket: answers each command, sends an event to who attached."""

    def __init__(self, path: Path, answers: dict[str, str]) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.answers = answers
        self.attached = threading.Event()
        self.monitor = ""
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            data, sender = self.socket.recvfrom(4096)
            command = data.decode()
            self.socket.sendto(self.answers.get(command, "UNKNOWN COMMAND\n").encode(), sender)
            if command == "ATTACH":
                self.monitor = sender
                self.attached.set()

    def say(self, text: str) -> None:
        self.socket.sendto(text.encode(), self.monitor)


@pytest.fixture
def program(tmp_path: Path) -> Program:
    return Program(tmp_path / "ap-1", {"PING": "PONG\n", "ROAM x": "OK\n", "BSSID": "FAIL\n", "ATTACH": "OK\n"})


def test_commands_are_answered_and_refusals_are_one_line(program: Program, tmp_path: Path) -> None:
    control = Control("mn1 wpa_supplicant", tmp_path / "ap-1")
    assert control.ask("PING") == "PONG\n"
    control.do("ROAM x")
    with pytest.raises(LabError, match=r"^mn1 wpa_supplicant: BSSID: FAIL$"):
        control.do("BSSID")
    control.close()
    assert [path.name for path in tmp_path.iterdir()] == ["ap-1"]


def test_an_event_that_is_read_late_is_not_late(program: Program, tmp_path: Path) -> None:
    """The time is the kernel's, of the sending: what a slow reader does with it does not matter."""
    control = Control("cell1 hostapd", tmp_path / "ap-1")
    control.attach()
    assert program.attached.wait(5)
    before = time.time()
    program.say("<3>AP-STA-CONNECTED 02:00:00:00:00:11")
    after = time.time()
    while time.time() < after + 0.01:  # so that reading is later by more than the clock's grain
        pass
    report = control.read()
    assert report == Report(report.t if report else 0.0, "AP-STA-CONNECTED 02:00:00:00:00:11")
    assert report is not None
    assert before - 0.001 <= report.t <= after + 0.001
    control.close()


def test_nobody_there_is_an_oserror_and_leaves_no_socket(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        Control("x", tmp_path / "nobody")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("security", SECURITY)
def test_access_points_and_stations_agree(security: str, tmp_path: Path) -> None:
    point = Hostapd(None, "ap-1", "cell1", 6, security, tmp_path, tmp_path / "log").lines()  # type: ignore[arg-type]
    station = Supplicant(None, "eth0", security, tmp_path, tmp_path / "log").lines()  # type: ignore[arg-type]
    assert {"interface=ap-1", "bridge=cell1", "channel=6", "ap_isolate=1", "driver=nl80211"} <= set(point)
    text = "\n".join(station)
    ssid = next(line.partition("=")[2] for line in point if line.startswith("ssid="))
    assert f'ssid="{ssid}"' in text
    assert f"scan_freq={' '.join(map(str, CHANNELS.values()))}" in text
    phrase = [line.partition("=")[2] for line in point if line.startswith("wpa_passphrase=")]
    assert bool(phrase) == (security != "open")
    assert all(f'psk="{one}"' in text for one in phrase)
    assert any("mobility_domain" in line for line in point) == (security == "wpa2-ft")
    assert ("FT-PSK" in text) == (security == "wpa2-ft")
