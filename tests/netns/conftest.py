"""Fixtures that several modules of kernel tests share."""

from two_gateways import kind, lab

__all__ = ["kind", "lab"]
