"""What is loaded before what."""

from __future__ import annotations

import pytest

from testbed.validation import LabError
from testbed.vm.modules import load_order, module_name

DEPENDENCIES = """\
kernel/drivers/virtio/virtio.ko:
kernel/drivers/virtio/virtio_ring.ko: kernel/drivers/virtio/virtio.ko
kernel/drivers/virtio/virtio_pci.ko.xz: kernel/drivers/virtio/virtio_ring.ko kernel/drivers/virtio/virtio.ko
kernel/net/9p/9pnet.ko:
kernel/net/9p/9pnet_virtio.ko: kernel/net/9p/9pnet.ko kernel/drivers/virtio/virtio.ko
kernel/net/sched/sch-odd.ko:
"""
BUILTIN = "kernel/fs/ext4/ext4.ko\nkernel/fs/over-lay.ko\n"


def names(*wanted: str) -> list[str]:
    return [module_name(path) for path in load_order(DEPENDENCIES, BUILTIN, wanted)]


def test_what_a_module_needs_comes_first_and_once() -> None:
    wanted = ("virtio_pci", "9pnet_virtio")
    assert names(*wanted) == ["virtio", "virtio_ring", "virtio_pci", "9pnet", "9pnet_virtio"]
    assert names("virtio", "virtio_pci") == ["virtio", "virtio_ring", "virtio_pci"]


def test_built_in_modules_are_not_loaded() -> None:
    assert names("ext4", "over_lay", "virtio") == ["virtio"]


def test_dashes_and_underscores_are_the_same() -> None:
    assert names("sch_odd") == names("sch-odd") == ["sch_odd"]


def test_the_paths_are_those_of_the_files() -> None:
    assert load_order(DEPENDENCIES, BUILTIN, ["virtio_pci"])[-1] == "kernel/drivers/virtio/virtio_pci.ko.xz"


def test_an_unknown_module_is_named() -> None:
    with pytest.raises(LabError, match="this kernel has no module overlay"):
        names("overlay")
