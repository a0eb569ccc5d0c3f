"""Registry of doctored AERO runs: one thing wrong in each, and the result that must say so."""

from functools import partial

DOCTORED = {}
"""name -> (what makes the run, entry of lab.json's checks, id of the result, expected outcome, text in `measured`)."""


def doctored(entry, result, text, outcome=False, **parameters):
    """Register a function that makes the doctored World; `entry` is a check's entry, `parameters` change it."""

    def register(function):
        assert function.__name__ not in DOCTORED, function.__name__
        DOCTORED[function.__name__] = (function, {**entry, **parameters}, result, outcome, text)
        return function

    return register


def spoilt(world, tag, **changes):
    """`world` with the fields of what has this tag changed (callables get the old value)."""

    def tweak(one, fields):
        if one != tag:
            return fields
        return {**fields, **{k: v(fields[k]) if callable(v) else v for k, v in changes.items()}}

    return world(tweak)


def without(world, *tags):
    """`world` without the frames and events whose tags start so."""
    gone = lambda one: one.startswith(tags) and ("@" in one or one.startswith("event:"))  # noqa: E731
    return world(lambda one, fields: None if gone(one) else fields)


def entry_of(checks, name):
    """An entry of lab.json's checks by its name."""
    return next(one for one in checks if one["check"] == name)


def replaced(old, new):
    """A change of octets: every occurrence."""
    return partial(_replaced, old, new)


def _replaced(old, new, octets):
    assert old in octets, (old, octets)
    return octets.replace(old, new)
