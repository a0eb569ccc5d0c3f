"""Fixtures of the dissectors' tests: captures made of packets, and what tshark reads in them."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from scapy.packet import Packet
from scapy.utils import PcapWriter
from wireshark_lua import SCRIPT, Decode, around, tshark


@pytest.fixture(scope="session", autouse=True)
def _tshark_with_lua() -> None:
    if shutil.which("tshark") is None:
        pytest.skip("tshark is not installed (Debian package tshark)")
    version = subprocess.run(["tshark", "--version"], capture_output=True, text=True, check=True).stdout
    if "with Lua" not in " ".join(version.split()):
        pytest.skip(f"this tshark was built without Lua: {version.splitlines()[0]}")


@pytest.fixture
def record(tmp_path: Path) -> Callable[[Iterable[Packet | bytes]], Path]:
    """Write messages (or whole packets) into a capture."""

    def write(messages: Iterable[Packet | bytes]) -> Path:
        path = tmp_path / "made.pcap"
        with PcapWriter(str(path), linktype=1, sync=False) as file:
            for message in messages:
                file.write(message if isinstance(message, Packet) else around(message))
        return path

    return write


@pytest.fixture
def decode(record: Callable[..., Path], tmp_path: Path) -> Decode:
    """One row of field texts per message; several values of a field are joined with "|"."""

    def run(messages: Iterable[Packet | bytes], *fields: str, options: Iterable[str] = ()) -> list[list[str]]:
        argv: list[str | Path] = ["-n", "-X", f"lua_script:{SCRIPT}", "-r", record(messages), *options]
        argv += ["-T", "fields", "-E", "separator=;", "-E", "aggregator=|"]
        said = tshark(*argv, *(word for field in fields for word in ("-e", field)), home=tmp_path)
        assert "Lua" not in said
        return [line.split(";") for line in said.splitlines()]

    return run
