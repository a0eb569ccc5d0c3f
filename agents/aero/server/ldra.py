"""Lightweight DHCPv6 relay agent: every link-layer address is a client-facing port (RFC 6221, spec LDRA-*)."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv6Address

from agents.aero.addresses import is_clients
from agents.aero.config import DhcpServer
from agents.aero.constants import DHCP_SERVER_PORT
from agents.aero.lladdr import LinkLayerAddress
from agents.aero.server.interface_id import pull_interface_id, push_interface_id
from agents.wire.dhcpv6 import Message, MessageType, RelayedMessage, pull_dhcpv6, push_dhcpv6
from agents.wire.dhcpv6_options import (
    ClientLinkLayer,
    InterfaceId,
    Option,
    RelayMessage,
    RelayPort,
    RelaySupplied,
)
from agents.wire.errors import DecodeError

FROM_CLIENTS = frozenset(
    (
        MessageType.SOLICIT,
        MessageType.REQUEST,
        MessageType.CONFIRM,
        MessageType.RENEW,
        MessageType.REBIND,
        MessageType.RELEASE,
        MessageType.DECLINE,
        MessageType.INFORMATION_REQUEST,
    )
)
"""What a client port may send; relayed messages from there are somebody's forgery (spec LDRA-2)."""
UNSPECIFIED = IPv6Address("::")
LARGEST = 65535 - 8
"""Octets of a UDP payload toward the DHCPv6 server, which is on this node (spec LDRA-11)."""


class Refused(Exception):
    """A message that is not relayed; the text is the name of its counter."""


@dataclass(frozen=True)
class Relayed:
    """An answer of the DHCPv6 server on its way to a Client."""

    lladdr: LinkLayerAddress
    peer: IPv6Address
    """Inner destination."""
    payload: bytes
    """Octet for octet what the server wrote (spec LDRA-8)."""


class Ldra:
    """Wraps client messages, unwraps answers; keeps no state about either."""

    def __init__(self, config: DhcpServer, secret: bytes) -> None:
        self._config = config
        self._secret = secret

    def forward(self, payload: bytes, source: IPv6Address, lladdr: LinkLayerAddress) -> bytes:
        """The Relay-forward around a client message (Refused)."""
        if len(payload) < 4:
            raise Refused("dhcp_short")
        if payload[0] not in FROM_CLIENTS:
            raise Refused("dhcp_type")
        if not is_clients(source):  # the DHCPv6 server answers to any (spec §6.9 [measured])
            raise Refused("dhcp_source")
        options: list[Option] = [InterfaceId(push_interface_id(lladdr, self._secret))]
        if self._config.rsoo:
            options.append(RelaySupplied((ClientLinkLayer(lladdr.ipv6_form, lladdr.port),)))
        if self._config.relay_port != DHCP_SERVER_PORT:
            options.append(RelayPort())
        options.append(RelayMessage(payload))
        message = push_dhcpv6(RelayedMessage(MessageType.RELAY_FORWARD, 0, UNSPECIFIED, source, tuple(options)))
        if len(message) > LARGEST:
            raise Refused("dhcp_too_long")
        return message

    def accept(self, data: bytes, source: IPv6Address) -> Relayed:
        """What a Relay-reply carries, and where to (spec LDRA-7; Refused)."""
        if source != self._config.address:
            raise Refused("relay_reply_source")
        try:
            message = pull_dhcpv6(data)
        except DecodeError as error:
            raise Refused("relay_reply_malformed") from error
        if not isinstance(message, RelayedMessage) or message.type != MessageType.RELAY_REPLY:
            raise Refused("relay_reply_type")
        if message.hop_count or message.link_address != UNSPECIFIED:
            raise Refused("relay_reply_nested")
        carried = message.every(RelayMessage)
        if len(carried) != 1 or carried[0].payload[:1] == bytes((MessageType.RELAY_REPLY,)):
            raise Refused("relay_reply_payload")
        identifier = message.first(InterfaceId)
        lladdr = pull_interface_id(identifier.value, self._secret) if identifier else None
        if lladdr is None:
            raise Refused("relay_reply_interface")
        return Relayed(lladdr, message.peer_address, carried[0].payload)


def client_message(payload: bytes) -> Message | None:
    """A client message as far as it can be read; one that cannot is the DHCPv6 server's to judge (spec §11)."""
    try:
        message = pull_dhcpv6(payload)
    except DecodeError:
        return None
    return message if isinstance(message, Message) else None
