"""State dumps as gateways and mobile nodes of a World would leave them in the event log, built from its walk."""

import copy
from ipaddress import IPv6Network

import synthetic as syn

from captures.records import eui64

MOMENTS = ((2.9, "at dgw1"), (4.9, "at dgw2"), (6.85, "at dgw3"))
AFTER = 7.5
"""When the gateways were told to let go."""
BASE_RULES = [
    {"priority": 100, "src": "all", "table": "local"},
    {"priority": 32766, "src": "all", "table": "main"},
]


def place(t, walk):
    """(serving gateway, earlier ones, latest first) at a moment."""
    visited = [gateway for gateway, start, _ in walk if start <= t]
    return visited[-1], list(dict.fromkeys(one for one in reversed(visited) if one != visited[-1]))


def kernel(gateway, t, label, walk, far_end):
    """Fields of one `kernel-dump`, with seg6 tunnels as `ip -j` shows them."""
    serving, anchors = place(t, walk)
    address, pool = syn.ADDRESS[gateway], syn.POOL[gateway]
    own = {"protocol": "183"}
    dump = {
        "label": label,
        "links": [
            link("lo"),
            {**link("ip6tnl0", "::", "ip6tnl"), "remote": "any"},
            link("wan", syn.WAN[gateway], "veth"),
            link("phy", syn.PHY[gateway], "veth"),
        ],
        "rules": [
            {"priority": 10, "src": "all", "dst": address, "table": "41", **own},
            {"priority": 990, "src": "all", "fwmark": "0xd6", "table": "main", **own},
            *copy.deepcopy(BASE_RULES),
        ],
        "routes": [
            {"dst": address, "encap": "seg6local", "dev": "wan", "table": "41", "metric": 1024, **own},
            {"type": "unreachable", "dst": pool, "dev": "lo", "metric": 4096, **own},
            {"dst": "default", "gateway": "fe80::1", "dev": "wan", "protocol": "static", "metric": 1024},
        ],
        "sets": {"sources": [], "peers": [], "tunnel_source": [], "tunnel_destination": []},
        "items": [],
    }
    if gateway == serving:
        serve(dump, gateway, anchors, far_end)
    elif gateway in anchors:
        prefix, peer = syn.PREFIX[gateway], syn.ADDRESS[far_end(serving, gateway)]
        tunnel(dump, peer, prefix, "source")
        dump["items"].append(f"anchor-route {prefix}")
        dump["routes"].append({"dst": prefix, "encap": "seg6", "segs": [peer], "dev": "wan", "metric": 64, **own})
    return dump


def serve(dump, gateway, anchors, far_end):
    """A serving gateway: DLIFs for all, an uplink table per anchor, gate elements."""
    for one in (gateway, *anchors):
        name = f"mn1{one}"
        dump["links"].append(link(name, syn.LMAC[one], "macvlan", "183"))
        dump["items"].append(f"dlif {name}")
        for other in (gateway, *anchors):
            dump["sets"]["sources"].append({"concat": [name, upper(other)]})
            dump["items"].append(f"source-gate {name} {syn.PREFIX[other]}")
    for number, anchor in enumerate(anchors, 1001):
        prefix, peer, table = syn.PREFIX[anchor], syn.ADDRESS[far_end(anchor, gateway)], str(number)
        tunnel(dump, peer, prefix, "destination")
        dump["items"].append(f"uplink {prefix}")
        source, length = prefix.split("/")
        own = {"protocol": "183", "table": table}
        dump["rules"].append({"priority": 1000, "src": source, "srclen": int(length), **own})
        dump["routes"].append({"dst": "default", "encap": "seg6", "segs": [peer], "dev": "wan", "metric": 1024, **own})
        dump["routes"].append({"dst": prefix, "dev": f"mn1{anchor}", "metric": 1024, **own})


def tunnel(dump, peer, prefix, side):
    dump["items"] += [f"tunnel {peer}", f"tunnel-gate {peer} {prefix} {side}"]
    dump["sets"]["peers"].append(peer)
    dump["sets"][f"tunnel_{side}"].append({"concat": [peer, upper_of(prefix)]})


