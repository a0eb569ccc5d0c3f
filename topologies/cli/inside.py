"""What runs inside a sandbox on behalf of a verb: `python -m topologies.cli.inside JOB` (one JSON object).

Jobs: ``demo`` plays a lab to its verdict; ``deploy`` keeps it running under a supervisor; ``bench`` measures.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from testbed import signals
from topologies.cli.errors import Failure, guarded
from topologies.cli.progress import Steps

Job = dict[str, Any]


def command(job: Mapping[str, Any]) -> list[str]:
    """The program that does `job`, to be wrapped by testbed.sandbox."""
    return [sys.executable, "-m", "topologies.cli.inside", json.dumps(job)]


def demo(job: Job) -> int:
    """Deploy, play, stop, judge, report."""
    from captures import tshark
    from topologies.cli.play import captures_readable, judged

    with captures_readable():
        tshark.find()  # better now than when there is a run to judge
    steps = Steps(job["name"])
    run = _deployed(job, steps)
    try:
        run.play(steps)
    finally:
        run.stop()
    directory = Path(job["directory"])
    steps("judging the captures")
    code = judged(directory, job["form"], with_report=True)
    steps(f"{'passed' if code == 0 else 'FAILED'} in {steps.seconds:.1f} s; report: {directory / 'report.html'}")
    return code


def deploy(job: Job) -> int:
    """Deploy a lab and serve it; tells the waiting CLI how far it is over the pipe `job["progress"]`."""
    from testbed.supervisor import Supervisor
    from topologies.cli.adapter import DeployedRun

    with os.fdopen(job["progress"], "w", encoding="utf-8") as pipe:

        def tell(**message: Any) -> None:
            print(json.dumps(message), file=pipe, flush=True)

        def work() -> None:
            run = _deployed(job, lambda text: tell(step=text))
            supervisors.append(Supervisor(socket.socket(fileno=job["door"]), DeployedRun(run)))

        supervisors: list[Supervisor] = []
        code = guarded(work, report=lambda text: tell(error=text))
        if code:
            return code

        def begun() -> None:
            tell(ready=True)
            pipe.close()

        supervisors[0].serve(begun)
    return 0


def bench(job: Job) -> int:
    """Measure; print one JSON object, or a table."""
    from topologies.cli.benches import measure

    return measure(job["bench"], job["form"], Steps(f"bench {job['bench']}"), job["settings"])


def _deployed(job: Job, progress: Callable[[str], None]) -> Any:
    from topologies import catalog
    from topologies.runner import Run

    lab = catalog.load(job["lab"])
    return Run.deploy(lab, lab.configure(**job["options"]), Path(job["directory"]), progress)


def main(arguments: Sequence[str]) -> int:
    """Do the one job given as JSON."""
    if len(arguments) != 1:
        raise Failure("topologies.cli.inside is started by roamlab itself")
    job: Job = json.loads(arguments[0])
    jobs: dict[str, Callable[[Job], int]] = {"demo": demo, "deploy": deploy, "bench": bench}
    signals.afresh()
    return guarded(lambda: jobs[job["job"]](job), job.get("debug", False))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
