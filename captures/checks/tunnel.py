"""Check "tunnel": IPv6-in-IPv6 on the core links.

Sources: RFC 5213 §5.6, §6.10.5; RFC 8885 §3.2; spec ATT-10, HO-6, HO-9, HO-10, CMD-1, §7.
"""

from __future__ import annotations

from collections import Counter

from captures import tunnels
from captures.checks.base import Framed, Result, Tally, check, plural, required
from captures.decode import inside
from captures.flows import RETURNING
from captures.records import Packet
from captures.run import Run
from captures.tunnels import Tunnelled
from captures.walk import Attachment


@check("tunnel")
def tunnel(run: Run, grace: float = 1.0) -> list[Result]:
    """Judge every tunnelled packet; `grace` (seconds): old tunnels may carry packets that long after a move."""
    read: dict[str, list[Tunnelled]] = {}
    wrong: list[tuple[str, Packet]] = []
    for name in run.gateways:
        read[name] = []
        capture = run.wan(name)
        for packet in capture.packets if capture else []:
            if packet.tunnelled:
                one = tunnels.read(run, packet)
                if isinstance(one, str):
                    wrong.append((one, packet))
                else:
                    read[name].append(one)
    everything = [one for found in read.values() for one in found]
    results = [_outer(everything, wrong), _serving_end(run, everything, grace)]
    if run.central:
        results.append(_all_through_anchor(run))
        stays = [stay for found in run.attachments.values() for stay in found]
        return results + [_used(run, stay, run.central.name, read[stay.gateway]) for stay in stays]
    results += [_local_plain(run, read), _no_leak(run), _not_through_cmd(run, grace)]
    for stay in run.moves():
        results.extend(_used(run, stay, anchor, read[stay.gateway]) for anchor in stay.previous)
    return results


def _outer(everything: list[Tunnelled], wrong: list[tuple[str, Packet]]) -> Result:
    tally = Tally(
        "tunnel.outer",
        "HO-6, HO-9",
        "Tunnels run between the anchor and the serving gateway",
        "outer addresses = two gateways; inner = a prefix anchored at the far end from the serving gateway, "
        "or a local network there",
    )
    for text, packet in wrong:
        tally.wrong(text, packet)
    tally.see(*[one.packet for one in everything])
    pairs = Counter(f"{one.serving}–{one.anchor}" for one in everything)
    text = ", ".join(f"{pair}: {plural(count, 'packet')}" for pair, count in sorted(pairs.items()))
    return tally.result(text, "no tunnelled packet on any gateway's core link")


def _serving_end(run: Run, everything: list[Tunnelled], grace: float) -> Result:
    tally = Tally(
        "tunnel.serving",
        "HO-5, HO-12, ATT-10",
        "Only prefixes anchored elsewhere are tunnelled, and only to where the node is",
        f"the far end is the gateway the node is at (or left less than {grace:g} s before), never the anchor itself",
    )
    for one in everything:
        tally.see(one.packet)
        mobile = run.owner(one.mobile_address)
        if mobile is None:
            tally.wrong(f"{one.mobile_address} was never given to a mobile node", one.packet)
            continue
        serving = run.serving(mobile, one.packet.time, grace)
        if not tunnels.right_end(run, one, serving):
            now = "/".join(sorted(serving)) or "no gateway"
            local = serving == {one.anchor}
            what = f"local prefix {one.mobile_address} tunnelled" if local else f"tunnel ends at {one.serving}"
            tally.wrong(f"{what} while {mobile} is at {now}", one.packet)
    return tally.result(f"{plural(len(everything), 'tunnelled packet')} conform", "no tunnelled packet seen")


def _local_plain(run: Run, read: dict[str, list[Tunnelled]]) -> Result:
    tally = Tally(
        "tunnel.local",
        "ATT-10",
        "The local prefix is routed plainly",
        "packets of the serving gateway's own prefix cross its core link without encapsulation, at every stay",
    )
    texts = []
    for mobile, stays in run.attachments.items():
        for stay in stays:
            capture = run.wan(stay.gateway)
            prefixes = run.prefixes.get((mobile, stay.gateway), [])
            plain: list[Framed] = [
                packet
                for packet in (capture.packets if capture else [])
                if packet.layers
                and not packet.tunnelled
                and stay.start <= packet.time < stay.end
                and any(inside(packet.inner.source, net) or inside(packet.inner.destination, net) for net in prefixes)
            ]
            tally.see(*plain)
            texts.append(f"{stay.gateway}: {len(plain)} plain")
            for one in read.get(stay.gateway, []):
                settled = stay.start <= one.packet.time < stay.end
                if settled and not one.local and any(inside(one.mobile_address, net) for net in prefixes):
                    # In the first moments after a return the gateway has not noticed yet (spec HO-14).
                    late = one.packet.time > stay.start + RETURNING * run.slowness or one.uplink
                    tally.demand(not late, f"{stay.gateway} tunnels its own prefix", one.packet)
            if not plain and not tally.problems:
                tally.missing = f"no packet of {mobile}'s local prefix on the core link of {stay.gateway}"
                tally.seen.clear()
                return tally.result()
    return tally.result(", ".join(texts))


