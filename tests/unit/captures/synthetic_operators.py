"""The made-up walk with two operators: dgw1 is A's, dgw2 and dgw3 are B's, and the CMD is the home LMA between them."""

import synthetic_modes as modes
import synthetic_wire as wire
from synthetic import ADDRESS, CORE, TRAFFIC, WALK, WAN, World

OPERATOR = {"dgw1": "A", "dgw2": "B", "dgw3": "B"}


class OperatorWorld(World):
    """Tags besides a World's: "chain:cmd:dgw1:dgw2" and "chained:dgw1:cmd:dgw2", the LMA's own exchange (for whom)."""

    def __init__(self, mode="relay", tweak=None):
        super().__init__(mode, tweak)
        unfit = ("modes", "replay")  # told by other conversations here; nothing is injected
        self.checks = [one for one in self.checks if one["check"] not in unfit] + [{"check": "interoperator"}]

    def far_end(self, anchor, serving):
        return "cmd" if OPERATOR[anchor] != OPERATOR[serving] else anchor

    def lab(self):
        lab = super().lab()
        for name, operator in OPERATOR.items():
            lab["domain"]["gateways"][name]["operator"] = operator
        lab["domain"]["cmd"]["lma"] = True
        return lab

    # -- control plane

    def signal(self, index):
        gateway, start, _ = WALK[index]
        visited = [WALK[i][0] for i in range(index - 1, -1, -1)]
        near = [name for name in visited if OPERATOR[name] == OPERATOR[gateway]]
        crossing = [name for name in visited if name not in near]
        fresh = [name for name in crossing if index == 1]
        t = start + 0.002
        if self.mode == "direct":
            self.lookup(gateway, start + 0.001)
            own, done = t, self.direct(gateway, near, crossing, fresh, t)
        else:
            own = done = self.central(gateway, near, crossing, fresh, t)
        self.advertise(index, gateway, own)
        for anchor in visited:
            self.advertise(index, anchor, done + 0.001)

    def direct(self, gateway, near, crossing, fresh, t):
        done = modes.direct(self, gateway, near, t)
        for anchor in crossing:
            fields = self.fields(t, [self.prefix(anchor)], 3)
            self.message(f"pbu:{gateway}:cmd", t, gateway, "cmd", "PBU", anchored=[self.prefix(gateway)], **fields)
            if anchor in fresh:
                self.chain(gateway, anchor, t)
            answer = {**fields, "dlif": self.identity(anchor)}
            self.message(f"pba:cmd:{gateway}", t + 0.003, "cmd", gateway, "PBA", **answer)
            done = t + 0.004
        return done

    def central(self, gateway, near, crossing, fresh, t):
        fields = modes.register(self, gateway, near + crossing, t)
        groups = [("cmd", self.prefix(anchor), *self.identity(anchor)) for anchor in crossing]
        if self.mode != "locator":
            groups = [(anchor, self.prefix(anchor), *self.identity(anchor)) for anchor in near] + groups
        at_once = self.mode == "proxy" or not fresh
        if self.mode != "locator" or groups or not near:
            when = t + (0.0004 if at_once and (self.mode != "relay" or not near) else 0.003)
            self.message(f"pba:cmd:{gateway}", when, "cmd", gateway, "PBA", groups=groups, **fields)
        for anchor in near:
            modes.ask(self, gateway, anchor, t + 0.0005, fields)
            modes.confirm(self, gateway, anchor, t + 0.001, fields)
            if self.mode == "locator":
                answer = {**fields, "hnp": [self.prefix(anchor)], "dlif": self.identity(anchor)}
                self.message(f"pba:{anchor}:{gateway}", t + 0.0011, anchor, gateway, "PBA", **answer)
        for anchor in fresh:
            self.chain(gateway, anchor, t)
        return t + 0.004

    def chain(self, gateway, anchor, t):
        """The LMA's own PBU to an anchor of the other operator, and the answer."""
        fields = {**self.fields(t + 0.0005, [self.prefix(anchor)], 3), "serving": "cmd"}
        self.message(f"chain:cmd:{anchor}:{gateway}", t + 0.0006, "cmd", anchor, "PBU", **fields)
        answer = {**fields, "dlif": self.identity(anchor)}
        self.message(f"chained:{anchor}:cmd:{gateway}", t + 0.001, anchor, "cmd", "PBA", **answer)

    # -- user plane

    def user_plane(self):
        """Made once for all runs, as a World's."""
        key = (WALK, "operators")
        if key not in TRAFFIC:
            frames, events, self.frames, self.events = self.frames, self.events, [], []
            self.traffic()
            TRAFFIC[key] = self.frames, self.events
            self.frames, self.events = frames, events
        self.frames = self.frames + TRAFFIC[key][0]
        self.events = self.events + TRAFFIC[key][1]

    def uplink(self, t, anchor, peer, packet, tag):
        gateway = self.serving(t)
        if gateway is None or OPERATOR[gateway] == OPERATOR[anchor]:
            super().uplink(t, anchor, peer, packet, tag)
            return
        self.put("mn1-eth0", t, wire.ether("02:00:00:00:00:11", "02:d6:00:01:00:01", packet), tag)
        self.put(f"{gateway}-phy", t + 0.0001, wire.ether("02:00:00:00:00:11", "02:d6:00:01:00:01", packet), tag)
        self.through(gateway, anchor, t + 0.0002, packet, tag)
        self.put(f"{anchor}-wan", t + 0.0007, wire.ether(WAN[anchor], CORE[anchor], packet), tag)
        self.put(f"{peer}-eth0", t + 0.0008, wire.ether(CORE[peer], WAN[peer], packet), tag)

    def downlink(self, t, anchor, peer, packet, tag):
        gateway = self.serving(t)
        if gateway is None or OPERATOR[gateway] == OPERATOR[anchor]:
            return super().downlink(t, anchor, peer, packet, tag)
        self.put(f"{peer}-eth0", t, wire.ether(WAN[peer], CORE[peer], packet), tag)
        self.put(f"{anchor}-wan", t + 0.0001, wire.ether(CORE[anchor], WAN[anchor], packet), tag)
        self.through(anchor, gateway, t + 0.0002, packet, tag)
        frame = wire.ether("02:d6:00:01:00:01", "02:00:00:00:00:11", packet)
        self.put(f"{gateway}-phy", t + 0.0007, frame, tag)
        self.put("mn1-eth0", t + 0.0008, frame, tag)
        return True

    def through(self, one, other, t, packet, tag):
        """In by one tunnel of the LMA, out by the other."""
        self.core(one, "cmd", t, wire.tunnelled(ADDRESS[one], ADDRESS["cmd"], packet), tag)
        self.core("cmd", other, t + 0.00025, wire.tunnelled(ADDRESS["cmd"], ADDRESS[other], packet), f"{tag}:out")
