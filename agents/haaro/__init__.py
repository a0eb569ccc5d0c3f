"""HAARO, home agent assisted route optimisation of mobile networks (RFC 6521): sans-IO cores, shells, data plane."""
