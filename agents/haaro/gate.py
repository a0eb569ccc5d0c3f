"""What may come out of tunnels that the kernel takes care of, and what may go in, as an nftables table.

The same as agents.haaro.plane decides for packets that pass the program (spec HA-16, MR-23, TUN-5, TUN-6, TUN-12,
TUN-14).  What comes is looked at in prerouting, before it is decapsulated: the inner header begins at @th.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network

from agents.haaro.items import TUNNEL_PORT, Tunnel
from agents.kernel.nft import Table

TABLE = "ip roamlab_haaro"
COUNTERS = (
    "fragment",
    "unknown_outer",
    "foreign_inner_source",
    "foreign_inner_destination",
    "signalling_in_peer_tunnel",
    "foreign_source",
    "loop",
)
_UDP = 17

# Inner packets with options to the home address come from the home agent only: where their UDP header is we cannot say.
_RULES = """\
add table {table}
delete table {table}
add table {table}
{counters}
add set {table} pairs {{ typeof ip saddr . ip daddr ; }}
add set {table} ends {{ typeof ip saddr . ip daddr . @th,96,32 ; flags interval ; }}
add set {table} loops {{ typeof oifname . ip saddr ; }}
add set {table} own {{ type ipv4_addr ; flags interval ; auto-merge ; }}
add set {table} inside {{ typeof @th,128,32 ; flags interval ; auto-merge ; }}
add chain {table} enter {{ type filter hook prerouting priority raw ; policy accept ; }}
add chain {table} tunnel
add rule {table} enter ip protocol 4 fib daddr type local goto tunnel
add rule {table} tunnel ip frag-off & 0x3fff != 0 counter name fragment drop
add rule {table} tunnel ip saddr . ip daddr != @pairs counter name unknown_outer drop
add rule {table} tunnel ip saddr . ip daddr . @th,96,32 != @ends counter name foreign_inner_source drop
add chain {table} through {{ type filter hook forward priority filter ; policy accept ; }}
add rule {table} through oifname . ip saddr @loops counter name loop drop
"""
_ROUTER = """\
add element {table} own {{ {own} }}
add element {table} inside {{ {inside} }}
add rule {table} tunnel @th,128,32 != @inside counter name foreign_inner_destination drop
add rule {table} tunnel ip saddr != {agent} @th,128,32 {home} @th,72,8 {udp} @th,0,8 != 0x45 \
counter name signalling_in_peer_tunnel drop
add rule {table} tunnel ip saddr != {agent} @th,128,32 {home} @th,72,8 {udp} @th,176,16 {port} \
counter name signalling_in_peer_tunnel drop
add rule {table} through meta oifkind "ipip" ip saddr != @own counter name foreign_source drop
"""


class Gate:
    """The gate of one node."""

    def __init__(
        self, home: IPv4Address | None = None, own: Iterable[IPv4Network] = (), agent: IPv4Address | None = None
    ) -> None:
        """A router's home address, all networks that are its own, and its home agent; a home agent has none."""
        self._home, self._own, self._agent = home, tuple(own), agent
        self._table = Table(TABLE)
        self._elements: dict[str, list[str]] = {}
        """By the tunnel's name."""

    def prepare(self) -> None:
        """Put the rules in place, without any tunnel."""
        text = _RULES.format(table=TABLE, counters="\n".join(f"add counter {TABLE} {name}" for name in COUNTERS))
        if self._home is not None:
            networks = _apart((IPv4Network(self._home), *self._own))
            text += _ROUTER.format(
                table=TABLE,
                own=", ".join(map(str, networks)),
                inside=", ".join(map(_range, networks)),
                agent=self._agent,
                home=f"{int(self._home):#010x}",
                udp=_UDP,
                port=TUNNEL_PORT,
            )
        self._table.run(text)

    def own(self, networks: Iterable[IPv4Network]) -> None:
        """The networks behind the router are others now (spec 7.7)."""
        self._own = tuple(networks)
        if self._home is None:
            return
        every = _apart((IPv4Network(self._home), *self._own))
        texts = {"own": ", ".join(map(str, every)), "inside": ", ".join(map(_range, every))}
        commands = [
            f"flush set {TABLE} {name}\nadd element {TABLE} {name} {{ {text} }}" for name, text in texts.items()
        ]
        self._table.run("\n".join(commands))

    def permit(self, tunnel: Tunnel, device: str) -> None:
        """Let packets of this tunnel in, and of no earlier version of it."""
        wanted = [f"pairs {{ {tunnel.remote} . {tunnel.local} }}", f'loops {{ "{device}" . {tunnel.remote} }}']
        wanted += [f"ends {{ {tunnel.remote} . {tunnel.local} . {_range(each)} }}" for each in _apart(tunnel.sources)]
        old = self._elements.get(tunnel.name, [])
        commands = [f"delete element {TABLE} {each}" for each in old if each not in wanted]
        commands += [f"add element {TABLE} {each}" for each in wanted if each not in old]
        self._table.run("\n".join(commands))
        self._elements[tunnel.name] = wanted

    def forbid(self, tunnel: Tunnel) -> None:
        """Let none in any more."""
        old = self._elements.pop(tunnel.name, [])
        self._table.run("\n".join(f"delete element {TABLE} {each}" for each in old))

    def dropped(self) -> dict[str, int]:
        """Packets dropped so far, by reason (COUNTERS)."""
        return self._table.counters(COUNTERS)

    def clear(self) -> None:
        """Take the whole table away; fine if there is none."""
        self._table.clear()
        self._elements.clear()


def _apart(networks: Iterable[IPv4Network]) -> list[IPv4Network]:
    """Without those that others contain: a set's intervals must not overlap."""
    unique = set(networks)
    return sorted(one for one in unique if not any(one != other and one.subnet_of(other) for other in unique))


def _range(network: IPv4Network) -> str:
    first, last = int(network.network_address), int(network.broadcast_address)
    return f"{first:#010x}" if first == last else f"{first:#010x}-{last:#010x}"
