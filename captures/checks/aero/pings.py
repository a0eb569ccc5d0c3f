"""Check "aero-pings": what the script's pings did on the wire, end to end."""
