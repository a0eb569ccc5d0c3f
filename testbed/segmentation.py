"""Datagrams that a program gives to the kernel many at once are cut before they leave an interface, not behind it.

A veth takes them uncut (UDP segmentation offload), and so does everything up to the socket they are for: captures and
counters on the way would see one packet of 64 KB, which no wire carries.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

from testbed.genetlink import Generic, text, u32
from testbed.links import Interface
from testbed.namespace import Namespace
from testbed.nodes import Host

# linux: include/uapi/linux/ethtool_netlink.h
_FAMILY, _FEATURES_SET = "ethtool", 12
_HEADER, _WANTED, _DEVICE_INDEX = 1, 3, 1
_BITSET_BITS, _BITSET_BIT, _BIT_NAME = 3, 1, 2
_NESTED = 0x8000
FEATURE = "tx-udp-segmentation"


def cut_before_the_wire(nodes: Iterable[Host]) -> None:
    """Switch UDP segmentation offload off on all links of these nodes (LabError); a kernel without it needs nothing."""
    by_namespace: dict[Namespace, list[Interface]] = {}
    for node in nodes:
        if node.namespace:
            cables = [each for each in node.intfList() if each.link and not each.link.wireless]
            by_namespace.setdefault(node.namespace, []).extend(cables)
    for namespace, interfaces in by_namespace.items():
        with namespace.entered(), Generic() as generic:
            family = generic.family(_FAMILY)
            if family is None:  # before Linux 5.6: nothing there knows the feature by this way
                return
            for interface in interfaces:
                _switch_off(generic, family, interface)


def _switch_off(generic: Generic, family: int, interface: Interface) -> None:
    bit = _nested(_BITSET_BIT, text(FEATURE), _BIT_NAME)  # named, and not said to be on
    bits = struct.pack("=HH", 4 + len(bit), _BITSET_BITS | _NESTED) + bit
    device = _attribute(_DEVICE_INDEX, u32(interface.index))
    what = f"{FEATURE} off on {interface.node} {interface.name}"
    generic.do(family, _FEATURES_SET, [(_HEADER | _NESTED, device), (_WANTED | _NESTED, bits)], what)


def _nested(kind: int, value: bytes, inner: int) -> bytes:
    return _attribute(kind | _NESTED, _attribute(inner, value))


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)
