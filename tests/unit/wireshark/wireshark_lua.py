"""A real tshark with our script, as the tests of its dissectors use it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw

SCRIPT = Path(__file__).resolve().parents[3] / "captures" / "wireshark" / "roamlab.lua"
DGW2, CMD = "2001:db8:c:2::2", "2001:db8:c:9::2"
Decode = Callable[..., list[list[str]]]


def tshark(*argv: str | Path, home: Path) -> str:
    """Run tshark without the person's own settings and plugins; what it says on either stream."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "LC_ALL": "C.UTF-8", "TZ": "UTC"}
    done = subprocess.run(
        ["tshark", *map(str, argv)],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=30,
        check=False,
    )
    said = done.stdout.decode(errors="replace")
    assert done.returncode == 0, said
    return said.replace('Running as user "root" and group "root". This could be dangerous.\n', "")


def around(message: bytes, source: str = CMD, destination: str = DGW2) -> Packet:
    ethernet = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
    return ethernet / IPv6(src=source, dst=destination, nh=135) / Raw(message)
