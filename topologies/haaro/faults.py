"""Lines that fail: so that the router sees it, or so that only silence tells (nft in the ISP's node)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from topologies.runner import Run

TABLE = "ip roamlab_silent"


def cut(run: Run, router: str, interface: str) -> None:
    """The line loses its carrier; an interface toward an ISP is named like it."""
    run.log("line-cut", node=router, interface=interface)
    run.net[interface].run(["ip", "link", "set", router, "down"], check=True)


def mend(run: Run, router: str, interface: str) -> None:
    """The line has its carrier again."""
    run.net[interface].run(["ip", "link", "set", router, "up"], check=True)
    run.log("line-mended", node=router, interface=interface)


def silence(run: Run, router: str, interface: str) -> None:
    """The ISP drops whatever comes from the router or goes to it; the line itself seems to be well."""
    chain = f"add chain {TABLE} lost {{ type filter hook forward priority 0 ; }}"
    rules = [f'add rule {TABLE} lost {way} "{router}" drop' for way in ("iifname", "oifname")]
    run.log("line-silenced", node=router, interface=interface)
    run.net[interface].run(["nft", " ; ".join([f"add table {TABLE}", chain, *rules])], check=True)


def heal(run: Run, router: str, interface: str) -> None:
    """The ISP carries everything again."""
    run.net[interface].run(["nft", f"delete table {TABLE}"], check=True)
    run.log("line-healed", node=router, interface=interface)
