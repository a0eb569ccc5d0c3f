"""Doctored runs: a registry of Worlds with exactly one thing wrong, and decoding them all at little cost."""

from dataclasses import replace

from synthetic import World

from captures.decode import decode_all
from captures.pcapng import ENHANCED_PACKET, blocks
from captures.records import Capture

MODES = ("direct", "relay", "locator", "proxy")
DOCTORED = {}
"""name -> (mode, doctor, check, id of the result, expected outcome, text expected in `measured`)."""


def doctored(check, result, text, outcome=False, mode="direct"):
    """Register a function that makes the doctored World."""

    def register(function):
        DOCTORED[f"{function.__name__}-{mode}"] = (mode, function, check, result, outcome, text)
        return function

    return register


def tweaked(mode, prefix, **changes):
    """A run in which every message or RA whose tag starts so has these fields changed (callables get the old)."""

    def tweak(tag, fields):
        if not tag.startswith(prefix):
            return fields
        return {**fields, **{k: v(fields) if callable(v) else v for k, v in changes.items()}}

    return World(mode, tweak)


def without(mode, prefix):
    """A run in which messages or RAs whose tag starts so were never sent."""
    return World(mode, lambda tag, fields: None if tag.startswith(prefix) else fields)


def decode_together(root, jobs):
    """Decode many captures in four tshark runs: pcapng sections can follow each other in one file."""
    parts = [jobs[n::4] for n in range(4)]
    for number, part in enumerate(parts):
        (root / f"{number}.pcapng").write_bytes(b"".join(data for *_, data in part))
    listed = [(f"{number}.pcapng", "", "") for number in range(4)]
    decoded = {}
    for part, whole in zip(parts, decode_all(root, listed), strict=True):
        first = 1
        for name, file, data in part:
            last = first + sum(1 for kind, *_ in blocks(data) if kind == ENHANCED_PACKET)
            capture = Capture(f"pcap/{file}.pcapng", *file.split("-"))
            for kind in ("packets", "mobility", "advertisements"):
                here = [one for one in getattr(whole, kind) if first <= one.number < last]
                moved = [replace(one, file=capture.file, number=one.number - first + 1) for one in here]
                setattr(capture, kind, moved)
            decoded[name, file] = capture
            first = last
    return decoded
