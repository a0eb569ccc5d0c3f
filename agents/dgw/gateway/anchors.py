"""Anchors of a served node: taking up what an acknowledgement or the repository says of them (spec HO-7, HO-9)."""

from __future__ import annotations

from ipaddress import IPv6Address, IPv6Network

from agents.dgw.gateway.base import GatewayBase
from agents.dgw.gateway.state import AnchorBinding, MobileNode
from agents.dgw.identity import Identity, own_identity, usable_mac
from agents.dgw.messages import group_identity, unusable_identity
from agents.dgw.records import AnchorRecord
from agents.wire.mobility_lists import AnchorGroup

FRESH_SLOTS = 0x8000
"""First slot number of identities made up for anchors that told none; pools count from below."""
OTHER_SLOTS = 0xC000
"""Added to the slot of an own identity whose link-local address a node uses itself."""


def expect_anchor(base: GatewayBase, node: MobileNode, record: AnchorRecord) -> AnchorBinding | None:
    """The binding for this record, made if needed; None unless a gateway is named with a prefix of its own pool."""
    slot = node.free_slot(base.state.slots())
    name = _anchor_name(base, record, slot)
    if name is None:
        base.outbox.say("anchor-ignored", mn_id=node.mn_id, prefix=record.prefix, peer=record.address)
        return None
    anchor = node.anchor(record.prefix)
    if anchor is None:
        anchor = AnchorBinding(record.prefix, record.address, slot, f"{node.name}{name}")
        node.anchors.append(anchor)
    anchor.address = record.address
    anchor.identity = _usable(base, node, anchor, record.identity) or anchor.identity
    anchor.local_prefixes = _announced(base, anchor, record.local_prefixes) or anchor.local_prefixes
    return anchor


def told_identity(base: GatewayBase, node: MobileNode, group: AnchorGroup | None) -> Identity | None:
    """The DLIF identity that an answer tells; what of it cannot be used is logged (spec §10, DLIF-7)."""
    if group is None:
        return None
    wrong = unusable_identity(group)
    if wrong:
        base.outbox.say("identity-ignored", mn_id=node.mn_id, reason=wrong)
    return group_identity(group)


def _anchor_name(base: GatewayBase, record: AnchorRecord, slot: int) -> str | None:
    """What DLIFs of this anchor are named after: a gateway of our operator for a prefix of its pool, and the LMA for
    prefixes of other operators' gateways, whose names nobody tells us (spec INTER-1, INTER-2); None for no anchor."""
    if record.prefix.subnet_of(base.config.pool):
        return None
    peer = base.owner(record.prefix)
    if peer is not None:
        return peer.name if record.address == peer.address else None
    return f"lma{slot}" if record.address == base.lma else None


def activate(
    base: GatewayBase,
    node: MobileNode,
    anchor: AnchorBinding,
    identity: Identity | None,
    local_prefixes: tuple[IPv6Network, ...],
) -> None:
    """The anchor agreed: what its answer says wins over what was known before (spec HO-7)."""
    anchor.identity = _usable(base, node, anchor, identity) or anchor.identity
    if anchor.identity is None:
        anchor.identity = own_identity(base.config.index, FRESH_SLOTS + anchor.slot)
        base.outbox.say("router-identity-changed", mn_id=node.mn_id, prefix=anchor.prefix)
    anchor.local_prefixes = _announced(base, anchor, local_prefixes) or anchor.local_prefixes
    if not anchor.active:
        anchor.active = True
        base.outbox.say(
            "anchor-active", mn_id=node.mn_id, prefix=anchor.prefix, anchor=anchor.address, dlif=anchor.dlif
        )


def drop_anchor(base: GatewayBase, node: MobileNode, anchor: AnchorBinding, reason: str) -> None:
    """The anchor will not serve its prefix: it is withdrawn, its forwarding ends, its DLIF goes (spec §10, RA-15)."""
    base.part(node, anchor.prefix)
    node.anchors.remove(anchor)
    base.outbox.say("anchor-dropped", mn_id=node.mn_id, prefix=anchor.prefix, reason=reason)


def avoid_link_local(base: GatewayBase, node: MobileNode, taken: IPv6Address) -> bool:
    """The node uses this link-local address itself: no DLIF of it may (spec DLIF-6). Whether the own one changed.

    An anchor's DLIF gets an identity for here only: a PBU has no place to tell the anchor (spec AMB-7).
    """
    for anchor in node.anchors:
        if anchor.identity and anchor.identity.link_local == taken:
            anchor.identity = own_identity(base.config.index, FRESH_SLOTS + anchor.slot)
            base.outbox.say("router-identity-changed", mn_id=node.mn_id, prefix=anchor.prefix)
    if node.own is None or node.own.identity.link_local != taken:
        return False
    slot = base.state.pool.slot(node.own.prefix)
    other, usual = (own_identity(base.config.index, number) for number in (OTHER_SLOTS | slot, slot))
    node.own.identity = usual if node.own.identity == other else other
    base.outbox.say("router-identity-changed", mn_id=node.mn_id, prefix=node.own.prefix)
    return True


def anchors_at(node: MobileNode, address: IPv6Address) -> list[AnchorBinding]:
    """The node's bindings with one anchor."""
    return [anchor for anchor in node.anchors if anchor.address == address]


def _announced(
    base: GatewayBase, anchor: AnchorBinding, local_prefixes: tuple[IPv6Network, ...]
) -> tuple[IPv6Network, ...]:
    """The local networks that this anchor may name; the node would send it what is for the others (spec SEC-4)."""
    if anchor.address == base.lma:  # which asked the anchors' right itself, and lets through what it shall (INTER-11)
        return local_prefixes
    allowed = base.authority.local_prefixes(anchor.address, local_prefixes)
    for prefix in set(local_prefixes) - set(allowed):
        base.outbox.say("local-prefix-ignored", peer=anchor.address, prefix=prefix)
    return allowed


def _usable(base: GatewayBase, node: MobileNode, anchor: AnchorBinding, identity: Identity | None) -> Identity | None:
    """The identity, unless its link-layer address is already on the access link for another node (spec §10)."""
    if identity is None or identity == anchor.identity:
        return identity
    if not usable_mac(identity.mac) or not identity.link_local.is_link_local:
        base.outbox.say("identity-ignored", mn_id=node.mn_id, reason=f"{identity.mac} {identity.link_local}")
        return None
    if identity.link_local == node.link_local:
        base.outbox.say("identity-ignored", mn_id=node.mn_id, mac=identity.mac, taken_by=node.mn_id)
        return None
    for other in base.state.nodes.values():
        taken = [a.identity.mac for a in other.anchors if a.identity and a is not anchor]
        if other.own and other.serving:
            taken.append(other.own.identity.mac)
        if identity.mac in taken:
            base.outbox.say("identity-ignored", mn_id=node.mn_id, mac=identity.mac, taken_by=other.mn_id)
            return None
    station = base.profiles_by_mac.get(identity.mac)
    if station:
        base.outbox.say("identity-ignored", mn_id=node.mn_id, mac=identity.mac, taken_by=station.mn_id)
        return None
    return identity
