"""Fixtures that several modules of kernel tests share."""

from access_gateway import gateway
from two_gateways import kind, lab

__all__ = ["gateway", "kind", "lab"]
