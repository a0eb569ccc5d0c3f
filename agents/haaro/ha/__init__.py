"""The home agent."""
