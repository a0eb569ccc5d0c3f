"""The AERO Server: relay in front of a DHCPv6 server, neighbor cache of its Clients, and router between them."""
