"""Reports that may leave the house: identities and addresses replaced by pseudonyms, everywhere alike (spec SEC-5).

Where a node was and is (RFC 8885 §6) shows in its identifier and link-layer address, in its prefixes, and in the
addresses of gateways. A pseudonym stands for one value in all of an export; nothing in the export leads back.
Names of the lab's nodes and times stay, so that a report can still be read.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from pathlib import Path

from captures import report
from captures.pcapng import CaptureError
from captures.run import Run

FOLDER = "redacted"
_MAC = re.compile(r"(?<![\w:])(?:[0-9a-f]{2}:){5}[0-9a-f]{2}(?![\w:])", re.IGNORECASE)
_NAI = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_IPV6 = re.compile(r"(?<![\w:.])[0-9a-f:]*:[0-9a-f:]*(?:\d+\.\d+\.\d+\.\d+)?(?![\w:])", re.IGNORECASE)
_IPV4 = re.compile(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w.])")
_UNTELLING = {"::", "::1"}


class Pseudonyms:
    """One name per value, by the order in which values turn up."""

    def __init__(self) -> None:
        self._known: dict[str, dict[str, str]] = {}

    def redact(self, text: str) -> str:
        """The text with identifiers, link-layer addresses and IP addresses replaced (prefix lengths stay)."""
        text = _NAI.sub(lambda found: self._name("node-id", found[0].lower()), text)
        text = _MAC.sub(lambda found: self._name("mac", found[0].lower()), text)
        text = _IPV6.sub(lambda found: self._address(found[0], IPv6Address), text)
        return _IPV4.sub(lambda found: self._address(found[0], IPv4Address), text)

    def _address(self, text: str, kind: Callable[[str], IPv4Address | IPv6Address]) -> str:
        try:
            address = str(kind(text.rstrip(":") if text.endswith(":") and not text.endswith("::") else text))
        except AddressValueError:
            return text  # a time of day, a version number
        if address in _UNTELLING:
            return text
        return self._name("address", address) + (":" if text.endswith(":") and not text.endswith("::") else "")

    def _name(self, kind: str, value: str) -> str:
        names = self._known.setdefault(kind, {})
        return names.setdefault(value, f"{kind}-{len(names) + 1}")


def export(run_dir: Path | str | Run) -> list[Path]:
    """Write redacted copies of a run's verdict and report into its folder `redacted`; their paths (CaptureError)."""
    run = run_dir if isinstance(run_dir, Run) else Run(run_dir)
    page = report.write(run)
    pseudonyms = Pseudonyms()
    written = []
    for source in (run.directory / "verdict.json", page):
        target = run.directory / FOLDER / source.name
        try:
            target.parent.mkdir(exist_ok=True)
            target.write_text(pseudonyms.redact(source.read_text()))
        except OSError as error:
            raise CaptureError(f"cannot write {target}: {error.strerror}") from error
        written.append(target)
    return written
