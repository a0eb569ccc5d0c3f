"""Mininet's classes, imported in one place; works on Python 3.12 and later too.

Mininet 2.3 imports `distutils.version`, which Python 3.12 removed: a stand-in is registered where it is missing.
"""

from __future__ import annotations

import inspect
import sys
import types
import warnings
from pathlib import Path
from typing import Any

from testbed.validation import LabError, unknown


class StrictVersion:
    """The part of distutils.version.StrictVersion that Mininet uses: ordering of dotted numbers."""

    def __init__(self, text: str) -> None:
        self.version = tuple(int(part) for part in text.split("."))

    def __lt__(self, other: StrictVersion) -> bool:
        return self.version < other.version

    def __eq__(self, other: object) -> bool:
        return isinstance(other, StrictVersion) and self.version == other.version

    def __hash__(self) -> int:
        return hash(self.version)


def _provide_distutils() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            import distutils.version  # noqa: F401
        except ModuleNotFoundError:
            package = types.ModuleType("distutils")
            version = types.ModuleType("distutils.version")
            vars(version)["StrictVersion"] = StrictVersion
            vars(package)["version"] = version
            sys.modules["distutils"] = package
            sys.modules["distutils.version"] = version


_provide_distutils()

from mininet.link import Intf, Link  # noqa: E402
from mininet.net import Mininet  # noqa: E402
from mininet.node import Node  # noqa: E402
from mininet.topo import Topo as MininetTopo  # noqa: E402

__all__ = ["Intf", "Link", "Mininet", "Node", "Topo", "file_of"]


class Topo(MininetTopo):
    """Mininet's topology, which refuses a link to a node that was not added in one line."""

    def addLink(self, node1: str, node2: str, *args: Any, **options: Any) -> Any:
        """Add a link; LabError with the nearest name when one of its nodes was not added before."""
        for node in (node1, node2):
            if node not in self.g.node:
                raise LabError(f"{file_of(self)}: link {node1}–{node2}: {unknown('node', node, self.nodes())}")
        return super().addLink(node1, node2, *args, **options)


def file_of(topo: MininetTopo) -> str:
    """Return the file that defines a topology's class, relative to the current directory where it is below."""
    try:
        path = Path(inspect.getsourcefile(type(topo)) or "topology")
    except (OSError, TypeError):  # defined where there is no file, as at a prompt
        return type(topo).__name__
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
