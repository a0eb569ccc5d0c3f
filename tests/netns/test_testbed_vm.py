"""A real virtual machine on the kernel that `roamlab test --kernel stock` fetched; skipped before it has."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest

from testbed.validation import LabError
from testbed.vm import kernel, runner
from testbed.vm.initramfs import Job
from testbed.vm.kernel import Kernel

pytestmark = pytest.mark.netns

ENVIRONMENT = {"PATH": os.environ.get("PATH", os.defpath), "WORD": "two words"}


@pytest.fixture
def stock() -> Kernel:
    try:
        kernel.check_programs()
    except LabError as error:
        pytest.skip(str(error))
    found = kernel.cached()
    if found is None:
        pytest.skip("no kernel fetched yet: roamlab test --kernel stock")
    return found


def test_output_exit_code_kernel_and_results_come_back_and_nothing_is_written(stock: Kernel, tmp_path: Path) -> None:
    results = tmp_path / "results"
    results.mkdir()
    script = 'uname -r; echo "$WORD $1"; pwd; id -u; echo kept > results/file; echo lost > file; exit 7'
    job = Job(["sh", "-c", script, "sh", "$(x)"], tmp_path, ENVIRONMENT, results)
    out, log = io.BytesIO(), io.BytesIO()
    assert runner.run(stock, job, 120, out, log) == 7
    assert out.getvalue().decode().splitlines() == [stock.release, "two words $(x)", str(tmp_path), "0"]
    assert (results / "file").read_text() == "kept\n"
    assert not (tmp_path / "file").exists()
    assert log.getvalue() == b""


def test_the_time_limit_is_an_error_of_one_line(stock: Kernel, tmp_path: Path) -> None:
    with pytest.raises(LabError, match=r"^not done after 0\.5 s in the virtual machine, which never came up: ended$"):
        runner.run(stock, Job(["true"], tmp_path, ENVIRONMENT), 0.5, io.BytesIO(), io.BytesIO())


def test_a_guest_that_dies_says_why(stock: Kernel, tmp_path: Path) -> None:
    log = io.BytesIO()
    crash = Job(["sh", "-c", "echo c > /proc/sysrq-trigger"], tmp_path, ENVIRONMENT)
    with pytest.raises(LabError, match="ended without a result"):
        runner.run(stock, crash, 120, io.BytesIO(), log)
    assert b"sysrq triggered crash" in log.getvalue()
