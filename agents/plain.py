"""Dataclasses to plain JSON-able data and back: configurations, saved state, `inspect` answers.

`build(Config, {...})` is closed: an unknown or missing key, or a value of the wrong kind, is a `PlainError`
that names the place (`gateway.peers[1].address`), what was found, and the nearest valid key.
"""

from __future__ import annotations

import dataclasses
import difflib
import enum
import ipaddress
import types
import typing
from collections.abc import Mapping
from functools import cache, lru_cache
from typing import Any, TypeVar

T = TypeVar("T")
SECRET = {"secret": True}
"""Metadata of a dataclass field whose content no message may show (spec SEC-5)."""

_TEXTUAL = (
    ipaddress.IPv4Address,
    ipaddress.IPv6Address,
    ipaddress.IPv4Network,
    ipaddress.IPv6Network,
)
_AS_IT_IS = frozenset({str, int, float, bool, types.NoneType})


class PlainError(ValueError):
    """Plain data that does not fit; the message is one line: place, fault, remedy."""


def plain(value: Any) -> Any:
    """`value` as dictionaries, lists, strings, numbers, booleans and None."""
    kind: type = type(value)
    if kind in _AS_IT_IS:
        return value
    if kind in _TEXTUAL:
        return _text(value)
    names = _field_names(kind)
    if names is not None:
        return {name: plain(getattr(value, name)) for name in names}
    if isinstance(value, enum.Enum):
        return value.name.lower()
    if isinstance(value, Mapping):
        return {str(plain(k)): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(v) for v in value]
    if isinstance(value, bytes):
        return value.hex()
    return value


# State is written down before every answer: what would be worked out again each time is remembered.
@cache
def _field_names(kind: type) -> tuple[str, ...] | None:
    return tuple(f.name for f in dataclasses.fields(kind)) if dataclasses.is_dataclass(kind) else None


@lru_cache(maxsize=4096)
def _text(value: Any) -> str:
    return str(value)


def build(kind: type[T], data: Any, place: str = "configuration") -> T:
    """An instance of `kind` from plain data; PlainError names what does not fit and where."""
    result: T = _convert(kind, data, place)
    return result


def _convert(kind: Any, data: Any, place: str) -> Any:
    origin = typing.get_origin(kind)
    if origin in (typing.Union, types.UnionType):
        return _union(kind, data, place)
    if origin in (list, tuple, set, frozenset):
        if not isinstance(data, list):
            raise PlainError(f"{place}: expected a list, found {data!r}")
        inner = typing.get_args(kind)[0]
        return origin(_convert(inner, item, f"{place}[{i}]") for i, item in enumerate(data))
    if origin is dict:
        if not isinstance(data, dict):
            raise PlainError(f"{place}: expected an object, found {data!r}")
        key, inner = typing.get_args(kind)
        return {_key(key, k, place): _convert(inner, v, f"{place}.{k}") for k, v in data.items()}
    if origin is typing.Literal:
        if data not in typing.get_args(kind):
            choices = ", ".join(str(c) for c in typing.get_args(kind))
            raise PlainError(f"{place}: {data!r} is not one of {choices}")
        return data
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return _dataclass(kind, data, place)
    return _scalar(kind, data, place)


def _key(kind: Any, text: str, place: str) -> Any:
    if kind is int and text.lstrip("-").isdigit():  # JSON knows only textual keys
        return int(text)
    return _convert(kind, text, place)


def _union(kind: Any, data: Any, place: str) -> Any:
    kinds = [k for k in typing.get_args(kind) if k is not type(None)]
    if data is None and len(kinds) < len(typing.get_args(kind)):
        return None
    if len(kinds) == 1:
        return _convert(kinds[0], data, place)
    for candidate in kinds:
        try:
            return _convert(candidate, data, place)
        except PlainError:
            continue
    raise PlainError(f"{place}: {data!r} fits none of {kind}")


def _scalar(kind: Any, data: Any, place: str) -> Any:
    if kind is Any:
        return data
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        if isinstance(data, str) and data.upper() in kind.__members__:
            return kind[data.upper()]
        raise PlainError(f"{place}: {data!r} is not one of {', '.join(m.lower() for m in kind.__members__)}")
    if kind is float and isinstance(data, int) and not isinstance(data, bool):
        return float(data)
    if kind is bytes and isinstance(data, str):
        try:
            return bytes.fromhex(data)
        except ValueError as error:
            raise PlainError(f"{place}: {data!r} is not hexadecimal") from error
    if kind in _TEXTUAL and isinstance(data, str):
        try:
            return kind(data)
        except ValueError as error:
            raise PlainError(f"{place}: {error}") from error
    if isinstance(data, kind) and not (isinstance(data, bool) and kind is not bool):
        return data
    raise PlainError(f"{place}: expected {kind.__name__}, found {data!r}")


def _field(field: dataclasses.Field[Any], kind: Any, data: Any, place: str) -> Any:
    try:
        return _convert(kind, data, place)
    except PlainError as error:
        if not field.metadata.get("secret"):
            raise
        where = str(error).partition(": ")[0]
        raise PlainError(f"{where}: does not fit; what it holds is secret and not shown") from None


@cache
def _hints(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _dataclass(kind: type, data: Any, place: str) -> Any:
    if not isinstance(data, dict):
        raise PlainError(f"{place}: expected an object, found {data!r}")
    fields = {f.name: f for f in dataclasses.fields(kind) if f.init}
    for key in data:
        if key not in fields:
            near = difflib.get_close_matches(key, fields, n=1)
            raise PlainError(f"{place}: unknown key '{key}'" + (f", did you mean '{near[0]}'?" if near else ""))
    missing = [
        name
        for name, f in fields.items()
        if name not in data and f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise PlainError(f"{place}: missing key '{missing[0]}'")
    hints = _hints(kind)
    try:
        return kind(**{k: _field(fields[k], hints[k], v, f"{place}.{k}") for k, v in data.items()})
    except PlainError:
        raise
    except ValueError as error:
        raise PlainError(f"{place}: {error}") from error
