"""Labs of the distributed-anchoring family (D-GW, DLIF), and what they share."""
