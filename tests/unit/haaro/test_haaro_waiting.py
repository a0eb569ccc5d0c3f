"""What the labs wait for is there when the wait ends, and its error says what was there instead."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest

from testbed.waiting import WaitTimeout
from topologies import states
from topologies.haaro import intruding, waiting

HOME, OLD, NEW = "203.0.113.13", "198.51.100.130", "192.0.2.130"


@pytest.fixture(autouse=True)
def hurried(monkeypatch):
    for module in (waiting, states, intruding):
        monkeypatch.setattr(module, "PATIENCE", 0.02)
    monkeypatch.setattr(waiting, "LOOK", 0.001)
    monkeypatch.setattr(states.when, "__defaults__", (0.02,))


def run(events=(), **dumps):
    """Agents that say this of themselves; each dump is said once, the last for ever."""

    def agent(name, said):
        left = list(said)

        def request(_message):
            return {"state": left.pop(0) if len(left) > 1 else left[0]}

        config = {"role": "ha" if name == "ha" else "mr", "home_address": HOME}
        return SimpleNamespace(config=config, request=request)

    agents = {name: agent(name, said) for name, said in dumps.items()}
    return SimpleNamespace(agents=agents, events=SimpleNamespace(events=lambda: list(events)))


def dump(tunnel, *items):
    return {"correspondents": [{"home": HOME, "tunnel": tunnel}], "items": list(items), "careof": NEW}


ROUTE = f"route {HOME}/32"


def test_a_direct_way_by_an_address_is_not_the_one_before():
    """Make before break: the route is there all the time."""
    before, after = (dump(f"198.51.100.10 {careof}:434 up", ROUTE) for careof in (OLD, NEW))
    waiting.direct(run(mra=[before], mrc=[before]), [("mra", "mrc")])
    with pytest.raises(WaitTimeout, match=rf"mra: to have a direct route to mrc over {NEW}: .*{OLD}:434 up"):
        waiting.direct(run(mra=[before], mrc=[before]), [("mra", "mrc")], by=NEW)
    waiting.direct(run(mra=[before, before, after], mrc=[before]), [("mra", "mrc")], by=NEW)


@pytest.mark.parametrize(
    "said",
    [
        dump(f"198.51.100.10 {NEW}:434 probing", ROUTE),
        dump(f"198.51.100.10 {NEW}0:434 up", ROUTE),
        dump(f"198.51.100.10 {NEW}:434 up"),
        dump(None, ROUTE),
    ],
)
def test_neither_half_is_enough(said):
    with pytest.raises(WaitTimeout):
        waiting.direct(run(mra=[said], mrc=[said]), [("mra", "mrc")], by=NEW)


def test_a_router_whose_word_is_not_in_the_log_yet_is_not_rested():
    long_ago = time.time() - 10 * waiting.PACE
    one, other = ({"event": "registered", "node": name, "t": long_ago} for name in ("mra", "mrc"))
    with pytest.raises(WaitTimeout, match="only mra said"):
        waiting.rested(run([one], ha=[{}], mra=[{}], mrc=[{}]))
    waiting.rested(run([one, other], ha=[{}], mra=[{}], mrc=[{}]))
    with pytest.raises(WaitTimeout, match="too fresh"):
        waiting.rested(run([one, {**other, "t": time.time() + 1}], ha=[{}], mra=[{}], mrc=[{}]))


def test_an_attack_is_counted_where_it_should_be():
    """Another counter moves for another reason, and the dump after it must show what the attack did."""
    kept = dict.fromkeys(intruding.KEPT["ha"], ())
    said = [{"role": "ha", "counters": counters, **kept} for counters in ({}, {"renewed": 1}, {"dropped_at_once": 1})]
    intruder = intruding.Intruder.__new__(intruding.Intruder)
    intruder._run = run(ha=said[:2])
    with pytest.raises(WaitTimeout, match=r'ha to count dropped: .*"renewed": 1'):
        intruder._await("ha", {}, "dropped")
    intruder._run = run(ha=said)
    intruder._await("ha", {}, "dropped")
