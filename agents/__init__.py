"""Protocol agents: sans-IO cores per family and what they share (codecs, runtime, kernel effects)."""
