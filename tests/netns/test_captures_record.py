"""Recorder on a real veth pair: nothing is lost between `start()` and `stop()`."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
import uuid

import pytest

from captures.decode import decode_all
from captures.pcapng import CaptureError, Frames
from captures.record import Recorder, start_all, stop_all
from testbed.waiting import wait_until

pytestmark = pytest.mark.netns
FRAMES = 500


@pytest.fixture
def veth():
    """A veth pair in this namespace, removed again by its own name."""
    tag = uuid.uuid4().hex[:8]
    one, two = f"ra{tag}", f"rb{tag}"
    made = subprocess.run(["ip", "link", "add", one, "type", "veth", "peer", "name", two], capture_output=True)
    if made.returncode:
        pytest.skip(f"no veth here: {made.stderr.decode().strip()}")
    for name in (one, two):
        subprocess.run(["ip", "link", "set", name, "up"], check=True)
    yield one, two
    subprocess.run(["ip", "link", "del", one], check=True)


def send(interface, count, mark):
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sock:
        sock.bind((interface, 0))
        for number in range(count):
            frame = b"\xff" * 6 + b"\x02\0\0\0\0\1" + b"\x88\xb6" + mark + number.to_bytes(4, "big") + bytes(40)
            sock.send(frame)


def numbers(path, mark):
    frames = Frames(path)
    found = [int.from_bytes(frames[n][18:22], "big") for n in range(1, len(frames) + 1) if frames[n][14:18] == mark]
    frames.close()
    return found


def test_nothing_is_lost_from_start_to_stop(veth, tmp_path):
    one, two = veth
    recorders = [Recorder(subprocess.Popen, name, tmp_path / f"{name}.pcapng") for name in (one, two)]
    start_all(recorders)
    send(one, FRAMES, b"test")
    stop_all(recorders)
    for recorder in recorders:
        assert numbers(recorder.path, b"test") == list(range(FRAMES))
        assert recorder.dropped == 0
        assert recorder.captured >= FRAMES + 1


def test_the_first_frame_after_start_is_there_every_time(veth, tmp_path):
    one, two = veth
    for turn in range(3):
        recorder = Recorder(subprocess.Popen, two, tmp_path / f"{turn}.pcapng")
        recorder.start()
        send(one, 1, b"once")
        recorder.stop()
        assert numbers(recorder.path, b"once") == [0]


def test_an_interface_that_lost_its_carrier_ends_like_others(veth, tmp_path):
    one, two = veth
    recorder = Recorder(subprocess.Popen, two, tmp_path / "cut.pcapng", timeout=20.0)
    recorder.start()
    send(one, FRAMES, b"last")
    subprocess.run(["ip", "link", "set", one, "down"], check=True)
    wait_until(
        f"{two} to lose its carrier", lambda: "NO-CARRIER" in shown(two) and "state LOWERLAYERDOWN" in shown(two)
    )
    begun = time.monotonic()
    recorder.stop()
    assert time.monotonic() - begun < 10
    assert numbers(recorder.path, b"last") == list(range(FRAMES))


def shown(interface):
    return subprocess.run(["ip", "link", "show", interface], capture_output=True, text=True, check=True).stdout


def test_the_marker_is_not_decoded_as_traffic(veth, tmp_path):
    recorder = Recorder(subprocess.Popen, veth[0], tmp_path / "marker.pcapng")
    recorder.start()
    recorder.stop()
    (capture,) = decode_all(tmp_path, [("marker.pcapng", "n", "i")])
    assert all(packet.ethertype != 0x88B5 for packet in capture.packets)


def test_another_owner_s_directory_can_be_written_by_root(veth, tmp_path):
    if os.geteuid() != 0:
        pytest.skip("needs root to give the directory away")
    place = tmp_path / "theirs"
    place.mkdir(mode=0o700)
    try:
        os.chown(place, 65534, 65534)
    except OSError:
        pytest.skip("user namespace without a second user")
    recorder = Recorder(subprocess.Popen, veth[0], place / "x.pcapng")
    recorder.start()
    recorder.stop()
    assert recorder.captured >= 1


def test_unknown_interface_is_a_clear_error(tmp_path):
    recorder = Recorder(subprocess.Popen, "nosuch0", tmp_path / "x.pcapng")
    with pytest.raises(CaptureError, match=r"capture of nosuch0 did not start: .*"):
        recorder.start()


def test_unwritable_file_is_a_clear_error(tmp_path):
    with pytest.raises(CaptureError, match=r"cannot write capture .*: No such file"):
        Recorder(subprocess.Popen, "lo", tmp_path / "no" / "x.pcapng").start()


def test_a_full_disk_ends_it_at_once(veth, tmp_path):
    """The marker never comes, and dumpcap waits for room: seven captures would take seven times the time limit."""
    full = tmp_path / "full"
    full.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", full], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"no tmpfs here: {mounted.stderr.decode().strip()}")
    try:
        recorder = Recorder(subprocess.Popen, veth[0], full / "x.pcapng")
        recorder.start()
        with (full / "fill").open("wb", buffering=0) as filler, contextlib.suppress(OSError):
            while filler.write(bytes(4096)):
                pass
        assert not shutil.disk_usage(full).free
        send(veth[1], 100, b"full")
        began = time.monotonic()
        with pytest.raises(CaptureError, match=r"x\.pcapng: its disk is full"):
            recorder.stop()
        assert time.monotonic() - began < 20.0
    finally:
        subprocess.run(["umount", full], check=True)


def test_a_silent_dumpcap_ends_at_the_time_limit(tmp_path):
    def silent(argv, **kw):
        return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], **kw)

    begun = time.monotonic()
    with pytest.raises(CaptureError, match=r"silent for 0\.3 s"):
        Recorder(silent, "lo", tmp_path / "x.pcapng", timeout=0.3).start()
    assert time.monotonic() - begun < 5
