"""Agents load of pyroute2 what they use; whoever wants the rest gets it."""

from __future__ import annotations

import subprocess
import sys

import pytest


def answer(program: str) -> str:
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.strip()


ROLES = [
    *(f"agents.dgw.{role}.shell" for role in ("gateway", "cmd", "lma")),
    *(f"agents.aero.{role}.shell" for role in ("client", "server", "relay")),
    *(f"agents.haaro.{role}.shell" for role in ("mr", "ha")),
]


@pytest.mark.parametrize("module", ROLES)
def test_an_agent_does_not_load_what_nobody_uses(module):
    program = ".".join([*module.split(".")[:2], "__main__"])
    loaded = set(answer(f"import sys, {program}, {module}; print(*sys.modules)").split())
    assert {"pyroute2.netlink.rtnl.rtmsg", module} <= loaded
    assert not {"pyroute2.ndb", "pyroute2.ipdb", "pyroute2.conntrack", "pyroute2.netlink.rtnl.tcmsg"} & loaded
    assert not {"scapy", "mininet", "click", "rich", "testbed", "topologies", "captures"} & loaded


@pytest.mark.parametrize(
    "ask",
    [
        "from pyroute2 import IPRoute; print(IPRoute.__name__)",
        "import pyroute2; from pyroute2 import config; print(config.__name__); print(pyroute2.IPRoute.__name__)",
        "import pyroute2.netns; print(pyroute2.IPRoute.__name__)",
    ],
)
def test_the_rest_is_there_when_asked_for(ask):
    assert answer(f"import agents.kernel.netlink\n{ask}").split()[-1] == "IPRoute"


def test_what_is_not_there_is_an_error_and_what_was_loaded_stays():
    assert answer("import agents.kernel, pyroute2\nprint(hasattr(pyroute2, 'no_such_thing'))") == "False"
    same = "import pyroute2\nbefore = pyroute2\nimport agents.kernel, pyroute2\nprint(before is pyroute2)"
    assert answer(same) == "True"
