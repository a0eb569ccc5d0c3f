"""Checks of an AERO link: attachment, NAT views, encapsulation, fragmentation, reachability."""

from captures.checks.aero import attach, bgp, duplicates, encapsulation, fallback, fragments, nat, pings, relays, tuning

__all__ = ["attach", "bgp", "duplicates", "encapsulation", "fallback", "fragments", "nat", "pings", "relays", "tuning"]
