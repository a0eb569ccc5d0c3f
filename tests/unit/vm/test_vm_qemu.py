"""The command line, and what the guest is told to do."""

from __future__ import annotations

import itertools
import lzma
import stat
from pathlib import Path

import pytest

from testbed.validation import LabError
from testbed.vm import initramfs, qemu
from testbed.vm.kernel import Kernel

STREAMS = {"console": 11, "output": 12, "status": 13}


def line(**changes) -> list[str]:
    given = {
        "program": "qemu-system-x86_64",
        "accelerated": "kvm",
        "image": Path("/k/boot/vmlinuz-6.1"),
        "archive": 7,
        "streams": STREAMS,
        "processors": 3,
    }
    return list(qemu.command(**{**given, **changes}))


def values(argv: list[str], option: str) -> list[str]:
    return [value for name, value in itertools.pairwise(argv) if name == option]


def test_the_machine_s_root_is_read_only_and_the_one_thing_shared() -> None:
    [root] = values(line(), "-fsdev")
    assert "path=/," in root
    assert root.endswith(",readonly=on")
    assert "virtio-9p-pci,fsdev=root,mount_tag=root" in values(line(), "-device")


def test_results_are_the_only_place_to_write() -> None:
    root, results = values(line(results=Path("/r,1")), "-fsdev")
    assert root.endswith(",readonly=on")
    assert "readonly" not in results
    assert "path=/r,,1," in results  # QEMU's way to write a comma


def test_kernel_archive_and_processors() -> None:
    argv = line()
    assert values(argv, "-kernel") == ["/k/boot/vmlinuz-6.1"]
    assert values(argv, "-initrd") == ["/proc/self/fd/7"]
    assert values(argv, "-smp") == ["3"]
    assert values(argv, "-accel") == ["kvm"]
    assert "panic=-1" in values(argv, "-append")[0].split()
    assert "-no-reboot" in argv  # with panic=-1: a crash ends the program


def test_every_stream_has_its_socket() -> None:
    argv = line()
    assert values(argv, "-chardev") == [
        "socket,id=console,fd=11",
        "socket,id=output,fd=12",
        "socket,id=status,fd=13",
    ]
    assert values(argv, "-serial") == ["chardev:console"]


def test_nothing_the_guest_has_no_use_for() -> None:
    argv = line()
    assert {"-nodefaults", "-no-user-config"} <= set(argv)
    assert "-netdev" not in argv


def test_a_qemu_that_cannot_use_kvm_emulates(tmp_path: Path) -> None:
    """As where /dev/kvm opens, but the machine cannot be made."""
    broken = tmp_path / "qemu"
    broken.write_text("#!/bin/sh\nkill -ABRT $$\n")
    broken.chmod(0o755)
    assert qemu.accelerator(str(broken)) == qemu.EMULATED


@pytest.fixture
def kernel(tmp_path: Path) -> Kernel:
    modules = tmp_path / "lib" / "modules" / "6.1"
    modules.mkdir(parents=True)
    files = [f"kernel/{name}.ko" for name in initramfs.BOOT_MODULES]
    for name in files[:-1]:
        (modules / name).parent.mkdir(exist_ok=True)
        (modules / name).write_bytes(b"ELF " + name.encode())
    (modules / f"{files[-1]}.xz").write_bytes(lzma.compress(b"ELF packed"))
    (modules / "modules.dep").write_text("".join(f"{name}:\n" for name in [*files[:-1], f"{files[-1]}.xz"]))
    (modules / "modules.builtin").write_text("")
    return Kernel("6.1", tmp_path / "vmlinuz", modules)


def job(*argv: str) -> initramfs.Job:
    return initramfs.Job(argv, Path("/clone of mine"), {"A": "b c"})


def test_the_command_goes_over_word_by_word(kernel: Kernel) -> None:
    files = {entry.name: entry.data for entry in initramfs.job_files(kernel, job("echo", "two words", "$(x)", ""))}
    assert files["job/command"] == b"echo\ntwo words\n$(x)\n\n"
    assert files["job/environment"] == b"A=b c\n"
    assert files["job/directory"] == b"/clone of mine\n"
    assert files["job/kernels"] == f"{kernel.modules.parent}\n".encode()
    assert files["job/results"] == b""


def test_a_line_break_is_refused(kernel: Kernel) -> None:
    with pytest.raises(LabError, match="line break"):
        initramfs.job_files(kernel, job("echo", "a\nb"))


def test_the_archive_holds_scripts_busybox_and_unpacked_modules(kernel: Kernel, tmp_path: Path) -> None:
    busybox = tmp_path / "busybox"
    busybox.write_bytes(b"the busybox")
    data = initramfs.build(kernel, job("true"), busybox)
    for content in (b"the busybox", b"ELF packed", b"ELF kernel/9p.ko", b"overlay.ko\n"):
        assert content in data


@pytest.mark.parametrize("name", ["init", "start"])
def test_the_guest_s_scripts_may_be_executed(name: str) -> None:
    path = initramfs.SCRIPTS / name
    assert path.stat().st_mode & stat.S_IXUSR
    assert path.read_text().startswith("#!/")


def test_virtual_time_is_for_one_emulated_processor() -> None:
    argv = line(virtual_time=True)
    assert values(argv, "-smp") == ["1"]
    assert values(argv, "-accel") == ["tcg,thread=single,tb-size=512"]
    assert values(argv, "-icount") == ["shift=0,sleep=on"]
    assert values(line(), "-icount") == []
