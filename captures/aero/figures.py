"""Figures of an AERO run for verdict.json and report: times in milliseconds, volumes in octets."""

from __future__ import annotations

from collections import Counter
from statistics import median

from captures.aero.exchanges import REPLY, exchanges
from captures.aero.link import AeroLink, Client


def attach_times(link: AeroLink) -> dict[str, float]:
    """Client -> milliseconds from its first Solicit to the last Reply of its attachment, as its own capture shows.

    Of its first attachment: it may change Servers later, or be stopped and started again.
    """
    found = {}
    talk = [one for one in exchanges(link) if one.message.type in (1, 3)]
    for client in link.clients.values():
        end = _attached_elsewhere(link, client)
        mine = [one for one in talk if one.client is client and one.asked.time < end]
        replies = [one.received.time for one in mine if one.received and one.reply and one.reply.type == REPLY]
        if replies:
            found[client.name] = round((replies[-1] - mine[0].asked.time) * 1000, 3)
    return found


def _attached_elsewhere(link: AeroLink, client: Client) -> float:
    """When a Client that was attached began to attach anew."""
    told = [event["t"] for event in link.said(client.name, "changing")]
    attached = min((event["t"] for event in link.said(client.name, "attached")), default=float("inf"))
    again = [event["t"] for event in link.said(client.name, "attaching") if event["t"] > attached]
    return min([*told, *again], default=float("inf"))


def tunnelled(link: AeroLink) -> dict[str, int]:
    """ "c1–s1" -> octets of outer packets between two AERO nodes, counted where they were sent."""
    servers = {address: server.name for server in link.servers.values() for address in server.underlay}
    found: Counter[str] = Counter()
    for client in link.clients.values():
        far = [(one.outer.destination, one) for one in link.sent(client)]
        far += [(one.outer.source, one) for one in link.received(client)]
        for address, one in far:
            if address in servers:
                found[f"{client.name}–{servers[address]}"] += one.outer.size
    return dict(found)


def metrics(link: AeroLink) -> dict[str, object]:
    """Figures of an AERO run for verdict.json."""
    times = attach_times(link)
    return {
        "attach_ms": times,
        "attach_ms_median": round(median(times.values()), 3) if times else None,
        "tunnelled_bytes": tunnelled(link),
    }
