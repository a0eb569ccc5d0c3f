"""`python -m topologies.tools.file_transfer send|fetch|push|take ...`: one file over one TCP connection.

  send PORT OCTETS RATE                   waits for one that fetches, sends at most RATE octets a second, evenly
  fetch SOURCE ADDRESS PORT               takes all that arrives, and keeps nothing
  take PORT                               waits for one that pushes
  push SOURCE ADDRESS PORT OCTETS RATE    sends as `send`, to one that takes

Both ends finish with a line of JSON, `octets` and `sha256` of what was sent or arrived. Who waits prints `listening`
first, who receives the octets it has, now and then. What is sent is the same in every run. The connection ends in
order: who sent waits until the other end, which has read it all, closes it too.
"""

from __future__ import annotations

import hashlib
import json
import random
import socket
import sys
from collections.abc import Callable

SO_MAX_PACING_RATE = 47
PIECE = 1 << 16
OFTEN = 100_000
"""Octets between two lines of the receiver."""
PATIENCE = 60.0
"""Seconds of silence after which a connection is given up."""


def send(port: int, octets: int, rate: int) -> None:
    """Serve one connection, until its other end has closed it too (OSError when it breaks)."""
    _sent(_accepted(port), octets, rate)


def fetch(source: str, address: str, port: int) -> None:
    """Take all there is (OSError when the connection breaks)."""
    _taken(_connected(source, address, port))


def take(port: int) -> None:
    """Take all that one connection brings (OSError when it breaks)."""
    _taken(_accepted(port))


def push(source: str, address: str, port: int, octets: int, rate: int) -> None:
    """Bring all there is (OSError when the connection breaks)."""
    _sent(_connected(source, address, port), octets, rate)


def _accepted(port: int) -> socket.socket:
    server = socket.create_server(("::", port), family=socket.AF_INET6)
    print("listening", flush=True)
    connection, _peer = server.accept()
    connection.settimeout(PATIENCE)
    return connection


def _connected(source: str, address: str, port: int) -> socket.socket:
    return socket.create_connection((address, port), timeout=PATIENCE, source_address=(source, 0))


def _sent(connection: socket.socket, octets: int, rate: int) -> None:
    connection.setsockopt(socket.SOL_SOCKET, SO_MAX_PACING_RATE, rate)
    source, digest, left = random.Random(octets), hashlib.sha256(), octets
    while left:
        piece = source.randbytes(min(PIECE, left))
        connection.sendall(piece)
        digest.update(piece)
        left -= len(piece)
    connection.shutdown(socket.SHUT_WR)
    connection.recv(1)
    _tell(octets, digest.hexdigest())


def _taken(connection: socket.socket) -> None:
    digest, had, told = hashlib.sha256(), 0, 0
    with connection:
        while piece := connection.recv(PIECE):
            digest.update(piece)
            had += len(piece)
            if had - told >= OFTEN:
                told = had
                print(had, flush=True)
    _tell(had, digest.hexdigest())


def _tell(octets: int, digest: str) -> None:
    print(json.dumps({"octets": octets, "sha256": digest}), flush=True)


if __name__ == "__main__":
    WORDS: dict[str, Callable[..., None]] = {"send": send, "fetch": fetch, "take": take, "push": push}
    WORDS[sys.argv[1]](*(int(word) if word.isdigit() else word for word in sys.argv[2:]))
