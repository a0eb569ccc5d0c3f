"""Who takes care of a node's tunnels in IP: the kernel where it can, else the program by its TUN interface."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from agents.haaro.config import TunnelKind
from agents.kernel.netlink import KernelError, Netlink
from agents.kernel.tunnels import ipip


@dataclass(frozen=True)
class Choice:
    """What is used, and why nothing better."""

    kind: Literal["ipip", "tun"]
    lacking: str = ""


def choose(wanted: TunnelKind, *, ambiguous: bool = False, gateway: bool = False) -> Choice:
    """The best there is here; `ambiguous`: prefixes mean different networks in different realms; `gateway`: packets of
    everybody may pass, but for those of others' networks.

    KernelError says what is missing for the one that must be used.
    """
    if wanted == "tun":
        return Choice("tun")
    if ambiguous:
        lack: str | None = "ipip: the kernel cannot tell one realm's prefixes from another's"
    elif gateway:
        lack = "ipip: what a gateway lets pass depends on which networks are others'"
    else:
        netlink = Netlink()
        try:
            lack = ipip.missing(netlink)
        finally:
            netlink.close()
        lack = lack and f"ipip: {lack}"
    if lack is None:
        return Choice("ipip")
    if wanted == "ipip":
        raise KernelError(f"this node cannot have the kernel tunnel IP in IP ({lack})")
    return Choice("tun", lack)
