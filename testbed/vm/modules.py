"""Which kernel modules to load before others, from what depmod found out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from testbed.validation import LabError


def load_order(dependencies: str, builtin: str, wanted: Iterable[str]) -> list[str]:
    """Return the files to load, in order, for these modules and all they need; built-in ones need none.

    dependencies and builtin are the texts of modules.dep and modules.builtin; LabError names a module of neither.
    """
    needs: dict[str, list[str]] = {}
    for line in dependencies.splitlines():
        path, _, others = line.partition(":")
        needs[path] = others.split()
    paths = {module_name(path): path for path in needs}
    present = {module_name(path) for path in builtin.split()}
    order: dict[str, None] = {}
    for name in wanted:
        if module_name(name) in present:
            continue
        try:
            path = paths[module_name(name)]
        except KeyError:
            raise LabError(f"this kernel has no module {name}") from None
        order.update(dict.fromkeys([*reversed(needs[path]), path]))  # modules.dep: the last is loaded first
    return list(order)


def module_name(path: str) -> str:
    """Return the name by which the kernel knows the module in a file: `a/b-c.ko.xz` is b_c."""
    return PurePosixPath(path).name.partition(".ko")[0].replace("-", "_")


def order_in(directory: Path, wanted: Sequence[str]) -> list[Path]:
    """Return load_order for the modules below directory (`.../lib/modules/<release>`)."""
    dependencies, builtin = ((directory / name).read_text() for name in ("modules.dep", "modules.builtin"))
    return [directory / path for path in load_order(dependencies, builtin, wanted)]
