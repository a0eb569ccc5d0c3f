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


class Authority:
    """Answers from a node's peers and profiles."""

    def __init__(self, peers: Mapping[IPv6Address, Peer], profiles: Mapping[str, Profile]) -> None:
        self._peers = peers
        self._profiles = profiles

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
        """Rejected 155 when a gateway calls a prefix its own (option 65) that is not (spec AMB-12)."""
        for option in update.every(AnchoredPrefix):
            if not option.bad_length and not self.speaks_for(sender, option.network):
                reason = f"option 65 with {option.network}, outside the pool of {sender}"
                raise Rejected(Status.NOT_AUTHORIZED_FOR_HOME_NETWORK_PREFIX, reason)

    def local_prefixes(self, address: IPv6Address, prefixes: Iterable[IPv6Network]) -> tuple[IPv6Network, ...]:
        """Those networks that this gateway may announce as reachable through it.

        Hosts would send it what is for any network it names (RFC 4191), so it names its pool's, or configured ones.
        """
        peer = self._peers.get(address)
        allowed = (peer.pool, *peer.local_prefixes) if peer else ()
        return tuple(prefix for prefix in prefixes if any(prefix.subnet_of(one) for one in allowed))
