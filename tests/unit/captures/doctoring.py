"""Doctored runs: a registry of Worlds with exactly one thing wrong, and decoding them all at little cost.

tshark takes a third of a second to start, and made-up runs share nearly all their frames: what one test had decoded,
the next one is given.
"""

from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import synthetic_wire as wire
from synthetic import World

from captures.decode import decode_all
from captures.records import Capture
from captures.run import Run

MODES = ("direct", "relay", "locator", "proxy")
KINDS = ("packets", "mobility", "advertisements")
KNOWN = {}
"""(time, octets) of a frame -> [(kind of record, record)]: what the real decoder made of it."""
FRAMES_A_PASS = 5000
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


def learn(frames):
    """Have those frames decoded that never were before, all together."""
    new = [frame for frame in dict.fromkeys(frames) if frame not in KNOWN]
    if not new:
        return
    passes = 1 + len(new) // FRAMES_A_PASS
    parts = [new[n::passes] for n in range(passes)]
    with TemporaryDirectory() as root:
        for number, part in enumerate(parts):
            Path(root, f"{number}.pcapng").write_bytes(wire.pcapng(part))
        read = decode_all(Path(root), [(f"{number}.pcapng", "", "") for number in range(passes)])
    KNOWN.update((frame, []) for frame in new)
    for part, whole in zip(parts, read, strict=True):
        for kind in KINDS:
            for one in getattr(whole, kind):
                KNOWN[part[one.number - 1]].append((kind, one))


def decode_together(jobs):
    """Decode the captures of many runs.

    jobs: (name, capture, [(time, octets)]); returns (name, capture) -> Capture.
    """
    learn(frame for *_, frames in jobs for frame in frames)
    return {(name, capture): assembled(capture, frames) for name, capture, frames in jobs}


def assembled(name, frames):
    """A capture out of frames that were decoded before."""
    capture = Capture(f"pcap/{name}.pcapng", *name.split("-"))
    for number, frame in enumerate(frames, 1):
        for kind, one in _placed(frame, capture.file, number):
            getattr(capture, kind).append(one)
    return capture


@cache
def _placed(frame, file, number):
    """The records of a frame at its place in a capture: the same in most runs."""
    return [(kind, replace(one, file=file, number=number)) for kind, one in KNOWN[frame]]


def run_of(world, directory):
    """The Run of one World, as if its captures had been written there and read again."""
    return Run(world.write(directory, only=()), _captures(world))


class Prepared:
    """Right runs of all modes and doctored ones; of these only captures that differ from the right one are decoded."""

    def __init__(self, root, world_of, registry):
        """`world_of`: mode -> World; `registry`: name -> (mode, its doctor, ...)."""
        base, jobs, self._directories = {}, [], {}
        for mode in MODES:
            world = world_of(mode)
            self._directories[mode], base[mode] = world.write(root / mode, only=()), world.by_capture()
            jobs += [(mode, file, frames) for file, frames in base[mode].items()]
        for name, (mode, doctor, *_) in registry.items():
            world = doctor(mode)
            self._directories[name] = world.write(root / name, only=())
            jobs += [(name, file, frames) for file, frames in world.by_capture().items() if frames != base[mode][file]]
        self._files = World.capture_names()
        self._decoded = decode_together(jobs)

    def run(self, name, mode):
        captures = [self._decoded.get((name, file)) or self._decoded[mode, file] for file in self._files]
        return Run(self._directories[name], captures)


def runs_of(root, worlds):
    """name -> Run of each World, their captures decoded together."""
    learn(frame for world in worlds.values() for frames in world.by_capture().values() for frame in frames)
    return {name: run_of(world, root / name) for name, world in worlds.items()}


def _captures(world):
    decoded = decode_together([("", file, frames) for file, frames in world.by_capture().items()])
    return [decoded["", file] for file in world.capture_names()]
