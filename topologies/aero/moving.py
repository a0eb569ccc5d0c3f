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

    Both ends of the link know each other from the start, as from an advertisement each (RFC 4861 §6.3.4, RFC 9131):
    a kernel that asks for the router with an address that is gone before the answer comes asks again after a second,
    and so does a router whose question comes before the other kernel, a little later, listens for it.
    All of it is one request to the kernel: between what the event log says and what happens there is no program to
    be started, which on a busy machine takes its time.
    """
    router, client = _interface(run, "core", name), _interface(run, name, "wan")
    with run.net["core"].entered(), Netlink() as kernel:
        kernel.run([each for address in new.values() for each in _gateway(router, client.mac, address)])
    with run.net[name].entered(), Netlink() as kernel:
        changes = [each for family in new for each in _changes(client, router.mac, old[family], new[family])]
        run.events.record("moving", node=name, address=list(new.values()))
        kernel.run(changes)


def _interface(run: Run, node: str, name: str) -> Interface:
    found: Interface = next(each for each in run.net[node].intfList() if each.name == name)
    return found


def _gateway(interface: Interface, mac: str, address: str) -> list[Request]:
    """The router of an address, which knows who has it."""
    index, own = interface.index, ip_interface(masked(opposite(address)))
    where = f"{interface.node} {interface.name}"
    return [
        requests.add_address(index, own, f"address {own} on {where}"),
        requests.neighbor(index, address, mac, f"neighbor {address} on {where}"),
    ]


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
