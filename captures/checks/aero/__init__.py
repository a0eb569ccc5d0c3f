"""Checks of an AERO link: attachment, NAT views, encapsulation, fragmentation, reachability."""

from captures.checks.aero import attach, encapsulation, fallback, fragments, nat, pings, tuning

__all__ = ["attach", "encapsulation", "fallback", "fragments", "nat", "pings", "tuning"]
