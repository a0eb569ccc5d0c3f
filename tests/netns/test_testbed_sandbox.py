"""Sandboxes: nothing shows outside, nothing stays behind, and ordinary users can make them."""

import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from testbed import sandbox
from testbed.waiting import wait_until

pytestmark = pytest.mark.netns
ROOT = Path(__file__).resolve().parents[2]

STAR = """
import json, sys, time
from testbed import sandbox
from testbed.mininet_api import Topo
from testbed.network import Network

class Star(Topo):
    def build(self):
        centre = self.addHost("c")
        for number in range(3):
            self.addLink(self.addHost(f"h{number}"), centre)

net = Network(Star())
net.start()
net["c"].popen(["sleep", "1000"])
net["c"].run(["sh", "-c", "setsid sleep 1001 >/dev/null 2>&1 </dev/null &"])
ping = net["c"].run(["ping", "-n", "-c1", "-W2", "10.0.0.2"]).exit
inodes = [node.namespace.inode for node in net.values()]
print(json.dumps({"inside": sandbox.inside(), "ping": ping, "inodes": inodes}), flush=True)
sys.stdin.readline()
net.stop()
"""


def run(*argv, **options):
    return subprocess.run(
        sandbox.command(argv), capture_output=True, text=True, check=False, timeout=60, cwd=ROOT, **options
    )


def test_we_are_inside_and_an_inherited_mark_is_not_enough():
    assert sandbox.inside()
    script = "from testbed import sandbox; print(sandbox.inside())"
    other = subprocess.run(
        ["unshare", "--pid", "--fork", "--mount-proc", sys.executable, "-c", script],
        capture_output=True, text=True, check=True, cwd=ROOT,
    )  # fmt: skip
    assert os.environ["ROAMLAB_SANDBOX"]
    assert other.stdout == "False\n"


def test_exit_codes_and_signals_come_out():
    assert run("sh", "-c", "exit 7").returncode == 7
    assert run("sh", "-c", "kill -KILL $$").returncode == 128 + 9
    refused = run("nonesuch-program")
    assert refused.returncode == 127
    assert "nonesuch-program: No such file" in refused.stderr


def test_a_refusal_says_why_and_what_to_do():
    """A limit on namespaces, which the kernel reports as if the disk was full."""
    script = 'echo 0 > /proc/sys/user/max_net_namespaces; exec "$@"'
    argv = ["unshare", "--user", "--map-root-user", "sh", "-c", script, "sh", *sandbox.command(["true"])]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60, cwd=ROOT)
    said = "unshare(net, mount, pid): no more namespaces are allowed; `roamlab doctor` says what to do"
    assert (done.returncode, done.stderr) == (sandbox.NOT_MADE, f"roamlab: no sandbox: {said}\n")


def test_run_is_private_and_lo_is_up():
    marker = Path("/run/roamlab-test-marker")
    done = run("sh", "-c", f"ls -A /run; touch {marker}; cat /sys/class/net/lo/flags; ip -br link")
    assert not marker.exists()
    assert "lo " in done.stdout
    assert "LOOPBACK,UP" in done.stdout
    assert run("sh", "-c", "ls -A /run").stdout == ""


def test_setup_inside_is_a_no_op():
    script = (
        "from testbed.sandbox import enter_setup; enter_setup(); open('/run/x', 'w'); enter_setup(); open('/run/x')"
    )
    assert run(sys.executable, "-c", script).returncode == 0


def test_sigterm_reaches_the_program():
    program = "trap 'echo terminated; exit 5' TERM; echo up; while :; do read line; done"
    process = subprocess.Popen(
        sandbox.command(["bash", "-c", program]), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "up\n"
    process.terminate()
    process.stdin.write("\n")
    process.stdin.flush()
    out, _ = process.communicate(timeout=10)
    assert "terminated" in out
    assert process.returncode == 5


def processes_in(inodes):
    found = set()
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdecimal() and (entry / "ns/net").stat().st_ino in inodes:
                found.add(int(entry.name))
        except OSError:
            continue
    return found


def children(pid):
    words = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(word) for word in words]


@pytest.mark.parametrize("victim", ["outer", "init", "program"])
def test_sigkill_leaves_nothing(victim):
    process = subprocess.Popen(
        sandbox.command([sys.executable, "-c", STAR]),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
    )  # fmt: skip
    facts = json.loads(process.stdout.readline())
    assert facts["inside"]
    assert facts["ping"] == 0
    inodes = set(facts["inodes"])
    assert len(processes_in(inodes)) == 2  # the two sleeps: one a child, one an orphan
    init = children(process.pid)[0]
    program = children(init)[0]
    pid_namespace = Path(f"/proc/{init}/ns/pid").stat().st_ino
    os.kill({"outer": process.pid, "init": init, "program": program}[victim], signal.SIGKILL)
    process.communicate(timeout=10)
    wait_until("no process left", lambda: not processes_in(inodes) and not in_pid_namespace(pid_namespace))


def in_pid_namespace(inode):
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdecimal() and (entry / "ns/pid").stat().st_ino == inode:
                found.append(int(entry.name))
        except OSError:
            continue
    return found


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="needs root and setpriv to become a user")
def test_an_ordinary_user_can_run_a_network(tmp_path):
    nobody = pwd.getpwnam("nobody")
    argv = ["setpriv", f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups"]
    if subprocess.run([*argv, "test", "-r", str(ROOT / "roamlab"), "-a", "-x", sys.executable], check=False).returncode:
        pytest.skip(f"an ordinary user cannot read {ROOT}")
    done = subprocess.run(
        [*argv, *sandbox.command([sys.executable, "-c", STAR])],
        capture_output=True, text=True, input="\n", check=False, timeout=60, cwd=ROOT,
        env={**os.environ, "HOME": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["ping"] == 0
