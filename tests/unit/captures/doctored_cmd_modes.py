"""Doctored runs of locator and proxy mode; importing this module registers them."""

import synthetic as syn
from doctoring import doctored, tweaked, without
from synthetic import LMAC, PREFIX, World

OTHER = ("dgw3", PREFIX["dgw3"], str(syn.eui64(LMAC["dgw3"])), LMAC["dgw3"])
GROUP = ("dgw1", PREFIX["dgw1"], str(syn.eui64(LMAC["dgw1"])), LMAC["dgw1"])


def also(mode, after, tag, wait, source, destination, **changes):
    """A run with one more PBA, made from the fields of the message tagged `after`, `wait` seconds after it."""
    copied = {}

    def tweak(name, fields):
        copied.setdefault(name, dict(fields))
        return fields

    world = World(mode, tweak)
    fields = copied[after]
    keep = {key: fields[key] for key in ("hnp", "hi", "att", "ts", "seq", "mn_id")}
    world.message(tag, fields["t"] + wait, source, destination, "PBA", **{**keep, **changes})
    return world


def judged(mode, text, result="signalling.mn1.1", outcome=False):
    """A doctored run for the signalling check."""
    return doctored("signalling", result, text, outcome=outcome, mode=mode)


# -- both: the PBU to the CMD and on to the anchors ----------------------------------------------------


@judged("locator", "no PBU from dgw2 to the CMD")
@judged("proxy", "no PBU from dgw2 to the CMD")
def not_registered(mode):
    return without(mode, "pbu:dgw2:cmd")


@judged("locator", "no PBU from the CMD to dgw1 with option 68 = dgw2")
@judged("proxy", "no PBU from the CMD to dgw1 with option 68 = dgw2")
def wrong_68(mode):
    return tweaked(mode, "pbu:cmd:dgw1:dgw2", serving="dgw3")


@judged("locator", "is not the prefix dgw1 gave mn1")
@judged("proxy", "is not the prefix dgw1 gave mn1")
def hnp_not_rewritten(mode):
    return tweaked(mode, "pbu:cmd:dgw1:dgw2", hnp=[PREFIX["dgw2"]])


@judged("locator", "option 65 is not the new prefix")
@judged("proxy", "option 65 is not the new prefix")
def no_new_prefix(mode):
    return tweaked(mode, "pbu:cmd:dgw1:dgw2", anchored=[])


@judged("locator", "no PBU to the CMD has")
@judged("proxy", "no PBU to the CMD has")
def other_sequence(mode):
    return tweaked(mode, "pbu:cmd:dgw1:dgw2", seq=lambda f: f["seq"] + 7)


@judged("locator", "echoes option 68 as 2001:db8:c:3::2")
@judged("proxy", "echoes option 68 as 2001:db8:c:3::2")
def other_68_echoed(mode):
    return tweaked(mode, "pba:dgw1:cmd:dgw2", serving="dgw3")


@judged("locator", "dgw1 did not accept")
@judged("proxy", "dgw1 did not accept")
def not_confirmed(mode):
    return without(mode, "pba:dgw1:cmd:dgw2")


@judged("locator", "the CMD did not accept", "signalling.mn1.0")
@judged("proxy", "the CMD did not accept", "signalling.mn1.0")
def first_not_answered(mode):
    return without(mode, "pba:cmd:dgw1")


# -- locator -------------------------------------------------------------------------------------------


@judged("locator", "no PBA from dgw1 to dgw2")
def no_direct_answer(mode):
    return without(mode, "pba:dgw1:dgw2")


@judged("locator", "no PBA from dgw1 to dgw3", "signalling.mn1.2")
def one_direct_answer_missing(mode):
    return without(mode, "pba:dgw1:dgw3")


@judged("locator", "no PBA from dgw1 to dgw2")
def direct_answer_refuses(mode):
    return tweaked(mode, "pba:dgw1:dgw2", status=153)


@judged("locator", "was never answered", "signalling.echo")
def nobody_answers(mode):
    return without(mode, ("pba:dgw1:dgw3", "pba:dgw2:dgw3"))


@judged("locator", "answers no PBU", "signalling.echo")
def direct_answer_with_other_sequence(mode):
    return tweaked(mode, "pba:dgw1:dgw2", seq=lambda f: f["seq"] + 7)


@judged("locator", "PBA Timestamp differs from the PBU's", "signalling.echo")
def direct_answer_with_other_time(mode):
    return tweaked(mode, "pba:dgw1:dgw2", ts=lambda f: f["ts"] + 1)


@judged("locator", "is not the prefix dgw1 gave mn1")
def direct_answer_for_the_new_prefix(mode):
    return tweaked(mode, "pba:dgw1:dgw2", hnp=[PREFIX["dgw2"]])


@judged("locator", "without the anchor's DLIF identity")
def direct_answer_without_dlif(mode):
    return tweaked(mode, "pba:dgw1:dgw2", dlif=None)


@judged("locator", "dgw1 answers dgw2 without a PBU from the CMD")
def direct_answer_unasked(mode):
    return tweaked(mode, "pba:dgw1:dgw2", t=lambda f: f["t"] - 0.0008)


