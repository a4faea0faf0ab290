"""JSON values and times. Called by the other conversions and the handlers."""

from __future__ import annotations

from datetime import UTC, datetime
from math import isfinite

from google.protobuf.struct_pb2 import Struct, Value
from google.protobuf.timestamp_pb2 import Timestamp

from authz.errors import InvalidRequest
from authz.tuples import JsonValue

MAX_DEPTH = 30
"""Levels of objects and lists within a context. An object is three levels of a message, of which protobuf reads a
hundred: whatever is taken in over JSON must fit into every binary request and answer that can hold it."""

_SHOWN = 100


def context_of(struct: Struct, where: str = "context") -> dict[str, JsonValue]:
    """A context as a plain value.

    Raises:
        InvalidRequest: NaN, an infinity or too many levels; the message names the key path, which begins with `where`.

    """
    return {key: _plain(value, (where, key)) for key, value in struct.fields.items()}


def struct_of(context: dict[str, JsonValue]) -> Struct:
    """A plain context as a message."""
    struct = Struct()
    struct.update(context)
    return struct


def timestamp_of(moment: datetime) -> Timestamp:
    """A moment in UTC as a message, to the microsecond."""
    timestamp = Timestamp()
    timestamp.FromDatetime(moment)
    return timestamp


def moment_of(timestamp: Timestamp) -> datetime:
    """A message as a moment in UTC; fractions of a microsecond are cut off.

    Raises:
        InvalidRequest: outside the years 1 to 9999.

    """
    try:
        return timestamp.ToDatetime(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise InvalidRequest("`start_time` is not a time between the years 1 and 9999") from None


def _plain(value: Value, path: tuple[str, ...]) -> JsonValue:
    match value.WhichOneof("kind"):
        case "string_value":
            return value.string_value
        case "bool_value":
            return value.bool_value
        case "number_value":
            return _number(value.number_value, path)
        case "struct_value":
            _check_depth(path)
            return {key: _plain(member, (*path, key)) for key, member in value.struct_value.fields.items()}
        case "list_value":
            _check_depth(path)
            return [_plain(member, (*path, str(index))) for index, member in enumerate(value.list_value.values)]
        case _:
            return None


def _number(number: float, path: tuple[str, ...]) -> float:
    if not isfinite(number):
        raise InvalidRequest(f"`{_shown(path)}` is {number}: a context holds finite numbers only")
    return number


def _check_depth(path: tuple[str, ...]) -> None:
    if len(path) - 1 > MAX_DEPTH:  # the first part of a path is the context itself
        raise InvalidRequest(f"`{_shown(path)}` is nested deeper than {MAX_DEPTH} levels")


def _shown(path: tuple[str, ...]) -> str:
    text = ".".join(path)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
