"""Who must not get in: outsiders, and packets for another network of the same prefix."""

from __future__ import annotations

from ipaddress import IPv6Address, IPv6Network

from captures.checks.base import Framed, Result, Tally, plural
from captures.checks.local_access.facts import sent_to
from captures.decode import inside
from captures.run import Run


def closed(run: Run) -> Result:
    """Every attempt that the lab announced really came to the door, and no further."""
    tally = Tally(
        "local.closed",
        "LIPA-8",
        "Nobody else reaches a local network",
        "attempts are seen at the owner's door, none inside, none answered",
    )
    texts = []
    for event in run.events:
        if event["event"] != "attempt-started":
            continue
        node, target, destination = event["node"], event["target"], IPv6Address(event["destination"])
        owner, outsider = run.home_of(target), run.of_node(node)
        if owner is None or outsider is None:
            tally.wrong(f"{target} is in no local network, or {node} was not captured")
            continue
        tried = sent_to(outsider.packets, destination, event["t"])
        sources = {packet.inner.source for packet in tried}
        wan, there = run.wan(owner), run.of_node(target)
        knocks = [p for p in sent_to(wan.packets if wan else [], destination, event["t"]) if p.inner.source in sources]
        got = [p for p in sent_to(there.packets if there else [], destination, event["t"]) if p.inner.source in sources]
        answers = [p for p in outsider.packets if p.layers and p.inner.source == destination and p.time >= event["t"]]
        tally.see(*tried[:3], *knocks[:3])
        tally.demand(bool(tried and knocks), f"no attempt of {node} came as far as {owner}")
        tally.demand(there is not None, f"{target} was not captured")
        tally.demand(not got, f"{target} got a packet of {node}", *got[:3])
        tally.demand(not answers, f"{node} got an answer from {target}", *answers[:3])
        texts.append(f"{node}: {plural(len(tried), 'attempt')}, {len(knocks)} seen at {owner}, none inside")
    return tally.result("; ".join(texts), "nobody tried")


def apart(run: Run, network: IPv6Network) -> Result:
    """Equal local prefixes: which of the hosts got each flow."""
    tally = Tally(
        f"local.apart.{network}",
        "LIPA-4",
        f"{network} in use behind two gateways: every node reaches the one it means",
        "each flow into this prefix arrives at its own peer and at no other host of that address",
    )
    flows = [flow for flow in run.flows if inside(flow.destination, network)]
    for flow in flows:
        for gateway in run.gateways.values():
            for host in gateway.local_hosts:
                capture = run.of_node(host)
                packets: list[Framed] = [
                    p
                    for p in (capture.packets if capture else [])
                    if p.layers
                    and (p.inner.source, p.source_port) == (flow.source, flow.source_port)
                    and p.inner.destination == flow.destination
                ]
                if host == flow.peer:
                    tally.see(*packets[:3])
                    tally.demand(bool(packets), f"{flow.name} never arrived at {host}")
                else:
                    tally.demand(not packets, f"{flow.name} arrived at {host}", *packets[:3])
    peers = {flow.peer for flow in flows}
    if len(peers) < 2:
        tally.seen.clear()
        tally.missing = "fewer than two hosts were talked to under this prefix"
    return tally.result(f"{plural(len(flows), 'flow')} to {', '.join(sorted(peers))}")
