"""Check "signalling": PBU/PBA order and fields, per message and per stay of a mobile node.

Sources: RFC 5213 §5.3.6, §6.9.1; RFC 8885 §3.1..§3.4, §4; spec ATT-5..7, HO-3, HO-8, CMD-4..8, CMD-RELAY-*,
CMD-LOC-*, CMD-PROXY-*, SC-CMDMODES.
"""

from __future__ import annotations

from collections.abc import Callable

from captures.checks.base import Result, check
from captures.checks.signalling import classic, direct, locator, messages, proxy, relay
from captures.checks.signalling.registered import first_registered
from captures.exchanges import MODES, Registration, pair, registrations
from captures.pcapng import CaptureError
from captures.run import Run

Conversation = Callable[[Run, Registration, str, bool], Result]
HANDOVERS: dict[str, Conversation] = {
    "direct": direct.handover,
    "relay": relay.handover,
    "locator": locator.handover,
    "proxy": proxy.handover,
    "classic": classic.conversation,
}


@check("signalling")
def signalling(
    run: Run,
    require_timestamp: bool = True,
    require_dlif: bool = True,
    allow_status: tuple[int, ...] = (),
    prolonging: bool = False,
) -> list[Result]:
    """Judge every PBU/PBA by itself, each answer against its update, and each stay's conversation.

    `prolonging`: anchors ask the CMD with lifetime 0 whether their binding goes on (spec DEREG-5).
    """
    if run.mode not in HANDOVERS:
        raise CaptureError(f"check signalling: unknown mode {run.mode!r} (known: {', '.join(MODES)})")
    ours = [message for message in run.signalling if message.kind in ("PBU", "PBA")]
    others = [message for message in run.signalling if message.kind not in ("PBU", "PBA")]
    exchanges, unmatched = pair(run)
    results = [
        messages.wellformed(ours, others),
        messages.flags(run, ours),
        messages.options(ours, require_timestamp, distributed=run.central is None),
        messages.echo(
            classic.in_time(run, exchanges) if run.central else exchanges,
            unmatched,
            set(allow_status),
            prolonging=prolonging,
        ),
        messages.sequences(ours),
    ]
    for registration in registrations(run):
        results.append(_stay(run, registration, require_dlif))
        if run.central and registration.stay.number:
            results.append(classic.farewell(run, registration, exchanges))
    return results


def _stay(run: Run, registration: Registration, require_dlif: bool) -> Result:
    """The conversation of one stay: first attachment or handover, in the run's mode."""
    stay = registration.stay
    id_ = f"signalling.{stay.mobile}.{stay.number}"
    if run.mode == "classic" or (stay.number > 0 and stay.previous):
        return HANDOVERS[run.mode](run, registration, id_, require_dlif)
    first = direct.first if run.mode == "direct" else first_registered
    return first(run, registration, id_)
