"""A Server's DHCPv6: which client messages go to the DHCPv6 server, and what its answers mean (spec SRV-2, SRV-13).

The relay's own rules are in `ldra`, what an answer does to the neighbor cache in `leases`, to BGP in `announcing`.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from ipaddress import IPv6Address
from typing import Any

from agents.aero.addresses import Prefix, unmapped
from agents.aero.config import ServerConfig
from agents.aero.constants import DHCP_CLIENT_PORT, DHCP_SERVER_PORT
from agents.aero.dataplane.sink import Control
from agents.aero.dhcp_auth import Verifier
from agents.aero.inner_packets import Inner, pull_udp, push_udp
from agents.aero.lladdr import LinkLayerAddress
from agents.aero.notices import DhcpAnswer, ReplayTaken, SendControl, ToDhcpServer
from agents.aero.server.announcing import Announcing
from agents.aero.server.ldra import Ldra, Refused, client_message
from agents.aero.server.leases import Conflict, Leases
from agents.core import Outbox
from agents.limits import Limits, Rate
from agents.wire.dhcpv6 import Message, MessageType
from agents.wire.dhcpv6_options import Auth, ClientId, IaPd

REQUESTS_KEPT = 8192
"""Client messages whose answers are still expected."""
SECRET_OCTETS = 16
ATTACHMENTS = frozenset((MessageType.SOLICIT, MessageType.REQUEST, MessageType.REBIND))
"""Their Replies begin an attachment, which is announced anew; a Renew only goes on with one (spec §8)."""

Drop = Callable[[str, LinkLayerAddress | None], None]
"""(name of a counter, where the message came from as far as that is known)."""


@dataclass(frozen=True)
class Asked:
    """A client message that was relayed: what its answer is an answer to."""

    type: int
    prefixes: tuple[Prefix, ...]
    answered: bool = False
    """A further answer is to the same message, sent again."""


class Dhcp:
    """Between the Clients of a Server and its DHCPv6 server."""

    def __init__(
        self, config: ServerConfig, leases: Leases, announcing: Announcing, outbox: Outbox, drop: Drop
    ) -> None:
        self._config = config
        self._leases = leases
        self._announcing = announcing
        self._outbox = outbox
        self._drop = drop
        self.secret = os.urandom(SECRET_OCTETS)
        """Under which the relay seals its Interface-IDs."""
        self.ldra = Ldra(config.dhcp, self.secret)
        self._limits = Limits(Rate.even(config.rate_per_address), Rate.even(config.rate_total))
        self._verifier = Verifier({bytes.fromhex(duid): bytes.fromhex(key) for duid, key in config.auth_keys.items()})
        self._asked: OrderedDict[tuple[bytes, int], Asked] = OrderedDict()

    def saved_state(self) -> dict[str, Any]:
        """What outlives the process: the relay's secret (spec SRV-12)."""
        return {"secret": self.secret.hex()}

    def restore(self, saved: dict[str, Any]) -> None:
        """Take up saved state (KeyError, TypeError, ValueError if unfit)."""
        self.secret = bytes.fromhex(saved["secret"])
        self.ldra = Ldra(self._config.dhcp, self.secret)

    def restore_replays(self, taken: Mapping[bytes, int]) -> None:
        """The replay values taken before this start, by DUID (spec §6.11)."""
        self._verifier.restore(taken)

    # --- from Clients

    def relay(self, control: Control, inner: Inner, now: float) -> None:
        """Send a client message on to the DHCPv6 server (Refused)."""
        datagram = pull_udp(inner)
        if datagram.destination_port != DHCP_SERVER_PORT:
            raise Refused("dhcp_port")
        if not self._limits.allow(control.lladdr, now):
            raise Refused("dhcp_rate")
        forward = self.ldra.forward(datagram.payload, inner.source, control.lladdr)
        message = client_message(datagram.payload)
        if message:
            self._admit(message, control.lladdr)
        elif self._config.auth_keys:  # what cannot be read has no Auth that was checked (spec SRV-13)
            raise Refused("auth_missing")
        elif datagram.payload[0] == MessageType.RELEASE:  # whose, nobody can tell
            raise Refused("release_origin")
        self._outbox.do(ToDhcpServer(forward))

    def _admit(self, message: Message, lladdr: LinkLayerAddress) -> None:
        """Judge what must be judged before the DHCPv6 server sees it (spec SRV-13, §9 "Release forged")."""
        refusal = self._verifier.refusal(message)
        if refusal:
            raise Refused(refusal)
        client = message.first(ClientId)
        if client is None:
            return
        if len(message.every(ClientId)) != 1:  # which of them the DHCPv6 server takes, we cannot know
            raise Refused("dhcp_client_id")
        auth = message.first(Auth)
        if auth and self._config.auth_keys:
            self._outbox.do(ReplayTaken(client.duid, auth.replay))
        entry = self._leases.of(client.duid)
        foreign = entry is not None and entry.path_at(lladdr) is None
        if message.type == MessageType.RELEASE and foreign and not self._config.auth_keys:
            raise Refused("release_origin")
        prefixes = [unmapped(each.prefix) for association in message.every(IaPd) for each in association.prefixes]
        self._asked[client.duid, message.transaction] = Asked(message.type, tuple(prefixes))
        if len(self._asked) > REQUESTS_KEPT:
            self._asked.popitem(last=False)

    # --- from the DHCPv6 server

    def receive(self, answer: DhcpAnswer, source: IPv6Address, now: float) -> None:
        """Take an answer, and send its Client what it holds in the name of `source`."""
        try:
            relayed = self.ldra.accept(answer.data, answer.source)
        except Refused as refused:
            self._drop(str(refused), None)
            return
        message = client_message(relayed.payload)
        prefixes: list[Prefix] = []
        if message is None and relayed.payload[:1] == bytes((MessageType.REPLY,)):
            self._drop("relay_reply_unread", relayed.lladdr)
            return
        if message and message.type == MessageType.REPLY:
            try:
                prefixes = self._take_up(message, relayed.lladdr, now)
            except Conflict as conflict:
                self._drop("lease_conflict", relayed.lladdr)
                self._outbox.say("lease-refused", reason=str(conflict))
                return
            except Refused as refused:
                self._drop(str(refused), relayed.lladdr)
                return
        packet = push_udp(source, relayed.peer, DHCP_SERVER_PORT, DHCP_CLIENT_PORT, relayed.payload)
        self._announcing.send(SendControl(packet, relayed.lladdr), prefixes, now)

    def _take_up(self, reply: Message, lladdr: LinkLayerAddress, now: float) -> list[Prefix]:
        """Entry first, announcement next, the Reply to the Client last (spec SRV-2); the prefixes it gives.

        Refused when it gives something that nobody is known to have asked for: the Client would believe in an entry
        that does not exist.  A message that was sent again is answered again, maybe to another link-layer address.
        """
        client = reply.first(ClientId)
        key = (client.duid, reply.transaction) if client else None
        asked = self._asked.get(key) if key else None
        given = [unmapped(each.prefix) for ia in reply.every(IaPd) for each in ia.prefixes if each.valid]
        if key is None or asked is None:
            if given:
                raise Refused("relay_reply_unasked")
            return []
        if asked.type == MessageType.RELEASE:
            del self._asked[key]
            self._leases.released(key[0], list(asked.prefixes), now)
            return []
        self._asked[key] = replace(asked, answered=True)
        entry = self._leases.granted(reply, lladdr, now)
        mine = [prefix for prefix in given if entry and prefix in entry.prefixes]
        self._announcing.granted(mine, attached=asked.type in ATTACHMENTS and not asked.answered, now=now)
        return mine
