"""Distributed anchoring: D-GW and CMD on PMIPv6, with DLIFs (RFC 8885 and the draft before it)."""
