"""What must hold of a D-GW core between any two messages, whatever came before."""

import json

from agents.dgw.cmd.state import CmdState
from agents.dgw.gateway.plan import items
from agents.dgw.gateway.state import BindingState, GatewayState
from agents.dgw.lma.state import LmaState
from agents.dgw.lma.state import items as items_of_lma
from agents.dgw.repository import Repository
from agents.limits import KEPT
from agents.plain import build

PER_EXCHANGE = 64


def check(core, kernel):
    """AssertionError when the core contradicts itself, or the kernel that followed its actions."""
    role = core.inspect()["role"]
    if role == "lma":
        check_lma(core, kernel)
        return
    if role == "gateway":
        check_gateway(core, kernel)
    else:
        check_cmd(core)
    check_bounds(core._base)


def check_lma(core, kernel):
    registrar = core._registrar
    state, pool = registrar.state, registrar.state.pool
    known = {profile.mn_id for profile in core.config.profiles}
    owned = {pool.slot(binding.prefix): binding.mn_id for binding in state.bindings.values()}
    assert pool.allocated == owned, "every allocated prefix has its session, every session its prefix"
    assert not set(pool.quarantine) & set(pool.allocated)
    assert registrar.plan == items_of_lma(state.bindings.values())
    assert kernel == registrar.plan, "the kernel holds what the plan says"
    assert set(owned.values()) | set(state.freshness) | set(registrar._waiting) <= known
    gateways = {gateway.address for gateway in core.config.gateways}
    assert {binding.care_of for binding in state.bindings.values()} <= gateways
    build(LmaState, json.loads(json.dumps(core.saved_state())), "saved state")
    check_reception(registrar.reception)
    check_timers(registrar.timers)


def check_gateway(core, kernel):
    base, config = core._base, core.config
    pool, nodes = base.state.pool, base.state.nodes
    profiles = {profile.mn_id for profile in config.profiles}
    assert set(nodes) <= profiles
    owned = {pool.slot(node.own.prefix): mn_id for mn_id, node in nodes.items() if node.own}
    assert pool.allocated == owned, "every allocated prefix has its binding, every binding its prefix"
    assert not set(pool.quarantine) & set(pool.allocated)
    assert base.plan == items(nodes.values(), config), "the plan is what the bindings call for"
    assert kernel == base.plan, "the kernel holds what the plan says"
    slots = [anchor.slot for node in nodes.values() for anchor in node.anchors]
    assert len(slots) == len(set(slots))
    macs = [item.mac for (kind, _), item in kernel.items() if kind == "dlif"]
    assert len(macs) == len(set(macs)), "no link-layer address twice on the access link"
    for node in nodes.values():
        check_node(base, node)
    check_exchanges(base, {*base.peers, config.cmd}, profiles)
    served = {node.mn_id for node in nodes.values() if node.serving}
    assert {e.mn_id for e in base.exchanges if e.purpose != "deregister"} <= served, "RETX-3"
    build(GatewayState, json.loads(json.dumps(core.saved_state())), "saved state")


def check_node(base, node):
    assert not node.attached or node.serving
    assert node.serving or not node.anchors
    if node.own is None:
        return
    remote = node.own.state is BindingState.REMOTE
    assert remote == (node.own.care_of is not None)
    assert not remote or (not node.serving and node.own.care_of in base.peers)
    assert all(anchor.prefix != node.own.prefix for anchor in node.anchors)


def check_exchanges(base, peers, mn_ids):
    waiting = [(e.peer, e.mn_id, e.purpose) for e in base.exchanges]
    assert len(waiting) == len(set(waiting)), "one exchange with a peer about a node and purpose"
    assert {peer for peer, _, _ in waiting} <= peers
    assert {mn_id for _, mn_id, _ in waiting} <= mn_ids


def check_cmd(core):
    base = core._base
    for mn_id, session in base.state.sessions.items():
        assert mn_id in base.profiles
        addresses = [record.address for record in session.anchors]
        assert session.serving.address not in addresses, "CMD-7"
        assert len(addresses) == len(set(addresses))
        assert session.untold <= set(addresses)
        for record in (session.serving, *session.anchors):
            assert record.prefix.subnet_of(base.gateways[record.address].pool), "CMD-3"
    check_exchanges(base, set(base.gateways), set(base.profiles))
    saved = json.loads(json.dumps(core.saved_state()))
    build(CmdState, saved["state"], "saved state")
    build(Repository, saved["repository"], "saved repository")


def check_reception(reception):
    assert len(reception._errors._sources) <= KEPT
    assert len(reception.counters) <= 20


def check_timers(timers):
    assert len(timers._heap) <= 2 * len(timers._due) + PER_EXCHANGE


def check_bounds(base):
    """Nothing grows with the number of messages or of senders."""
    exchanges = base.exchanges
    check_reception(base.reception)
    check_timers(base.timers)
    assert len(exchanges._refused) <= 8
    assert len(exchanges._pacer._sent) <= 8
    assert len(exchanges._halted) <= 8 * len(base.profiles)
    for exchange in exchanges:
        assert len(exchange.sequences) <= PER_EXCHANGE
        assert len(exchange.refused) <= 2 * PER_EXCHANGE
    assert len(base.state.legacy_peers) <= 8
