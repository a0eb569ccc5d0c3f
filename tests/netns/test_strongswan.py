"""Keys by IKEv2: strongSwan in two namespaces sets up transport-mode ESP for the Mobility Header (SEC-1, SHOULD).

Our side is protection `external`: the daemon keeps associations and policies, the agents' channel requires nothing.
Two traps: Debian's charon loads bypass-lan, which lets traffic to the own subnet go in the clear; and two charons need
a /run each, for they share the name of their pid file.
"""

from __future__ import annotations

import ctypes
import select
import shutil
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Network
from pathlib import Path

import pytest
from esp_pair import esp_pair
from kernel_namespaces import Capture, Namespace, ipv6, send, wait_until

from agents.dgw.actions import MobilityDatagram
from agents.dgw.messages import compose_ack, compose_update
from agents.dgw.protection import Channel, open_channel
from agents.kernel.rawsocket import MOBILITY_HEADER
from agents.kernel.xfrm import Xfrm
from agents.wire.mobility import BindingAck, BindingUpdate, pull_mobility, push_mobility
from agents.wire.mobility_codes import Handoff

pytestmark = [pytest.mark.netns, pytest.mark.stock]

CHARON = Path("/usr/sbin/charon-systemd")
HERE, THERE = IPv6Address("2001:db8:c:1::1"), IPv6Address("2001:db8:c:1::2")
PREFIX = IPv6Network("2001:db8:a1:1::/64")
PATIENCE = 90
CLONE_NEWNS = 0x20000
_libc = ctypes.CDLL(None, use_errno=True)

STRONGSWAN = """\
charon-systemd {{
  plugins {{
    bypass-lan {{
      load = no
    }}
    vici {{
      socket = {vici}
    }}
  }}
  filelog {{
    log {{
      path = {log}
      default = 1
      flush_line = yes
    }}
  }}
}}
"""
SWANCTL = """\
connections {{
  mh {{
    version = 2
    local_addrs = {local}
    remote_addrs = {remote}
    proposals = aes128-sha256-modp2048
    local {{
      auth = psk
      id = {name}.lab
    }}
    remote {{
      auth = psk
      id = {peer}.lab
    }}
    children {{
      mh {{
        mode = transport
        local_ts = dynamic[{protocol}]
        remote_ts = dynamic[{protocol}]
        esp_proposals = aes128gcm16
        start_action = trap
      }}
    }}
  }}
}}
secrets {{
  ike {{
    id-1 = here.lab
    id-2 = there.lab
    secret = "lab"
  }}
}}
"""


@dataclass
class Daemon:
    """charon in a namespace, with files and a /run of its own."""

    namespace: Namespace
    directory: Path
    local: IPv6Address
    remote: IPv6Address

    def __post_init__(self) -> None:
        self.directory.mkdir()
        name, peer = self.namespace.name, "there" if self.namespace.name == "here" else "here"
        (self.directory / "strongswan.conf").write_text(
            STRONGSWAN.format(vici=self.vici, log=self.directory / "log"),
        )
        (self.directory / "swanctl.conf").write_text(
            SWANCTL.format(local=self.local, remote=self.remote, name=name, peer=peer, protocol=MOBILITY_HEADER)
        )
        with self.namespace.entered(), (self.directory / "out").open("wb") as out:
            self.process = subprocess.Popen(
                [CHARON], env=self.environment, stdout=out, stderr=out, preexec_fn=_private_run
            )

    @property
    def vici(self) -> str:
        return f"unix://{self.directory}/vici"

    @property
    def environment(self) -> dict[str, str]:
        return {"STRONGSWAN_CONF": str(self.directory / "strongswan.conf"), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}

    def control(self, *words: str) -> str:
        argv = ["swanctl", *words, "--uri", self.vici]
        with self.namespace.entered():
            done = subprocess.run(argv, env=self.environment, capture_output=True, text=True, timeout=PATIENCE)
        assert done.returncode == 0, f"{' '.join(argv)}: {done.stdout}{done.stderr}{self.log()}"
        return done.stdout

    def log(self) -> str:
        return "".join(path.read_text()[-2000:] for path in self.directory.glob("[lo][ou][gt]*"))

    def ready(self) -> bool:
        """Whether somebody listens: the socket is there a moment earlier."""
        assert self.process.poll() is None, self.log()
        with socket.socket(socket.AF_UNIX) as door:
            return door.connect_ex(str(self.directory / "vici")) == 0

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(PATIENCE)


