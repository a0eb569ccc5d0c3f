"""A package without what its `__init__` loads: pyroute2's takes a tenth of a second for parts that nobody here uses.

Its submodules are imported as ever.  Who asks the package itself for a name gets all of it, then.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import sys
from types import ModuleType
from typing import Any


class _Slim(ModuleType):
    """A package whose `__init__` has not run yet."""

    def __getattr__(self, name: str) -> Any:
        """A submodule, or, when it has none of the name, what `__init__` makes of it."""
        spec = self.__spec__
        if name.startswith("__") or spec is None or spec.loader is None:
            raise AttributeError(name)
        if importlib.util.find_spec(f"{self.__name__}.{name}"):
            return importlib.import_module(f"{self.__name__}.{name}")
        self.__class__ = ModuleType  # type: ignore[assignment]
        spec.loader.exec_module(self)
        return getattr(self, name)


def slim(package: str) -> None:
    """From now on, importing parts of a package does not run its `__init__` (nothing when it has run already)."""
    if package in sys.modules:
        return
    spec = importlib.util.find_spec(package)
    if spec is None or spec.submodule_search_locations is None:
        return
    made = _Slim(package)
    made.__spec__, made.__path__ = spec, list(spec.submodule_search_locations)
    made.__file__, made.__package__, made.__loader__ = spec.origin, package, spec.loader
    sys.modules[package] = made
