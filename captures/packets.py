"""What scapy layers of options and extensions have in common."""

from __future__ import annotations

from scapy.packet import Packet


class Part(Packet):  # type: ignore[misc, unused-ignore]
    """One of several in a list: what follows belongs to the next one."""

    def extract_padding(self, s: bytes) -> tuple[bytes, bytes]:
        """Give the rest back."""
        return b"", s
