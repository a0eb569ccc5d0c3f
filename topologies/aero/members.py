"""Who takes part in the AERO labs: names and addresses of Servers, Clients and what is downstream of them.

h1 --- c1 --- n1 (NAT) --- core --- s1 --- g     s1 203.0.113.1, 2001:db8:f::1     Server fe80::1, with its Kea
       h2 --- c2 ----------'  '---- s2           s2 203.0.113.2, 2001:db8:f::2     Server fe80::2
                                                 n1 198.51.100.1, inside 10.1.1.0/24
c1 2001:db8:1000:a000::/56, 192.0.2.16/28        c1 10.1.1.2, without NAT 198.51.100.7
c2 2001:db8:1000:b000::/56, 192.0.2.32/28        c2 203.0.113.7
c3 2001:db8:1000:c000::/56, 192.0.2.48/28        c3 203.0.113.11
h1, h2 hosts downstream of router Clients        g 2001:db8:9::2, 198.18.9.2: a native host behind s1
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_network

AGGREGATES = ("2001:db8:1000::/40", "192.0.2.0/24")
NATIVE = {"ipv6": "2001:db8:9::2", "ipv4": "198.18.9.2"}
NATIVE_ROUTER = {"ipv6": "2001:db8:9::1", "ipv4": "198.18.9.1"}


@dataclass(frozen=True)
class Server:
    """Names and addresses of Server number `index`."""

    index: int

    @property
    def name(self) -> str:
        """Node name."""
        return f"s{self.index}"

    @property
    def aero_address(self) -> str:
        """Address on the AERO link."""
        return f"fe80::{self.index}"

    @property
    def underlay(self) -> dict[str, str]:
        """By IP version."""
        return {"ipv4": f"203.0.113.{self.index}", "ipv6": f"2001:db8:f::{self.index}"}


@dataclass(frozen=True)
class Lan:
    """A link downstream of a Client, with one node on it."""

    node: str
    interface: str = "lan"
    """Of the Client; the node's is eth0."""
    mode: str = "slaac"
    """How the node gets addresses: "slaac", "dhcp", "off-link"."""
    subnet: int = 1
    """Number of its /64 in the Client's prefix."""
    router: bool = False
    """The node routes for others."""
    detecting: bool = False
    """The node detects duplicate addresses, which takes it some seconds."""


@dataclass(frozen=True)
class Client:
    """Names, addresses and configuration of a Client."""

    index: int
    model: str = "router"
    nats: tuple[str, ...] = ()
    """Kinds of the NATs it is behind, the outermost first: "cone", "symmetric"."""
    families: tuple[str, ...] = ("ipv6",)
    addresses: int = 1
    """How many the AERO interface holds, in models that put some there."""
    narrow: int | None = None
    """MTU of a link on its way to the core that is narrower than those around it; None: there is none."""
    lans: tuple[Lan, ...] | None = None
    """Its downstream links; None: one with a host, none downstream of a Client that is a host itself."""

    @property
    def name(self) -> str:
        """Node name."""
        return f"c{self.index}"

    @property
    def downstream(self) -> tuple[Lan, ...]:
        """Its downstream links."""
        if self.lans is not None:
            return self.lans
        return () if self.model == "host" else (Lan(f"h{self.index}"),)

    @property
    def host(self) -> str | None:
        """The first node downstream of it."""
        return self.downstream[0].node if self.downstream else None

    @property
    def duid(self) -> str:
        """DHCPv6 Client-ID, hexadecimal."""
        return f"000300010200000000{0x10 + self.index:02x}"

    @property
    def prefixes(self) -> dict[str, str]:
        """What both Servers have reserved for it."""
        letter = "0abc"[self.index]
        return {"ipv6": f"2001:db8:1000:{letter}000::/56", "ipv4": f"192.0.2.{16 * self.index}/28"}

    def own_addresses(self, family: str) -> list[str]:
        """Those of a prefix that its AERO interface holds (agents.aero.client.models)."""
        if self.model == "router":
            return []
        prefix = ip_network(self.prefixes[family])
        last = prefix.num_addresses - (2 if prefix.version == 4 else 1)
        return [str(prefix[number]) for number in range(1, min(self.addresses, last) + 1)]

    def subnet(self, number: int) -> str:
        """A /64 of its IPv6 prefix."""
        return f"{self.prefixes['ipv6'].removesuffix('00::/56')}{number:02x}::/64"

    @property
    def underlay(self) -> dict[str, str]:
        """Its own addresses, by IP version."""
        if self.nats:
            return {"ipv4": f"10.{self.index}.1.2", "ipv6": f"2001:db8:{self.index}1::2"}
        if self.index == 1:
            return {"ipv4": "198.51.100.7", "ipv6": "2001:db8:e::7"}
        number = 4 * self.index - 1
        return {"ipv4": f"203.0.113.{number}", "ipv6": f"2001:db8:f::{number:x}"}

    @property
    def middle(self) -> str | None:
        """The router behind the narrow link."""
        return f"m{self.index}" if self.narrow else None

    @property
    def nat_names(self) -> list[str]:
        """The NATs, outermost first."""
        return [f"n{self.index}" + "b" * number for number in range(len(self.nats))]


WIDE = 9000
"""MTU around a narrow link."""
NAT_OUTSIDE = {"ipv4": "198.51.100.1", "ipv6": "2001:db8:e::1"}
"""Of the outermost NAT of c1."""