def _private_run() -> None:
    if _libc.unshare(CLONE_NEWNS) or _libc.mount(b"none", b"/run", b"tmpfs", 0, None):
        raise OSError(ctypes.get_errno(), "no /run of its own")


@pytest.fixture
def daemons(tmp_path: Path) -> Iterator[tuple[Daemon, Daemon]]:
    if not CHARON.exists() or not shutil.which("swanctl", path="/usr/sbin:/usr/bin"):
        pytest.skip("strongSwan is not installed (Debian packages charon-systemd and strongswan-swanctl)")
    with esp_pair(HERE, THERE) as (here, there):
        started = [Daemon(here, tmp_path / "a", HERE, THERE), Daemon(there, tmp_path / "b", THERE, HERE)]
        for daemon in started:
            wait_until(f"charon {daemon.namespace.name}", daemon.ready, timeout=PATIENCE)
            daemon.control("--load-all", "--file", str(daemon.directory / "swanctl.conf"))
        yield started[0], started[1]
        for daemon in started:
            daemon.stop()


def heard(channel: Channel) -> MobilityDatagram:
    [endpoint] = channel.sockets()
    assert select.select([endpoint], [], [], PATIENCE)[0], "nothing arrived"
    [datagram] = channel.read(endpoint)
    assert isinstance(datagram, MobilityDatagram)
    return datagram


@pytest.mark.requirement("SEC-1", "SEC-2")
def test_an_update_and_its_answer_travel_under_keys_made_by_ikev2(
    daemons: tuple[Daemon, Daemon], tmp_path: Path
) -> None:
    one, other = daemons
    one.control("--initiate", "--child", "mh")
    assert "INSTALLED, TRANSPORT" in one.control("--list-sas")
    with one.namespace.entered():
        gateway = open_channel("external", HERE, (), tmp_path / "here.json")
    with other.namespace.entered():
        cmd = open_channel("external", THERE, (), tmp_path / "there.json")
    tap = Capture(other.namespace, "wan")
    request = compose_update(
        mn_id="mn1@dmm.example",
        mac=None,
        prefixes=[PREFIX],
        handoff=Handoff.UNKNOWN,
        sequence=7,
        timestamp=1 << 40,
        lifetime=300,
    )
    gateway.send(push_mobility(request, HERE, THERE), THERE)
    update = pull_mobility(heard(cmd).data, HERE, THERE)
    assert isinstance(update, BindingUpdate)
    cmd.send(push_mobility(compose_ack(update, lifetime=300, prefixes=[PREFIX]), THERE, HERE), HERE)
    answer = pull_mobility(heard(gateway).data, THERE, HERE)
    assert isinstance(answer, BindingAck)
    assert (answer.status, answer.sequence) == (0, 7)
    tap.until("second ESP packet", lambda _frame: sum(frame[20] == 50 for frame in tap.frames) == 2)
    assert not [frame for frame in tap.frames if frame[12:14] == b"\x86\xdd" and frame[20] == MOBILITY_HEADER]


@pytest.mark.requirement("SEC-1")
def test_what_comes_in_the_clear_is_dropped_by_the_daemons_policies(
    daemons: tuple[Daemon, Daemon], tmp_path: Path
) -> None:
    one, other = daemons
    with other.namespace.entered():
        channel = open_channel("external", THERE, (), tmp_path / "there.json")
        counters = Xfrm()
    message = bytes.fromhex("3b010500 0000 0001 c000 0004 01020000")
    send(one.namespace, ipv6(str(HERE), str(THERE), MOBILITY_HEADER, message))

    def dropped() -> int:
        with other.namespace.entered():
            return sum(counters.statistics().values())

    wait_until("the packet to be dropped", dropped)
    [endpoint] = channel.sockets()
    assert not list(channel.read(endpoint))
