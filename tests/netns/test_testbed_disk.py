"""A disk that fills up during a run."""

import json
import subprocess

import pytest

from testbed.rundir import RunDirectory
from testbed.validation import LabError

pytestmark = pytest.mark.netns


@pytest.fixture
def small_disk(tmp_path):
    """Return a directory on a file system of 128 KB."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", str(tmp_path)], check=True)
    yield tmp_path
    subprocess.run(["umount", str(tmp_path)], check=True)


def test_events_up_to_the_full_disk_remain_readable_and_the_end_says_so(small_disk):
    run = RunDirectory.create(small_disk / "run", minimum_free=0)
    for number in range(300):
        run.log.record("filler", number=number, text="x" * 1000)
    with pytest.raises(LabError, match=r"^\S*/events\.jsonl: No space left on device: "):
        run.close()
    numbers = [json.loads(line)["number"] for line in (run.path / "events.jsonl").read_text().splitlines()]
    assert 50 < len(numbers) < 300
    assert numbers == list(range(len(numbers)))


def test_description_on_a_full_disk_is_one_line(small_disk):
    run = RunDirectory.create(small_disk / "run", minimum_free=0)
    with pytest.raises(LabError, match=r"^run directory \S*: lab\.json: No space left on device$"):
        run.write_lab({"title": "x" * 200_000})
    run.close()
