"""The programs of real 802.11, unmodified: hostapd makes a cell's access point, wpa_supplicant is on mobile nodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from testbed.daemon import Daemon
from testbed.nodes import Host
from testbed.radio.control import Control, fields
from testbed.validation import LabError

SSID = "roamlab"
PASSPHRASE = "a laboratory's"
MOBILITY_DOMAIN = "726c"
CHANNELS = {1: 2412, 6: 2437, 11: 2462}
"""The 2.4 GHz channels that do not overlap, and their MHz."""
SECURITY = ("open", "wpa2", "wpa2-ft")
"""No protection; WPA2 with a passphrase; the same with fast transitions (IEEE 802.11r)."""
_ACCESS_POINT = {
    "open": [],
    "wpa2": ["wpa=2", f"wpa_passphrase={PASSPHRASE}", "wpa_key_mgmt=WPA-PSK", "rsn_pairwise=CCMP"],
    "wpa2-ft": [
        "wpa=2",
        f"wpa_passphrase={PASSPHRASE}",
        "wpa_key_mgmt=FT-PSK",
        "rsn_pairwise=CCMP",
        f"mobility_domain={MOBILITY_DOMAIN}",
        "ft_over_ds=0",
        "ft_psk_generate_local=1",  # each derives the keys from the passphrase: no need to hand them over
    ],
}
_STATION = {
    "open": ["key_mgmt=NONE"],
    "wpa2": [f'psk="{PASSPHRASE}"', "key_mgmt=WPA-PSK"],
    "wpa2-ft": [f'psk="{PASSPHRASE}"', "key_mgmt=FT-PSK"],
}


class _Controlled(Daemon):
    """A program with a control socket."""

    def __init__(self, node: Host, name: str, interface: str, place: Path, log: Path) -> None:
        """place is a folder of its own, for its configuration and sockets."""
        super().__init__(node, name, log)
        self.interface = interface
        self.place = place
        self.config = place / "configuration"
        self._control: Control | None = None

    def render(self) -> Mapping[Path, str]:
        """Return the configuration."""
        return {self.config: "\n".join(self.lines()) + "\n"}

    def lines(self) -> Sequence[str]:
        """Return the configuration's lines."""
        raise NotImplementedError

    def connect(self) -> Control:
        """Return a new connection (OSError while the program does not listen)."""
        return Control(str(self), self.place / self.interface)

    @property
    def control(self) -> Control:
        """The connection for commands; LabError when the program has ended."""
        if not self.running or self._control is None:
            raise LabError(f"{self}: has ended: {self.last_words()}")
        return self._control

    def has_started(self) -> bool:
        """Tell whether the program does its work."""
        try:
            self._control = self._control or self.connect()
        except OSError:
            return False
        return self.works(self._control)

    def works(self, control: Control) -> bool:
        """Ask whether it does its work."""
        raise NotImplementedError

    def close(self) -> None:
        """Let go of the control socket."""
        if self._control is not None:
            self._control.close()
            self._control = None


class Hostapd(_Controlled):
    """An access point whose stations are on a bridge's link; stations of one cell do not hear each other."""

    def __init__(
        self, node: Host, interface: str, bridge: str, channel: int, security: str, place: Path, log: Path
    ) -> None:
        super().__init__(node, f"{bridge} hostapd", interface, place, log)
        self.bridge = bridge
        self.channel = channel
        self.security = security

    def lines(self) -> Sequence[str]:
        """Return hostapd.conf."""
        return [
            f"interface={self.interface}",
            "driver=nl80211",
            f"bridge={self.bridge}",
            f"ctrl_interface={self.place}",
            f"ssid={SSID}",
            "hw_mode=g",
            f"channel={self.channel}",
            "ap_isolate=1",
            f"nas_identifier={self.bridge}.roamlab",
            *_ACCESS_POINT[self.security],
        ]

    def argv(self) -> Sequence[str]:
        """Run in the foreground."""
        return ["hostapd", str(self.config)]

    def works(self, control: Control) -> bool:
        """Tell whether the access point is on the air."""
        return fields(control.ask("STATUS")).get("state") == "ENABLED"


class Supplicant(_Controlled):
    """A mobile node's wpa_supplicant: it associates where it is told to."""

    def __init__(self, node: Host, interface: str, security: str, place: Path, log: Path) -> None:
        super().__init__(node, "wpa_supplicant", interface, place, log)
        self.security = security

    def lines(self) -> Sequence[str]:
        """Return wpa_supplicant.conf."""
        frequencies = " ".join(map(str, CHANNELS.values()))
        network = [f'ssid="{SSID}"', f"scan_freq={frequencies}", "disabled=1", *_STATION[self.security]]
        return [
            f"ctrl_interface={self.place}",
            "p2p_disabled=1",
            "network={",
            *(f"  {line}" for line in network),
            "}",
        ]

    def argv(self) -> Sequence[str]:
        """Run in the foreground."""
        return ["wpa_supplicant", "-D", "nl80211", "-i", self.interface, "-c", str(self.config)]

    def works(self, control: Control) -> bool:
        """Tell whether it answers."""
        return control.ask("PING").strip() == "PONG"
