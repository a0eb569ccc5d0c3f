"""Every rule of AERO's checks fails on a run in which just that is wrong, and no check passes on nothing."""

from pathlib import Path

import aero_direct_world
import aero_move_world
import aero_nat_world
import aero_path_world
import aero_transfer_world
import doctored_aero_attach
import doctored_aero_direct
import doctored_aero_moves
import doctored_aero_paths
import doctored_aero_transfers
import pytest
from aero_direct_world import DirectWorld, PublishedWorld
from aero_doctored import DOCTORED
from aero_move_world import KeylessMoveWorld, LostMoveWorld, MoveWorld
from aero_nat_world import NatWorld
from aero_path_world import PathWorld
from aero_transfer_world import DirectFileWorld, ServedWorld, TransferWorld
from broken_rules import judge, never_broken
from test_captures_aero_models import ENTRIES, MODULES
from test_captures_attacks import CHECKS as OF_ATTACKS
from test_captures_attacks import MODULES as ATTACK_MODULES
from test_captures_failover import CHECKS as OF_FAILOVER
from test_captures_failover import MODULES as FAILOVER_MODULES
from test_captures_outages import CHECKS as OF_OUTAGES
from test_captures_outages import MODULES as OUTAGE_MODULES
from test_captures_relays import CHECKS as OF_RELAYS
from test_captures_relays import MODULES as RELAY_MODULES

import captures.checks.aero
from captures.checks import REGISTRY, call

RIGHT = [
    *((NatWorld, entry) for entry in aero_nat_world.CHECKS),
    *((PathWorld, entry) for entry in aero_path_world.CHECKS),
    *((DirectWorld, entry) for entry in aero_direct_world.CHECKS),
    *((PublishedWorld, entry) for entry in aero_direct_world.PUBLISHED_CHECKS),
    *((MoveWorld, entry) for entry in aero_move_world.CHECKS),
    *((LostMoveWorld, entry) for entry in aero_move_world.LOST_CHECKS),
    *((KeylessMoveWorld, entry) for entry in aero_move_world.KEYLESS_CHECKS),
    *((TransferWorld, entry) for entry in aero_transfer_world.CHECKS),
    (ServedWorld, aero_transfer_world.SERVED),
    (DirectFileWorld, aero_transfer_world.DIRECT),
]
CHECKS = {entry["check"] for _world, entry in RIGHT}
"""Checks that pass on a right run here."""
ELSEWHERE = MODULES + RELAY_MODULES + ATTACK_MODULES + FAILOVER_MODULES + OUTAGE_MODULES
"""Modules of checks whose rules are broken in tests of their own."""
SOURCES = Path(captures.checks.aero.__file__).parent


@pytest.fixture(scope="session")
def judged():
    return judge(DOCTORED, SOURCES)


@pytest.mark.parametrize(("world", "entry"), RIGHT, ids=[entry["check"] + world.__name__ for world, entry in RIGHT])
def test_a_right_run_passes(world, entry):
    for result in call(world().run(), entry):
        assert result.passed is True, f"{result.id}: {result.measured}"
        assert result.evidence


@pytest.mark.parametrize("name", sorted(DOCTORED))
def test_a_doctored_run_fails(judged, name):
    _make, _entry, wanted, outcome, text = DOCTORED[name]
    result = judged[0][name][wanted]
    assert result.passed is outcome, result.measured
    assert text in result.measured


def test_every_rule_was_broken_once(judged):
    here = [path for path in SOURCES.glob("*.py") if path.stem not in ELSEWHERE]
    assert not never_broken(here, judged[1])


@pytest.mark.parametrize(("world", "entry"), RIGHT, ids=[entry["check"] + world.__name__ for world, entry in RIGHT])
def test_nothing_is_no_success(world, entry):
    """Empty captures, whatever the script says it sent."""
    silent = world(lambda tag, fields: None if "@" in tag else fields)
    results = call(silent.run(), entry)
    assert not [(one.id, one.measured) for one in results if one.passed is not None]


def test_each_module_doctors():
    modules = {make.__module__ for make, *_ in DOCTORED.values()}
    homes = (
        doctored_aero_attach,
        doctored_aero_direct,
        doctored_aero_moves,
        doctored_aero_paths,
        doctored_aero_transfers,
    )
    assert modules == {one.__name__ for one in homes}


def test_checks_of_aero_are_all_here():
    known = CHECKS | ENTRIES.keys() | OF_RELAYS | OF_ATTACKS | OF_FAILOVER | OF_OUTAGES
    assert {name for name in REGISTRY if name.startswith("aero-")} == known
