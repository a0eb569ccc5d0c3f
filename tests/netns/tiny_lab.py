"""Two hosts and a link, served by the supervisor: `python tiny_lab.py DOOR READY` inside a sandbox.

A lab without any protocol, so that the tests see the supervisor and the client alone.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any

from testbed import signals
from testbed.mininet_api import Topo
from testbed.network import Network
from testbed.supervisor import Supervisor
from testbed.validation import LabError

Message = dict[str, Any]


class Pair(Topo):
    def build(self, **_: Any) -> None:
        self.addHost("h1")
        self.addHost("h2")
        self.addLink(
            "h1",
            "h2",
            intfName1="eth0",
            intfName2="eth0",
            params1={"addresses": ["2001:db8::1/64"]},
            params2={"addresses": ["2001:db8::2/64"]},
        )


class Tiny:
    def __init__(self, net: Network) -> None:
        self.net = net
        self.listeners: list[Callable[[Message], None]] = []

    def inspect(self, node: str | None) -> Message:
        nodes = self.net.describe()["nodes"]
        if node is not None and node not in nodes:
            raise LabError(f"unknown node {node!r}")
        if node is not None:
            return dict(nodes[node])
        return {"lab": "tiny", "title": "two hosts", "directory": "/tmp", **self.net.describe()}

    def move(self, node: str, cell: str) -> Message:
        for listener in list(self.listeners):
            listener({"t": 1.0, "node": node, "agent": "lab", "event": "attached", "cell": cell})
        return {"cell": cell}

    def spawn(
        self, node: str, argv: Sequence[str], files: Sequence[int], environment: dict[str, str], directory: str
    ) -> subprocess.Popen[Any]:
        process: subprocess.Popen[Any] = self.net[node].popen(
            list(argv), stdin=files[0], stdout=files[1], stderr=files[2], env=environment, cwd=directory
        )
        return process

    def subscribe(self, callback: Callable[[Message], None]) -> Callable[[], None]:
        self.listeners.append(callback)
        return lambda: self.listeners.remove(callback)

    def captures(self) -> list[Message]:
        return []

    def stop_captures(self) -> None:
        raise LabError("this lab records nothing")

    def destroy(self) -> None:
        self.net.stop()


def main() -> None:
    signals.afresh()
    door, ready = int(sys.argv[1]), int(sys.argv[2])
    net = Network(Pair())
    net.start()

    def begun() -> None:
        os.write(ready, b"ready\n")
        os.close(ready)

    Supervisor(socket.socket(fileno=door), Tiny(net)).serve(begun)


if __name__ == "__main__":
    main()
