"""A NAT box and middlebox by nftables: cone or symmetric translation, idle timeouts, dropped protocols or fragments."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from pyroute2.netlink.nfnetlink.nfctsocket import NFCTSocket

from testbed import validation as v
from testbed.nodes import FORWARDING, NO_DAD, Router
from testbed.validation import Check

PROTOCOLS = {
    "icmp": 1, "ipip": 4, "tcp": 6, "udp": 17, "ipv6": 41, "gre": 47, "esp": 50, "ah": 51, "icmpv6": 58, "mh": 135,
}  # fmt: skip
UDP_IDLE = 30
"""seconds a mapping lives without a packet: the kernel's default for unanswered UDP, and a usual one of home routers"""
_PORT_RULE = re.compile(r"(udp|tcp)/(\d{1,5})")
_IDLE_SYSCTLS = {
    "udp": ("net.netfilter.nf_conntrack_udp_timeout", "net.netfilter.nf_conntrack_udp_timeout_stream"),
    "tcp": ("net.netfilter.nf_conntrack_tcp_timeout_established",),
    "icmp": ("net.netfilter.nf_conntrack_icmp_timeout",),
    "other": ("net.netfilter.nf_conntrack_generic_timeout",),
}


def _idle(value: object) -> str | None:
    good = isinstance(value, Mapping) and all(
        key in _IDLE_SYSCTLS and isinstance(item, int) and item > 0 for key, item in value.items()
    )
    return None if good else f"a mapping of {', '.join(_IDLE_SYSCTLS)} to whole seconds"


def _drops(value: object) -> str | None:
    good = isinstance(value, Sequence) and not isinstance(value, str)
    for item in value if isinstance(value, Sequence) and good else ():
        good = good and _drop_rules(item) is not None
    names = ", ".join(PROTOCOLS)
    return None if good else f"a list of 'fragments', protocols ({names}, or a number) or 'udp/PORT', 'tcp/PORT'"


class NatBox(Router):
    """A router whose `outside` interface translates IPv4, and which may drop what some middleboxes drop.

    kind "cone": the inside port is kept, and any outside host reaches it while the mapping lives (full cone, UDP).
    kind "symmetric": each destination gets a port of its own, at random; only that destination can answer.
    kind "restricted": the inside port is kept, but only who was sent something can answer; nothing else gets in.
    """

    ROLE: ClassVar[str] = "nat"
    SYSCTLS: ClassVar[Mapping[str, str | int]] = {**NO_DAD, **FORWARDING}
    OPTIONS: ClassVar[Mapping[str, Check]] = {
        **Router.OPTIONS,
        "kind": v.one_of("cone", "symmetric", "restricted"),
        "outside": v.interface_name,
        "idle": _idle,
        "drop": _drops,
    }

    def needs_finish(self) -> bool:
        """Tell that there are always rules to install."""
        return True

    def finish(self) -> None:
        """Install translation, timeouts and drops."""
        super().finish()
        idle: Mapping[str, int] = self.params.get("idle", {})
        for protocol, seconds in idle.items():
            for name in _IDLE_SYSCTLS[protocol]:
                self._sysctl(name, seconds)
        outside = self.params.get("outside", "wan")
        rules = nat_rules(self.params.get("kind", "cone"), outside, idle.get("udp", UDP_IDLE))
        self._load(rules)
        self.set_drops(self.params.get("drop", ()))

    def rebind(self, ports: tuple[int, int] | None = None) -> None:
        """Forget every translation, as a box that restarts does; from then on use outside ports of this range.

        Without a range a cone keeps the inside port again; a symmetric one takes another port anyway.
        """
        idle: Mapping[str, int] = self.params.get("idle", {})
        kind, outside = self.params.get("kind", "cone"), self.params.get("outside", "wan")
        rules = nat_rules(kind, outside, idle.get("udp", UDP_IDLE), ports)
        # New rules first: a packet between the two steps must not bring back an old translation.
        self._load("delete table ip roamlab-nat\n" + rules)
        with self.entered(), NFCTSocket() as conntrack:
            conntrack.flush()

    def set_drops(self, drops: Iterable[Any]) -> None:
        """Replace the middlebox's rules: "fragments", a protocol's name or number, "udp/8060"."""
        self._load(middlebox_rules(drops))

    def mappings(self) -> str:
        """Return the kernel's list of translations in use (conntrack), one a line."""
        return self.run(["cat", "/proc/net/nf_conntrack"], check=True).out

    def _load(self, rules: str) -> None:
        self.run(["nft", "-f", "-"], input=rules, check=True)


