"""What options call for is judged in every lab of a family, whatever checks a lab has of its own."""

import pytest

from topologies import catalog


@pytest.mark.requirement("SEC-1", "SC-SEC")
@pytest.mark.parametrize("name", catalog.FAMILIES["dgw"])
@pytest.mark.parametrize("protection", ["off", "auto", "xfrm", "esp"])
def test_protection_that_was_asked_for_is_judged(name, protection):
    lab = catalog.load(name)
    options = lab.configure(protection=protection)
    own = [check["check"] for check in lab.checks(options, 1.0)]
    standing = [check["check"] for check in lab.standing_checks(options)]
    assert [*own, *standing].count("protection") == (protection != "off")
