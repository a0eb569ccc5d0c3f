"""What Kea must be told to be the DHCPv6 server of an AERO Server (spec §6.9)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

IPV4_IAID = 4
"""IAID of an association for an IPv4 prefix, written as IPv4-mapped."""
IPV4_CLASS, IPV6_CLASS = "pd4", "pd6"


@dataclass(frozen=True)
class Pool:
    """Prefixes that are delegated to whoever asks."""

    prefix: str
    """ "2001:db8:1000::/44"; IPv4 as "::ffff:192.0.2.0/121"."""
    delegated: int
    """Length of each prefix delegated from it."""

    @property
    def ipv4(self) -> bool:
        """Whether it holds IPv4 prefixes."""
        return self.prefix.startswith("::ffff:")


@dataclass(frozen=True)
class KeaSettings:
    """One Kea; the defaults are the lease times of the sheet's test profile (spec §10)."""

    identifier: str
    """Its server DUID is of type LL with this link-layer address, hexadecimal."""
    pools: Sequence[Pool]
    reservations: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Client DUID, hexadecimal -> its prefixes (spec SRV-11)."""
    t1: int = 60
    t2: int = 100
    preferred: int = 200
    valid: int = 300
    supplied: Sequence[int] = (79,)
    """Options that a relay may have passed on to the Client (RFC 6422 §6); AERO's loop needs 79."""

    def dhcp6(self) -> dict[str, Any]:
        """What goes under "Dhcp6"."""
        found: dict[str, Any] = {
            "server-id": {"type": "LL", "htype": 1, "identifier": self.identifier, "persist": False},
            "interfaces-config": {"interfaces": ["lo/::1"]},
            "lease-database": {"type": "memfile", "persist": False},
            "renew-timer": self.t1,
            "rebind-timer": self.t2,
            "preferred-lifetime": self.preferred,
            "valid-lifetime": self.valid,
            "client-classes": [
                {"name": IPV4_CLASS, "test": f"substring(option[25].hex,0,4) == 0x{IPV4_IAID:08x}"},
                {"name": IPV6_CLASS, "test": f"not member('{IPV4_CLASS}')"},
            ],
            "subnet6": [self._subnet()],
        }
        if self.supplied:
            found["relay-supplied-options"] = [str(code) for code in self.supplied]
        return found

    def _subnet(self) -> dict[str, Any]:
        """The one subnet; it is chosen by interface, as the link address in our Relay-forward is ::."""
        return {
            "id": 1,
            "subnet": "2001:db8::/32",
            "interface": "lo",
            "rapid-commit": True,
            "pd-pools": [_pool(pool) for pool in self.pools],
            "reservations": [
                {"duid": _with_colons(duid), "prefixes": list(prefixes)} for duid, prefixes in self.reservations.items()
            ],
        }


def _pool(pool: Pool) -> dict[str, Any]:
    prefix, length = pool.prefix.split("/")
    return {
        "prefix": prefix,
        "prefix-len": int(length),
        "delegated-len": pool.delegated,
        "client-class": IPV4_CLASS if pool.ipv4 else IPV6_CLASS,
    }


def _with_colons(duid: str) -> str:
    return ":".join(duid[at : at + 2] for at in range(0, len(duid), 2))
