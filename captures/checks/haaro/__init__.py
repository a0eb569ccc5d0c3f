"""Checks of HAARO: registrations, advertisements, return routability, direct tunnels, paths."""

from captures.checks.haaro import advertising, paths, peers, registration, routability, tunnels

__all__ = ["advertising", "paths", "peers", "registration", "routability", "tunnels"]
