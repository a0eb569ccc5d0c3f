"""From a received Mobility Header to a message worth looking at, and the answers to what is not (spec §10)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv6Address

from agents.core import Outbox
from agents.dgw.actions import Discarded, MobilityDatagram, Send, SendParameterProblem
from agents.dgw.freshness import ticks
from agents.dgw.messages import compose_rejection
from agents.dgw.validation import Rejected
from agents.limits import ErrorRates, Limits
from agents.wire.errors import DecodeError, DecodeErrorKind
from agents.wire.mobility import (
    BindingAck,
    BindingError,
    BindingRefreshRequest,
    BindingUpdate,
    MobilityMessage,
    icmpv6_pointer,
    pull_mobility,
    push_mobility,
)
from agents.wire.mobility_codes import AckFlag, BindingErrorStatus, DFlagProfile

IPV6_HEADER = 40
"""Octets of the fixed IPv6 header."""


class Reception:
    """Decodes datagrams with the D flag profile of their sender, answers the undecodable, counts all."""

    def __init__(
        self,
        address: IPv6Address,
        profile_of: Callable[[IPv6Address], DFlagProfile],
        outbox: Outbox,
        *,
        distributed: bool = True,
        errors: ErrorRates,
    ) -> None:
        """`distributed`: D-GW support is on; without it no answer carries the D flag (spec AMB-6).  `errors`: how many
        answers garbage gets."""
        self._address = address
        self._profile_of = profile_of
        self._outbox = outbox
        self._distributed = distributed
        self._errors = Limits.of_errors(errors)
        self.counters: dict[str, int] = {}

    def decode(self, datagram: MobilityDatagram, now: float) -> MobilityMessage | None:
        """The message, or None when the datagram was dealt with here."""
        source = datagram.source
        try:
            # Where the kernel verifies the checksum, a wrong one never reaches a raw socket (spec §2.5).
            message = pull_mobility(
                datagram.data,
                source,
                datagram.destination,
                verify_checksum=not datagram.summed,
                profile=self._profile_of(source),
            )
        except DecodeError as error:
            self.drop(f"{error.kind.value}: {error.reason}", source, error.kind.value)
            self._answer(error, datagram, now)
            return None
        if not unicast(source):
            self.drop("source is not unicast", source, "source")
            return None
        return message

    def drop(self, reason: str, source: IPv6Address, counter: str = "ignored") -> None:
        """Count a message that has no effect and gets no answer."""
        self.counters[counter] = self.counters.get(counter, 0) + 1
        self._outbox.say("dropped", reason=reason, source=source)

    def note(self, message: BindingError | BindingRefreshRequest, source: IPv6Address) -> None:
        """Count a message that reports or asks something and changes nothing (spec §10)."""
        if isinstance(message, BindingError):
            self.drop(f"Binding Error {message.status}", source, "binding-error")
        else:
            self.drop("Binding Refresh Request", source, "refresh-request")

    def discard(self, discarded: Discarded) -> None:
        """Count what protection did not let through."""
        self.drop(discarded.reason, discarded.source, discarded.counter)

    def reject(self, update: BindingUpdate, rejected: Rejected, source: IPv6Address, now: float) -> BindingAck:
        """Count a rejected update; its answer, to be sent to `source`, marked as a gateway's only if this is one."""
        self.counters["rejected"] = self.counters.get("rejected", 0) + 1
        self._outbox.say("binding-rejected", status=int(rejected.status), reason=rejected.reason, peer=source)
        answer = compose_rejection(update, rejected.status, now_ticks=ticks(now), last_sequence=rejected.last_sequence)
        return answer if self._distributed else replace(answer, flags=answer.flags & ~AckFlag.DISTRIBUTED)

    def _answer(self, error: DecodeError, datagram: MobilityDatagram, now: float) -> None:
        source = datagram.source
        pointer = icmpv6_pointer(error)
        unknown_type = error.kind is DecodeErrorKind.UNKNOWN_TYPE
        if not unicast(source) or not (unknown_type or pointer is not None):
            return
        if not self._errors.allow(source, now):
            self.counters["error-limited"] = self.counters.get("error-limited", 0) + 1
            return
        if unknown_type:
            message = BindingError(status=BindingErrorStatus.UNKNOWN_MH_TYPE)
            self._outbox.do(Send(source, push_mobility(message, self._address, source)))
        elif pointer is not None:
            self._outbox.do(SendParameterProblem(datagram, pointer - IPV6_HEADER))


def unicast(address: IPv6Address) -> bool:
    """Neither multicast nor unspecified nor loopback."""
    return not (address.is_multicast or address.is_unspecified or address.is_loopback)
