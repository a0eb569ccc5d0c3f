"""Control messages as others would forge them, for the Server and Client that aero_whole.attached makes."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address

from aero_whole import STRANGER

from agents.aero.addresses import PRE_ATTACH
from agents.aero.constants import ALL_DHCP_SERVERS
from agents.aero.inner_packets import push_discovery, push_udp
from agents.aero.lladdr import Encapsulation, LinkLayerAddress
from agents.aero.server.interface_id import push_interface_id
from agents.wire.dhcpv6 import Message, MessageType, RelayedMessage, push_dhcpv6
from agents.wire.dhcpv6_options import ClientId, ClientLinkLayer, IaPd, InterfaceId, RelayMessage, RelaySupplied
from agents.wire.nd import NeighborSolicitation
from agents.wire.nd_options import Nonce

S1, C1 = IPv6Address("fe80::1"), IPv6Address("fe80::2001:db8:1000:2000")
DUID = bytes.fromhex("00030001020000000001")
THIEF = bytes.fromhex("00030001020000000066")


def solicitation(**more) -> bytes:
    return push_discovery(NeighborSolicitation(S1, (Nonce(b"nonce!"),)), C1, S1, **more)


def request(kind: int, *options, source: IPv6Address = PRE_ATTACH, port: int = 547) -> bytes:
    return push_udp(source, ALL_DHCP_SERVERS, 546, port, push_dhcpv6(Message(kind, 0x123456, options)))


def relay_forward() -> bytes:
    fake = RelaySupplied((ClientLinkLayer(IPv6Address("::ffff:198.51.100.66"), 8060),))
    inside = RelayMessage(push_dhcpv6(Message(MessageType.RENEW, 1, (ClientId(DUID), IaPd(1)))))
    return push_dhcpv6(RelayedMessage(MessageType.RELAY_FORWARD, 0, IPv6Address("::"), C1, (fake, inside)))


def dhcp(payload: bytes) -> bytes:
    return push_udp(PRE_ATTACH, ALL_DHCP_SERVERS, 546, 547, payload)


def relay_reply(server, reply: bytes, *, identifier=None, **changes) -> bytes:
    lladdr = LinkLayerAddress(Encapsulation.UDP, ip_address(STRANGER), 8060)
    identifier = identifier or push_interface_id(lladdr, server.node.core._dhcp.secret)
    fields = {"type": MessageType.RELAY_REPLY, "hop_count": 0, "link_address": IPv6Address("::"), **changes}
    options = fields.pop("options", (InterfaceId(identifier), RelayMessage(reply)))
    return push_dhcpv6(RelayedMessage(peer_address=C1, options=options, **fields))
