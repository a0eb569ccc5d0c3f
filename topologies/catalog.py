"""The labs there are: one module a lab in the folder of its family, or any file that holds `LAB`."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path

from testbed.validation import LabError, unknown
from topologies.lab import Lab

FAMILIES = {
    "dgw": (
        "basic",
        "ietf83",
        "ietf87",
        "central-anchor",
        "inter-operator",
        "sc-fig1",
        "sc-fig2",
        "sc-fig3",
        "sc-fig4",
        "sc-fig5",
        "sc-pingpong",
        "sc-3anchors",
        "sc-simul",
        "lipa",
        "sc-cmdmodes",
        "sc-loss",
        "sc-dereg",
        "sc-failure",
        "sc-badinput",
        "sc-sec",
    ),
    "aero": (
        "aero-nat",
        "aero-models",
        "aero-mtu",
        "aero-combinations",
        "aero-minimal",
        "aero-dpd",
        "aero-relay",
        "aero-ro",
        "aero-ro-relay",
        "aero-move-source",
        "aero-move-target",
        "aero-transfer",
        "aero-failover",
        "aero-dmm",
        "aero-attack",
    ),
    "haaro": (
        "haaro-triangle",
        "haaro-nat",
        "haaro-legacy",
        "haaro-multihome",
        "haaro-detour",
        "haaro-leave",
        "haaro-realms",
        "haaro-gateway",
        "haaro-nonces",
        "haaro-attack",
    ),
}
"""Labs by folder, in the order of `roamlab labs`; their modules are named alike, with _ for -."""
LABS = tuple(name for labs in FAMILIES.values() for name in labs)


def names() -> list[str]:
    """Names of the labs that come with roamlab."""
    return list(LABS)


def load(name: str) -> Lab:
    """A lab by name or by file (LabError for an unknown name, a missing file, a file without LAB)."""
    if name.endswith(".py") or "/" in name:
        return _load_file(Path(name))
    if name not in LABS:
        raise LabError(unknown("lab", name, LABS))
    family = next(family for family, labs in FAMILIES.items() if name in labs)
    return _lab_of(importlib.import_module(f"topologies.{family}.{name.replace('-', '_')}"), name)


def _load_file(path: Path) -> Lab:
    if not path.is_file():
        raise LabError(f"{path}: no such lab file")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise LabError(f"{path}: not a Python file")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except (SyntaxError, ImportError, NameError) as error:
        raise LabError(f"{path}: {error}") from error
    return _lab_of(module, str(path))


def _lab_of(module: object, name: str) -> Lab:
    lab = getattr(module, "LAB", None)
    if not isinstance(lab, Lab):
        raise LabError(f"{name}: a lab file ends with LAB = ..., an instance of topologies.lab.Lab")
    return lab
