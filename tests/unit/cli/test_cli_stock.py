"""--kernel stock: which tests go into which guest, and what is refused before a machine is started."""

from __future__ import annotations

from pathlib import Path

import pytest

from topologies.cli import stock
from topologies.cli.errors import Failure, Mistake

REAL, VIRTUAL = stock.GUESTS


@pytest.fixture
def tests(tmp_path: Path) -> Path:
    """Three files with tests: for the guest in real time, for the one in virtual time, for neither."""
    marks = {"real": ["stock"], "virtual": ["stock", "virtual_time"], "none": []}
    for name, words in marks.items():
        lines = ["import pytest", *(f"@pytest.mark.{word}" for word in words), f"def test_{name}(): pass", ""]
        (tmp_path / f"test_{name}.py").write_text("\n".join(lines))
    return tmp_path


def found(guest: stock.Guest, *arguments: str) -> list[str]:
    base = ["--rootdir", str(stock._ROOT), "-c", str(stock._ROOT / "pyproject.toml")]
    return [Path(name).name for name in stock._marked(guest, [*base, *arguments])]


def test_each_guest_gets_the_files_with_its_tests(tests: Path) -> None:
    assert found(REAL, str(tests)) == ["test_real.py"]
    assert found(VIRTUAL, str(tests)) == ["test_virtual.py"]
    assert found(VIRTUAL, str(tests), "-k", "real") == []
    assert found(REAL, str(tests), "-n", "2") == ["test_real.py"]


def test_what_cannot_be_collected_is_one_line(tests: Path) -> None:
    (tests / "test_real.py").write_text("import nonesuch")
    with pytest.raises(Failure, match=r"^cannot find the tests: "):
        found(REAL, str(tests))


def test_virtual_time_is_the_virtual_machine_s() -> None:
    stock.check_flags(True, True)
    stock.check_flags(False, False)
    with pytest.raises(Mistake, match=r"^--virtual-time is for --kernel stock"):
        stock.check_flags(False, True)


def test_what_guests_proved_is_put_together_under_the_lane_s_name(tmp_path: Path) -> None:
    for guest in stock.GUESTS:
        words = stock._words(guest, tmp_path / guest.name, keep=True)
        assert words[words.index("-m") + 1] == guest.marked
        assert words[words.index("--conformance") + 1] == str(tmp_path / guest.name / "conformance.json")
        assert words[words.index("--conformance-lane") + 1] == "stock"
        assert words[words.index("--basetemp") + 1] == str(tmp_path / guest.name / "tests")
