"""Numbers all nodes of an AERO link agree on (spec §10); seconds and octets unless named otherwise."""

from __future__ import annotations

from ipaddress import IPv6Address

AERO_PORT = 8060
GUE_PORT = 6080
DHCP_CLIENT_PORT, DHCP_SERVER_PORT = 546, 547
ALL_DHCP_SERVERS = IPv6Address("ff02::1:2")
"""All_DHCP_Relay_Agents_and_Servers, inner destination of a Client's DHCPv6 messages."""

ACCEPT_TIME, FORWARD_TIME, KEEPALIVE_TIME = 40.0, 30.0, 5.0
MAX_RETRY = 3
RETRANS_TIMER = 1.0
MAX_NEIGHBOR_ADVERTISEMENT = 3
SERVER_KEEPALIVE_NAT, SERVER_KEEPALIVE = 20.0, 30.0
"""A Client's silence towards its Server, behind a NAT and not (spec CLI-9)."""

OUTER_TTL = 64
ND_HOP_LIMIT = 255
REDIRECT_HOP_LIMIT = 8

GUARANTEED = 1500
"""Inner packets up to this size always get through (spec §3.1)."""
WHOLE = 1280
"""Inner packets up to this size are sent whole without proof."""
SPLIT = 1024
"""Octets of the inner packet in the first fragment (spec §3.2)."""
SMALLEST_PART = 256
MAX_PARTS = 8
MAX_PROBES, PROBE_INTERVAL, CONFIRM_INTERVAL, RAISE_INTERVAL = 3, 1.0, 60.0, 600.0
REASSEMBLY_TIME = 60.0
REASSEMBLY_PER_NEIGHBOR, REASSEMBLY_PER_NODE = 64, 4096
REASSEMBLY_CAP = 9216
DPD_WINDOW, DPD_AGE = 1024, 15.0
FALLBACK_TIME = 600.0
"""Until a failed encapsulation is tried again (spec ENC-9)."""
DEPART_TIME = 10.0
"""Seconds that a Server passes packets for a departed Client on (spec MOB-9)."""
