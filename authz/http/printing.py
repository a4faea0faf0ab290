"""Messages as JSON, as clients of OpenFGA expect them. Used by `answers`.

The mapping is that of protobuf's JSON with the JSON names that the interface declares. Fields without presence are
printed also when they are zero or empty. A message that is not set is `null` in answers of OpenFGA's service, whose
gateway prints it so, and absent elsewhere; members of a `oneof` that are not set are absent. One function is made for
each type of message, once: that halves the cost against `json_format`, which looks every field up each time.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Iterable
from functools import cache
from typing import TYPE_CHECKING, Any

import orjson
from google.protobuf.descriptor import FieldDescriptor as Field

from authz.errors import Bug

if TYPE_CHECKING:
    from google.protobuf.descriptor import Descriptor, EnumDescriptor
    from google.protobuf.message import Message

    from authz.tuples import JsonValue

Print = Callable[[Any], Any]

_LARGE = frozenset({Field.CPPTYPE_INT64, Field.CPPTYPE_UINT64})
_FLOATS = frozenset({Field.CPPTYPE_DOUBLE, Field.CPPTYPE_FLOAT})
_EXACT = 2.0**53


def printer_of(descriptor: Descriptor, *, shows_unset: bool) -> Callable[[Message], bytes]:
    """How messages of a type become JSON.

    Args:
        descriptor: the type.
        shows_unset: whether messages that are not set are printed as null.

    """
    convert = _message_printer(descriptor, shows_unset)

    def to_json(message: Message) -> bytes:
        return orjson.dumps(convert(message))

    return to_json


@cache
def _message_printer(descriptor: Descriptor, shows_unset: bool) -> Print:  # noqa: FBT001 - a key of the cache
    known = _WELL_KNOWN.get(descriptor.full_name)
    if known is not None:
        return known
    if descriptor.full_name.startswith("google.protobuf."):
        raise Bug(f"there is no JSON form of `{descriptor.full_name}` here")
    steps: list[Callable[[Any, dict[str, Any]], None]] | None = None

    def convert(message: Any) -> dict[str, JsonValue]:
        nonlocal steps
        if steps is None:  # not before: a type may hold messages of its own kind
            steps = [_step(field, shows_unset) for field in descriptor.fields]
        printed: dict[str, JsonValue] = {}
        for step in steps:
            step(message, printed)
        return printed

    return convert


def _step(field: Field, shows_unset: bool) -> Callable[[Any, dict[str, Any]], None]:  # noqa: FBT001 - as above
    """Prints one field into an object."""
    name, is_repeated = field.name, field.is_repeated
    key = field.json_name
    if is_repeated and field.message_type is not None and field.message_type.GetOptions().map_entry:
        value = _value_printer(field.message_type.fields_by_name["value"], shows_unset)

        def as_map(message: Any, into: dict[str, Any]) -> None:
            into[key] = {_key(key): value(each) for key, each in getattr(message, name).items()}

        return as_map
    one = _value_printer(field, shows_unset)
    if is_repeated:

        def as_list(message: Any, into: dict[str, Any]) -> None:
            into[key] = [one(each) for each in getattr(message, name)]

        return as_list
    if not field.has_presence:

        def always(message: Any, into: dict[str, Any]) -> None:
            into[key] = one(getattr(message, name))

        return always
    as_null = shows_unset and field.message_type is not None and field.containing_oneof is None

    def when_set(message: Any, into: dict[str, Any]) -> None:
        if message.HasField(name):
            into[key] = one(getattr(message, name))
        elif as_null:
            into[key] = None

    return when_set


def _value_printer(field: Field, shows_unset: bool) -> Print:  # noqa: FBT001 - as above
    if field.message_type is not None:
        return _message_printer(field.message_type, shows_unset)
    if field.enum_type is not None:
        return _enum_printer(field.enum_type)
    if field.type == Field.TYPE_BYTES:
        return lambda raw: base64.b64encode(raw).decode()
    if field.cpp_type in _LARGE:
        return str
    if field.cpp_type in _FLOATS:
        return _number
    return _same


def _enum_printer(enum: EnumDescriptor) -> Print:
    names = {number: value.name for number, value in enum.values_by_number.items()}
    return lambda number: names.get(number, number)


def _same(value: Any) -> Any:
    return value


def _key(key: Any) -> str:
    if isinstance(key, bool):
        return "true" if key else "false"
    return str(key)


def _number(value: float) -> float | int | str:
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
    return int(value) if value.is_integer() and abs(value) < _EXACT else value


def _struct(message: Any) -> dict[str, Any]:
    return {key: _value(each) for key, each in message.fields.items()}


def _value(message: Any) -> Any:
    kind = message.WhichOneof("kind")
    if kind == "struct_value":
        return _struct(message.struct_value)
    if kind == "list_value":
        return _list(message.list_value)
    if kind is None or kind == "null_value":
        return None
    found = getattr(message, kind)
    return _number(found) if kind == "number_value" else found


def _list(message: Any) -> list[Any]:
    return [_value(each) for each in message.values]


def _moment(message: Any) -> str:
    text: str = message.ToJsonString()
    return text


def _wrappers(names: Iterable[str]) -> dict[str, Print]:
    found: dict[str, Print] = {}
    for name in names:
        convert: Print = str if "64" in name else _same
        found[f"google.protobuf.{name}Value"] = _unwrapping(convert)
    return found


def _unwrapping(convert: Print) -> Print:
    return lambda message: convert(message.value)


_WELL_KNOWN: dict[str, Print] = {
    "google.protobuf.Struct": _struct,
    "google.protobuf.Value": _value,
    "google.protobuf.ListValue": _list,
    "google.protobuf.Timestamp": _moment,
    "google.protobuf.Duration": _moment,
    **_wrappers(("Bool", "Int32", "UInt32", "Int64", "UInt64", "String")),
}
