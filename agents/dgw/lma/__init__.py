"""The Local Mobility Anchor of classic Proxy Mobile IPv6 (RFC 5213): one anchor for every node, in the data path."""
