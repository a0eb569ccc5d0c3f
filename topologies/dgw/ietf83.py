"""The distributed-anchoring demonstration of IETF 83 (seed draft, Appendix B).

    cn1   camera              cn1: correspondent node; camera: a legacy IPv6 camera, an unmodified HTTP server
       \\   /
        core --- cmd          cmd: mobility database, carries no user data
       /  |  \\
    dgw1 dgw2 dgw3            distributed gateways, each anchors the prefixes it handed out
      |    |    |
    cell1 cell2 cell3         mn1, an unmodified host, walks 1 -> 2 -> 3

mn1 starts to watch the camera at dgw1, opens a new session at every gateway, and both correspondents ping all
of its addresses all the time: every session survives every move.
"""

from __future__ import annotations

from topologies import traffic
from topologies.dgw.lab import ALL_MODES, DgwLab
from topologies.dgw.plan import DgwOptions, DgwPlan, Gateway
from topologies.runner import Run

CORRESPONDENTS = ("cn1", "camera")


class Ietf83Lab(DgwLab):
    """Three gateways, a legacy camera, a node that walks 1 -> 2 -> 3 and keeps all its sessions."""

    name = "ietf83"
    scenario = "SC-IETF83"
    title = "IETF 83 demonstration: three gateways, a legacy camera, one walk"
    variants = (*ALL_MODES, {"mode": "relay", "protection": "auto"})
    # An emulated machine may need longer than the usual window from stamping an update to reading it.
    stock_variants = (
        {"mode": "relay", "tunnel": "ip6tnl", "timestamp_window": 5.0},
        {"mode": "relay", "protection": "xfrm", "tunnel": "ip6tnl", "timestamp_window": 5.0},
        {"radio": "wifi", "tunnel": "ip6tnl", "timestamp_window": 5.0},
    )

    def plan(self, options: DgwOptions) -> DgwPlan:
        """Size and addresses of the lab."""
        return DgwPlan(options, gateways=3, mobiles=1, correspondents=CORRESPONDENTS)

    def steps(self, options: DgwOptions) -> list[str]:
        """The script in words."""
        return [
            "mn1 attaches to dgw1, starts to watch the camera and opens session 1",
            "mn1 moves to dgw2 and opens session 2",
            "mn1 moves to dgw3 and opens session 3",
            "at every gateway both correspondents ping all addresses of mn1",
        ]

    def script(self, run: Run, options: DgwOptions) -> None:
        """Walk through the three cells with ever more flows."""
        traffic.echo_server(run, "cn1")
        traffic.camera_server(run, "camera")
        flows: list[traffic.Flow] = []
        for gateway in self.plan(options).gateway_list:
            run.step(f"mn1 {'moves' if flows else 'attaches'} to {gateway.name}")
            run.net.move("mn1", gateway.cell)
            flows += self._open_flows(run, gateway, with_camera=not flows)
            traffic.wait_for_progress(flows, 40)
        run.step("done")

    def _open_flows(self, run: Run, gateway: Gateway, *, with_camera: bool) -> list[traffic.Flow]:
        number = gateway.index
        address = traffic.address_in(run, "mn1", gateway.pool)
        flows = [traffic.camera(run, "camera-stream", "mn1", address, "camera")] if with_camera else []
        flows.append(traffic.echo(run, f"session-{number}", "mn1", address, "cn1"))
        for correspondent in CORRESPONDENTS:
            flows.append(traffic.ping(run, f"{correspondent}-pings-{number}", correspondent, "mn1", address))
        return flows


LAB = Ietf83Lab()
