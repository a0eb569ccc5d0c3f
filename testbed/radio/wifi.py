"""Radio cells of real 802.11: simulated radios, an access point of hostapd for each cell, wpa_supplicant on nodes.

    mn1 eth0 )))                            mn1's own radio, in its own namespace
                 ((( ap-1 ─ cell1 ─ phy     in the air's namespace: an access point's radio is a port of the cell's
                 ((( ap-2 ─ cell2 ─ phy     bridge, and so is the gateway's interface

Who comes and goes is heard from hostapd's control socket, as a gateway in an access point would. A station that roams
says no good-bye, so the cell it left goes on believing in it: that gateway learns by signalling.
"""

from __future__ import annotations

import selectors
import shutil
import socket
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from testbed.links import Interface, VethLink
from testbed.nodes import Cell, Host, WifiAir
from testbed.radio import hwsim
from testbed.radio.cells import Radio
from testbed.radio.control import Control, Report
from testbed.radio.programs import CHANNELS, Hostapd, Supplicant
from testbed.validation import LabError
from testbed.waiting import WaitTimeout

ASSOCIATION_LIMIT = 60.0
"""seconds an association, a good-bye or a scan may take; on a real machine it is a tenth of one"""
CAME, WENT = "AP-STA-CONNECTED", "AP-STA-DISCONNECTED"
JOINED, SCANNED = "CTRL-EVENT-CONNECTED", "CTRL-EVENT-SCAN-RESULTS"
TRYING = ("SME: Trying to authenticate", "Trying to associate")
BSSID_PREFIX = "02:72:61"


@dataclass
class _AccessPoint:
    cell: str
    bssid: str
    program: Hostapd
    air: WifiAir


@dataclass
class _Station:
    interface: Interface
    program: Supplicant
    air: WifiAir
    left: float | None = None
    """when it last turned to another access point, until that has answered"""

    @property
    def name(self) -> str:
        return str(self.interface.node.name)


