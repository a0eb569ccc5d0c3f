"""Mininet's classes, imported in one place; works on Python 3.12 and later too.

Mininet 2.3 imports `distutils.version`, which Python 3.12 removed: a stand-in is registered where it is missing.
"""

from __future__ import annotations

import sys
import types
import warnings


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
from mininet.topo import Topo  # noqa: E402

__all__ = ["Intf", "Link", "Mininet", "Node", "Topo"]
