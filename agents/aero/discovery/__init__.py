"""Neighbor Discovery on the AERO link: reachability, path sizes, and other encapsulations (spec §2.10, §3.5, §6.7)."""
