"""What a home agent tells routers about each other, in its replies only (spec HA-2, HA-7..HA-15)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import IPv4Address

from agents.haaro.compression import Network, Owner, encode_advertisement
from agents.haaro.config import HaConfig, Router
from agents.haaro.ha.directory import Directory
from agents.haaro.ha.state import Binding
from agents.wire.mip4_extensions import PrefixAdvertisement, RoCapability, RoReply

DECLINED = 16
"""Code of a Route Optimization Reply: unspecified."""
_AnyExtension = RoReply | PrefixAdvertisement


class Advertising:
    """The owners among a home agent's bindings, and its answers to Capabilities."""

    def __init__(self, config: HaConfig) -> None:
        self._config = config
        best_last = reversed(list(enumerate(config.routers)))
        self._ranks = {router.home_address: rank for rank, router in best_last}
        self._directory = Directory(config.compress)

    def update(self, home_address: IPv4Address, binding: Binding | None) -> None:
        """What is true of a router from now on; None: it has left."""
        self._directory.put(self._ranks[home_address], owner_of(binding) if binding else None)

    def answer(
        self, capability: RoCapability, requester: Router, nat: bool, bindings: Mapping[IPv4Address, Binding], room: int
    ) -> Iterator[_AnyExtension]:
        """The extensions that answer a Capability; of advertised octets there is room for so many.

        Who is not bound itself, since it has just left, is told of nobody.
        """
        solicited = capability.solicited
        code = 0 if requester.optimise else DECLINED
        yield RoReply(code, capability.outbound_only, nat, solicited is not None)
        if code or requester.home_address not in bindings:
            return
        limit = min(self._config.max_advertisement, room)
        if solicited is not None:
            binding = bindings.get(solicited) if solicited != requester.home_address else None  # spec HA-12
            owner = owner_of(binding) if binding else None
            content = encode_advertisement([owner], limit=limit, compress=self._config.compress) if owner else b""
        elif capability.receive:
            content = self._directory.encoded(self._ranks[requester.home_address], limit)
        else:
            return
        if content:
            yield PrefixAdvertisement(content)


def owner_of(binding: Binding) -> Owner | None:
    """What it registered, if it may be told (spec HA-12); info says only what the router said (spec HA-13)."""
    if not binding.advertise or not binding.router.optimise:
        return None
    networks = tuple(Network(each.prefix, each.realm) for each in binding.networks if each.advertised)
    return Owner(binding.home_address, networks, binding.outbound_only)
