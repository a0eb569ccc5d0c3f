"""`python -m topologies.tools.dhcp6_client INTERFACE DUID`: an address and a prefix by DHCPv6 (RFC 8415 §18.2.1).

One Solicit with Rapid Commit for IA_NA and IA_PD, sent again each second; prints what it was given as JSON.  It
configures nothing: who runs it does.
"""

from __future__ import annotations

import json
import socket
import struct
import sys
from ipaddress import IPv6Address

from agents.wire.dhcpv6 import Message, MessageType, pull_dhcpv6, push_dhcpv6
from agents.wire.dhcpv6_options import ClientId, ElapsedTime, IaPd, RapidCommit, Unknown

ALL_SERVERS, CLIENT_PORT, SERVER_PORT = "ff02::1:2", 546, 547
IA_NA, IA_ADDRESS = 3, 5
IAID = 1
TRIES, WAIT = 30, 1.0


def main(interface: str, duid: str) -> None:
    """Ask until answered (SystemExit when nobody does)."""
    client = bytes.fromhex(duid)
    association = Unknown(IA_NA, struct.pack("!III", IAID, 0, 0))
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as talk:
        talk.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
        talk.bind(("::", CLIENT_PORT))
        talk.settimeout(WAIT)
        number = socket.if_nametoindex(interface)
        for transaction in range(1, TRIES + 1):
            options = (ClientId(client), ElapsedTime(0), RapidCommit(), association, IaPd(IAID))
            solicit = push_dhcpv6(Message(MessageType.SOLICIT, transaction, options))
            talk.sendto(solicit, (ALL_SERVERS, SERVER_PORT, 0, number))
            try:
                answer = pull_dhcpv6(talk.recv(65535))
            except TimeoutError:
                continue
            if isinstance(answer, Message) and (answer.type, answer.transaction) == (MessageType.REPLY, transaction):
                print(json.dumps(granted(answer)))
                return
    raise SystemExit(f"no DHCPv6 server answered on {interface}")


def granted(reply: Message) -> dict[str, str]:
    """The address and the prefix in a Reply, as far as they are there."""
    prefixes = [each.prefix for one in reply.every(IaPd) for each in one.prefixes if each.valid]
    found = {"prefix": str(prefixes[0])} if prefixes else {}
    for option in reply.every(Unknown):
        if option.code == IA_NA and option.data[12:14] == IA_ADDRESS.to_bytes(2, "big"):
            found["address"] = str(IPv6Address(option.data[16:32]))
    return found


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
