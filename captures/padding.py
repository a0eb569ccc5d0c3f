"""Where a sender puts options in a Mobility Header, and what it fills the gaps with (RFC 6275 §6.2.1, spec §2.2, §2.3).

A receiver never looks at this: what is wrong here is read all the same, and only a capture shows it.
"""

from __future__ import annotations

from captures import layers

ALIGNMENT = {
    layers.ALTERNATE_COA: (8, 6),
    layers.HNP: (8, 4),
    layers.LINK_LAYER_ID: (2, 0),
    layers.LINK_LOCAL: (8, 6),
    layers.TIMESTAMP: (8, 2),
    layers.ANCHORED: (8, 4),
    layers.LOCAL: (8, 4),
    layers.PREVIOUS_MAAR: (8, 4),
    layers.SERVING_MAAR: (8, 6),
    layers.DLIF_LINK_LOCAL: (8, 6),
    layers.DLIF_LINK_LAYER: (2, 0),
}
"""xn+y of each option that has one, counted from the first octet of the Mobility Header."""
RESERVED = {
    layers.HNP: (2,),
    layers.HANDOFF: (2,),
    layers.ACCESS: (2,),
    layers.LINK_LAYER_ID: (2, 3),
    layers.ANCHORED: (2,),
    layers.LOCAL: (2,),
    layers.PREVIOUS_MAAR: (2,),
    layers.DLIF_LINK_LAYER: (2, 3),
}
"""Reserved octets, counted from the option's type: sent as 0."""
FIRST_OPTION = 12
"""In a PBU and in a PBA."""


def misplaced(octets: bytes) -> list[str]:
    """What is not as a sender should lay out this PBU or PBA; an option that overruns the end ends the search."""
    found = [] if octets[3:4] == b"\0" else ["reserved octet is not 0"]
    at, padded, end = FIRST_OPTION, False, min(8 * (octets[1] + 1), len(octets))
    while at < end:
        kind = octets[at]
        length = 1 if kind == layers.PAD1 else 2 + octets[at + 1] if at + 1 < end else end
        option = octets[at : at + length]
        if kind in (layers.PAD1, layers.PADN):
            found += [f"padding after padding at {at}"] if padded else []
            found += [f"padding at {at} is not 0"] if any(option[2:]) else []
        else:
            unit, rest = ALIGNMENT.get(kind, (1, 0))
            found += [f"option {kind} at {at}, not {unit}n+{rest}"] if at % unit != rest else []
            spoilt = any(option[place : place + 1] not in (b"", b"\0") for place in RESERVED.get(kind, ()))
            found += [f"option {kind} with a reserved octet set"] if spoilt else []
        padded = kind in (layers.PAD1, layers.PADN)
        at += length
    return found
