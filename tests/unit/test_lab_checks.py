"""What options call for is judged in every lab of a family, whatever checks a lab has of its own."""

import pytest
from conformance import requirements

from testbed.validation import LabError
from topologies import catalog

IN_CLEAR = ("sc-loss", "sc-failure", "sc-badinput", "sc-pingpong")
"""Labs that must see into the signalling, and refuse the option."""


@pytest.mark.requirement("SEC-1", "SC-SEC")
@pytest.mark.parametrize("name", catalog.FAMILIES["dgw"])
@pytest.mark.parametrize("protection", ["off", "auto", "xfrm", "esp"])
def test_protection_that_was_asked_for_is_judged(name, protection):
    lab = catalog.load(name)
    if name in IN_CLEAR and protection != "off":
        with pytest.raises(LabError, match="option protection"):
            lab.configure(protection=protection)
        return
    options = lab.configure(protection=protection)
    own = [check["check"] for check in lab.checks(options, 1.0)]
    standing = [check["check"] for check in lab.standing_checks(options)]
    assert [*own, *standing].count("protection") == (protection != "off")


def test_a_lab_says_which_scenario_it_is():
    """Checks claim a scenario where the lab is one, and nowhere else"""
    scenarios = {name: catalog.load(name).scenario for name in catalog.FAMILIES["dgw"]}
    assert [name for name, scenario in scenarios.items() if not scenario] == ["basic", "inter-operator", "sc-failure"]
    assert {scenarios[name] for name in ("ietf87", "central-anchor")} == {"SC-IETF87"}
    assert set(scenarios.values()) - {""} <= set(requirements.load("dgw"))
