"""AERO on the wire: its own decoder, which shares nothing with the agents' codecs."""
