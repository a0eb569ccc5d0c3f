"""HAARO's runs in which the direct path fails, doctored: one thing wrong in each."""

from __future__ import annotations

from functools import partial

from aero_octets import echo
from doctored_haaro import wrong
from haaro_wire import PINGED, Story

from topologies.haaro.plan import site

HOLE = {"check": "haaro-detour", "stream": "fails", "bound_ms": 50.0}
LINE = {**HOLE, "way": "line"}
ENTRIES = (HOLE,)


def failing(*, a=3, c=3, told="", answered="", way="home", star="ac", again=True, pause=0.0, cut=True):
    """a pings c while the path between their lines fails: at first nothing comes, then by another way.

    `a`, `c`: how many keepalives each sends; `told`: whom the other then tells what it does instead.
    """
    probes = {"a": a, "c": c}
    story = Story()
    story.sites["c"] = site("c", isps=(1, 2))
    story.announce("a", "c", 4, "", name="fails")
    story.ping("a", "c", 1, direct=True)
    if cut:
        ends = [story.line("a").public, story.line("c").public]
        story.events.append({"event": "path-cut", "node": "core", "ends": ends, "t": story.time})
    for number, (one, other) in enumerate((("a", "c"), ("c", "a"))):
        homes = story.sites[one].home_address, story.sites[other].home_address
        for sequence in range(probes[one]):
            story.straight(one, other, echo(*homes, 7 + number, sequence, 28))
            if one in answered:
                story.straight(other, one, echo(*homes[::-1], 7 + number, sequence, 28, reply=True))
    for letter in told:
        story.optimise("c" if letter == "a" else "a", letter, solicit=False)
    story.time += pause
    if way == "home":
        for one, other in (("a", "c"), ("c", "a")):
            ends = story.sites[one].host, story.sites[other].host
            inner = echo(*ends, PINGED, 2, 28, reply=one == "c")
            story.put((one, "eth0"), inner)
            if one in star:
                for place, packet in (
                    (one, story.around(one, inner, to=True)),
                    (other, story.around(other, inner, to=False)),
                ):
                    story.put(story.at(place), packet)
                    story.put(("ha", "wan"), packet)
            story.put((other, "eth0"), inner)
    else:
        story.used["c"] = 1
    story.ping("a", "c", 3, direct=again)
    return story


RIGHT = [
    (failing, HOLE),
    (partial(failing, way="line"), LINE),
    (partial(failing, a=2, told="a"), HOLE),
    (partial(failing, c=1, told="c"), HOLE),
]
NOTICED, ROUND = partial(wrong, HOLE, "keepalives"), partial(wrong, HOLE, "round")
NOTICED("mrc: 0 keepalives unanswered", partial(failing, c=0))
NOTICED("mrc: 0 keepalives unanswered", partial(failing, c=0, told="c"))
NOTICED("mra: 2 keepalives unanswered", partial(failing, a=2, told="c"))
NOTICED("neither end sent 3 in vain", partial(failing, a=2, c=2, told="ac"))
NOTICED("mra: 0 keepalives unanswered", partial(failing, answered="a"))
NOTICED("no path failed", partial(failing, cut=False), outcome=None)
ROUND("no reply came by the home agent", partial(failing, star="a"))
ROUND("no request came by the home agent", partial(failing, star="c"))
ROUND("the last request did not go directly", partial(failing, again=False))
ROUND("silent for", partial(failing, pause=1.0))
ROUND("each request went between", failing, way="line")