@judged("locator", "dgw3 answers dgw2 without a PBU from the CMD")
def stranger_answers(mode):
    hnp = [PREFIX["dgw3"]]
    return also(mode, "pba:dgw1:dgw2", "stranger", 0.001, "dgw3", "dgw2", hnp=hnp, dlif=OTHER[2:])


@judged("locator", "answers no PBU", "signalling.echo")
def correspondent_answers(mode):
    return also(mode, "pba:dgw1:dgw2", "stranger", 0.001, "cn1", "dgw2")


@judged("locator", "the CMD forwards option 67 for dgw1")
def cmd_forwards(mode):
    return also(mode, "pbu:dgw2:cmd", "forward", 0.7, "cmd", "dgw2", groups=[GROUP])


@judged("locator", "the CMD answers a handover after 1.8 ms")
def cmd_answers_too(mode):
    return also(mode, "pbu:dgw2:cmd", "too", 0.002, "cmd", "dgw2")


@judged("locator", "PBU dgw2→cmd", outcome=True)
def cmd_answers_after_waiting(mode):
    return also(mode, "pbu:dgw2:cmd", "late", 0.51, "cmd", "dgw2")


@judged("locator", "without option 68 = dgw2")
def serving_not_echoed(mode):
    return tweaked(mode, "pba:dgw1:cmd:dgw2", serving=None)


@judged("relay", "answers no PBU", "signalling.echo")
def direct_answer_in_relay_mode(mode):
    hnp = [PREFIX["dgw1"]]
    return also(mode, "pbu:dgw2:cmd", "direct", 0.002, "dgw1", "dgw2", hnp=hnp, dlif=GROUP[2:])


# -- proxy ---------------------------------------------------------------------------------------------


@judged("proxy", "dgw1 named 0.5 ms after its PBA reached the CMD")
def answered_late(mode):
    return tweaked(mode, "pba:cmd:dgw2", t=lambda f: f["t"] + 0.0013)


@judged("proxy", "the CMD took 299.8 ms to name dgw1")
def answered_after_waiting(mode):
    late = {"pba:cmd:dgw2": 0.2996, "pba:dgw1:cmd:dgw2": 0.4}
    return World(mode, lambda tag, fields: {**fields, "t": fields["t"] + late.get(tag, 0)})


@judged("proxy", "the CMD did not accept")
def no_answer_by_the_cmd(mode):
    return without(mode, "pba:cmd:dgw2")


@judged("proxy", "no option 67 for dgw1", "signalling.mn1.2")
def one_group_missing(mode):
    return tweaked(mode, "pba:cmd:dgw3", groups=lambda f: f["groups"][:1])


@judged("proxy", "no DLIF identity (69, 70) for dgw1", "signalling.mn1.2")
def group_without_dlif(mode):
    """The last group of a PBA without its options 69 and 70: those of the group before are its own."""
    maar = syn.mh.previous_maar(syn.ADDRESS["dgw1"], PREFIX["dgw1"])
    return tweaked(mode, "pba:cmd:dgw3", groups=lambda f: f["groups"][:1], extra=[maar])


@judged("proxy", "no PBU from the CMD to dgw1")
def anchor_not_told(mode):
    return without(mode, "pbu:cmd:dgw1:dgw2")


@judged("proxy", "dgw1 refused, no PBA withdraws it")
def refused_unsaid(mode):
    return tweaked(mode, "pba:dgw1:cmd:dgw2", status=153)


def refused(mode, wait, hnp=PREFIX["dgw1"], status=153):
    """dgw1 refuses, and the CMD sends dgw2 a PBA `wait` seconds after it heard of the node."""
    world = also(mode, "pbu:dgw2:cmd", "withdraw", wait, "cmd", "dgw2", hnp=[hnp], status=status)
    extra = [frame for frame in world.frames if frame.tag == "withdraw"]
    world = tweaked(mode, "pba:dgw1:cmd:dgw2", status=153)
    world.frames += extra
    world.checks[0] = {"check": "signalling", "allow_status": [153]}
    return world


@judged("proxy", "PBA dgw1→cmd", outcome=True)
def refused_and_said(mode):
    return refused(mode, 0.002)


@judged("proxy", "all status 0 or allowed", "signalling.echo", outcome=True)
def refusal_allowed(mode):
    return refused(mode, 0.002)


@judged("proxy", "dgw1 refused, no PBA withdraws it; PBA withdraws dgw3, which is no anchor")
def refused_and_said_of_another(mode):
    return refused(mode, 0.002, hnp=PREFIX["dgw3"])


@judged("proxy", "PBA withdraws dgw1 before it refused")
def withdrawn_early(mode):
    return refused(mode, 0.0008)


@judged("proxy", "PBA withdraws dgw1, which did not refuse")
def withdrawn_without_refusal(mode):
    return also(mode, "pbu:dgw2:cmd", "withdraw", 0.002, "cmd", "dgw2", hnp=[PREFIX["dgw1"]], status=153)
