"""Kea's DHCPv6 server as a service of a node: files of its own, started when it says that it serves."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from testbed.daemon import Daemon
from testbed.nodes import Host

LOGGER = {
    "name": "kea-dhcp6",
    "output_options": [{"output": "stdout", "pattern": "%D{%H:%M:%S.%q} %-5p %m\n", "flush": True}],
    "severity": "INFO",
}


class Kea(Daemon):
    """kea-dhcp6 in a node; everything it writes is in a folder of its own, so that several run side by side.

    Debian's defaults (/run/kea, /var/lib/kea) may be absent, and are common to all nodes of a machine.
    """

    STARTED = b"DHCP6_STARTED"
    """Message of Kea 2.x once its sockets are open and its leases are read."""

    def __init__(self, node: Host, settings: Mapping[str, Any], folder: Path, log: Path) -> None:
        """`settings`: what belongs under "Dhcp6", without data directory and loggers; `folder` is made."""
        super().__init__(node, "kea", log)
        self.settings = dict(settings)
        self.folder = folder
        self.config = folder / "kea-dhcp6.json"

    def render(self) -> Mapping[Path, str]:
        """Return the configuration."""
        whole = {**self.settings, "data-directory": str(self.folder), "loggers": [LOGGER]}
        return {self.config: json.dumps({"Dhcp6": whole}, indent=1) + "\n"}

    def dry_run(self) -> Sequence[str]:
        """Have Kea check its file."""
        return [*self._environment(), "kea-dhcp6", "-t", str(self.config)]

    def argv(self) -> Sequence[str]:
        """Run in the foreground, messages to the log."""
        return [*self._environment(), "kea-dhcp6", "-c", str(self.config)]

    def _environment(self) -> list[str]:
        return ["env", f"KEA_PIDFILE_DIR={self.folder}", f"KEA_LOCKFILE_DIR={self.folder}"]
