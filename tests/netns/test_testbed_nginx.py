"""nginx as a service of a node: serves, caches, logs to the run directory, touches nothing of the host, and ends."""

import json
from pathlib import Path

import pytest

from testbed.mininet_api import Topo
from testbed.nginx import Nginx
from testbed.nodes import CommandError
from testbed.waiting import wait_until

pytestmark = pytest.mark.netns

ORIGIN = "  server { listen [::]:80; root {folder}/content; }"
CACHE = """\
  proxy_cache_path {folder}/cache keys_zone=content:1m;
  server {
    listen [::]:80;
    location / { proxy_pass http://[2001:db8::2]; proxy_cache content; proxy_cache_valid 200 1h; }
  }"""
HOST_FILES = [Path("/var/log/nginx"), Path("/var/lib/nginx"), Path("/run/nginx.pid")]


class Pair(Topo):
    def build(self):
        self.addHost("cache")
        self.addHost("origin")
        ends = {"params1": {"addresses": ["2001:db8::1/64"]}, "params2": {"addresses": ["2001:db8::2/64"]}}
        self.addLink("cache", "origin", **ends)


@pytest.fixture
def net(network):
    return network(Pair())


@pytest.fixture
def make(net, tmp_path):
    made = []

    def server(node, body, files=()):
        folder = tmp_path / node
        log = tmp_path / f"{node}.log"
        made.append(Nginx(net[node], folder, body, dict(files), tmp_path / "logs" / f"{node}.jsonl", log))
        return made[-1]

    yield server
    for one in made:
        one.stop()


def host_state():
    return [
        (path, sorted((entry.name, entry.stat().st_mtime_ns) for entry in path.iterdir()) if path.is_dir() else None)
        for path in HOST_FILES
        if path.exists()
    ]


def logged(server, count):
    """The access log's lines, once there are so many."""

    def lines():
        found = server.access_log.read_text().splitlines()
        return found if len(found) >= count else None

    return [json.loads(line) for line in wait_until(f"{count} lines in {server.access_log}", lines)]


def test_a_cache_asks_the_origin_once(net, make):
    before = host_state()
    origin, cache = make("origin", ORIGIN, {"film": "x" * 5000}), make("cache", CACHE)
    origin.start()
    cache.start()
    for _ in range(3):
        got = net["cache"].run(["curl", "-6", "-sSf", "http://[::1]/film"], check=True)
        assert got.out == "x" * 5000
    assert [one["cache"] for one in logged(cache, 3)] == ["MISS", "HIT", "HIT"]
    (asked,) = logged(origin, 1)
    assert (asked["client"], asked["uri"], asked["status"], asked["octets"]) == ("2001:db8::1", "/film", 200, 5000)
    assert host_state() == before


def test_its_end_is_the_end_of_all_its_processes(make):
    server = make("origin", ORIGIN)
    server.start()
    listed = Path(f"/proc/{server.pid}/task/{server.pid}/children")
    children = wait_until("the master to have workers", lambda: listed.read_text().split() or None)
    assert server.stop() == 0
    assert not any(Path("/proc", child).exists() for child in children)
    server.start()
    assert server.running
    assert int((server.folder / "nginx.pid").read_text()) == server.pid


def test_a_wrong_configuration_is_found_before_the_start(make):
    server = make("origin", "  server { listn 80; }")
    with pytest.raises(CommandError, match="test failed"):
        server.start()
    assert not server.running


def test_two_of_them_do_not_meet(make):
    """Same port, another node."""
    servers = [make(node, ORIGIN) for node in ("cache", "origin")]
    for server in servers:
        server.start()
    assert all(server.running for server in servers)
