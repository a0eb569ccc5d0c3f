"""radvd's configuration of a router or hybrid Client's downstream links (spec MODEL-R2, MODEL-R3, MODEL-Y3)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from agents.aero.addresses import Prefix
from agents.aero.items import Downstream
from agents.kernel.radvd import MAX_INTERVAL, MIN_INTERVAL, PLACEHOLDER, Radvd


@dataclass
class _Link:
    item: Downstream
    withdrawn: dict[Prefix, bool] = field(default_factory=dict)
    """Prefixes that were advertised here and are no longer ours: their addresses are deprecated (RFC 7084 L-13).
    Each with whether it was on-link."""


class Advertiser:
    """The downstream links of a Client, as its radvd advertises them."""

    def __init__(self, configuration: Path, pid_file: Path) -> None:
        self._radvd = Radvd(configuration, pid_file)
        self._links: dict[str, _Link] = {}
        self._changed = False

    def put(self, item: Downstream) -> None:
        """Advertise this from the next `settle` on."""
        link = self._links.setdefault(item.interface, _Link(item))
        if link.item.prefix and link.item.prefix != item.prefix:
            link.withdrawn[link.item.prefix] = link.item.on_link
        if item.prefix:
            link.withdrawn.pop(item.prefix, None)
        link.item = item
        self._changed = True

    def drop(self, item: Downstream) -> None:
        """Be no router on this link any more, and say so."""
        self.put(Downstream(item.interface, None, 0, 0))

    def settle(self) -> None:
        """Tell radvd of all changes at once (KernelError when it does not run).

        A reload advertises on every link, with lifetimes as they were when the file was written.
        """
        if self._changed:
            self._changed = False
            self._radvd.load(render((link.item, link.withdrawn) for link in self._links.values()))


def render(links: Iterable[tuple[Downstream, Mapping[Prefix, bool]]]) -> str:
    """radvd.conf that advertises these links, each with the prefixes that are withdrawn on it.

    A link that has nothing to offer stays in the file with router lifetime 0: an interface that leaves it goes silent
    without a last word.
    """
    return PLACEHOLDER + "".join(_interface(link, withdrawn) for link, withdrawn in links)


def _interface(link: Downstream, withdrawn: Mapping[Prefix, bool]) -> str:
    managed = "on" if link.managed else "off"
    lines = [
        f"interface {link.interface} {{",
        "  AdvSendAdvert on; IgnoreIfMissing on;",
        f"  MinRtrAdvInterval {MIN_INTERVAL}; MaxRtrAdvInterval {MAX_INTERVAL};",
        f"  AdvDefaultLifetime {link.lifetime}; AdvManagedFlag {managed}; AdvOtherConfigFlag off;",
    ]
    if link.prefix:
        # The lease ends at one moment: between two reloads radvd counts down to it, but slowly.  It takes off the whole
        # seconds since its last advertisement, so that of up to four it may miss one [measured].
        lines.append(_prefix(link.prefix, link.valid * MIN_INTERVAL // MAX_INTERVAL, on_link=link.on_link))
    lines += [_prefix(prefix, 0, on_link=on_link) for prefix, on_link in withdrawn.items()]
    return "\n".join([*lines, "};\n"])


def _prefix(prefix: Prefix, valid: int, *, on_link: bool) -> str:
    on = "on" if on_link else "off"
    return (
        f"  prefix {prefix} {{ AdvOnLink {on}; AdvAutonomous on; DecrementLifetimes {'on' if valid else 'off'};\n"
        f"    AdvValidLifetime {valid}; AdvPreferredLifetime {valid}; DeprecatePrefix off; }};"
    )
