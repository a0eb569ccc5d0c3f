"""What may enter a gateway, as an nftables table: the anti-leak source gate and the tunnel gate.

Both sit in prerouting, where every packet passes before it is routed or decapsulated, whichever tunnel back end is
used (spec §7 "Anti-leak gate", T2 limit a, §10 last row). A /64 is compared as the 64 bits at its place in the
packet, so a set of exact values does: adding one costs 0.13 ms.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from ipaddress import IPv6Address, IPv6Network

from agents.kernel.netlink import KernelError
from agents.kernel.nft import Table

TABLE = "ip6 roamlab"
COUNTERS = ("foreign_source", "fragment", "unknown_peer", "nested", "outside_binding", "local_network", "barred")
ARRIVED = 0xD6
"""Mark of a packet that no node here sent: it came from the core, out of a tunnel or not, or from a local network."""
SETS = ("sources", "peers", "tunnel_source", "tunnel_destination", "tunnel_local", "barred")
"""Sets whose elements come and go; `local_networks` is configured."""

# What stays on the link cannot leak, and must pass: a node resolves its router with its global address as source.
# For the same reason a link-local source may speak to the node's own prefixes there, where the gateway has an address.
# It is not left to the kernel to keep it on the link: what it encapsulates on the way in misses its scope check.
# Packets to the P-CoA are looked at by transport protocol, not by the first next header: a Destination Options
# header before the inner packet must not open a way around. @th is where the inner header starts: its next header
# is at bit 48, its source at bit 64, its destination at bit 192. An inner packet to the P-CoA that is itself a
# tunnel packet would be decapsulated a second time without coming by here, hence "nested": what a node may want
# of its gateway (TCP, UDP, ICMPv6) passes, the rest does not.
# Local networks are closed to the core (spec LIPA-8). A decapsulated packet does not come by the hook with wan as its
# interface a second time (seg6) or has the tunnel's device (ip6tnl), so what does is a stranger's, whatever its source.
# The mark outlives decapsulation in both tunnel back ends; what the gateway itself sends has none.
# On the way out: an interface that loses its addresses says so in a listener report from ::, with the DLIF's
# link-layer address, when the DLIF already lives at another gateway (spec DLIF-9): it must not be heard here.
_RULES = """\
add table {table}
{counters}
add set {table} sources {{ typeof iifname . @nh,64,64 ; counter ; }}
add set {table} peers {{ type ipv6_addr ; }}
add set {table} tunnel_source {{ typeof ip6 saddr . @th,64,64 ; }}
add set {table} tunnel_destination {{ typeof ip6 saddr . @th,192,64 ; counter ; }}
add set {table} tunnel_local {{ typeof ip6 saddr . @th,64,128 . @th,192,128 ; flags interval ; }}
add set {table} barred {{ typeof @nh,64,64 ; }}
add set {table} local_networks {{ type ipv6_addr ; flags interval ; }}
flush set {table} local_networks
{networks}
add chain {table} enter {{ type filter hook prerouting priority raw ; policy accept ; }}
add chain {table} station
add chain {table} tunnel
flush chain {table} enter
flush chain {table} station
flush chain {table} tunnel
add rule {table} enter meta mark set {arrived}
add rule {table} enter meta iifkind "macvlan" iifname != "{wan}" ip6 saddr != {{ ::, fe80::/10 }} \
ip6 daddr != {{ fe80::/10, ff02::/16 }} jump station
add rule {table} enter meta iifkind "macvlan" iifname != "{wan}" ip6 saddr {{ ::, fe80::/10 }} \
ip6 daddr != {{ fe80::/10, ff02::/16 }} iifname . @nh,192,64 != @sources counter name foreign_source drop
add rule {table} station meta mark set 0
add rule {table} station iifname . @nh,64,64 @sources return
add rule {table} station counter name foreign_source drop
add rule {table} enter ip6 daddr {local} meta l4proto 41 goto tunnel
add rule {table} enter iifname "{wan}" ip6 daddr @local_networks counter name local_network drop
add rule {table} tunnel exthdr frag exists counter name fragment drop
add rule {table} tunnel ip6 saddr != @peers counter name unknown_peer drop
add rule {table} tunnel @th,192,128 {local_number} @th,48,8 != {{ 6, 17, 58 }} counter name nested drop
add rule {table} tunnel ip6 saddr . @th,64,64 @tunnel_source accept
add rule {table} tunnel ip6 saddr . @th,192,64 @tunnel_destination accept
add rule {table} tunnel ip6 saddr . @th,64,128 . @th,192,128 @tunnel_local accept
add rule {table} tunnel counter name outside_binding drop
add chain {table} through {{ type filter hook forward priority filter ; policy accept ; }}
flush chain {table} through
add rule {table} through ip6 daddr @local_networks @nh,64,64 @barred counter name barred drop
add chain {table} leave {{ type filter hook output priority raw ; policy accept ; }}
flush chain {table} leave
add rule {table} leave meta oifkind "macvlan" oifname != "{wan}" ip6 saddr :: \
icmpv6 type mld2-listener-report drop
"""


def _upper(prefix: IPv6Network) -> str:
    if prefix.prefixlen != 64:
        raise KernelError(f"cannot gate {prefix}: mobile nodes' prefixes are /64")
    return f"{int(prefix.network_address) >> 64:#018x}"


def _range(prefix: IPv6Network) -> str:
    first, last = int(prefix.network_address), int(prefix.broadcast_address)
    return f"{first:#034x}" if first == last else f"{first:#034x}-{last:#034x}"


def source_element(interface: str, prefix: IPv6Network) -> tuple[str, str]:
    """Packets entering this DLIF may come from this prefix."""
    return ("sources", f'"{interface}" . {_upper(prefix)}')


def peer_element(peer: IPv6Address) -> tuple[str, str]:
    """This peer may tunnel to us."""
    return ("peers", str(peer))


def tunnel_element(peer: IPv6Address, prefix: IPv6Network, inner: str) -> tuple[str, str]:
    """The peer's inner packets may have this prefix as `inner` ("source" or "destination")."""
    if inner not in ("source", "destination"):
        raise KernelError(f"cannot gate the inner {inner!r}: it is source or destination")
    return (f"tunnel_{inner}", f"{peer} . {_upper(prefix)}")


