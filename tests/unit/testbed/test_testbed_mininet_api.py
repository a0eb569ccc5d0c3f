"""Mininet can be imported where Python has no distutils (3.12 and later)."""

import subprocess
import sys
from pathlib import Path

from testbed.mininet_api import StrictVersion, Topo

ROOT = Path(__file__).resolve().parents[3]


def test_import_without_distutils():
    script = (
        "import sys; sys.modules['distutils'] = None\n"
        "from testbed.mininet_api import Mininet, Node, StrictVersion, Topo\n"
        "import mininet.node; assert mininet.node.StrictVersion is StrictVersion"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=ROOT, timeout=60)


def test_versions_are_ordered_by_number():
    assert StrictVersion("1.9") < StrictVersion("1.10")
    assert StrictVersion("2.0") == StrictVersion("2.0")
    assert not StrictVersion("2.17.9") < StrictVersion("1.10")


def test_a_topology_of_ours_is_mininets():
    from mininet.topo import Topo as MininetTopo  # after testbed.mininet_api has made mininet importable

    assert issubclass(Topo, MininetTopo)  # what `mn --custom` needs
