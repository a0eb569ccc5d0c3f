"""Registrations a second of a HAARO home agent, times of route optimisation and failover, packets through its tunnels.

Registrations are those of one core without sockets and kernel, in seconds of processor time: what the machine does
besides hardly counts.  Times and octets through the home agent are read from captures of the labs' sites.  `delay`:
between the home agent and the core, ms one way, where the kernel can delay.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

from agents.haaro.compression import Owner, decode_advertisement, encode_advertisement
from agents.wire.mip4_extensions import RoCapability
from testbed.validation import LabError
from topologies.bench.failing import failing
from topologies.bench.figures import Figure, at_least, at_most, result
from topologies.bench.optimising import load, optimising
from topologies.bench.registering import HEADER_ROOM, OPTIMISE, Crowd, Site, advertised, owner_of, sites
from topologies.bench.relaying import relaying

ROUTERS, ROUNDS = 2000, 3
CUSTOMER = 8
"""Sites with the same realm; 1: each has its own, which is the most work."""
OWNERS, PREFIXES = 100, 10
"""Whose networks, and how many of each, one reply advertises."""
RATE_GOAL, PREFIX_GOAL = 2000, 1000
DATAGRAM = 65507
"""Octets that fit into one datagram: nothing divides an advertisement (spec A-44)."""


def run(progress: Callable[[str], None] = lambda _text: None, *, delay: float = 0.0) -> dict[str, Any]:
    """Measure registrations, advertisements, the home agent's load, and how long changes take."""
    figures = _rates("plain", None, CUSTOMER, progress)
    figures |= _rates("optimised", OPTIMISE, CUSTOMER, progress)
    own = _rates("own_realms", OPTIMISE, 1, progress)
    figures |= {name: Figure(figure.value, figure.unit) for name, figure in own.items()}
    progress(f"{OWNERS * PREFIXES} prefixes in one reply")
    for name, compress in (("compressed", True), ("written_out", False)):
        figures |= _advertising(name, sites(OWNERS + 1, PREFIXES), compress=compress)
    figures |= load(progress) | optimising(delay, progress) | failing(progress) | relaying(progress)
    return result("haaro", figures)


# --- registrations


def _rates(
    name: str, capability: RoCapability | None, realms: int, progress: Callable[[str], None]
) -> dict[str, Figure]:
    """The first registration of everyone, and the renewal of all when each knows all others; medians."""
    progress(f"{ROUTERS} routers register: {name}")
    first, renewed = [], []
    for _round in range(ROUNDS):
        crowd = Crowd(sites(ROUTERS, realms=realms), capability)
        first.append(ROUTERS / crowd.register())
        crowd.register()
        renewed.append(ROUTERS / crowd.register())
    return {
        f"register_{name}": at_least(statistics.median(first), "per second on a core", RATE_GOAL),
        f"renew_{name}": at_least(statistics.median(renewed), "per second on a core", RATE_GOAL),
    }


# --- advertisements


def _advertising(name: str, members: Sequence[Site], *, compress: bool) -> dict[str, Figure]:
    crowd = Crowd(members, OPTIMISE, compress=compress)
    crowd.register()
    reply = crowd.reply_to(members[-1])
    found = advertised(reply)
    told = sum(len(owner.networks) for owner in found.owners)
    owners = [owner_of(one) for one in members[:-1]]
    if found.error or found.owners != tuple(owners):
        raise LabError("the advertisement does not say what was registered")
    octets = encode_advertisement(owners, compress=compress)
    return {
        f"prefixes_{name}": at_least(told, "in one reply", PREFIX_GOAL),
        f"reply_{name}": at_most(len(reply), "octets", DATAGRAM),
        f"most_prefixes_{name}": Figure(_most(compress), "in one reply"),
        f"encode_{name}": Figure(_best(lambda: encode_advertisement(owners, compress=compress)) * 1000, "ms"),
        f"decode_{name}": Figure(_best(lambda: decode_advertisement(octets)) * 1000, "ms"),
    }


def _most(compress: bool) -> int:
    """How many prefixes of such sites a datagram has room for."""
    many: list[Owner] = [owner_of(one) for one in sites(DATAGRAM // 2 // PREFIXES, PREFIXES)]
    octets = encode_advertisement(many, limit=DATAGRAM - HEADER_ROOM, compress=compress)
    return sum(len(owner.networks) for owner in decode_advertisement(octets).owners)


def _best(what: Callable[[], object]) -> float:
    """Seconds of the fastest of five."""
    times = []
    for _round in range(5):
        begin = time.process_time()
        what()
        times.append(time.process_time() - begin)
    return min(times)
