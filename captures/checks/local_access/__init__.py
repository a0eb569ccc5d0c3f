"""Check "local-access": local networks behind gateways, and who reaches them how (spec §5.5, SC-LIPA).

Sources: RFC 4191 §2.3, RFC 8885 §4.4, RFC 6724 §5; spec LIPA-1..9, RA-7, RA-11.
"""

from __future__ import annotations

from captures.checks.base import Result, check
from captures.checks.local_access.facts import sessions, used_twice
from captures.checks.local_access.routes import lifetimes, offered, withdrawn
from captures.checks.local_access.strangers import apart, closed
from captures.checks.local_access.traffic import at_home, away, source_chosen
from captures.run import Run


@check("local-access")
def local_access(run: Run, settling: float = 1.0) -> list[Result]:
    """Judge local access; `settling` (seconds): how long after an attachment packets may still be in the old tunnel."""
    results = [offered(run), lifetimes(run), closed(run)]
    for stays in run.attachments.values():
        for stay in stays:
            results += [at_home(run, stay)] if sessions(run, stay, stay.gateway) else []
            results += [away(run, stay, owner, settling) for owner in stay.previous if sessions(run, stay, owner)]
    results += [apart(run, network) for network in used_twice(run)]
    results += [source_chosen(run, event) for event in run.events if event["event"] == "source-chosen"]
    results += [withdrawn(run, event) for event in run.events if event["event"] == "local-access-ended"]
    return results
