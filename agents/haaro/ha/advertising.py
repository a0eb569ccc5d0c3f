"""What a home agent tells routers about each other, in its replies only (spec HA-2, HA-7..HA-15)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from ipaddress import IPv4Address

from agents.haaro.compression import Network, Owner, encode_advertisement
from agents.haaro.config import HaConfig, Router
from agents.haaro.ha.state import Binding
from agents.wire.mip4_extensions import PrefixAdvertisement, RoCapability, RoReply

DECLINED = 16
"""Code of a Route Optimization Reply: unspecified."""
_AnyExtension = RoReply | PrefixAdvertisement


def answer(
    capability: RoCapability, requester: Router, nat: bool, bindings: Mapping[IPv4Address, Binding], config: HaConfig
) -> Iterator[_AnyExtension]:
    """The extensions that answer a Capability."""
    solicited = capability.solicited
    code = 0 if requester.optimise else DECLINED
    yield RoReply(code, capability.outbound_only, nat, solicited is not None)
    if code:
        return
    if solicited is not None:
        binding = bindings.get(solicited)
        owners = owners_of([binding] if binding else [])
    elif capability.receive:
        owners = owners_of(_by_priority(bindings, config, without=requester))
    else:
        return
    content = encode_advertisement(owners, limit=config.max_advertisement, compress=config.compress)
    if content:
        yield PrefixAdvertisement(content)


def _by_priority(bindings: Mapping[IPv4Address, Binding], config: HaConfig, without: Router) -> Iterator[Binding]:
    for router in config.routers:
        binding = bindings.get(router.home_address)
        if binding and router is not without:
            yield binding


def owners_of(bindings: Iterable[Binding]) -> Iterator[Owner]:
    """Those who allow it, with what they registered (spec HA-12); info says only what they said (spec HA-13)."""
    for binding in bindings:
        if binding.advertise and binding.router.optimise:
            networks = tuple(Network(each.prefix, each.realm) for each in binding.networks if each.advertised)
            yield Owner(binding.home_address, networks, binding.outbound_only)
