"""The LDRA's side of a conversation with a real Kea, run in the Server's node: hexadecimal messages in and out.

A line is one Relay-forward or several; the answer is the first Relay-reply that came, and its source.  Kea answers in
order: when the second message of a line is answered first, it did not answer the first one.
"""

import socket
import sys

WAIT = 30.0
"""Seconds; Kea on the same node answers within one or two milliseconds."""


def main() -> None:
    for line in sys.stdin:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
            sock.bind(("::1", 0))
            sock.settimeout(WAIT)
            for word in line.split():
                sock.sendto(bytes.fromhex(word), ("::1", 547))
            data, source = sock.recvfrom(65536)
            print(source[0], data.hex(), flush=True)


if __name__ == "__main__":
    main()
