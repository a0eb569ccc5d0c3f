"""Doctored runs: a registry of Worlds with exactly one thing wrong, and decoding them all at little cost."""

from dataclasses import replace

import synthetic_wire as wire
from synthetic import World

from captures.decode import decode_all
from captures.records import Capture
from captures.run import Run

MODES = ("direct", "relay", "locator", "proxy")
KINDS = ("packets", "mobility", "advertisements")
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
    """Decode the captures of many runs, each different frame once: doctored runs share nearly all of theirs.

    jobs: (name, capture, [(time, octets)]); returns (name, capture) -> Capture.
    """
    unique = list(dict.fromkeys(frame for *_, frames in jobs for frame in frames))
    parts = [unique[n::4] for n in range(4)]
    for number, part in enumerate(parts):
        (root / f"{number}.pcapng").write_bytes(wire.pcapng(part))
    read = decode_all(root, [(f"{number}.pcapng", "", "") for number in range(4)])
    records = {}
    for part, whole in zip(parts, read, strict=True):
        for kind in KINDS:
            for one in getattr(whole, kind):
                records.setdefault(part[one.number - 1], []).append((kind, one))
    return {(name, capture): _assembled(capture, frames, records) for name, capture, frames in jobs}


def _assembled(name, frames, records):
    """A capture out of frames that were decoded elsewhere."""
    capture = Capture(f"pcap/{name}.pcapng", *name.split("-"))
    for number, frame in enumerate(frames, 1):
        for kind, one in records.get(frame, []):
            getattr(capture, kind).append(replace(one, file=capture.file, number=number))
    return capture


def runs_of(root, worlds):
    """name -> Run of each World, their captures decoded together."""
    jobs = [(name, file, frames) for name, world in worlds.items() for file, frames in world.by_capture().items()]
    decoded = decode_together(root, jobs)
    return {
        name: Run(world.write(root / name, only=()), [decoded[name, file] for file in world.capture_names()])
        for name, world in worlds.items()
    }
