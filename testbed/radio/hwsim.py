"""Radios of the kernel's 802.11 simulator, mac80211_hwsim: made in one namespace, given to others.

Radios hear each other when they were made in the same network namespace, wherever they are afterwards; so the radios
of one air never hear those of another lab. They go with the namespace that holds them.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from collections.abc import Iterable

from testbed import requests, sandbox
from testbed.genetlink import Generic, u32
from testbed.links import VethLink
from testbed.namespace import Namespace
from testbed.netlink import Netlink
from testbed.validation import LabError

MODULE = "mac80211_hwsim"
FAMILY, WIRELESS = "MAC80211_HWSIM", "nl80211"
# linux: drivers/net/wireless/virtual/mac80211_hwsim.h, include/uapi/linux/nl80211.h
HWSIM_CMD_NEW_RADIO, HWSIM_ATTR_PERM_ADDR = 4, 22
NL80211_CMD_SET_WIPHY_NETNS, NL80211_ATTR_IFINDEX, NL80211_ATTR_NETNS_FD = 49, 3, 219
PROGRAMS = {"hostapd": "hostapd", "wpa_supplicant": "wpasupplicant"}
"""What 802.11 takes beyond the kernel, with the Debian package of each."""
MODPROBE_LIMIT = 60.0
"""seconds"""


def refusal() -> str:
    """Return why this kernel has no simulated radios, "" when it has; loads the module where that is allowed.

    The calling thread must be in a namespace where it may do as it likes.
    """
    with Generic() as generic:
        if generic.family(FAMILY) is not None:
            return ""
        said = _load()
        if generic.family(FAMILY) is not None:
            return ""
    return said or f"the module {MODULE} brought no {FAMILY}"


def _load() -> str:
    """Load the module without radios of its own; return modprobe's complaint."""
    argv = ["modprobe", MODULE, "radios=0"]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=MODPROBE_LIMIT)
    except FileNotFoundError:
        return "modprobe is not installed"
    except subprocess.TimeoutExpired:
        return "modprobe did not answer"
    said = done.stderr.strip().splitlines()
    return "" if done.returncode == 0 else said[-1] if said else f"modprobe exit {done.returncode}"


def check(source: str) -> None:
    """Raise LabError when this kernel has no 802.11, or the programs that use it are not here."""
    reason = refusal()
    if reason:
        raise LabError(
            f"{source}: this kernel has no 802.11 ({reason}): load {MODULE} as root, use bridged radio, "
            "or let Debian's kernel play it: roamlab demo LAB --kernel stock"
        )
    missing = missing_programs()
    if missing:
        raise LabError(
            f"{source}: real 802.11 needs {' and '.join(missing)}: "
            f"sudo apt-get install --no-install-recommends {' '.join(PROGRAMS.values())}"
        )


def missing_programs() -> list[str]:
    """Return those of PROGRAMS that are not installed."""
    places = ":".join([os.environ.get("PATH", os.defpath), *sandbox.SYSTEM_PLACES])
    return [name for name in PROGRAMS if shutil.which(name, path=places) is None]


def new_radio(home: Namespace, name: str, mac: str, where: Namespace | None = None) -> int:
    """Make a radio in the air `home` and return its interface's index; the interface is down.

    where: the namespace that gets the radio (default: it stays).
    """
    # The simulator wants permanent addresses to be unique on the whole machine; the interface's need not be.
    permanent = bytes([0x02, 0x72, *secrets.token_bytes(4)])
    what = f"radio {name}"
    with home.entered(), Generic() as generic, Netlink() as netlink:
        hwsim, wireless = generic.family(FAMILY), generic.family(WIRELESS)
        if hwsim is None or wireless is None:
            raise LabError(f"{what}: this kernel has no 802.11")
        generic.do(hwsim, HWSIM_CMD_NEW_RADIO, [(HWSIM_ATTR_PERM_ADDR, permanent)], what)
        index = _index_of(netlink, permanent, what)
        if where is not None:
            given = [(NL80211_ATTR_IFINDEX, u32(index)), (NL80211_ATTR_NETNS_FD, u32(where.fd))]
            generic.do(wireless, NL80211_CMD_SET_WIPHY_NETNS, given, f"{what} to its node")
    with (where or home).entered(), Netlink() as netlink:
        index = _index_of(netlink, permanent, what)
        netlink.run([requests.set_link(index, what, mac=mac, name=name)])
    return index


def equip(links: Iterable[VethLink]) -> None:
    """Give each mobile node of these wireless links its radio, under the interface's name and MAC address."""
    for link in links:
        air, station = (link.intf1, link.intf2) if link.intf1.node.WIRELESS else (link.intf2, link.intf1)
        station.index = new_radio(air.node.namespace, station.name, station.mac, station.node.namespace)


def _index_of(netlink: Netlink, permanent: bytes, what: str) -> int:
    mac = permanent.hex(":")
    for message in netlink.run([requests.get_link(0, f"interface of {what}")]):
        if message.get_attr("IFLA_ADDRESS") == mac:
            return int(message["index"])
    raise LabError(f"{what}: its interface is not there")
