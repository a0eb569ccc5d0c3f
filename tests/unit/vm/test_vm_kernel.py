"""The cache of kernels: where it is, and that a damaged one is not used. The tools missing here are named."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from testbed.validation import LabError
from testbed.vm import kernel


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A kernel as the cache holds it."""
    contents = {"boot/vmlinuz-6.1": b"image", "lib/modules/6.1/modules.dep": b"a.ko:\n"}
    for name, data in contents.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in contents.items()}
    (tmp_path / kernel.RECORD).write_text(json.dumps({"release": "6.1", "files": digests}))
    return tmp_path


def test_a_whole_kernel_is_used(place: Path) -> None:
    found = kernel.opened(place)
    assert found.release == "6.1"
    assert found.image.read_bytes() == b"image"
    assert (found.modules / "modules.dep").exists()


@pytest.mark.parametrize("name", ["boot/vmlinuz-6.1", "lib/modules/6.1/modules.dep"])
def test_a_damaged_kernel_is_refused(place: Path, name: str) -> None:
    (place / name).write_bytes(b"imag")
    with pytest.raises(LabError, match=f"{name} is damaged"):
        kernel.opened(place)


@pytest.mark.parametrize("name", ["boot/vmlinuz-6.1", kernel.RECORD])
def test_an_incomplete_kernel_is_refused(place: Path, name: str) -> None:
    (place / name).unlink()
    with pytest.raises(LabError, match="no whole kernel at"):
        kernel.opened(place)


def test_a_damaged_record_is_refused(place: Path) -> None:
    (place / kernel.RECORD).write_text("{")
    with pytest.raises(LabError, match="no whole kernel at"):
        kernel.opened(place)


@pytest.mark.parametrize(
    ("said", "expected"),
    [("/c", "/c/roamlab/kernels"), ("", "/home/me/.cache/roamlab/kernels"), ("c", "/home/me/.cache/roamlab/kernels")],
)
def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch, said: str, expected: str) -> None:
    """A relative XDG_CACHE_HOME is ignored, as its specification says."""
    monkeypatch.setenv("XDG_CACHE_HOME", said)
    monkeypatch.setenv("HOME", "/home/me")
    assert str(kernel.cache()) == expected


def test_what_is_missing_is_one_line_to_paste(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("testbed.sandbox.SYSTEM_PLACES", ())
    wanted = "sudo apt-get install --no-install-recommends qemu-system-x86 busybox-static kmod"
    with pytest.raises(LabError, match=wanted):
        kernel.check_programs()
    for name in ("qemu-system-x86_64", "depmod", "busybox"):
        (tmp_path / name).write_bytes(b"\x7fELF /lib64/ld-linux-x86-64.so.2")  # busybox as the package without -static
        (tmp_path / name).chmod(0o755)
    with pytest.raises(LabError, match=r"--no-install-recommends busybox-static$"):
        kernel.check_programs()


def test_another_processor_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    with pytest.raises(LabError, match="on x86_64 only, this machine is aarch64"):
        kernel.check_programs()


def test_where_apt_knows_nothing_the_kernel_fetched_last_will_do(
    place: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    directory = tmp_path_factory.mktemp("cache")
    tools = tmp_path_factory.mktemp("bin")
    (tools / "apt-cache").write_text("#!/bin/sh\necho 'N: Unable to locate package' >&2\nexit 100\n")
    (tools / "apt-cache").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:/usr/bin:/bin")
    with pytest.raises(LabError, match="Unable to locate package; sudo apt-get update may help"):
        kernel.fetch(print, directory)
    place.rename(directory / "linux-image-6.1_1_amd64")
    said: list[str] = []
    assert kernel.fetch(said.append, directory).release == "6.1"
    assert said == [
        f"apt-cache depends {kernel.PACKAGE}: N: Unable to locate package; sudo apt-get update may help; "
        f"taking Linux 6.1 from {directory}"
    ]