class Firewall(Router):
    """A router that lets in, by its `outside` interface, only what answers something that went out; it says nothing."""

    ROLE: ClassVar[str] = "firewall"
    OPTIONS: ClassVar[Mapping[str, Check]] = {**Router.OPTIONS, "outside": v.interface_name}

    def needs_finish(self) -> bool:
        """Tell that there are always rules to install."""
        return True

    def finish(self) -> None:
        """Install the rule."""
        super().finish()
        self.run(["nft", "-f", "-"], input=firewall_rules(self.params.get("outside", "wan")), check=True)


def firewall_rules(outside: str) -> str:
    """Return the nft script of a stateful firewall."""
    return f"""table inet roamlab-firewall {{
  chain entering {{
    type filter hook forward priority filter;
    iifname "{outside}" ct state new,invalid drop
  }}
}}
"""


def nat_rules(kind: str, outside: str, udp_idle: int, ports: tuple[int, int] | None = None) -> str:
    """Return the nft script that translates IPv4 on the outside interface, there to ports of a range if one is given.

    A cone with a range of ports is one no longer: nobody else gets in by its mappings.
    """
    if ports:
        return f"""table ip roamlab-nat {{
  chain leaving {{
    type nat hook postrouting priority srcnat;
    oifname "{outside}" meta l4proto {{ tcp, udp }} masquerade to :{ports[0]}-{ports[1]}
    oifname "{outside}" masquerade
  }}
}}
"""
    if kind == "restricted":
        return f"""table ip roamlab-nat {{
  chain leaving {{
    type nat hook postrouting priority srcnat;
    oifname "{outside}" masquerade
  }}
  chain unsolicited {{
    type filter hook input priority filter;
    iifname "{outside}" meta l4proto {{ tcp, udp, ipip }} ct state new drop
  }}
}}
"""
    if kind == "symmetric":
        return f"""table ip roamlab-nat {{
  chain leaving {{
    type nat hook postrouting priority srcnat;
    oifname "{outside}" masquerade fully-random
  }}
}}
"""
    # masquerade keeps the port when it is free; the map lets any host come in through it (first owner keeps it)
    return f"""table ip roamlab-nat {{
  map cone {{
    type inet_service : ipv4_addr . inet_service
    flags dynamic,timeout
    timeout {udp_idle}s
    size 65535
  }}
  chain learning {{
    type filter hook postrouting priority 99;
    oifname "{outside}" meta l4proto udp update @cone {{ udp sport : ip saddr . udp sport }}
  }}
  chain leaving {{
    type nat hook postrouting priority srcnat;
    oifname "{outside}" masquerade
  }}
  chain entering {{
    type nat hook prerouting priority dstnat;
    iifname "{outside}" meta l4proto udp dnat ip to udp dport map @cone
  }}
}}
"""


def middlebox_rules(drops: Iterable[Any]) -> str:
    """Return the nft script that replaces the drop rules."""
    early: list[str] = []
    forwarded: list[str] = []
    for drop in drops:
        (early if drop == "fragments" else forwarded).extend(_drop_rules(drop) or [])
    lines = [
        "table inet roamlab-middlebox",  # so that there is one to delete
        "delete table inet roamlab-middlebox",
        "table inet roamlab-middlebox {",
        "chain early {",
        "type filter hook prerouting priority -450;",  # before connection tracking puts fragments together
        *early,
        "}",
        "chain forwarded {",
        "type filter hook forward priority filter;",
        *forwarded,
        "}",
        "}",
    ]
    return "\n".join(lines) + "\n"


def _drop_rules(drop: object) -> list[str] | None:
    """Return the nft rules of one drop, None when it is none."""
    if drop == "fragments":
        return ["meta nfproto ipv4 ip frag-off & 0x3fff != 0 drop", "exthdr frag exists drop"]
    if isinstance(drop, int) and not isinstance(drop, bool) and 0 <= drop <= 255:
        return [f"meta l4proto {drop} drop"]
    if isinstance(drop, str) and drop in PROTOCOLS:
        return [f"meta l4proto {PROTOCOLS[drop]} drop"]
    match = _PORT_RULE.fullmatch(drop) if isinstance(drop, str) else None
    if match and int(match[2]) < 65536:
        return [f"{match[1]} dport {match[2]} drop"]
    return None
