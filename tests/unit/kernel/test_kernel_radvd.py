"""radvd.conf as a pure function of the advertisements (spec §6, §5.4)."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from ipaddress import IPv6Address, IPv6Network
from pathlib import Path

import pytest

from agents.dgw.forwarding import Advertisement, RouteInformation
from agents.kernel.netlink import KernelError
from agents.kernel.radvd import PLACEHOLDER, Radvd, render

CLIENT = IPv6Address("fe80::ff:fe00:11")
PREF_A, PREF_B = IPv6Network("2001:db8:a1:1::/64"), IPv6Network("2001:db8:b2:1::/64")
LOCALNET = RouteInformation(IPv6Network("2001:db8:a1:ffff::/64"), "high", 60)
MANY = tuple(replace(LOCALNET, prefix=IPv6Network(f"2001:db8:77:{n:x}::/64")) for n in range(18))
OWN = Advertisement("mn1dgw2", CLIENT, 60, "medium", PREF_B, 300, 300, 1460)
ANCHORED = Advertisement("mn1dgw1", CLIENT, 60, "low", PREF_A, 300, 0, 1460, (LOCALNET,))

S2 = """\
interface none0 { AdvSendAdvert on; IgnoreIfMissing on; };
interface mn1dgw2 {
  AdvSendAdvert on; IgnoreIfMissing on;
  MinRtrAdvInterval 3; MaxRtrAdvInterval 4;
  AdvDefaultLifetime 60; AdvDefaultPreference medium;
  AdvSourceLLAddress on; AdvLinkMTU 1460;
  prefix 2001:db8:b2:1::/64 { AdvOnLink on; AdvAutonomous on;
    AdvValidLifetime 300; AdvPreferredLifetime 300; DeprecatePrefix off; };
  clients { fe80::ff:fe00:11; };
};
interface mn1dgw1 {
  AdvSendAdvert on; IgnoreIfMissing on;
  MinRtrAdvInterval 3; MaxRtrAdvInterval 4;
  AdvDefaultLifetime 60; AdvDefaultPreference low;
  AdvSourceLLAddress on; AdvLinkMTU 1460;
  prefix 2001:db8:a1:1::/64 { AdvOnLink on; AdvAutonomous on;
    AdvValidLifetime 300; AdvPreferredLifetime 0; DeprecatePrefix off; };
  route 2001:db8:a1:ffff::/64 { AdvRoutePreference high; AdvRouteLifetime 60; RemoveRoute off; };
  clients { fe80::ff:fe00:11; };
};
"""


def test_serving_gateway_with_an_anchor() -> None:
    assert render([OWN, ANCHORED]) == S2


@pytest.mark.requirement("RA-11")
def test_nothing_to_advertise_keeps_the_daemon_alive() -> None:
    """RA-11: an empty file ends radvd."""
    assert render([]) == PLACEHOLDER


@pytest.mark.requirement("RA-6", "RA-15")
def test_router_lifetime_zero_is_never_sent_with_a_preference() -> None:
    """RA-6."""
    released = replace(ANCHORED, router_lifetime=0, valid=0, routes=(replace(LOCALNET, lifetime=0),))
    text = render([released])
    assert "AdvDefaultLifetime 0; AdvDefaultPreference medium;" in text
    assert "AdvValidLifetime 0; AdvPreferredLifetime 0;" in text
    assert "AdvRouteLifetime 0;" in text


def test_infinite_lifetime_has_its_own_word() -> None:
    text = render([replace(OWN, valid=0xFFFFFFFF, preferred=0xFFFFFFFF)])
    assert "AdvValidLifetime infinity; AdvPreferredLifetime infinity;" in text


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"router_lifetime": 3}, "router lifetime 3 s"),
        ({"router_lifetime": 9001}, "router lifetime 9001 s"),
        ({"preferred": 301}, "preferred lifetime 301 s exceeds"),
        ({"mtu": 1279}, "MTU 1279"),
        ({"client": IPv6Address("2001:db8::1")}, "not a link-local"),
        ({"preference": "urgent"}, "preference 'urgent'"),
        ({"routes": (LOCALNET, LOCALNET)}, "two route options"),
        ({"routes": MANY}, "18 route options, more than 17"),
    ],
)
@pytest.mark.requirement("RA-14")
def test_what_must_not_be_advertised_is_refused(changes: dict[str, object], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        render([replace(OWN, **changes)])


@pytest.mark.skipif(shutil.which("radvd") is None, reason="radvd is not installed")
def test_radvd_accepts_the_file(tmp_path: Path) -> None:
    conf = tmp_path / "radvd.conf"
    conf.write_text(render([OWN, replace(ANCHORED, router_lifetime=0, valid=0xFFFFFFFF)]))
    done = subprocess.run(["radvd", "-c", "-C", str(conf)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("content", "complaint"), [(None, "no pid file"), ("x", "no number"), ("1", "process 1 is")])
def test_no_signal_to_a_stranger(tmp_path: Path, content: str | None, complaint: str) -> None:
    pid_file = tmp_path / "pid"
    if content is not None:
        pid_file.write_text(content)
    radvd = Radvd(tmp_path / "radvd.conf", pid_file)
    with pytest.raises(KernelError, match=complaint):
        radvd.advertise([OWN])
    assert (tmp_path / "radvd.conf").read_text() == render([OWN])
