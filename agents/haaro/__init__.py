"""HAARO: Mobile IPv4 networks that find the direct path (RFC 6521)."""
