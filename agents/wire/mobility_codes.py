"""Numbers of the Mobility Header: message and option types, status codes, flags (spec DGW §2 and §3)."""

from __future__ import annotations

from enum import Enum, IntEnum, IntFlag


class MessageType(IntEnum):
    """MH types a D-GW understands (RFC 6275 §6.1)."""

    BINDING_REFRESH_REQUEST = 0
    BINDING_UPDATE = 5
    BINDING_ACK = 6
    BINDING_ERROR = 7


class OptionType(IntEnum):
    """Mobility option types (RFC 6275, RFC 4283, RFC 5213, RFC 8885 §5)."""

    PAD1 = 0
    PADN = 1
    ALTERNATE_CARE_OF_ADDRESS = 3
    MOBILE_NODE_IDENTIFIER = 8
    HOME_NETWORK_PREFIX = 22
    HANDOFF_INDICATOR = 23
    ACCESS_TECHNOLOGY = 24
    LINK_LAYER_IDENTIFIER = 25
    LINK_LOCAL_ADDRESS = 26
    TIMESTAMP = 27
    ANCHORED_PREFIX = 65
    LOCAL_PREFIX = 66
    PREVIOUS_MAAR = 67
    SERVING_MAAR = 68
    DLIF_LINK_LOCAL = 69
    DLIF_LINK_LAYER = 70


class Handoff(IntEnum):
    """Values of the Handoff Indicator option (RFC 5213 §8.4)."""

    RESERVED = 0
    NEW_INTERFACE = 1
    OTHER_INTERFACE = 2
    """Handoff between two interfaces of the mobile node."""
    SAME_INTERFACE = 3
    """Handoff between gateways, on the same interface."""
    UNKNOWN = 4
    REREGISTRATION = 5
    """Handoff state not changed."""


class AccessType(IntEnum):
    """Values of the Access Technology Type option (RFC 5213 §8.5)."""

    RESERVED = 0
    VIRTUAL = 1
    PPP = 2
    ETHERNET = 3
    IEEE80211 = 4
    IEEE80216E = 5


class Status(IntEnum):
    """Status of a Binding Acknowledgement; below 128 accepted (RFC 6275 §6.1.8, RFC 5213 §8.9)."""

    ACCEPTED = 0
    ACCEPTED_PREFIX_DISCOVERY_NECESSARY = 1
    REASON_UNSPECIFIED = 128
    ADMINISTRATIVELY_PROHIBITED = 129
    INSUFFICIENT_RESOURCES = 130
    HOME_REGISTRATION_NOT_SUPPORTED = 131
    NOT_HOME_AGENT_FOR_THIS_MOBILE_NODE = 133
    SEQUENCE_NUMBER_OUT_OF_WINDOW = 135
    PROXY_REG_NOT_ENABLED = 152
    NOT_LMA_FOR_THIS_MOBILE_NODE = 153
    MAG_NOT_AUTHORIZED_FOR_PROXY_REG = 154
    NOT_AUTHORIZED_FOR_HOME_NETWORK_PREFIX = 155
    TIMESTAMP_MISMATCH = 156
    TIMESTAMP_LOWER_THAN_PREV_ACCEPTED = 157
    MISSING_HOME_NETWORK_PREFIX_OPTION = 158
    BCE_PBU_PREFIX_SET_DO_NOT_MATCH = 159
    MISSING_MN_IDENTIFIER_OPTION = 160
    MISSING_HANDOFF_INDICATOR_OPTION = 161
    MISSING_ACCESS_TECH_TYPE_OPTION = 162
    INVALID_CARE_OF_ADDRESS = 174


class BindingErrorStatus(IntEnum):
    """Status of a Binding Error (RFC 6275 §6.1.9)."""

    UNKNOWN_BINDING = 1
    UNKNOWN_MH_TYPE = 2


