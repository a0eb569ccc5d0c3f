"""BGP of AERO Servers and Relays: the program that ExaBGP runs, and an agent's end of the line to it (spec §8)."""