def _no_leak(run: Run) -> Result:
    tally = Tally(
        "tunnel.leak",
        "HO-10, ATT-13",
        "No packet leaves natively with a foreign prefix as source",
        "what a gateway sends plainly from a mobile node's address is from its own pool",
    )
    for name, gateway in run.gateways.items():
        capture, mac = run.wan(name), run.mac(name, gateway.wan)
        for packet in capture.packets if capture else []:
            if not packet.layers or packet.tunnelled or packet.eth_source != mac:
                continue
            anchor = run.anchor_of(packet.inner.source)
            if anchor is None:
                continue
            tally.see(packet)
            tally.demand(
                anchor == name,
                f"{name} sends from {packet.inner.source}, anchored at {anchor}, natively",
                packet,
            )
    return tally.result(f"{plural(len(tally.seen), 'plain uplink packet')}, all from own pools", "no uplink packet")


def _all_through_anchor(run: Run) -> Result:
    """Classic mode: an access gateway forwards nothing of a node itself (RFC 5213 §6.10.5)."""
    tally = Tally(
        "tunnel.anchor",
        required(run, "HO-10"),
        "Everything from and to the home network goes through the anchor",
        "on the core links of the gateways no packet with a home address outside a tunnel",
    )
    for name in run.gateways:
        capture = run.wan(name)
        for packet in capture.packets if capture else []:
            if packet.layers and None in map(run.anchor_of, (packet.inner.source, packet.inner.destination)):
                home = run.anchor_of(packet.inner.source) or run.anchor_of(packet.inner.destination)
                if home is not None:
                    tally.see(packet)
                    tally.demand(packet.tunnelled, f"home traffic passes {name} outside a tunnel", packet)
    return tally.result(f"{plural(len(tally.seen), 'packet')}, all in tunnels", "no packet of a home address")


def _not_through_cmd(run: Run, grace: float) -> Result:
    tally = Tally(
        "tunnel.cmd",
        "CMD-1",
        "No user data goes through the CMD" + (" but between operators" if run.lma else ""),
        "the CMD's interface carries no tunnelled packet and no packet from or to a mobile node's prefix"
        + (", but for the tunnels of prefixes of another operator than the serving gateway's" if run.lma else ""),
    )
    node, interface = run.cmd_node or "", run.cmd_interface or ""
    capture = run.capture(node, interface)
    for packet in capture.packets if capture else []:
        tally.see(packet)
        if packet.tunnelled:
            what = _relayed(run, packet, grace)
            tally.demand(what is None, f"tunnelled packet at the CMD: {what}", packet)
        elif packet.layers:
            ends = (packet.inner.source, packet.inner.destination)
            tally.demand(all(run.anchor_of(end) is None for end in ends), "user data at the CMD", packet)
    return tally.result(f"{plural(len(tally.seen), 'frame')} looked at, no user data", "no frame at the CMD")


def _relayed(run: Run, packet: Packet, grace: float) -> str | None:
    """What is wrong with a tunnelled packet at the CMD; None where it is the LMA between two operators (INTER-7)."""
    one = tunnels.read(run, packet) if run.lma else "no user data belongs here"
    if isinstance(one, str):
        return one
    serving = run.serving(run.owner(one.mobile_address) or "", packet.time, grace)
    return None if tunnels.right_end(run, one, serving) else f"{one.mobile_address} while its node is elsewhere"


def _used(run: Run, stay: Attachment, anchor: str, read: list[Tunnelled]) -> Result:
    """After a move, traffic of each anchored prefix really goes through its tunnel, both ways."""
    end = run.far_end(anchor, stay.gateway)
    tally = Tally(
        f"tunnel.used.{stay.mobile}.{stay.number}.{anchor}",
        "HO-6, HO-9" if end == anchor else "HO-6, HO-9, INTER-2",
        f"{stay.mobile} at {stay.gateway}: traffic of {anchor}'s prefix goes through the tunnel to {end}",
        f"uplink and downlink packets {stay.gateway}–{end} while {stay.mobile} is at {stay.gateway}",
    )
    mine = [
        one
        for one in read
        if one.anchor == end
        and run.anchor_of(one.mobile_address) == anchor
        and one.serving == stay.gateway
        and stay.start <= one.packet.time < stay.end
        and run.owner(one.mobile_address) == stay.mobile
    ]
    up = [one.packet for one in mine if one.uplink]
    down = [one.packet for one in mine if not one.uplink]
    if up and down:
        tally.see(*up[:6], *down[:6])
    elif mine:
        tally.wrong(f"{plural(len(up), 'packet')} up, {plural(len(down), 'packet')} down", *up[:6], *down[:6])
    octets = sum(packet.length for packet in up + down)
    return tally.result(
        f"{len(up)} packets up, {len(down)} down, {octets} octets",
        f"no packet of {anchor}'s prefix between {stay.gateway} and {end}",
    )
