"""HAARO as its captures show it: records of packets on UDP 434 and of what tunnels carry."""