class WifiRadio(Radio):
    """Mobile nodes associate with access points."""

    def __init__(self, logs: Path | None = None) -> None:
        """logs: where hostapd and wpa_supplicant say what they do (default: nowhere that stays)."""
        super().__init__()
        self._logs = logs
        self._place: Path | None = None
        self._points: dict[str, _AccessPoint] = {}
        self._stations: dict[str, _Station] = {}
        self._hearer: _Hearer | None = None
        self._moving = threading.RLock()
        self._known = threading.Condition()
        """guards _member, _heard and stations' `left`"""
        self._heard: Counter[tuple[str, str, str]] = Counter()
        """how often an event was heard of: (its name, cell or node, MAC address it names)"""

    def add(self, nodes: Sequence[Host], links: Sequence[VethLink]) -> None:
        """Start the access points of new cells and the supplicants of new nodes."""
        super().add(nodes, links)
        cells = [node for node in nodes if isinstance(node, Cell)]
        radios = [link for link in links if link.wireless]
        if (cells or radios) and self._place is None:
            self._place = Path(tempfile.mkdtemp(prefix="roamlab-wifi-", dir="/run"))
            self._hearer = _Hearer()
        for cell in cells:
            self._points[cell.name] = self._access_point(cell)
        for link in radios:
            port = next(end for end in link.ends if end.node.WIRELESS)
            station = self._station_of(link.other(port), port.node)
            self._stations[station.name] = station

    def _access_point(self, cell: Cell) -> _AccessPoint:
        air = cell.air_node
        assert isinstance(air, WifiAir)
        assert air.namespace is not None
        number = len(self._points) + 1
        name, index = f"ap-{number}", cell.device_index
        bssid = f"{BSSID_PREFIX}:{index >> 16 & 255:02x}:{index >> 8 & 255:02x}:{index & 255:02x}"
        hwsim.new_radio(air.namespace, name, bssid)
        channel = list(CHANNELS)[(number - 1) % len(CHANNELS)]
        place, log = self._files(cell.name, "hostapd")
        program = Hostapd(air, name, cell.name, channel, _security(air), place, log)
        program.start()
        self._hear(program.connect(), lambda report: self._at_cell(cell.name, report))
        return _AccessPoint(cell.name, bssid, program, air)

    def _station_of(self, interface: Interface, air: WifiAir) -> _Station:
        place, log = self._files(interface.node.name, "wpa_supplicant")
        program = Supplicant(interface.node, interface.name, _security(air), place, log)
        program.start()
        station = _Station(interface, program, air)
        self._hear(program.connect(), lambda report: self._at_node(station, report))
        return station

    def _files(self, owner: str, program: str) -> tuple[Path, Path]:
        assert self._place is not None
        place = self._place / owner
        place.mkdir()
        return place, (self._logs or place) / f"{owner}-{program}.log"

    def _hear(self, control: Control, handler: Callable[[Report], None]) -> None:
        assert self._hearer is not None
        control.attach()
        self._hearer.add(control, handler)

    # --- what a lab asks for

    def attach(self, node: str, cell: str) -> None:
        """Have a node associate with a cell's access point; returns when both are content.

        LabError when they are not in time. In the cell already: it associates again.
        """
        self._port(node), self._cell(cell)
        station, point = self._stations[node], self._points[cell]
        if station.air is not point.air:
            raise LabError(f"{node} cannot attach to {cell}: its radio is in {station.air}, the cell in another air")
        with self._moving:
            control = station.program.control
            self._find(station, point)
            control.do(f"BSSID 0 {point.bssid}")
            present = self._member.get(node)
            words = "SELECT_NETWORK 0" if present is None else f"ROAM {point.bssid}"
            wanted = [(CAME, cell, station.interface.mac), (JOINED, node, point.bssid)]
            before = [self._heard[key] for key in wanted]
            with self._known:
                station.left = time.time()
            control.do("REASSOCIATE" if present == cell else words)
            goals = [(key, count + 1) for key, count in zip(wanted, before, strict=True)]
            self._wait(f"{node} to associate with {cell}", goals, station)

    def detach(self, node: str) -> None:
        """Have a node say good-bye to its access point. None: does nothing."""
        self._port(node)
        with self._moving:
            cell = self._member.get(node)
            if cell is None:
                return
            station = self._stations[node]
            key = (WENT, cell, station.interface.mac)
            goal = self._heard[key] + 1
            station.program.control.do("DISCONNECT")
            self._wait(f"{node} to leave {cell}", [(key, goal)], station)

    def close(self) -> None:
        """Hear nothing any more, end the programs."""
        if self._hearer is not None:
            self._hearer.close()
            self._hearer = None
        programs: list[Hostapd | Supplicant] = [station.program for station in self._stations.values()]
        programs += [point.program for point in self._points.values()]
        for program in programs:
            program.stop()
            program.close()
        if self._place is not None:
            shutil.rmtree(self._place, ignore_errors=True)
            self._place = None

    def _find(self, station: _Station, point: _AccessPoint) -> None:
        """Scan until the station knows the access point: it roams only to what it has seen."""
        control = station.program.control
        deadline = time.monotonic() + ASSOCIATION_LIMIT
        while not control.ask(f"BSS {point.bssid}").strip():
            if time.monotonic() > deadline:
                raise LabError(f"{station.name} does not see the access point of {point.cell}: see its log")
            goal = self._heard[SCANNED, station.name, ""] + 1
            control.ask("SCAN TYPE=ONLY")  # FAIL-BUSY while one is under way: then that one's results are waited for
            self._wait(f"{station.name} to scan", [((SCANNED, station.name, ""), goal)], station)

    def _wait(self, what: str, goals: list[tuple[tuple[str, str, str], int]], station: _Station) -> None:
        def done() -> bool:
            return all(self._heard[key] >= goal for key, goal in goals)

        with self._known:
            if not self._known.wait_for(done, ASSOCIATION_LIMIT):
                missing = ", ".join(f"{name} of {where}" for (name, where, _), goal in goals)
                raise WaitTimeout(what, ASSOCIATION_LIMIT, f"no {missing}; {station.program.last_words()}")

    # --- what the programs say, in the hearer's thread

    def _at_cell(self, cell: str, report: Report) -> None:
        """An access point's event: the truth about who is where."""
        mac = report.mac
        station = next((one for one in self._stations.values() if one.interface.mac == mac), None)
        if station is None or mac is None or report.name not in (CAME, WENT):
            return
        if report.name == CAME:
            self._came(station, cell, report.t)
        else:
            self._went(station, cell, report.t)
        with self._known:
            self._heard[report.name, cell, mac] += 1
            self._known.notify_all()

    def _came(self, station: _Station, cell: str, moment: float) -> None:
        with self._known:
            before, left = self._member.get(station.name), station.left
            self._member[station.name] = cell
            station.left = None
        if before is not None and before != cell:
            self._tell("disassociated", station.interface, before, min(left or moment, moment), "never")
        self._tell("associated", station.interface, cell, moment)

    def _went(self, station: _Station, cell: str, moment: float) -> None:
        with self._known:
            here = self._member.get(station.name) == cell
            if here:
                del self._member[station.name]
        self._tell("disassociated", station.interface, cell, moment, "now" if here else "late")

    def _at_node(self, station: _Station, report: Report) -> None:
        """A supplicant's event: when the node left, when it has arrived."""
        with self._known:
            if report.text.startswith(TRYING) and station.left is not None:
                station.left = report.t
            self._heard[report.name, station.name, report.mac or ""] += 1
            self._known.notify_all()


class _Hearer:
    """A thread that reads events and hands each to who wants it."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._bell, self._button = socket.socketpair()
        self._selector.register(self._bell, selectors.EVENT_READ, None)
        self._controls: list[Control] = []
        self._thread = threading.Thread(target=self._read, name="802.11 events", daemon=True)
        self._thread.start()

    def add(self, control: Control, handler: Callable[[Report], None]) -> None:
        """Have handler given each event of a connection that is attached."""
        self._controls.append(control)
        self._selector.register(control.socket, selectors.EVENT_READ, (control, handler))

    def close(self) -> None:
        """End the thread, close what it read."""
        self._button.send(b"x")
        self._thread.join(ASSOCIATION_LIMIT)
        self._selector.close()
        for control in self._controls:
            control.close()
        self._bell.close()
        self._button.close()

    def _read(self) -> None:
        while True:
            for key, _ in self._selector.select():
                if key.data is None:
                    return
                control, handler = key.data
                report = control.read()
                if report is not None:
                    handler(report)


def _security(air: WifiAir) -> str:
    return str(air.params.get("security", "open"))
