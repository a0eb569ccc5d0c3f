"""ISC dhcpd as a DHCPv6 server in a node of its own: Debian's `isc-dhcp-server`, which labs do not need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from testbed.daemon import Daemon
from testbed.nodes import Host


class Dhcpd(Daemon):
    """dhcpd -6 on one interface; configuration and leases are in a folder of its own.

    It knows no loopback interface, and as Debian builds it no relay ports (RFC 8357): a relay talks to it from
    another node, from port 547.
    """

    STARTED = b"Server starting service."

    def __init__(self, node: Host, interface: str, text: str, folder: Path, log: Path) -> None:
        """`text` is the configuration; `folder` is made."""
        super().__init__(node, "dhcpd", log)
        self.interface = interface
        self.text = text
        self.config, self.leases = folder / "dhcpd.conf", folder / "leases"

    def render(self) -> Mapping[Path, str]:
        """Return the configuration, and an empty file of leases, without which it does not start."""
        return {self.config: self.text, self.leases: ""}

    def dry_run(self) -> Sequence[str]:
        """Have dhcpd check its file."""
        return [*self._command(), "-t"]

    def argv(self) -> Sequence[str]:
        """Run in the foreground, messages to the log."""
        return [*self._command(), "-d", "-f", "--no-pid", self.interface]

    def _command(self) -> list[str]:
        return ["dhcpd", "-6", "-cf", str(self.config), "-lf", str(self.leases)]
