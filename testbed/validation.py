"""Closed validation of labs: an option nobody knows, or a value that cannot be, is one line naming the place."""

from __future__ import annotations

import difflib
import ipaddress
import re
from collections.abc import Callable, Iterable, Mapping, Sequence

Check = Callable[[object], str | None]
"""Returns None for a good value, else what was expected."""

_MAC = re.compile(r"[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}")
_INTERFACE = re.compile(r"[^\s/:%]{1,15}")
_SYSCTL = re.compile(r"net[./][\w./-]+")


class LabError(Exception):
    """What is wrong with a lab or this machine, in one line a user can act upon."""


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known name most like word, or None when nothing is near."""
    matches = difflib.get_close_matches(word, sorted(known), n=1, cutoff=0.6)
    return matches[0] if matches else None


def unknown(what: str, word: str, known: Iterable[str]) -> str:
    """Return "unknown WHAT 'word'" followed by the nearest valid name, or by all of them."""
    names = sorted(known)
    guess = nearest(word, names)
    hint = f"did you mean {guess!r}?" if guess else f"valid: {', '.join(names) or 'none'}"
    return f"unknown {what} {word!r} ({hint})"


def check_options(where: str, given: Mapping[str, object], schema: Mapping[str, Check]) -> None:
    """Raise LabError for the first option of given that is not in schema or whose value its check refuses.

    where names file and place, such as "labs/basic.py: node dgw1".
    """
    for key, value in given.items():
        check = schema.get(key)
        if check is None:
            raise LabError(f"{where}: {unknown('option', key, schema)}")
        expected = check(value)
        if expected is not None:
            raise LabError(f"{where}: {key} must be {expected}, not {value!r}")


def one_of(*choices: str) -> Check:
    """Check that a value is one of the choices."""
    return lambda value: None if value in choices else f"one of {', '.join(choices)}"


def anything(_value: object) -> str | None:
    """Accept every value."""
    return None


def text(value: object) -> str | None:
    """Check for a string that is not empty."""
    return None if isinstance(value, str) and value else "a name"


def flag(value: object) -> str | None:
    """Check for True or False."""
    return None if isinstance(value, bool) else "True or False"


def number(low: float, high: float, unit: str = "") -> Check:
    """Check for a number between low and high, or None (not set)."""
    expected = f"a number from {low:g} to {high:g}{unit and ' ' + unit}"

    def check(value: object) -> str | None:
        if value is None:
            return None
        good = isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high
        return None if good else expected

    return check


def integer(low: int, high: int) -> Check:
    """Check for a whole number between low and high, or None (not set)."""

    def check(value: object) -> str | None:
        good = value is None or (isinstance(value, int) and not isinstance(value, bool) and low <= value <= high)
        return None if good else f"a whole number from {low} to {high}"

    return check


def mac(value: object) -> str | None:
    """Check for a unicast MAC address, or None (chosen by the testbed)."""
    if value is None:
        return None
    good = isinstance(value, str) and _MAC.fullmatch(value) and not int(value[:2], 16) & 1
    return None if good else "a unicast MAC address such as 02:00:00:00:00:11"


def interface_name(value: object) -> str | None:
    """Check for a name the kernel accepts for an interface (1 to 15 characters)."""
    good = isinstance(value, str) and _INTERFACE.fullmatch(value) and value not in (".", "..", "lo")
    return None if good else "an interface name of 1 to 15 characters"


def address(value: object) -> str | None:
    """Check for an address with its prefix length, such as 2001:db8::1/64."""
    try:
        ipaddress.ip_interface(str(value))
    except ValueError:
        return "an address with prefix length such as 2001:db8::1/64"
    return None if isinstance(value, str) and "/" in value else "an address with prefix length"


def addresses(value: object) -> str | None:
    """Check for a list of addresses with prefix lengths."""
    if not isinstance(value, Sequence) or isinstance(value, str):
        return "a list of addresses such as ['2001:db8::1/64']"
    return next((problem for item in value if (problem := address(item))), None)


def routes(value: object) -> str | None:
    """Check for a list of (destination, via): via is an address, address%interface or an interface."""
    expected = "a list of (destination, via) such as [('default', '2001:db8::1')]"
    if not isinstance(value, Sequence) or isinstance(value, str):
        return expected
    for item in value:
        if not (isinstance(item, Sequence) and len(item) == 2 and all(isinstance(part, str) for part in item)):
            return expected
        destination, via = item
        family = _family(via.partition("%")[0])
        if family is None and interface_name(via) is not None:
            return f"routed via an address or interface ({via!r} is neither)"
        if destination == "default":
            continue
        try:
            network = ipaddress.ip_network(destination)
        except ValueError:
            return f"a route to 'default' or a prefix ({destination!r} is neither, or has host bits set)"
        if family not in (None, network.version):
            return f"routed via an address of the destination's family ({destination!r} via {via!r})"
    return None


def sysctls(value: object) -> str | None:
    """Check for a mapping of net.* names to values; others are not the node's own but the machine's."""
    good = isinstance(value, Mapping) and all(map(_sysctl, value.items()))
    return None if good else "a mapping of net.* sysctls to values"


def _sysctl(item: tuple[object, object]) -> bool:
    name, value = item
    named = isinstance(name, str) and _SYSCTL.fullmatch(name) is not None and ".." not in name
    return named and isinstance(value, str | int)


def _family(word: str) -> int | None:
    try:
        return ipaddress.ip_address(word).version
    except ValueError:
        return None
