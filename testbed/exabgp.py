"""ExaBGP in a node: a BGP speaker without routes of its own, which a program it runs tells what to say."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from testbed.agent import ROOT
from testbed.daemon import Daemon
from testbed.nodes import Host

HOLD_TIME = 9
"""seconds without a sign of life after which a peer is gone"""
_PROCESS = """\
process helper {{
  run {program};
  encoder json;
  respawn false;
}}
"""
# Without "disable" a killed speaker's routes would stay for the hold time (RFC 4724).
_NEIGHBOR = """\
neighbor {peer} {{
  router-id {router_id};
  local-address {local};
  local-as {asn};
  peer-as {peer_asn};
  hold-time {hold_time};
{listen}  family {{ ipv4 unicast; ipv6 unicast; }}
  capability {{ asn4 enable; graceful-restart disable; }}
  api {{ processes [ helper ]; neighbor-changes; receive {{ parsed; update; }} }}
}}
"""
_ENVIRONMENT = {
    "exabgp_daemon_user": "root",  # what it may reach ends at its sandbox
    "exabgp_api_cli": "false",  # its named pipes are common to all of a machine
    "exabgp_api_respawn": "false",
    "exabgp_log_destination": "stdout",
}


@dataclass(frozen=True)
class BgpPeer:
    """Somebody to speak with."""

    address: str
    asn: int
    local: str
    """Our address toward it."""
    listens: bool = False
    """We wait for it to connect."""


@dataclass(frozen=True)
class BgpSpeaker:
    """What one ExaBGP is told."""

    router_id: str
    asn: int
    peers: tuple[BgpPeer, ...]
    program: tuple[str, ...]
    """Run with ExaBGP's JSON on its standard input and ExaBGP's commands on its output; no blanks in the words."""


class ExaBgp(Daemon):
    """One ExaBGP; everything it writes is in a folder of its own."""

    STARTED = b"loaded new configuration successfully"
    """Message of ExaBGP 5 once it has read its configuration, right before it starts its program and its sessions."""

    def __init__(self, node: Host, speaker: BgpSpeaker, folder: Path, log: Path) -> None:
        super().__init__(node, "exabgp", log)
        self.speaker = speaker
        self.folder = folder
        self.config = folder / "exabgp.conf"

    def render(self) -> Mapping[Path, str]:
        """Return the configuration."""
        speaker = self.speaker
        neighbors = [
            _NEIGHBOR.format(
                peer=peer.address,
                router_id=speaker.router_id,
                local=peer.local,
                asn=speaker.asn,
                peer_asn=peer.asn,
                hold_time=HOLD_TIME,
                listen="  passive true;\n  listen 179;\n" if peer.listens else "  passive false;\n",
            )
            for peer in speaker.peers
        ]
        return {self.config: "".join([_PROCESS.format(program=" ".join(speaker.program)), *neighbors])}

    def dry_run(self) -> Sequence[str]:
        """Have ExaBGP check its file."""
        return [*self._environment(), sys.executable, "-m", "exabgp", "validate", str(self.config)]

    def argv(self) -> Sequence[str]:
        """Run in the foreground, messages to the log."""
        return [*self._environment(), sys.executable, "-m", "exabgp", "server", str(self.config)]

    def _environment(self) -> list[str]:
        search = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        return ["env", f"PYTHONPATH={search}", *(f"{name}={value}" for name, value in _ENVIRONMENT.items())]
