"""Labs of AERO: Clients behind NATs and not, Servers with their own Kea."""
