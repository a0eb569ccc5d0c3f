"""Check "cmd-interface": what the central mobility database's interface carries (spec CMD-1)."""

from __future__ import annotations

from collections import Counter

from captures import tunnels
from captures.checks.base import Result, Tally, check, required
from captures.records import ICMPV6, MOBILITY, UDP, Packet
from captures.run import Run

NEIGHBOUR_DISCOVERY = {130, 131, 132, 133, 134, 135, 136, 137, 143}
"""ND (RFC 4861) and multicast listener reports (RFC 2710, RFC 3810)."""


@check("cmd-interface")
def cmd_interface(run: Run) -> list[Result]:
    """Mobility Header and ND only; repository look-ups in direct mode (which must have happened); an LMA's tunnels."""
    lookups = run.mode == "direct" and run.repository_port is not None
    tally = Tally(
        "cmd-interface.content",
        required(run, "CMD-1"),
        "The CMD's interface carries control traffic only",
        ("repository look-ups, " if lookups else "")
        + "Mobility Header and Neighbour Discovery, nothing else"
        + (" but the tunnels between operators" if run.lma else ""),
    )
    seen: Counter[str] = Counter()
    capture = run.capture(run.cmd_node or "", run.cmd_interface or "")
    for packet in capture.packets if capture else []:
        kind = _kind(run, packet, lookups)
        seen[kind] += 1
        if kind in ("Mobility Header", "look-up"):
            tally.see(packet)
        elif kind not in ("Neighbour Discovery", "packet between operators"):
            tally.wrong(f"{kind} at the CMD", packet)
    text = ", ".join(f"{count} {kind}" for kind, count in seen.most_common())
    nothing = "no look-up and no Mobility Header at the CMD" if lookups else "no Mobility Header at the CMD"
    return [tally.result(text, nothing)]


def _kind(run: Run, packet: Packet, lookups: bool) -> str:
    if not packet.layers:
        return f"EtherType {packet.ethertype:#06x}"
    if packet.tunnelled:
        relayed = run.lma and not isinstance(tunnels.read(run, packet), str)
        return "packet between operators" if relayed else "tunnelled packet"
    ours = run.cmd_address in (packet.outer.source, packet.outer.destination)
    if packet.protocol == MOBILITY and ours:
        return "Mobility Header"
    if packet.protocol == ICMPV6 and packet.icmp_type in NEIGHBOUR_DISCOVERY:
        return "Neighbour Discovery"
    if packet.protocol == UDP:
        if lookups and ours and run.repository_port in (packet.source_port, packet.destination_port):
            return "look-up"
        return f"UDP {packet.source_port}→{packet.destination_port}"
    return f"protocol {packet.protocol}" + (f" type {packet.icmp_type}" if packet.icmp_type >= 0 else "")
