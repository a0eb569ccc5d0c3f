"""The first root of the guest: busybox, the modules that reach the real one, and what to do there."""

from __future__ import annotations

import lzma
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from testbed.validation import LabError
from testbed.vm import cpio, modules
from testbed.vm.kernel import Kernel

BOOT_MODULES = ("virtio_pci", "virtio_console", "9p", "9pnet_virtio", "overlay")
SCRIPTS = Path(__file__).resolve().parent / "guest"


@dataclass(frozen=True, slots=True)
class Job:
    """A command for the guest; paths are those of this machine."""

    argv: Sequence[str]
    directory: Path
    environment: Mapping[str, str]
    results: Path | None = None
    """Directory of the guest alone that is copied to the same place on this machine at the end."""
    virtual_time: bool = False
    """Whether the guest's clock counts instructions instead of seconds (testbed.vm.qemu.VIRTUAL_TIME)."""


def build(kernel: Kernel, job: Job, busybox: Path) -> bytes:
    """Return the archive for a kernel and a job (LabError for words that cannot be handed over)."""
    loaded = modules.order_in(kernel.modules, BOOT_MODULES)
    return cpio.archive(
        [
            *(cpio.directory(name) for name in ("bin", "dev", "job", "modules")),
            cpio.character_device("dev/console", 5, 1),
            cpio.file("bin/busybox", busybox.read_bytes(), 0o755),
            *(cpio.file(name, (SCRIPTS / name).read_bytes(), 0o755) for name in ("init", "start")),
            *(cpio.file(f"modules/{_plain(path)}", _content(path)) for path in loaded),
            cpio.file("modules/order", _lines(map(_plain, loaded))),
            *job_files(kernel, job),
        ]
    )


def job_files(kernel: Kernel, job: Job) -> list[cpio.Entry]:
    """Return what the guest's scripts read: one word a line, so that nothing needs quoting."""
    texts = {
        "command": job.argv,
        "environment": [f"{name}={value}" for name, value in job.environment.items()],
        "directory": [str(job.directory)],
        "kernels": [str(kernel.modules.parent.resolve())],
        "results": [str(job.results)] if job.results else [],
    }
    return [cpio.file(f"job/{name}", _lines(words)) for name, words in texts.items()]


def _lines(words: Sequence[str] | map[str]) -> bytes:
    listed = list(words)
    for word in listed:
        if "\n" in word:
            raise LabError(f"a word with a line break cannot be handed to a virtual machine: {word!r}")
    return "".join(f"{word}\n" for word in listed).encode()


def _plain(path: Path) -> str:
    return path.name.removesuffix(".xz")


def _content(path: Path) -> bytes:
    data = path.read_bytes()
    return lzma.decompress(data) if path.suffix == ".xz" else data
