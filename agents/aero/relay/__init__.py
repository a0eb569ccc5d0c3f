"""The AERO Relay: permanent neighbors, routes by BGP, and nothing known of any Client (spec RLY-*)."""
