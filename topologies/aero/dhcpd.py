"""What ISC dhcpd must be told to be the DHCPv6 server of an AERO Server (spec §6.9).

It knows no relay-supplied options (RFC 6422): an expression reads option 66 of the relay's message and hands the
link-layer address in it to the Client as option 79, when the Client's option request lists 79.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv6Network

_TEXT = """\
option dhcp6.relay-supplied code 66 = string;
option dhcp6.aero-lladdr code 79 = string;
option dhcp6.rapid-commit;
option dhcp-renewal-time {t1};
option dhcp-rebinding-time {t2};
preferred-lifetime {preferred};
default-lease-time {valid};
dhcp-cache-threshold 0;
subnet6 {link} {{
  prefix6 {first} {last} /{delegated};
  option dhcp6.aero-lladdr = substring(v6relay(1, option dhcp6.relay-supplied), 4, 20);
}}
"""


@dataclass(frozen=True)
class DhcpdSettings:
    """One dhcpd; the defaults are the lease times of the sheet's test profile (spec §10)."""

    link: str
    """The network between it and the AERO Server."""
    pool: str
    """Prefixes that are delegated to whoever asks."""
    delegated: int
    """Length of each of them."""
    t1: int = 60
    t2: int = 100
    preferred: int = 200
    valid: int = 300

    def text(self) -> str:
        """The configuration file."""
        pool, bits = IPv6Network(self.pool), 128 - self.delegated
        last = IPv6Network((int(pool.broadcast_address) >> bits << bits, self.delegated)).network_address
        return _TEXT.format(**vars(self) | {"first": pool.network_address, "last": last})
