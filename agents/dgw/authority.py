"""Who may say what: (peer, node, prefix) authorisation, from the configuration alone (spec SEC-4, RFC 5213 §4).

Protection proves who sent a message; this says whether that node may have said it. A gateway speaks for the prefixes
of its own pool and for itself as tunnel end, the CMD for everybody.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import IPv6Address, IPv6Network

from agents.dgw.config import Peer, Profile
from agents.dgw.validation import Rejected
from agents.wire.mobility import BindingUpdate
from agents.wire.mobility_codes import Status
from agents.wire.mobility_options import AnchoredPrefix

UNIQUE_LOCAL = IPv6Network("fc00::/7")
"""RFC 4193: means something else at every site."""


class Authority:
    """Answers from a node's peers and profiles."""

    def __init__(
        self,
        peers: Mapping[IPv6Address, Peer],
        profiles: Mapping[str, Profile],
        *,
        own: IPv6Network | None = None,
        closed: bool = True,
    ) -> None:
        """`own`: our pool; `closed`: all pools there are belong to us and the peers (no other operator's)."""
        self._peers = peers
        self._profiles = profiles
        self._pools = [*(peer.pool for peer in peers.values()), *([own] if own else [])]
        self._closed = closed

    def speaks_for(self, address: IPv6Address, prefix: IPv6Network) -> bool:
        """Whether the prefix is out of the pool of the gateway with this P-CoA."""
        peer = self._peers.get(address)
        return peer is not None and prefix.subnet_of(peer.pool)

    def knows(self, mn_id: str) -> bool:
        """Whether there is a profile of this node."""
        return mn_id in self._profiles

    def may_serve(self, address: IPv6Address, mn_id: str) -> bool:
        """Whether the node's profile lets this gateway serve it; an unknown node forbids nothing."""
        profile = self._profiles.get(mn_id)
        return profile is None or profile.gateways is None or address in profile.gateways

    def check_serving(self, address: IPv6Address, mn_id: str) -> None:
        """Rejected 154 unless the gateway may serve the node."""
        if not self.may_serve(address, mn_id):
            raise Rejected(Status.MAG_NOT_AUTHORIZED_FOR_PROXY_REG, f"{address} may not serve {mn_id}")

    def check_anchored(self, update: BindingUpdate, sender: IPv6Address) -> None:
        """Rejected 155 when a gateway tells of a prefix of the node (option 65) that no gateway can have given it.

        Its own prefix and those of the node's other anchors: they open the way into local networks (spec LIPA-6).
        """
        told = [option.network for option in update.every(AnchoredPrefix) if not option.bad_length]
        for prefix in told if self._closed else []:
            if not any(prefix.subnet_of(pool) for pool in self._pools):
                reason = f"option 65 with {prefix}, which is in no gateway's pool, from {sender}"
                raise Rejected(Status.NOT_AUTHORIZED_FOR_HOME_NETWORK_PREFIX, reason)

    def local_prefixes(self, address: IPv6Address, prefixes: Iterable[IPv6Network]) -> tuple[IPv6Network, ...]:
        """Those networks that this gateway may announce as reachable through it.

        Hosts would send it what is for any network it names (RFC 4191).  So these are of its pool, or unique local
        (RFC 4193), or in its configuration here; a global network elsewhere is not a gateway's to take.
        """
        peer = self._peers.get(address)
        allowed = (peer.pool, UNIQUE_LOCAL, *peer.local_prefixes) if peer else ()
        return tuple(prefix for prefix in prefixes if any(prefix.subnet_of(one) for one in allowed))
