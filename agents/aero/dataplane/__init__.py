"""The AERO data plane: from inner packets to the underlay and back, as fast as plain Python allows (spec §2, §3)."""
