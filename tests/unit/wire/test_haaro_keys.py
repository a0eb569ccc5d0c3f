"""Authenticators, tokens, nonces and identifications: vectors K1-K11 and the rules around them (spec HAARO §3)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from haaro_vectors import (
    CAREOF_TOKEN,
    COA_C,
    DEREGISTRATION_KRM,
    HOA_C,
    HOME_TOKEN,
    IDENTIFICATION,
    K6,
    K7,
    K7_COVERING_ALL,
    K8,
    K8_AUTH,
    K9,
    K9_AUTH,
    K10,
    K10_AUTH,
    K11,
    K11_AUTH,
    KCR,
    KEY,
    KRM,
    NATED_C,
    NATED_TOKEN,
    NONCE5,
    NONCE6,
    SPI,
)

from agents.haaro import keys
from agents.haaro.identification import NTP_EPOCH, ReplayGuard, Stamper, answers, seconds, timestamp
from agents.haaro.nonces import Nonces
from agents.wire.mip4 import decode, encode
from agents.wire.mip4_codes import Code

NOW = 1_800_000_000.0


@pytest.mark.requirement("RR-5")
def test_tokens_and_keys():
    assert keys.home_token(KCR, HOA_C, NONCE5) == HOME_TOKEN
    assert keys.careof_token(KCR, COA_C, NONCE6) == CAREOF_TOKEN
    assert keys.careof_token(KCR, NATED_C, NONCE6) == NATED_TOKEN
    assert keys.correspondent_key(HOME_TOKEN, CAREOF_TOKEN) == KRM
    assert keys.correspondent_key(HOME_TOKEN) == DEREGISTRATION_KRM


@pytest.mark.parametrize(
    ("octets", "auth", "key"),
    [
        pytest.param(K6, K7, KRM, id="K7"),
        pytest.param(K8, K8_AUTH, KRM, id="K8"),
        pytest.param(K9, K9_AUTH, DEREGISTRATION_KRM, id="K9"),
    ],
)
@pytest.mark.requirement("MR-10", "CR-12", "RR-9")
def test_correspondent_authenticator(octets, auth, key):
    received = decode(octets + auth)
    assert keys.genuine_correspondent(received, key)
    made = keys.sign_correspondent(
        replace(received, auth=None, prior=b""), received.auth.home_index, received.auth.careof_index, key
    )
    assert encode(made) == octets + auth
    assert not keys.genuine_correspondent(received, key[:-1] + b"\0")
    assert not keys.genuine_home(received, key)


@pytest.mark.requirement("CR-3")
def test_subtype_and_reserved_octet_are_not_covered():
    assert not keys.genuine_correspondent(decode(K6 + K7[:8] + K7_COVERING_ALL), KRM)
    assert keys.genuine_correspondent(decode(K6 + K7[:3] + b"\xff" + K7[4:]), KRM)


@pytest.mark.parametrize(
    ("octets", "auth"), [pytest.param(K10, K10_AUTH, id="K10"), pytest.param(K11, K11_AUTH, id="K11")]
)
@pytest.mark.requirement("HA-1")
def test_home_authenticator(octets, auth):
    received = decode(octets + auth)
    assert keys.genuine_home(received, KEY)
    assert encode(keys.sign_home(replace(received, auth=None, prior=b""), SPI, KEY)) == octets + auth
    assert not keys.genuine_correspondent(received, KEY)


@pytest.mark.parametrize(("octets", "auth", "key"), [(K6, K7, KRM), (K10, K10_AUTH, KEY), (K11, K11_AUTH, KEY)])
@pytest.mark.requirement("HA-1", "ERR-5", "CR-3", "ERR-28")
def test_every_changed_bit_before_the_authenticator_is_noticed(octets, auth, key):
    genuine = keys.genuine_home if auth[0] == 32 else keys.genuine_correspondent
    tolerated = set() if auth[0] == 32 else {len(octets) + 2, len(octets) + 3}
    for at in range(1, len(octets + auth)):
        changed = bytearray(octets + auth)
        changed[at] ^= 1
        try:
            message = decode(bytes(changed))
        except ValueError:
            continue
        if at not in tolerated:
            assert not genuine(message, key), at


def test_authenticators_of_other_lengths_are_wrong():
    short = decode(K10 + bytes((32, 4)) + SPI.to_bytes(4, "big"))
    assert short.auth.authenticator == b""
    assert not keys.genuine_home(short, KEY)


class TestNonces:
    @staticmethod
    def ring():
        octets = iter([bytes(2), NONCE5, KCR, NONCE6, KCR])
        return Nonces(lambda length: next(octets, bytes(length)))

    @pytest.mark.requirement("RR-4", "RR-11")
    def test_tokens_of_two_periods_make_the_key(self):
        nonces = self.ring()
        assert nonces.home_test(HOA_C, NOW) == (1, HOME_TOKEN)
        assert nonces.home_test(HOA_C, NOW + 29.9)[0] == 1
        assert nonces.careof_test(COA_C, NOW + 30) == (2, CAREOF_TOKEN)
        assert nonces.key(HOA_C, COA_C, 1, 2, NOW + 31) == KRM
        assert nonces.key(HOA_C, NATED_C, 1, 2, NOW + 31) == keys.correspondent_key(HOME_TOKEN, NATED_TOKEN)
        assert nonces.deregistration_key(HOA_C, 1, NOW + 31) == DEREGISTRATION_KRM

    @pytest.mark.requirement("CR-3", "RR-11", "ERR-27", "SC-S8")
    def test_a_nonce_is_good_for_240_seconds_and_not_longer(self):
        nonces = Nonces()
        home, _token = nonces.home_test(HOA_C, NOW)
        careof, _token = nonces.careof_test(COA_C, NOW + 30)
        assert isinstance(nonces.key(HOA_C, COA_C, home, careof, NOW + 240), bytes)
        assert nonces.key(HOA_C, COA_C, home, careof, NOW + 240.1) is Code.EXPIRED_HOME_NONCE
        assert nonces.key(HOA_C, COA_C, careof, home, NOW + 240.1) is Code.EXPIRED_CAREOF_NONCE
        assert nonces.key(HOA_C, COA_C, home, careof, NOW + 270.1) is Code.EXPIRED_NONCES
        assert nonces.deregistration_key(HOA_C, home, NOW + 240.1) is Code.EXPIRED_HOME_NONCE
        assert isinstance(nonces.deregistration_key(HOA_C, careof, NOW + 240.1), bytes)

    @pytest.mark.requirement("RR-11")
    def test_a_token_lasts_210_seconds_however_busy_the_router_is(self):
        nonces = Nonces()
        taken = {}
        for tenth in range(4000):
            at = NOW + tenth / 10
            index, token = nonces.home_test(HOA_C, at)
            taken.setdefault(index, []).append((at, token))
        for index, tokens in taken.items():
            last, token = tokens[-1]
            assert {each for _at, each in tokens} == {token}
            if last + 210 <= NOW + 400:
                continue
            assert nonces.deregistration_key(HOA_C, index, last + 209.9) == keys.correspondent_key(token)

    @pytest.mark.requirement("ERR-27")
    def test_unknown_indexes(self):
        nonces = Nonces()
        assert nonces.key(HOA_C, COA_C, 0, 0, NOW) is Code.EXPIRED_NONCES
        index, _token = nonces.home_test(HOA_C, NOW)
        assert nonces.key(HOA_C, COA_C, index, 9, NOW) is Code.EXPIRED_CAREOF_NONCE
        assert nonces.key(HOA_C, COA_C, 9, index, NOW) is Code.EXPIRED_HOME_NONCE

    @pytest.mark.requirement("RR-10", "RR-12")
    def test_a_new_secret_with_every_nonce(self):
        asked = []

        def random(length):
            asked.append(length)
            return bytes((len(asked),)) * length

        nonces = Nonces(random)
        first = nonces.home_test(HOA_C, NOW)[1]
        assert nonces.home_test(HOA_C, NOW + 30)[1] != first
        assert asked == [2, 8, 16, 8, 16]

    def test_no_index_is_that_of_a_static_key(self):
        nonces = Nonces(bytes)
        indexes = [nonces.home_test(HOA_C, NOW + 30 * n)[0] for n in range(65540)]
        assert indexes[:2] == [1, 2]
        assert indexes[65533:65537] == [65534, 65535, 1, 2]

    @pytest.mark.requirement("CR-3", "ERR-27")
    def test_a_token_of_a_former_life_is_expired_and_not_wrong(self):
        lives = [Nonces(lambda length, life=life: bytes((life,)) * length) for life in (3, 4)]
        index, _token = lives[0].home_test(HOA_C, NOW)
        lives[1].home_test(HOA_C, NOW + 1)
        assert lives[1].key(HOA_C, COA_C, index, index, NOW + 2) is Code.EXPIRED_NONCES

    @pytest.mark.requirement("CR-2", "SC-S27")
    def test_no_request_leaves_anything_behind(self):
        nonces = Nonces()
        nonces.home_test(HOA_C, NOW)
        before = nonces.size()
        for n in range(1000):
            nonces.careof_test(type(HOA_C)(n), NOW + 1)
        assert nonces.size() == before == 1


class TestIdentification:
    def test_timestamps_are_those_of_ntp(self):
        assert timestamp(0) == NTP_EPOCH << 32
        assert timestamp(1.5) == (NTP_EPOCH + 1) << 32 | 1 << 31
        assert abs(seconds(timestamp(NOW)) - NOW) < 1e-5

    @pytest.mark.requirement("MR-9")
    def test_each_is_later_than_all_before_even_if_the_clock_stands_or_goes_back(self):
        stamper = Stamper()
        made = [stamper.next("HA", NOW - n % 3) for n in range(50)]
        assert made == sorted(set(made))

    @pytest.mark.requirement("MR-19", "ERR-6", "ERR-29")
    def test_a_clock_that_differs_is_followed_for_that_peer_alone(self):
        stamper, guard = Stamper(), ReplayGuard()
        first = stamper.next("A", NOW)
        assert not guard.fresh("C", first, NOW + 1000)
        denial = guard.denial(first, NOW + 1000)
        assert answers(denial, first)
        stamper.resynchronise("A", denial, NOW)
        assert stamper.offset("A") == 1000
        assert guard.fresh("C", stamper.next("A", NOW + 1), NOW + 1001)
        assert stamper.offset("B") == 0

    @pytest.mark.requirement("CR-4", "ERR-29")
    def test_stale_and_replayed_ones_are_refused(self):
        guard = ReplayGuard()
        assert guard.fresh("C", timestamp(NOW - 6.9), NOW)
        assert guard.fresh("C", timestamp(NOW + 6.9), NOW)
        assert not guard.fresh("C", timestamp(NOW - 7.1), NOW)
        assert not guard.fresh("C", timestamp(NOW + 7.1), NOW)
        guard.accept("C", timestamp(NOW))
        assert not guard.fresh("C", timestamp(NOW), NOW)
        assert not guard.fresh("C", timestamp(NOW - 1), NOW)
        assert guard.fresh("C", timestamp(NOW) + 1, NOW)
        assert guard.fresh("A", timestamp(NOW - 1), NOW)

    def test_the_denial_carries_the_low_half_of_what_was_sent(self):
        denial = ReplayGuard().denial(IDENTIFICATION, NOW)
        assert denial & 0xFFFFFFFF == 0x12345678
        assert denial >> 32 == timestamp(NOW) >> 32
        assert not answers(denial + 1, IDENTIFICATION)
