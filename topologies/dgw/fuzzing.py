"""Random and mutated Mobility Headers, seeded: mostly right ones with something wrong, some pure noise."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from ipaddress import IPv6Address, IPv6Network
from random import Random
from typing import Any

from agents.dgw.messages import compose_ack
from agents.wire.mobility import (
    BindingAck,
    BindingError,
    BindingRefreshRequest,
    BindingUpdate,
    MobilityMessage,
    push_mobility,
)
from agents.wire.mobility_codes import PBA_FLAGS, PBU_FLAGS, AckFlag, UpdateFlag
from agents.wire.mobility_options import (
    AccessTechnology,
    AlternateCareOfAddress,
    AnchoredPrefix,
    DlifLinkLayer,
    DlifLinkLocal,
    HandoffIndicator,
    HomeNetworkPrefix,
    LinkLayerIdentifier,
    LocalPrefix,
    MobileNodeIdentifier,
    Option,
    PreviousMaar,
    ServingMaar,
    Timestamp,
    UnknownOption,
)

Binding = BindingUpdate | BindingAck


class Fuzzer:
    """Makes messages for one receiver."""

    def __init__(
        self,
        random: Random,
        target: IPv6Address,
        addresses: Iterable[IPv6Address],
        prefixes: Iterable[IPv6Network],
        mn_ids: Iterable[str],
    ) -> None:
        """Addresses, prefixes and MN-IDs: what a plausible message may speak of."""
        self.random, self.target = random, target
        self.addresses = [a for a in addresses if a != target]
        self.prefixes, self.mn_ids = list(prefixes), list(mn_ids)

    def source(self) -> IPv6Address:
        """Mostly a peer; now and then somebody invented, or no unicast address."""
        r = self.random.random()
        if r < 0.8:
            return self.random.choice(self.addresses)
        if r < 0.98:
            return IPv6Address(self.random.getrandbits(125) | 1 << 125)
        return self.random.choice([IPv6Address("ff02::1"), IPv6Address("::"), IPv6Address("::1")])

    def option(self) -> Option:
        """Any option with a plausible or an odd value."""
        r = self.random
        address = r.choice([*self.addresses, self.target, *map(IPv6Address, ("::", "ff02::1", "fe80::1"))])
        prefix = r.choice(self.prefixes)
        length = r.choice([64, 64, 64, 0, 48, 65, 128, 255])
        where = prefix.network_address
        options: list[Option] = [
            MobileNodeIdentifier.of(r.choice(self.mn_ids)),
            MobileNodeIdentifier(r.randbytes(r.randrange(40)), r.randrange(256)),
            HomeNetworkPrefix(where, length),
            HandoffIndicator(r.randrange(256)),
            AccessTechnology(r.randrange(256)),
            LinkLayerIdentifier(r.randbytes(r.choice([6, 6, 0, 8, 20]))),
            AnchoredPrefix(where, length),
            LocalPrefix(where, r.randrange(256)),
            PreviousMaar(where, length, address),
            ServingMaar(address),
            AlternateCareOfAddress(address),
            DlifLinkLocal(IPv6Address(b"\xfe\x80" + bytes(6) + r.randbytes(8))),
            DlifLinkLayer(r.randbytes(r.choice([6, 6, 6, 2, 8]))),
            Timestamp(r.getrandbits(64)),
            UnknownOption(r.choice([2, 40, 200, 255]), r.randbytes(r.randrange(30))),
        ]
        return r.choice(options)

    def mutate(self, message: Binding) -> Binding:
        """The message with options lost, doubled, exchanged or added, and fields changed."""
        r, options = self.random, list(message.options)
        for _ in range(r.choice([0, 1, 1, 1, 2, 3])):
            place = r.randrange(len(options) + 1)
            match r.randrange(4):
                case 0 if options:
                    del options[place % len(options)]
                case 1 if options:
                    options.insert(place, r.choice(options))
                case 2 if options:
                    options[place % len(options)] = self.option()
                case _:
                    options.insert(place, self.option())
        changed = replace(message, options=tuple(options))
        if r.random() < 0.2:
            changed = self._change_field(changed)
        return changed

    def _change_field(self, message: Binding) -> Binding:
        r = self.random
        if isinstance(message, BindingAck):
            changes: dict[str, Any] = {
                "status": r.randrange(256),
                "flags": r.choice([PBA_FLAGS, AckFlag(0), AckFlag.PROXY, AckFlag.DISTRIBUTED]),
                "sequence": r.randrange(65536),
                "lifetime_units": r.choice([0, 1, 75, 65535]),
            }
        else:
            changes = {
                "flags": r.choice([PBU_FLAGS, UpdateFlag(0x4000), UpdateFlag(0x0200), UpdateFlag(0x8210 | 0x4C60)]),
                "sequence": r.randrange(65536),
                "lifetime_units": r.choice([0, 1, 75, 65535]),
            }
        name = r.choice(list(changes))
        return replace(message, **{name: changes[name]})

    def octets(self, message: MobilityMessage | None, source: IPv6Address) -> bytes:
        """The message's octets, sometimes spoilt; noise for None."""
        r = self.random
        if message is None:
            return r.randbytes(r.choice([0, 1, 5, 7, 8, 40, 104, 300, 2048]))
        octets = bytearray(push_mobility(message, source, self.target))
        if r.random() < 0.3:
            for _ in range(r.randrange(1, 6)):
                octets[r.randrange(len(octets))] = r.randrange(256)
        if r.random() < 0.05:
            del octets[r.randrange(len(octets)) :]
        if r.random() < 0.05:
            octets += r.randbytes(r.randrange(20))
        return bytes(octets)

    def answer(self, update: BindingUpdate) -> BindingAck:
        """An acceptance of one of the receiver's updates, with an anchor in it."""
        r = self.random
        extra: list[Option] = [PreviousMaar.of(r.choice(self.addresses), r.choice(self.prefixes))]
        extra += [DlifLinkLayer(b"\x02\xd6" + r.randbytes(4))] if r.random() < 0.7 else []
        prefixes = [option.network for option in update.every(HomeNetworkPrefix)]
        return compose_ack(update, lifetime=300, prefixes=prefixes, extra=extra if r.random() < 0.7 else [])

    def small(self) -> BindingError | BindingRefreshRequest:
        """A message without binding."""
        options = tuple(self.option() for _ in range(self.random.randrange(3)))
        if self.random.random() < 0.5:
            return BindingError(status=self.random.randrange(256), options=options)
        return BindingRefreshRequest(options=options)
