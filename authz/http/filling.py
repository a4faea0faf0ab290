"""Messages out of JSON: the other way round than `printing`. Used by `reading`.

The mapping is that of protobuf's JSON, held to the letter: `json_format` takes a list or a text for an object without
members, an unknown name of an enum for an unknown field, and a field under both of its names for the later one, so that
who makes a mistake is answered as if he had said nothing. One function is made for each field, once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from google.protobuf.descriptor import FieldDescriptor as Field
from google.protobuf.json_format import ParseDict, ParseError

from authz.errors import Bug, InvalidRequest
from authz.rpc.validate import shown

MAX_DEPTH = 96
"""How deeply JSON may be nested. Of a message protobuf reads a hundred levels, and what is taken in here must come out
again in messages that hold it a little deeper."""

Put = Callable[[Any, Any, str, int], None]
"""Puts a value into a message, given its place in the request and how deep that is."""
Convert = Callable[[Any, str], Any]
"""Makes a scalar of a value."""

_WHOLE = frozenset({Field.CPPTYPE_INT32, Field.CPPTYPE_INT64, Field.CPPTYPE_UINT32, Field.CPPTYPE_UINT64})
_DIGITS = re.compile(r"-?[0-9]{1,20}", re.ASCII)


def fill(message: Any, members: Mapping[str, Any]) -> None:
    """Put the members of an object into a message. Those that it does not know are ignored, and so is null.

    Raises:
        InvalidRequest: a value is of the wrong kind, or a field is there under two names.

    """
    try:
        _fill(message, members, "", 0)
    except UnicodeEncodeError:
        raise InvalidRequest("the request has half of a character") from None


def _fill(message: Any, members: Mapping[str, Any], place: str, depth: int) -> None:
    _check_depth(depth)
    known = _fields(message.DESCRIPTOR)
    seen: set[str] = set()
    for name, value in members.items():
        found = known.get(name)
        if found is None:
            continue
        field, choice, put = found
        if field in seen:
            raise InvalidRequest(f"`{place}{field}` is there under two names")
        seen.add(field)
        if value is None:
            continue
        if choice:
            if choice in seen:
                raise InvalidRequest(f"`{place}{field}` and another member exclude each other")
            seen.add(choice)
        put(message, value, f"{place}{field}", depth)


def _check_depth(depth: int) -> None:
    if depth >= MAX_DEPTH:
        raise InvalidRequest("the request is nested too deeply")


@cache
def _fields(descriptor: Any) -> dict[str, tuple[str, str, Put]]:
    """Name, `oneof` and function of the fields, by each of their names."""
    found = {}
    for field in descriptor.fields:
        oneof = field.containing_oneof
        choice = "" if oneof is None else f"oneof {oneof.name}"
        found[field.name] = found[field.json_name] = (field.name, choice, _put(field))
    return found


def _put(field: Any) -> Put:
    inner = field.message_type
    if inner is not None and inner.GetOptions().map_entry:
        return _put_map(field.name, inner.fields_by_name["value"])
    if field.is_repeated:
        return _put_list(field)
    if inner is not None:
        return _put_message(field.name, _into(inner))
    return _put_scalar(field.name, _scalar(field))


def _put_scalar(name: str, convert: Convert) -> Put:
    def put(message: Any, value: Any, place: str, _depth: int) -> None:
        try:
            setattr(message, name, convert(value, place))
        except UnicodeEncodeError:
            raise
        except ValueError:
            raise InvalidRequest(f"`{place}` is out of range: got `{shown(str(value))}`") from None

    return put


def _put_message(name: str, into: Put) -> Put:
    def put(message: Any, value: Any, place: str, depth: int) -> None:
        held = getattr(message, name)
        held.SetInParent()
        into(held, value, place, depth + 1)

    return put


def _put_list(field: Any) -> Put:
    name = field.name
    into = None if field.message_type is None else _into(field.message_type)
    convert = _scalar(field) if into is None else None

    def put(message: Any, value: Any, place: str, depth: int) -> None:
        if not isinstance(value, list):
            raise InvalidRequest(f"`{place}` must be a list")
        held = getattr(message, name)
        for number, each in enumerate(value):
            if each is None and into is not _into_value:
                raise InvalidRequest(f"`{place}[{number}]` must not be null")
            if into is not None:
                into(held.add(), each, f"{place}[{number}]", depth + 1)
            elif convert is not None:
                held.append(convert(each, f"{place}[{number}]"))

    return put


def _put_map(name: str, kind: Any) -> Put:
    into = None if kind.message_type is None else _into(kind.message_type)
    convert = _scalar(kind) if into is None else None

    def put(message: Any, value: Any, place: str, depth: int) -> None:
        if not isinstance(value, dict):
            raise InvalidRequest(f"`{place}` must be an object")
        held = getattr(message, name)
        for key, each in value.items():
            where = f"{place}[{shown(key)}]"
            if each is None:
                raise InvalidRequest(f"`{where}` must not be null")
            if into is not None:
                into(held[key], each, where, depth + 1)
            elif convert is not None:
                held[key] = convert(each, where)

    return put


def _into(descriptor: Any) -> Put:
    known = _WELL_KNOWN.get(descriptor.full_name)
    if known is not None:
        return known
    return _into_scalar if descriptor.full_name.startswith("google.protobuf.") else _into_message


def _into_message(message: Any, value: Any, place: str, depth: int) -> None:
    if not isinstance(value, dict):
        raise InvalidRequest(f"`{place}` must be an object")
    _fill(message, value, f"{place}.", depth)


def _into_scalar(message: Any, value: Any, place: str, _depth: int) -> None:
    """Times and wrapped scalars, whose forms `json_format` knows."""
    try:
        ParseDict(value, message)
    except (ParseError, ValueError, TypeError):
        name = message.DESCRIPTOR.name.removesuffix("Value").lower()
        raise InvalidRequest(f"`{place}` is no {name}: got `{shown(str(value))}`") from None


def _into_struct(message: Any, value: Any, place: str, depth: int) -> None:
    if not isinstance(value, dict):
        raise InvalidRequest(f"`{place}` must be an object")
    _check_depth(depth)
    fields = message.fields
    for key, each in value.items():
        _into_value(fields[key], each, place, depth + 1)


def _into_value(message: Any, value: Any, place: str, depth: int) -> None:
    kind = type(value)
    if kind is str:
        message.string_value = value
    elif kind is dict:
        message.struct_value.SetInParent()
        _into_struct(message.struct_value, value, place, depth)
    elif kind is list:
        message.list_value.SetInParent()
        _into_list(message.list_value, value, place, depth)
    elif value is None:
        message.null_value = 0
    elif kind is bool:
        message.bool_value = value
    else:
        message.number_value = value


def _into_list(message: Any, value: Any, place: str, depth: int) -> None:
    if not isinstance(value, list):
        raise InvalidRequest(f"`{place}` must be a list")
    _check_depth(depth)
    add = message.values.add
    for each in value:
        _into_value(add(), each, place, depth + 1)


_WELL_KNOWN: dict[str, Put] = {
    "google.protobuf.Struct": _into_struct,
    "google.protobuf.Value": _into_value,
    "google.protobuf.ListValue": _into_list,
}


def _scalar(field: Any) -> Convert:
    if field.enum_type is not None:
        return _enum(field.enum_type)
    if field.type == Field.TYPE_STRING:
        return _text
    if field.type == Field.TYPE_BOOL:
        return _truth
    if field.cpp_type in _WHOLE:
        return _whole
    raise Bug(f"there is no JSON form of the field `{field.full_name}` here")


def _enum(enum: Any) -> Convert:
    numbers = {value.name: value.number for value in enum.values}
    known = frozenset(numbers.values())

    def convert(value: Any, place: str) -> int:
        number = numbers.get(value) if isinstance(value, str) else value
        if type(number) is not int or number not in known:
            raise InvalidRequest(f"`{place}` has no value `{shown(str(value))}`")
        return number

    return convert


def _text(value: Any, place: str) -> str:
    if not isinstance(value, str):
        raise InvalidRequest(f"`{place}` must be a text")
    return value


def _truth(value: Any, place: str) -> bool:
    if not isinstance(value, bool):
        raise InvalidRequest(f"`{place}` must be true or false")
    return value


def _whole(value: Any, place: str) -> int:
    is_text = isinstance(value, str) and _DIGITS.fullmatch(value) is not None
    is_whole = type(value) is int or (isinstance(value, float) and value.is_integer())
    if not is_text and not is_whole:
        raise InvalidRequest(f"`{place}` must be a whole number: got `{shown(str(value))}`")
    return int(value)
