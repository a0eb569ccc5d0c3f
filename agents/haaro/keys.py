"""Authenticators, tokens and keys (spec §3): pure functions over received octets."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import replace
from ipaddress import IPv4Address
from typing import TypeVar

from agents.wire.mip4 import prior_octets
from agents.wire.mip4_extensions import MobileCorrespondentAuth, MobileHomeAuth
from agents.wire.mip4_messages import RegistrationReply, RegistrationRequest

TOKEN_OCTETS = 8
AUTHENTICATOR_OCTETS = 16
FIRST_SPI = 256
"""Those below are reserved (RFC 5944 §3.5.2)."""
HOME, CAREOF = b"\0", b"\1"
"""What ends the input of a home and of a care-of token."""
CORRESPONDENT_COVER = (slice(0, 2), slice(4, 8))
"""Octets of an MCAE that its authenticator covers: type, length and indexes, not subtype and reserved (spec A-1)."""

Signed = TypeVar("Signed", RegistrationRequest, RegistrationReply)
Registered = RegistrationRequest | RegistrationReply


def home_token(kcr: bytes, home_address: IPv4Address, nonce: bytes) -> bytes:
    """What a HoT proves the receipt of: 8 octets."""
    return hmac.digest(kcr, home_address.packed + nonce + HOME, "sha1")[:TOKEN_OCTETS]


def careof_token(kcr: bytes, source: IPv4Address, nonce: bytes) -> bytes:
    """What a CoT proves the receipt of, for the address the CoTI came from: 8 octets."""
    return hmac.digest(kcr, source.packed + nonce + CAREOF, "sha1")[:TOKEN_OCTETS]


def correspondent_key(home: bytes, careof: bytes = b"") -> bytes:
    """KRm, 20 octets; without a care-of token that of a deregistration."""
    return hashlib.sha1(home + careof).digest()


def sign_home(message: Signed, spi: int, key: bytes) -> Signed:
    """The message with an MHAE at its end."""
    prior = prior_octets(message)
    auth = MobileHomeAuth(spi, _home_mac(prior, spi, AUTHENTICATOR_OCTETS, key))
    return replace(message, auth=auth, surplus=(), prior=prior)


def genuine_home(message: Registered, key: bytes) -> bool:
    """Whether an MHAE authorises the message and was made with this key."""
    auth = message.auth
    if not isinstance(auth, MobileHomeAuth):
        return False
    right = _home_mac(prior_octets(message), auth.spi, len(auth.authenticator), key)
    return hmac.compare_digest(auth.authenticator, right)


def sign_correspondent(message: Signed, home_index: int, careof_index: int, key: bytes) -> Signed:
    """The message with an MCAE at its end; `key` is a KRm."""
    blank = MobileCorrespondentAuth(home_index, careof_index)
    auth = replace(blank, authenticator=_correspondent_mac(message, blank, key))
    return replace(message, auth=auth, surplus=())


def genuine_correspondent(message: Registered, key: bytes) -> bool:
    """Whether an MCAE authorises the message and was made with this KRm."""
    auth = message.auth
    if not isinstance(auth, MobileCorrespondentAuth):
        return False
    return hmac.compare_digest(auth.authenticator, _correspondent_mac(message, auth, key))


def _home_mac(prior: bytes, spi: int, octets: int, key: bytes) -> bytes:
    """HMAC-MD5 over everything before the authenticator, which is so many octets long."""
    return hmac.digest(key, prior + MobileHomeAuth.head(spi, octets), "md5")


def _correspondent_mac(message: Registered, auth: MobileCorrespondentAuth, key: bytes) -> bytes:
    """The first 128 bits of HMAC-SHA1."""
    octets = auth.push()
    covered = b"".join([octets[part] for part in CORRESPONDENT_COVER])
    return hmac.digest(key, prior_octets(message) + covered, "sha1")[:AUTHENTICATOR_OCTETS]
