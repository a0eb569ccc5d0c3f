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


def test_programs_are_the_systems_and_modules_load_by_themselves(stock: Kernel, tmp_path: Path) -> None:
    """What labs on this kernel are for: ip is iproute2's, ESP and delays are there (netem, esp6, xfrm_user)."""
    key = "0x" + "01" * 32
    esp = "auth-trunc 'hmac(sha256)' " + key + " 128 enc 'ecb(cipher_null)' ''"
    ends = "src fd00::1 dst fd00::2 proto esp"
    commands = (
        "ip -V",
        "ip link add name one type veth peer name two",
        f"ip xfrm state add {ends} spi 0x1001 mode transport {esp}",
        f"ip xfrm policy add src fd00::1/128 dst fd00::2/128 proto 135 dir out tmpl {ends} mode transport",
        "tc qdisc add dev one root netem delay 20ms",
        "echo done",
    )
    script = " && ".join(commands)
    out = io.BytesIO()
    code = runner.run(stock, Job(["sh", "-c", script], tmp_path, ENVIRONMENT), 200, out, io.BytesIO())
    assert code == 0, out.getvalue().decode()
    first, last = out.getvalue().decode().splitlines()
    assert first.startswith("ip utility, iproute2")
    assert last == "done"


def test_the_time_limit_is_an_error_of_one_line(stock: Kernel, tmp_path: Path) -> None:
    with pytest.raises(LabError, match=r"^not done after 0\.5 s in the virtual machine, which never came up: ended$"):
        runner.run(stock, Job(["true"], tmp_path, ENVIRONMENT), 0.5, io.BytesIO(), io.BytesIO())


def test_a_guest_that_dies_says_why(stock: Kernel, tmp_path: Path) -> None:
    log = io.BytesIO()
    crash = Job(["sh", "-c", "echo c > /proc/sysrq-trigger"], tmp_path, ENVIRONMENT)
    with pytest.raises(LabError, match="ended without a result"):
        runner.run(stock, crash, 120, io.BytesIO(), log)
    assert b"sysrq triggered crash" in log.getvalue()