def local_element(peer: IPv6Address, source: IPv6Network, destination: IPv6Network) -> tuple[str, str]:
    """The peer may tunnel packets from this prefix to that one: a node's and a local network's."""
    return ("tunnel_local", f"{peer} . {_range(source)} . {_range(destination)}")


def bar_element(prefix: IPv6Network) -> tuple[str, str]:
    """Our local networks are closed to this prefix."""
    return ("barred", _upper(prefix))


class Gate:
    """The gate of one gateway."""

    def __init__(self, local: IPv6Address, wan: str, networks: Collection[IPv6Network] = ()) -> None:
        """`networks`: local networks of this gateway, which must not overlap."""
        self._local = local
        self._wan = wan
        self._networks = networks
        self._table = Table(TABLE)
        self._elements: set[tuple[str, str]] = set()

    def prepare(self) -> None:
        """Put the rules in place in one transaction; elements of an earlier agent stay until `adopt`."""
        counters = "\n".join(f"add counter {TABLE} {name}" for name in COUNTERS)
        number = f"{int(self._local):#034x}"
        networks = "\n".join(_command("add", ("local_networks", str(network))) for network in self._networks)
        self._table.run(
            _RULES.format(
                table=TABLE,
                counters=counters,
                networks=networks,
                local=self._local,
                local_number=number,
                wan=self._wan,
                arrived=ARRIVED,
            )
        )

    def permit(self, *elements: tuple[str, str]) -> None:
        """Let in what these elements describe."""
        new = [element for element in elements if element not in self._elements]
        self._table.run("\n".join(_command("add", element) for element in new))
        self._elements.update(new)

    def forbid(self, *elements: tuple[str, str]) -> None:
        """Take elements out; those not there are fine."""
        old = [element for element in elements if element in self._elements]
        self._table.run("\n".join(_command("delete", element) for element in old))
        self._elements.difference_update(old)

    def adopt(self, elements: Iterable[tuple[str, str]]) -> None:
        """Replace all elements by these, in one transaction."""
        wanted = set(elements)
        commands = [f"flush set {TABLE} {name}" for name in SETS]
        commands += [_command("add", element) for element in sorted(wanted)]
        self._table.run("\n".join(commands))
        self._elements = wanted

    def dropped(self) -> dict[str, int]:
        """Packets dropped so far, by reason (COUNTERS)."""
        return self._table.counters(COUNTERS)

    def passed(self) -> dict[IPv6Network, int]:
        """Packets that mobile nodes sent from each prefix here, or got by tunnel; from 0 when it is let in anew."""
        found: dict[IPv6Network, int] = {}
        for name in ("sources", "tunnel_destination"):
            for element in self._table.elements(name):
                upper = element["elem"]["val"]["concat"][1]
                prefix = IPv6Network((upper << 64, 64))
                found[prefix] = found.get(prefix, 0) + element["elem"]["counter"]["packets"]
        return found

    def clear(self) -> None:
        """Take the whole table away."""
        self._table.clear()
        self._elements.clear()


def _command(verb: str, element: tuple[str, str]) -> str:
    return f"{verb} element {TABLE} {element[0]} {{ {element[1]} }}"
