"""The conformance page of a family: requirement, what proves it, last result."""

from __future__ import annotations

import itertools
from collections import defaultdict

from conformance.requirements import BINDING, Requirement, load
from conformance.results import Proof, Results

TITLES = {"dgw": "distributed anchoring (D-GW, DLIF)", "aero": "AERO", "haaro": "HAARO"}
LANES = {"present": "", "stock": " (stock kernel)"}


def render(family: str, results: Results) -> str:
    """The page as Markdown."""
    requirements = load(family)
    proofs = _by_requirement(results)
    lines = [f"# Conformance: {TITLES.get(family, family)}", ""]
    lines += ["Written by `./roamlab test --conformance`; do not edit. A requirement that no passing test or check", ""]
    lines[-1] = "names is **open**. Checks judge captures of whole labs; tests are run by pytest."
    lines += [""] + [f"- {_lane(name)}: {lane.kernel}, {lane.date}" for name, lane in sorted(results.items())]
    lines += ["", _summary(requirements, proofs)]
    for section, group in itertools.groupby(requirements.values(), key=lambda requirement: requirement.section):
        lines += [
            "",
            f"## {section}",
            "",
            "| | level | requirement | proved by | last result |",
            "|---|---|---|---|---|",
        ]
        lines += [_row(requirement, proofs[requirement.id]) for requirement in group]
    return "\n".join(lines) + "\n"


def open_requirements(family: str, results: Results) -> list[Requirement]:
    """Requirements of any binding level without a passing proof."""
    proofs = _by_requirement(results)
    return [r for r in load(family).values() if r.level in BINDING and _verdict(proofs[r.id]) != "passed"]


Named = list[tuple[str, str, Proof]]
"""(lane, test or check, its results)."""


def _by_requirement(results: Results) -> dict[str, Named]:
    found: dict[str, Named] = defaultdict(list)
    for lane, run in sorted(results.items()):
        for name, proof in sorted(run.proofs.items()):
            for requirement in proof.requirements:
                found[requirement].append((lane, name, proof))
    return found


def _verdict(proofs: Named) -> str:
    if any(proof.failed for _lane_name, _name, proof in proofs):
        return "failed"
    return "passed" if any(proof.passed for _lane_name, _name, proof in proofs) else "open"


def _summary(requirements: dict[str, Requirement], proofs: dict[str, Named]) -> str:
    counted: dict[str, list[str]] = defaultdict(list)
    for requirement in requirements.values():
        if requirement.level in BINDING:
            counted[requirement.level.split()[0]].append(_verdict(proofs[requirement.id]))
    parts = [f"{level}: {states.count('passed')} of {len(states)}" for level, states in counted.items()]
    return "Proved: " + ", ".join(parts) + "."


def _row(requirement: Requirement, proofs: Named) -> str:
    level = requirement.level.lower() + (" (REC)" if "REC" in requirement.note else "")
    source = f" [{requirement.source}]" if requirement.source else ""
    result = "" if requirement.level not in BINDING and not proofs else _result(proofs)
    cells = [requirement.id, level, requirement.text + source, _proved_by(proofs), result]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _result(proofs: Named) -> str:
    verdict = _verdict(proofs)
    if verdict != "passed":
        return f"**{verdict}**"
    cases = sum(proof.passed for _lane_name, _name, proof in proofs)
    return f"passed ({cases})"


def _proved_by(proofs: Named) -> str:
    tests = [f"`{_short(name)}`{LANES[lane]}" for lane, name, _proof in proofs if not name.startswith("lab ")]
    labs: dict[str, list[str]] = defaultdict(list)
    for lane, name, _proof in proofs:
        if name.startswith("lab "):
            lab, _colon, check = name.removeprefix("lab ").partition(": ")
            labs[f"check `{check}`{LANES[lane]}"].append(lab)
    checks = [f"{check} in {', '.join(names)}" for check, names in labs.items()]
    return "; ".join([*dict.fromkeys(tests), *checks])


def _short(name: str) -> str:
    """A test's file name and function: unique, since test modules have unique names."""
    path, _colons, function = name.partition("::")
    return f"{path.rpartition('/')[2].removesuffix('.py')}::{function}"


def _lane(name: str) -> str:
    return {"present": "this kernel", "stock": "stock kernel"}.get(name, name)