class UpdateFlag(IntFlag):
    """Flags of a (proxy) Binding Update; the values are the RFC 8885 positions in the 16-bit word."""

    ACKNOWLEDGE = 0x8000
    """A."""
    HOME_REGISTRATION = 0x4000
    """H: set in a Mobile IPv6 BU, sent 0 and ignored in a PBU."""
    LINK_LOCAL_COMPATIBILITY = 0x2000
    """L."""
    KEY_MANAGEMENT = 0x1000
    """K."""
    MAP_REGISTRATION = 0x0800
    """M, Hierarchical Mobile IPv6."""
    MOBILE_ROUTER = 0x0400
    """R, NEMO."""
    PROXY = 0x0200
    """P: this is a Proxy Binding Update."""
    FORCE_UDP = 0x0100
    """F, RFC 5844; draft-03 of the seed drew D here."""
    TLV_HEADER = 0x0080
    """T, RFC 5845."""
    BULK = 0x0040
    """B, RFC 6602."""
    MULTICAST_SIGNALING = 0x0020
    """S, RFC 7161."""
    DISTRIBUTED = 0x0010
    """D: the sender is a D-GW or CMD."""


class AckFlag(IntFlag):
    """Flags of a (proxy) Binding Acknowledgement; the values are the RFC 8885 positions in the octet."""

    KEY_MANAGEMENT = 0x80
    """K."""
    MOBILE_ROUTER = 0x40
    """R, NEMO."""
    PROXY = 0x20
    """P: mirrors P of the update."""
    TLV_HEADER = 0x10
    """T, RFC 5845; draft-03 of the seed drew D here."""
    BULK = 0x08
    """B, RFC 6602."""
    MULTICAST_SIGNALING = 0x04
    """S, RFC 7161."""
    DISTRIBUTED = 0x02
    """D: the sender supports D-GW operation."""


PBU_FLAGS = UpdateFlag.ACKNOWLEDGE | UpdateFlag.PROXY | UpdateFlag.DISTRIBUTED
"""What a D-GW or CMD sets in its updates: 0x8210, or 0x8300 under the draft-03 profile."""
PBA_FLAGS = AckFlag.PROXY | AckFlag.DISTRIBUTED
"""What a D-GW or CMD sets in its acknowledgements: 0x22, or 0x30 under the draft-03 profile."""


class DFlagProfile(Enum):
    """Where a peer expects the D flag (spec AMB-5); the values are the configuration's words."""

    RFC8885 = "rfc8885"
    DRAFT03 = "draft03"


_ALL_UPDATE_FLAGS = 0xFFF0
_ALL_ACK_FLAGS = 0xFE


def push_update_flags(flags: UpdateFlag, profile: DFlagProfile) -> int:
    """The PBU's flag word. ValueError if F and D would both be on the wire, or F where the peer reads D."""
    return _push_flags(int(flags), UpdateFlag.DISTRIBUTED, UpdateFlag.FORCE_UDP, profile)


def push_ack_flags(flags: AckFlag, profile: DFlagProfile) -> int:
    """The PBA's flag octet. ValueError if T and D would both be on the wire, or T where the peer reads D."""
    return _push_flags(int(flags), AckFlag.DISTRIBUTED, AckFlag.TLV_HEADER, profile)


def pull_update_flags(word: int, profile: DFlagProfile) -> UpdateFlag:
    """Flags of a received PBU; reserved bits are ignored."""
    known = _pull_flags(word, UpdateFlag.DISTRIBUTED, UpdateFlag.FORCE_UDP, profile) & _ALL_UPDATE_FLAGS
    return UpdateFlag(known)


def pull_ack_flags(octet: int, profile: DFlagProfile) -> AckFlag:
    """Flags of a received PBA; reserved bits are ignored."""
    return AckFlag(_pull_flags(octet, AckFlag.DISTRIBUTED, AckFlag.TLV_HEADER, profile) & _ALL_ACK_FLAGS)


def _push_flags(flags: int, distributed: int, rival: int, profile: DFlagProfile) -> int:
    """`rival` is the modern flag that sits where draft-03 drew D; never send both positions."""
    draft = profile is DFlagProfile.DRAFT03
    if flags & rival and (draft or flags & distributed):
        raise ValueError(f"flag {rival:#x} shares its place with the D flag of draft-03: refuse to send it")
    if draft and flags & distributed:
        return flags & ~distributed | rival
    return flags


def _pull_flags(flags: int, distributed: int, rival: int, profile: DFlagProfile) -> int:
    if profile is DFlagProfile.RFC8885:
        return flags
    present = flags & rival
    flags &= ~(distributed | rival)  # RFC 8885's place is a reserved bit for a draft-03 peer
    return flags | distributed if present else flags
