"""Debian's generic kernel, downloaded and unpacked into a cache by apt's own means; nothing is installed.

$XDG_CACHE_HOME/roamlab/kernels/linux-image-<release>_<version>_amd64/   (else ~/.cache/roamlab/...)
    boot/vmlinuz-<release>   lib/modules/<release>/...   checked: digests of what a boot begins with
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from testbed import sandbox
from testbed.validation import LabError

PACKAGE = "linux-image-amd64"
"""Depends on the newest kernel image of the release."""
PROGRAMS = {"qemu-system-x86_64": "qemu-system-x86", "busybox": "busybox-static", "depmod": "kmod"}
"""What a stock kernel takes beyond packages.apt, with the Debian package of each."""
RECORD = "checked"
DOWNLOAD_LIMIT = 900.0
"""seconds for some 70 MB"""


@dataclass(frozen=True, slots=True)
class Kernel:
    """An unpacked kernel."""

    release: str
    image: Path
    modules: Path
    """lib/modules/<release>, with modules.dep"""


def cache() -> Path:
    """Return where unpacked kernels are kept; whoever needs the space may delete it."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if base.startswith("/") else Path.home() / ".cache") / "roamlab" / "kernels"


def program(name: str) -> str:
    """Return the path of a program, also where ordinary users do not look (LabError when it is missing)."""
    places = ":".join([os.environ.get("PATH", os.defpath), *sandbox.SYSTEM_PLACES])
    found = shutil.which(name, path=places)
    if found is None:
        raise LabError(f"a stock kernel needs {name}, which is not installed")
    return found


def check_programs() -> None:
    """Raise LabError in one line: what to install, or that this machine cannot do it."""
    if platform.machine() != "x86_64":
        raise LabError(f"a stock kernel is run on x86_64 only, this machine is {platform.machine()}")
    missing = [package for name, package in PROGRAMS.items() if not _fit(name)]
    if missing:
        raise LabError(
            "a stock kernel needs programs that are not installed: "
            f"sudo apt-get install --no-install-recommends {' '.join(missing)}"
        )
    if not all(_fit(name) for name in ("apt-get", "apt-cache", "dpkg")):
        raise LabError("a stock kernel comes by apt-get and dpkg, which this system does not have")


def _fit(name: str) -> bool:
    """Tell whether a program is here; busybox is alone in the guest at first, so it may need no library."""
    try:
        path = Path(program(name))
    except LabError:
        return False
    return name != "busybox" or b"/ld-linux" not in path.read_bytes()[:4096]


def fetch(say: Callable[[str], None], directory: Path | None = None) -> Kernel:
    """Return the kernel that PACKAGE stands for: from the cache if it is whole there, else downloaded (LabError).

    Where apt cannot say which it is (its lists are missing), the one fetched last will do.
    """
    directory = directory or cache()
    try:
        package = _newest()
        stem = _file_name(package).removesuffix(".deb")
    except LabError as error:
        kept = cached(directory)
        if kept is None:
            raise
        say(f"{error}; taking Linux {kept.release} from {directory}")
        return kept
    place = directory / stem
    try:
        kernel = opened(place)
    except LabError as error:
        if place.exists():
            say(f"{error}; fetching it again")
        say(f"fetching {stem} by apt into {directory}")
        _download(package, place)
        kernel = opened(place)
    return kernel


def cached(directory: Path | None = None) -> Kernel | None:
    """Return the kernel unpacked last into the cache, None when it holds no whole one."""
    places = sorted((directory or cache()).glob("linux-image-*"), key=lambda place: place.stat().st_mtime)
    for place in reversed(places):
        try:
            return opened(place)
        except LabError:
            continue
    return None


def opened(place: Path) -> Kernel:
    """Return the kernel unpacked at place, after comparing it with its record (LabError when it is not whole)."""
    try:
        record = json.loads((place / RECORD).read_text())
        for name, digest in record["files"].items():
            if _digest(place / name) != digest:
                raise LabError(f"{place / name} is damaged")
        release = str(record["release"])
    except (OSError, ValueError, KeyError) as error:
        raise LabError(f"no whole kernel at {place}: {error}") from error
    return Kernel(release, place / "boot" / f"vmlinuz-{release}", place / "lib" / "modules" / release)


def _newest() -> str:
    for line in _said(["apt-cache", "depends", PACKAGE]).splitlines():
        kind, _, name = line.strip().partition(": ")
        if kind == "Depends" and name.startswith("linux-image-"):
            return name
    raise LabError(f"apt knows no kernel of {PACKAGE}: sudo apt-get update (other systems than Debian have none)")


def _file_name(package: str) -> str:
    """Return the name of the file that `apt-get download` would write."""
    words = _said(["apt-get", "download", "--print-uris", package]).split()
    names = [word for word in words if word.startswith(package) and word.endswith(".deb")]
    if not names:
        raise LabError(f"apt knows nowhere to download {package}: sudo apt-get update")
    return names[0]


def _download(package: str, place: Path) -> None:
    """Download and unpack beside place, and move there when all is done: what has the name is whole."""
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".new-", dir=place.parent) as name:
        work = Path(name)
        _said(["apt-get", "-qq", "download", package], cwd=work)
        [deb] = work.glob("*.deb")
        tree = work / "tree"
        _said(["dpkg", "-x", str(deb), str(tree)])
        if not (tree / "lib").exists():  # Debian 13 and later
            (tree / "lib").symlink_to("usr/lib")
        release = package.removeprefix("linux-image-")
        _said([program("depmod"), "-b", str(tree), release])
        kept = [f"boot/vmlinuz-{release}", *(f"lib/modules/{release}/modules.{kind}" for kind in ("dep", "builtin"))]
        record = {"release": release, "files": {name: _digest(tree / name) for name in kept}}
        (tree / RECORD).write_text(json.dumps(record, indent=1))
        if place.exists():
            shutil.rmtree(place)
        tree.rename(place)


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _said(argv: Sequence[str], cwd: Path | None = None) -> str:
    """Return a program's output; LabError with the last line of its complaint."""
    environment = {**os.environ, "LC_ALL": "C"}
    try:
        done = subprocess.run(
            argv, cwd=cwd, env=environment, capture_output=True, text=True, check=False, timeout=DOWNLOAD_LIMIT
        )
    except subprocess.TimeoutExpired as error:
        raise LabError(f"{' '.join(argv)}: not done after {DOWNLOAD_LIMIT:g} s") from error
    if done.returncode != 0:
        said = (done.stderr.strip() or f"exit {done.returncode}").splitlines()[-1]
        hint = "; sudo apt-get update may help" if Path(argv[0]).name.startswith("apt") else ""
        raise LabError(f"{' '.join(argv)}: {said}{hint}")
    return done.stdout
