"""Messages sent in a gateway's name by the script: replays of what it sent before, and word it never sent.

They leave a node by a raw socket of their own, next to the gateway's agent, which knows nothing of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv6Address
from typing import TYPE_CHECKING

from agents.wire.errors import DecodeError
from agents.wire.mobility import NEXT_HEADER, BindingUpdate, pull_mobility, push_mobility
from agents.wire.mobility_options import Timestamp
from captures.pcapng import Frames
from testbed.validation import LabError
from testbed.waiting import NotYet, wait_until
from topologies.dgw import dumps
from topologies.dgw.probing import CHECKSUM_AT, MOBILITY, Sender
from topologies.traffic import PATIENCE

if TYPE_CHECKING:
    from topologies.runner import Run

ETHERNET, IPV6_HEADER = 14, 40
REQUIREMENTS = {None: "HO-13, DEREG-3", 157: "HO-13, RETX-7"}
"""By the status a message must be rejected with; None: it must be ignored."""


def recorded_update(run: Run, node: str, destination: str) -> BindingUpdate:
    """The first PBU from a node's core link to an address, read from the running capture."""
    path = run.directory.capture(node, "wan")

    def look() -> BindingUpdate:
        frames = Frames(path)
        try:
            packets = [frames[number][ETHERNET:] for number in range(1, len(frames) + 1)]
        finally:
            frames.close()
        for packet in packets:
            found = _update(packet, IPv6Address(destination))
            if found is not None:
                return found
        raise NotYet(f"{len(packets)} frames, no PBU to {destination}")

    return wait_until(f"a PBU to {destination} in {path.name}", look, timeout=PATIENCE)


def _update(packet: bytes, destination: IPv6Address) -> BindingUpdate | None:
    if len(packet) < IPV6_HEADER or packet[0] >> 4 != 6 or packet[6] != NEXT_HEADER:
        return None
    source, target = IPv6Address(packet[8:24]), IPv6Address(packet[24:40])
    if target != destination:
        return None
    try:
        message = pull_mobility(packet[IPV6_HEADER:], source, target)
    except DecodeError as error:
        raise LabError(f"an agent sent what cannot be read: {error}") from error
    return message if isinstance(message, BindingUpdate) else None


def deregistration(update: BindingUpdate, now: float) -> BindingUpdate:
    """The same update with lifetime 0 and a fresh timestamp."""
    options = tuple(Timestamp.from_seconds(now) if isinstance(one, Timestamp) else one for one in update.options)
    return replace(update, lifetime_units=0, options=options)


def send(
    run: Run,
    sender: Sender,
    destination: str,
    made: Callable[[float], BindingUpdate],
    *,
    label: str,
    title: str,
    status: int | None,
) -> None:
    """Send a PBU from a gateway's own address, after a dump of all agents' state.

    `made`: the update, given the time at which it leaves: its receiver looks how old its Timestamp is. `status`: what
    it must be rejected with, None when it must be ignored.
    """
    source = run.address(sender.node)
    dumps.agents(run, label)
    update = made(time.time())
    run.log(
        "impostor",
        node=sender.node,
        label=label,
        title=title,
        source=source,
        destination=destination,
        sequence=update.sequence,
        lifetime=update.lifetime_units,
        status=status,
        requirement=REQUIREMENTS[status],
    )
    octets = push_mobility(update, IPv6Address(source), IPv6Address(destination))
    sender.send(destination=destination, protocol=MOBILITY, octets=octets.hex(), checksum=CHECKSUM_AT)
