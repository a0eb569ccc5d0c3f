"""The doctor and feature probes say what this kernel does, and agree with the kernel."""

import os
import shutil
import socket

import pytest

from testbed import features
from testbed.doctor import PROGRAMS, doctor
from testbed.features import FEATURES, refusal, supports, survey, tunnel_backend

pytestmark = pytest.mark.netns


def test_what_every_lab_needs_is_here():
    for name in ("namespace", "veth", "bridge", "macvlan", "nft", "nft-nat"):
        assert supports(name), refusal(name)
    assert tunnel_backend() in ("ip6tnl", "seg6")


def test_refusals_have_a_reason_and_nothing_is_left_over():
    before = socket.if_nameindex()
    assert survey().keys() == FEATURES.keys()
    for name, reason in survey().items():
        assert supports(name) == (reason == "")
    assert socket.if_nameindex() == before


def test_a_probe_that_fails_says_what_the_tool_said(monkeypatch):
    monkeypatch.setitem(FEATURES, "nonesuch", features._link("nonesuch-device-type"))
    monkeypatch.setitem(FEATURES, "no-tool", features._try(("nonesuch-program",)))
    assert "Unknown device type" in refusal("nonesuch")
    assert refusal("no-tool") == "nonesuch-program is not installed"


def test_every_failed_finding_has_a_detail_and_a_remedy(tmp_path):
    findings = doctor(tmp_path)
    names = [finding.name for finding in findings]
    assert len(names) == len(set(names))
    assert {"sandbox", "rootless", "gateway tunnels", "stock kernel", "kernel: wifi", "disk", *PROGRAMS} <= set(names)
    for finding in findings:
        assert finding.detail
        assert bool(finding.remedy) != finding.ok, finding
        if finding.name in PROGRAMS and finding.ok:
            assert os.access(finding.detail, os.X_OK)


def test_missing_programs_are_found_missing(monkeypatch, tmp_path):
    real = shutil.which
    monkeypatch.setattr(shutil, "which", lambda name, **given: None if name == "radvd" else real(name, **given))
    (missing,) = [finding for finding in doctor(tmp_path) if finding.name == "radvd"]
    assert not missing.ok
    assert missing.remedy == "sudo apt install radvd"
