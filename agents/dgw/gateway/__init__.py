"""The distributed gateway: plain router, MAG and LMA at once, per node and prefix (spec §1)."""
