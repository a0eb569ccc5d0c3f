"""The AERO Client: a prefix by DHCPv6 through its Server, and a model of what to do with it."""
