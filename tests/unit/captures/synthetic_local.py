"""The synthetic walk with local networks: printers behind dgw1 and dgw2, sessions into them, an outsider, withdrawal.

MN 1 talks to printer1 from its first prefix all the time and, from 4.2 s, from its second one too, under printer1's
own address and under the one that printer2 has as well; from 4.2 s it also talks to printer2.  Local access ends at
6.45 s.  Direct mode.
"""

import synthetic_mh as mh
import synthetic_wire as wire
from synthetic import ADDRESS, CORE, LMAC, MN, MN_MAC, WALK, WAN, World

LOCALNET, SHARED = "2001:db8:a1:ffff::/64", "fd00:10ca:1::/64"
NETWORKS = {"dgw1": (LOCALNET, SHARED), "dgw2": (SHARED,), "dgw3": ()}
HOSTS = {"dgw1": ["printer1"], "dgw2": ["printer2"], "dgw3": []}
PRINTER, SAME = "2001:db8:a1:ffff::99", "fd00:10ca:1::99"
HOST_MAC = {"printer1": "02:af:00:00:00:01", "printer2": "02:af:00:00:00:02"}
ENDED = 6.45
STEP = 0.1


class LocalWorld(World):
    """`bend(tag, frames)` may change or drop the frames of each local packet: {capture: octets}."""

    def __init__(self, tweak=None, bend=None):
        self.bend = bend or (lambda tag, frames: frames)
        super().__init__("direct", tweak)
        self.checks = [{"check": "local-access"}, {"check": "figure-four"}]

    def message(self, tag, t, source, destination, kind, **fields):
        """PBAs say the anchored prefix and the local ones."""
        if kind == "PBA":
            networks = [mh.prefix_option(66, network) for network in NETWORKS[source]]
            fields = {**fields, "anchored": fields["hnp"], "extra": networks}
        super().message(tag, t, source, destination, kind, **fields)

    def advertise(self, index, anchor, t):
        """RAs of an anchor's DLIF offer its networks."""
        tweak, gateway = self.tweak, WALK[index][0]

        def with_routes(tag, fields):
            lifetime = 60 if fields["t"] < ENDED else 0
            routes = [(network, "high", lifetime) for network in NETWORKS[anchor]] if anchor != gateway else []
            return tweak(tag, {**fields, "routes": routes})

        self.tweak = with_routes
        super().advertise(index, anchor, t)
        self.tweak = tweak

    def user_plane(self):
        super().user_plane()
        self.local_events()
        for number in range(50):
            t = 1.5 + number * STEP
            self.exchange(t, "dgw1", MN["dgw1"], PRINTER, 6001, f"print-1:{number}")
            self.exchange(t + 0.004, "dgw1", MN["dgw1"], SAME, 6002, f"shared-1:{number}")
            if t > 4.2:
                self.exchange(t + 0.008, "dgw1", MN["dgw2"], PRINTER, 6003, f"print-2:{number}")
                self.exchange(t + 0.012, "dgw2", MN["dgw2"], SAME, 6004, f"shared-2:{number}")
        for number in range(10):
            knock = wire.echo(ADDRESS["cn1"], PRINTER, number, 99)
            out = {"cn1-eth0": wire.ether(WAN["cn1"], CORE["cn1"], knock)}
            self.local(
                1.3 + number / 2, f"knock:{number}", {**out, "dgw1-wan": wire.ether(CORE["dgw1"], WAN["dgw1"], knock)}
            )

    def local_events(self):
        for name, source, target, peer, port, start in (
            ("print-1", "dgw1", PRINTER, "printer1", 6001, 1.45),
            ("shared-1", "dgw1", SAME, "printer1", 6002, 1.45),
            ("print-2", "dgw2", PRINTER, "printer1", 6003, 4.19),
            ("shared-2", "dgw2", SAME, "printer2", 6004, 4.19),
        ):
            ends = {"source": MN[source], "destination": target, "source_port": port, "destination_port": 7}
            self.event(start, "flow-started", flow=name, kind="udp", protocol="udp", peer=peer, **ends)
            self.event(6.42, "flow-ended", flow=name)
        self.event(1.25, "attempt-started", target="printer1", destination=PRINTER)
        self.events[-1]["node"] = "cn1"
        self.event(4.15, "source-chosen", destination=PRINTER, route={})
        routes = [{"dst": n, "protocol": "ra", "pref": "high"} for n in (LOCALNET, SHARED)]
        self.event(3.9, "routes", when="away", routes=routes)
        self.event(ENDED, "local-access-ended")
        self.event(6.9, "routes", when="closed", routes=[])

    def local(self, t, tag, frames):
        for step, (capture, frame) in enumerate(self.bend(tag, frames).items()):
            self.put(capture, t + step * 0.0002, frame, tag)

    def exchange(self, t, owner, source, target, port, tag):
        """A datagram to a printer and its echo."""
        gateway = self.serving(t)
        if gateway is None or t >= ENDED - 0.05:
            return
        host = HOSTS[owner][0]
        there = wire.udp(source, target, port, 7, 1)
        back = wire.udp(target, source, 7, port, 1)
        dlif = LMAC[owner]
        out = {"mn1-eth0": wire.ether(MN_MAC, dlif, there), f"{gateway}-phy": wire.ether(MN_MAC, dlif, there)}
        home = {f"{gateway}-phy": wire.ether(dlif, MN_MAC, back), "mn1-eth0": wire.ether(dlif, MN_MAC, back)}
        up, down = {}, {}
        if gateway != owner:
            up, down = self.tunnel(gateway, owner, there), self.tunnel(owner, gateway, back)
        at_host = {f"{host}-eth0": wire.ether("02:ab:00:00:00:01", HOST_MAC[host], there)}
        answer = {f"{host}-eth0": wire.ether(HOST_MAC[host], "02:ab:00:00:00:01", back)}
        self.local(t, f"up:{tag}", {**out, **up, **at_host})
        self.local(t + 0.0015, f"down:{tag}", {**answer, **down, **home})

    def tunnel(self, a, b, packet):
        outer = wire.tunnelled(ADDRESS[a], ADDRESS[b], packet)
        return {f"{a}-wan": wire.ether(WAN[a], CORE[a], outer), f"{b}-wan": wire.ether(CORE[b], WAN[b], outer)}

    @staticmethod
    def capture_names():
        return [*World.capture_names(), "printer1-eth0", "printer2-eth0"]

    def lab(self):
        facts = super().lab()
        for gateway, networks in NETWORKS.items():
            local = {"local_prefixes": list(networks), "local_hosts": HOSTS[gateway]}
            facts["domain"]["gateways"][gateway] |= local
            for host in HOSTS[gateway]:
                interface = {"mac": HOST_MAC[host], "addresses": [f"{SAME}/64"], "mtu": 1500}
                facts["nodes"][host] = {"role": "host", "interfaces": {"eth0": interface}}
        return facts
