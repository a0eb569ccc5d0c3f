"""Delay, loss and rate of links: netem where the kernel has it, else nft random loss and tbf.

With netem, a lost packet is dropped on the sender's side and shows in no capture beyond. With nft it is dropped after
arrival: a capture on the receiving interface still sees it (the tap comes before the ingress hook).
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

from testbed.features import refusal, supports
from testbed.links import Impairment, Interface, VethLink
from testbed.validation import LabError

QUEUE_LATENCY = 50
"""ms a rate-limited packet may wait before it is dropped"""


def check(source: str, links: Sequence[VethLink]) -> None:
    """Raise LabError for the first impairment this kernel cannot do."""
    for link in links:
        if not link.impairment or supports("netem"):
            continue
        if link.impairment.delay:
            raise LabError(
                f"{source}: this kernel cannot delay (no netem): link {link} asks for {link.impairment.delay:g} ms; "
                "run on a kernel with sch_netem (--kernel stock) or leave delay out"
            )
        for value, feature in ((link.impairment.loss, "nft-loss"), (link.impairment.rate, "tbf")):
            if value and not supports(feature):
                raise LabError(f"{source}: this kernel cannot do {feature} for link {link}: {refusal(feature)}")


def apply(links: Sequence[VethLink]) -> None:
    """Impair the links that ask for it, both directions alike."""
    for link in links:
        if link.impairment:
            for end in link.ends:
                _apply(end, link.impairment)


def _apply(interface: Interface, impairment: Impairment) -> None:
    if supports("netem"):
        _tc(interface, _netem(impairment))
        return
    if impairment.rate:
        _tc(interface, ["tbf", *_tbf(impairment.rate)])
    if impairment.loss:
        _feed(interface, ["nft", "-f", "-"], _loss_rules(interface.name, impairment.loss))


def _netem(impairment: Impairment) -> list[str]:
    words = ["netem", "limit", "10000"]
    if impairment.delay:
        words += ["delay", f"{impairment.delay}ms"]
    if impairment.loss:
        words += ["loss", f"{impairment.loss}%"]
    if impairment.rate:
        words += ["rate", f"{impairment.rate}mbit"]
    return words


def _tbf(rate: float) -> list[str]:
    """Return tbf's arguments: the bucket holds 10 ms, and at least one large (GSO) packet."""
    burst = max(int(rate * 1e6 / 8 * 0.010), 66_000)
    return ["rate", f"{rate}mbit", "burst", str(burst), "latency", f"{QUEUE_LATENCY}ms"]


def _loss_rules(name: str, percent: float) -> str:
    threshold = round(percent * 10_000)
    return f"""table netdev roamlab-loss-{name.replace(".", "-")} {{
  chain ingress {{
    type filter hook ingress device "{name}" priority 0;
    numgen random mod 1000000 < {threshold} drop
  }}
}}
"""


def _tc(interface: Interface, discipline: Sequence[str]) -> None:
    _feed(interface, ["tc", "qdisc", "replace", "dev", interface.name, "root", *discipline], "")


def _feed(interface: Interface, argv: Sequence[str], text: str) -> None:
    with interface.node.entered():
        done = subprocess.run(argv, input=text, capture_output=True, text=True, check=False, timeout=30)
    if done.returncode != 0:
        said = (done.stderr.strip() or f"exit {done.returncode}").splitlines()[0]
        raise LabError(f"{interface.node} {interface}: {argv[0]}: {said}")
