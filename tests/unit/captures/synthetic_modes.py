"""The conversations of the signalling modes (RFC 8885 §3.1..§3.4), sent through a World; each returns when it is done.

Tags: "pbu:dgw2:cmd", "pbu:cmd:dgw1:dgw2" (last: for whom), "pba:dgw1:cmd:dgw2", "pba:cmd:dgw2", "pba:dgw1:dgw2".
"""


def direct(world, gateway, anchors, t):
    for anchor in anchors:
        fields = world.fields(t, [world.prefix(anchor)], 3)
        own = [world.prefix(gateway)]
        world.message(f"pbu:{gateway}:{anchor}", t, gateway, anchor, "PBU", anchored=own, **fields)
        answer = {**fields, "dlif": world.identity(anchor)}
        world.message(f"pba:{anchor}:{gateway}", t + 0.001, anchor, gateway, "PBA", **answer)
    return t + 0.002


def relay(world, gateway, anchors, t):
    fields = register(world, gateway, anchors, t)
    for anchor in anchors:
        ask(world, gateway, anchor, t + 0.0005, fields)
        confirm(world, gateway, anchor, t + 0.001, fields)
    name(world, gateway, anchors, t + 0.002, fields)
    return t + 0.003


def locator(world, gateway, anchors, t):
    """Handover only: a first attachment goes as in relay mode."""
    fields = register(world, gateway, anchors, t)
    for anchor in anchors:
        ask(world, gateway, anchor, t + 0.0005, fields)
        confirm(world, gateway, anchor, t + 0.001, fields)
        answer = {**fields, "hnp": [world.prefix(anchor)], "dlif": world.identity(anchor)}
        world.message(f"pba:{anchor}:{gateway}", t + 0.0011, anchor, gateway, "PBA", **answer)
    return t + 0.002


def proxy(world, gateway, anchors, t):
    """Handover only: a first attachment goes as in relay mode."""
    fields = register(world, gateway, anchors, t)
    name(world, gateway, anchors, t + 0.0004, fields)
    for anchor in anchors:
        ask(world, gateway, anchor, t + 0.0005, fields)
        confirm(world, gateway, anchor, t + 0.001, fields)
    return t + 0.001


def register(world, gateway, anchors, t):
    """The serving gateway's PBU to the CMD; returns what all further messages have in common."""
    fields = world.fields(t, [world.prefix(gateway)], 4 if anchors else 1)
    world.message(f"pbu:{gateway}:cmd", t, gateway, "cmd", "PBU", dlif=world.identity(gateway), **fields)
    return fields


def ask(world, gateway, anchor, t, fields):
    """The CMD's PBU to an anchor."""
    more = {"hnp": [world.prefix(anchor)], "anchored": [world.prefix(gateway)], "serving": gateway}
    world.message(f"pbu:cmd:{anchor}:{gateway}", t, "cmd", anchor, "PBU", **{**fields, **more})


def confirm(world, gateway, anchor, t, fields):
    """The anchor's PBA to the CMD."""
    more = {"hnp": [world.prefix(anchor)], "serving": gateway, "dlif": world.identity(anchor)}
    world.message(f"pba:{anchor}:cmd:{gateway}", t, anchor, "cmd", "PBA", **{**fields, **more})


def name(world, gateway, anchors, t, fields):
    """The CMD's PBA with one option 67 group per anchor."""
    groups = [(anchor, world.prefix(anchor), *world.identity(anchor)) for anchor in anchors]
    world.message(f"pba:cmd:{gateway}", t, "cmd", gateway, "PBA", groups=groups, **fields)
