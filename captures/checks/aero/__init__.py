"""Checks of an AERO link: attachment, NAT views, encapsulation, fragmentation, reachability."""

from captures.checks.aero import attach, duplicates, encapsulation, fallback, fragments, nat, pings, sweep, tuning

__all__ = ["attach", "duplicates", "encapsulation", "fallback", "fragments", "nat", "pings", "sweep", "tuning"]