def link(name, mac="00:00:00:00:00:00", kind="", group="default"):
    return {"ifname": name, "address": mac, "kind": kind, "group": group, "remote": None}


def upper_of(prefix):
    return int(IPv6Network(prefix).network_address) >> 64


def upper(gateway):
    return upper_of(syn.PREFIX[gateway])


def empty(gateway):
    """Fields of a `kernel-dump` after the agent took everything back."""
    dump = kernel(gateway, 0.0, "after the end", ((gateway, 0.0, 1.0),), None)
    return {
        **dump,
        "links": dump["links"][:3],
        "rules": [{"priority": 0, "src": "all", "table": "local"}, BASE_RULES[1]],
        "routes": [route for route in dump["routes"] if route["protocol"] != "183"],
        "sets": None,
        "items": None,
    }


def mobile(t, label, profile, walk):
    """Fields of one `mobile-dump`."""
    serving, anchors = place(t, walk)
    routes, neighbours, addresses = [], [], [{"local": "fe80::ff:fe00:11", "prefixlen": 64, "scope": "link"}]
    for one in (serving, *anchors):
        own = one == serving
        gateway = str(eui64(syn.LMAC[one]))
        pref = "medium" if own else "low"
        routes.append({"dst": "default", "gateway": gateway, "dev": "eth0", "protocol": "ra", "pref": pref})
        neighbours.append({"dst": gateway, "dev": "eth0", "lladdr": syn.LMAC[one], "state": ["STALE"]})
        found = {"local": syn.MN[one], "prefixlen": 64, "scope": "global"}
        addresses.append(found if own or profile == "lowpref" else {**found, "deprecated": True})
    return {"label": label, "addresses": addresses, "routes": routes, "neighbours": neighbours}


def log(world):
    """Append all dumps of a run to its events."""
    for t, label in MOMENTS:
        for gateway in syn.POOL:
            world.event(t, "kernel-dump", node=gateway, **kernel(gateway, t, label, syn.WALK, world.far_end))
        world.event(t, "mobile-dump", node="mn1", **mobile(t, label, world.profile, syn.WALK))
    for gateway in syn.POOL:
        world.event(AFTER, "kernel-dump", node=gateway, **empty(gateway))
    world.event(6.9, "resources", node="lab", memory_mb=512.0, processes=40, unread=0, cpus=2)


def replays(world):
    """dgw2, which the node left, repeats its PBU and de-registers the node; neither changes anything."""
    target = "dgw1" if world.mode == "direct" else "cmd"
    first = world.sent.get(f"pbu:dgw2:{target}")
    if first is None:
        return
    keep = {key: first[key] for key in ("hnp", "hi", "att", "seq", "mn_id") if key in first}
    now = syn.T0 + 6.86
    inject(world, "stale", 6.86, target, 157, keep["seq"])
    world.message("stale", 6.86, "dgw2", target, "PBU", ts=first["ts"], **keep)
    world.message("stale-answer", 6.8605, target, "dgw2", "PBA", status=157, lifetime=0, ts=now, **keep)
    inject(world, "deregistration", 6.88, target, None, keep["seq"])
    world.message("deregistration", 6.88, "dgw2", target, "PBU", ts=now + 0.02, lifetime=0, **keep)


def inject(world, label, t, target, status, sequence):
    ends = {"source": syn.ADDRESS["dgw2"], "destination": syn.ADDRESS[target], "sequence": sequence}
    ends["lifetime"] = 75 if status else 0
    words = {"label": label, "title": label, "status": status, "requirement": "HO-13"}
    for node in ("dgw1", "dgw2", "cmd"):
        for when, rejected in ((t - 0.001, 0), (t + 0.01, 1)):
            state = {"nodes": {"mn1@dmm.example": {"serving": False}}, "counters": {"rejected": rejected}}
            world.event(when, "agent-dump", node=node, label=label, state=state)
    world.event(t - 0.0001, "impostor", **{"node": "dgw2", **ends, **words})
