"""How a Client of the AERO labs comes to be elsewhere: another underlay address, or another Server."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_interface
from typing import TYPE_CHECKING

from testbed import requests
from testbed.netlink import Netlink, Request
from topologies.aero.network import masked, opposite

if TYPE_CHECKING:
    from testbed.links import Interface
    from topologies.runner import Run


def readdress(run: Run, name: str, old: Mapping[str, str], new: Mapping[str, str]) -> None:
    """A Client's link gets other addresses: the new ones first, default routes over them, then the old ones go.

    The next router is known from the start, as from its advertisement: a kernel that asks for it with an address that
    is gone before the answer comes asks again after a second. All of it is one request to the kernel: between what
    the event log says and what happens there is no program to be started, which on a busy machine takes its time.
    """
    router, client = _interface(run, "core", name), _interface(run, name, "wan")
    with run.net["core"].entered(), Netlink() as kernel:
        gateways = [ip_interface(masked(opposite(address))) for address in new.values()]
        kernel.run([requests.add_address(router.index, one, f"address {one} on core {name}") for one in gateways])
    with run.net[name].entered(), Netlink() as kernel:
        changes = [each for family in new for each in _changes(client, router.mac, old[family], new[family])]
        run.events.record("moving", node=name, address=list(new.values()))
        kernel.run(changes)


def _interface(run: Run, node: str, name: str) -> Interface:
    found: Interface = next(each for each in run.net[node].intfList() if each.name == name)
    return found


def _changes(interface: Interface, mac: str, old: str, new: str) -> list[Request]:
    """Of one IP version, in order."""
    index, gateway, where = interface.index, opposite(new), f"{interface.node} {interface.name}"
    return [
        requests.add_address(index, ip_interface(masked(new)), f"address {new} on {where}"),
        requests.neighbor(index, gateway, mac, f"neighbor {gateway} on {where}"),
        requests.add_route("default", f"{gateway}%{interface.name}", f"route on {where}", {interface.name: index}),
        requests.delete_address(index, ip_interface(masked(old)), f"address {old} on {where}"),
    ]


def change_server(run: Run, name: str, server: str) -> None:
    """A Client is told to attach at another Server, and to leave its present one."""
    run.events.record("changing", node=name, server=server)
    run.agents[name].request({"request": "change-server", "server": server})
