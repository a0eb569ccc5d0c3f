"""BIRD in a node: the router that nobody here wrote."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from testbed.daemon import Daemon
from testbed.nodes import Host

# "Error wait time" is 60 s by default: a peer that comes back would be refused all the while.
_FRAME = """\
log stderr all;
router id {router_id};
protocol device {{ scan time 10; }}
template bgp peer {{
  local as {asn};
  hold time 9;
  error wait time 1,3;
  connect retry time 3;
  connect delay time 1;
  med metric on;
  graceful restart off;
}}
{body}
"""
_ROUTE = re.compile(r"^(?P<prefix>[0-9a-f.:]+/\d+)?\s+unicast \[(?P<protocol>\S+) [^\]]*\](?P<best> \*)?")
_DETAIL = re.compile(r"^\s+BGP\.(?P<name>next_hop|med|as_path): (?P<value>.*)$")


@dataclass(frozen=True)
class BirdRoute:
    """One route as BIRD shows it."""

    prefix: str
    protocol: str
    """Whom it is from: the name of a protocol of the configuration."""
    best: bool
    next_hop: str = ""
    med: int | None = None
    as_path: tuple[int, ...] = ()


class Bird(Daemon):
    """One BIRD 2; `body` is the rest of its configuration, whose BGP protocols may be made `from peer`."""

    def __init__(self, node: Host, router_id: str, asn: int, body: str, folder: Path, log: Path) -> None:
        super().__init__(node, "bird", log)
        self.router_id = router_id
        self.asn = asn
        self.body = body
        self.folder = folder
        self.config = folder / "bird.conf"
        self.socket = folder / "bird.ctl"

    def render(self) -> Mapping[Path, str]:
        """Return the configuration."""
        return {self.config: _FRAME.format(router_id=self.router_id, asn=self.asn, body=self.body)}

    def dry_run(self) -> Sequence[str]:
        """Have BIRD check its file."""
        return ["bird", "-p", "-c", str(self.config)]

    def argv(self) -> Sequence[str]:
        """Run in the foreground, messages to the log."""
        return ["bird", "-f", "-c", str(self.config), "-s", str(self.socket)]

    def has_started(self) -> bool:
        """Tell whether it answers."""
        return self.socket.exists() and not self.node.run(self._ask("show status")).exit

    def ask(self, command: str) -> str:
        """What BIRD answers to a command; "Network not found" and the like are answers, too."""
        return self.node.run(self._ask(command)).out

    def _ask(self, command: str) -> list[str]:
        return ["birdc", "-r", "-s", str(self.socket), *command.split()]

    def routes(self) -> list[BirdRoute]:
        """All routes of its tables that came by BGP, in the order of their prefixes."""
        return _routes(self.ask("show route all"))

    def count(self, protocol: str) -> int:
        """How many routes it holds from one peer, in all address families."""
        said = self.ask(f"show protocols all {protocol}")
        return sum(map(int, re.findall(r"Routes:\s+(\d+) imported", said)))

    def up(self, protocol: str) -> bool:
        """Whether its session with a peer is established."""
        return "Established" in self.ask(f"show protocols {protocol}")


def _routes(text: str) -> list[BirdRoute]:
    found: list[BirdRoute] = []
    prefix = ""
    for line in text.splitlines():
        head, detail = _ROUTE.match(line), _DETAIL.match(line)
        if head:
            prefix = head["prefix"] or prefix
            found.append(BirdRoute(prefix, head["protocol"], bool(head["best"])))
        elif detail and found:
            found[-1] = _with(found[-1], detail["name"], detail["value"])
    return [route for route in found if route.next_hop]


def _with(route: BirdRoute, name: str, value: str) -> BirdRoute:
    if name == "med":
        return replace(route, med=int(value))
    if name == "as_path":
        return replace(route, as_path=tuple(map(int, value.split())))
    return replace(route, next_hop=value.split()[0])
