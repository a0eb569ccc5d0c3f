"""What the models lab does to addresses: uses all of them, none in particular, one that somebody else has."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from testbed.validation import LabError
from testbed.waiting import wait_until
from topologies.aero import traffic
from topologies.traffic import PATIENCE

if TYPE_CHECKING:
    import subprocess

    from topologies.runner import Run

TOOL = [sys.executable, "-m", "topologies.tools.file_transfer"]
PORT, RATE = 8000, 500_000
"""Of the connection; octets a second."""


def every_address(run: Run, name: str, node: str, addresses: Sequence[str], peer: str) -> None:
    """`node` sends one echo request to each of many addresses of `peer`, all with one identifier."""
    identifier = traffic.next_identifier()
    begin = time.time()
    for address in addresses:
        version = ip_address(address).version
        run.net[node].run(["ping", f"-{version}", "-n", "-q", "-e", str(identifier), "-c1", "-W2", address])
    fields = {"name": name, "peer": peer, "addresses": list(addresses), "icmp_id": identifier, "end": time.time()}
    run.events.append({"t": begin, "node": node, "agent": "lab", "event": "every-address", **fields})


def from_any_source(run: Run, node: str, target: str, count: int = 3) -> None:
    """`node` sends echo requests and leaves it to its kernel where from."""
    identifier = traffic.next_identifier()
    argv = ["ping", f"-{ip_address(target).version}", "-n", "-q", "-e", str(identifier), "-c", str(count)]
    begin = time.time()
    run.net[node].run([*argv, "-i", "0.02", "-W2", target])
    fields = {"destination": target, "icmp_id": identifier, "count": count, "end": time.time()}
    run.events.append({"t": begin, "node": node, "agent": "lab", "event": "from-any-source", **fields})


def claim(run: Run, node: str, address: str, *, against: str | None) -> None:
    """`node` gives its interface an address, which its kernel first asks the link for (RFC 4862 §5.4).

    `against` has the address already; None: nobody has.
    """
    begin = time.time()
    argv = ["ip", "-6", "address"]
    run.net[node].run([*argv, "add", f"{address}/64", "dev", "eth0"], check=True)
    what = f"{node} to know whether {address} is unique"
    entry = wait_until(what, lambda: _judged(run, node, address), timeout=PATIENCE)
    refused = bool(entry and entry.get("dadfailed"))
    fields = {"address": address, "against": against, "refused": refused, "end": time.time()}
    run.events.append({"t": begin, "node": node, "agent": "lab", "event": "claim", **fields})
    run.net[node].run([*argv, "delete", f"{address}/64", "dev", "eth0"])


def deprecated(run: Run, node: str, address: str) -> bool:
    """Whether new connections of `node` avoid an address, or it is gone."""
    entry = _entry(run, node, address)
    return entry is None or bool(entry.get("deprecated"))


def _judged(run: Run, node: str, address: str) -> dict[str, Any] | None:
    """The address as the kernel shows it once detection is over."""
    entry = _entry(run, node, address)
    return entry if entry and (entry.get("dadfailed") or not entry.get("tentative")) else None


def _entry(run: Run, node: str, address: str) -> dict[str, Any] | None:
    shown = run.net[node].run(["ip", "-j", "-6", "address", "show", "dev", "eth0"], check=True).out
    for interface in json.loads(shown):
        for entry in interface.get("addr_info", []):
            if entry.get("local") == address:
                return dict(entry)
    return None


def lease(run: Run, node: str, duid: str) -> dict[str, str]:
    """`node` asks the DHCPv6 server of its link for an address and a prefix, and uses both.

    The address goes through duplicate address detection (RFC 8415 §18.2.10.1); the prefix is the node's alone.
    """
    argv = [sys.executable, "-m", "topologies.tools.dhcp6_client", "eth0", duid]
    given: dict[str, str] = json.loads(run.net[node].run(argv, timeout=PATIENCE, check=True).out)
    inside = str(ip_address(int(ip_address(given["prefix"].split("/")[0])) + 1))
    for address, interface in ((f"{given['address']}/128", "eth0"), (f"{inside}/64", "lo")):
        run.net[node].run(["ip", "-6", "address", "add", address, "dev", interface], check=True)
    wait_until(f"{node} to use its address", lambda: _judged(run, node, given["address"]), timeout=PATIENCE)
    run.log("leased", node=node, **given)
    return {**given, "inside": inside}


@dataclass
class Connection:
    """One TCP connection with data on its way."""

    taking: subprocess.Popen[Any]
    pushing: subprocess.Popen[Any]

    def finish(self) -> None:
        """Wait until both ends have closed it (LabError when they never do, or it breaks)."""
        for process in (self.pushing, self.taking):
            wait_until("the connection to end", partial(_ended, process), timeout=PATIENCE)
            if process.returncode:
                raise LabError(f"{process.args!r} broke off, exit {process.returncode}")


def connection(run: Run, node: str, source: str, peer: str, target: str, seconds: int) -> Connection:
    """`node` sends to `peer` over TCP from one of its addresses for some seconds; returns once data flows.

    Not by iperf3, whose server resets the connection when it stood still in the end: it leaves data unread.
    """
    taking = run.spawn(peer, [*TOOL, "take", str(PORT)])
    _said(taking, "that it listens", b"listening".__eq__)
    begin = time.time()
    pushing = run.spawn(node, [*TOOL, "push", source, target, str(PORT), str(seconds * RATE), str(RATE)])
    fields = {"source": source, "destination": target, "port": PORT, "peer": peer}
    run.events.append({"t": begin, "node": node, "agent": "lab", "event": "transfer", **fields})
    _said(taking, "that data flows", bytes.isdigit)
    return Connection(taking, pushing)


def _ended(process: subprocess.Popen[Any]) -> bool:
    return process.poll() is not None


def _said(process: subprocess.Popen[Any], what: str, holds: Callable[[bytes], bool]) -> None:
    """Read a program's output up to a line of this kind (LabError when it ends before)."""
    assert process.stdout
    for line in process.stdout:
        if holds(line.strip()):
            return
    raise LabError(f"{process.args!r} ended without saying {what}")
