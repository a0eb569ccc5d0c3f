"""`python -m topologies.tools.file_transfer send|fetch ...`: one file over one TCP connection, checksums at both ends.

  send PORT OCTETS RATE            waits for one that fetches, sends at most RATE octets a second, evenly
  fetch SOURCE ADDRESS PORT        takes all that arrives, and keeps nothing

Both end with a line of JSON, `octets` and `sha256` of what was sent or arrived. The sender prints `listening`
first, the receiver the octets it has, now and then. What is sent is the same in every run.
"""

from __future__ import annotations

import hashlib
import json
import random
import socket
import sys

SO_MAX_PACING_RATE = 47
PIECE = 1 << 16
OFTEN = 100_000
"""Octets between two lines of the receiver."""
PATIENCE = 60.0
"""Seconds of silence after which a connection is given up."""


def send(port: int, octets: int, rate: int) -> None:
    """Serve one connection, until its other end has closed it too (OSError when it breaks)."""
    server = socket.create_server(("::", port), family=socket.AF_INET6)
    print("listening", flush=True)
    connection, _peer = server.accept()
    connection.settimeout(PATIENCE)
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


def fetch(source: str, address: str, port: int) -> None:
    """Take all there is (OSError when the connection breaks)."""
    connection = socket.create_connection((address, port), timeout=PATIENCE, source_address=(source, 0))
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
    if sys.argv[1] == "send":
        send(*map(int, sys.argv[2:5]))
    else:
        fetch(sys.argv[2], sys.argv[3], int(sys.argv[4]))
