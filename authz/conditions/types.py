"""Parameter types: how a JSON value of each becomes a CEL value. Called by compile (decode) and condition (convert).

The conversions are those of OpenFGA, except that a number out of range is refused instead of clamped or made infinite.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isfinite

from cel_expr_python import cel

from authz.conditions import literals
from authz.conditions.networks import ADDRESS_TYPE, parse_address
from authz.errors import InvalidModel
from authz.tuples import JsonValue

_LONGEST_SHOWN = 60
_DEEPEST_JSON = 100  # the nesting that protobuf itself allows; deeper values would exhaust the stack


class ConversionError(ValueError):
    """A context value that its parameter's type does not admit; the message is fit for the caller."""


@dataclass(frozen=True, slots=True)
class ParameterType:
    """The declared type of a condition parameter."""

    name: str
    """`any`, `bool`, `string`, `int`, `uint`, `double`, `duration`, `timestamp`, `ipaddress`, `list` or `map`."""
    cel_type: cel.Type
    convert: Callable[[JsonValue], object]
    """JSON value to CEL value; raises `ConversionError`."""
    is_sized: bool
    """Whether values can be arbitrarily large."""
    element: ParameterType | None = None
    """What a list or a map holds; map keys are strings."""

    def __str__(self) -> str:
        return f"{self.name}<{self.element}>" if self.element else self.name


def describe(value: JsonValue) -> str:
    """A value as messages show it: JSON in ASCII, cut short."""
    if isinstance(value, dict):
        return "a map"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, str):
        return f"`{json.dumps(value[:_LONGEST_SHOWN])}`" + (" (cut)" if len(value) > _LONGEST_SHOWN else "")
    if isinstance(value, int) and value.bit_length() > 128:
        return "a huge number"
    return f"`{json.dumps(value)}`"


def _refuse(expected: str, value: JsonValue) -> ConversionError:
    return ConversionError(f"expected {expected}, found {describe(value)}")


def _bool(value: JsonValue) -> bool:
    if isinstance(value, bool):
        return value
    raise _refuse("bool", value)


def _string(value: JsonValue) -> str:
    if isinstance(value, str) and literals.is_text(value):
        return value
    raise _refuse("string", value)


def _integer(value: JsonValue, expected: str, bounds: tuple[int, int]) -> int:
    number: int | None = None
    if isinstance(value, str):
        number = literals.parse_integer(value, bounds)
    elif isinstance(value, bool):
        pass
    elif isinstance(value, int):
        number = value
    elif isinstance(value, float) and value.is_integer():
        number = int(value)
    if number is None or not bounds[0] <= number <= bounds[1]:
        raise _refuse(expected, value)
    return number


def _int(value: JsonValue) -> int:
    return _integer(value, "int", literals.INT_RANGE)


def _uint(value: JsonValue) -> int:
    return _integer(value, "uint", literals.UINT_RANGE)


def _double(value: JsonValue) -> float:
    number: float | None = None
    if isinstance(value, str):
        number = literals.parse_double(value)
    elif isinstance(value, bool):
        pass
    elif isinstance(value, float):
        number = value if isfinite(value) else None
    elif isinstance(value, int):
        number = _nearest_double(value)
    if number is None:
        raise _refuse("double", value)
    return number


def _nearest_double(value: int) -> float | None:
    try:
        return float(value)
    except OverflowError:
        return None


def _duration(value: JsonValue) -> object:
    duration = literals.parse_duration(value) if isinstance(value, str) else None
    if duration is None:
        raise _refuse("duration", value)
    return duration


def _timestamp(value: JsonValue) -> object:
    timestamp = literals.parse_timestamp(value) if isinstance(value, str) else None
    if timestamp is None:
        raise _refuse("timestamp", value)
    return timestamp


def _ipaddress(value: JsonValue) -> object:
    address = parse_address(value) if isinstance(value, str) else None
    if address is None:
        raise _refuse("ipaddress", value)
    return address


def _any(value: JsonValue) -> object:
    """Any JSON value as it is; numbers are doubles, as in `google.protobuf.Value`."""
    return _any_nested(value, _DEEPEST_JSON)


def _any_nested(value: JsonValue, depth: int) -> object:
    if isinstance(value, str):
        return _string(value)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, (int, float)):
        return _double(value)
    if depth == 0:
        raise ConversionError("expected any, found a value nested too deeply")
    if isinstance(value, list):
        return [_any_nested(item, depth - 1) for item in value]
    return {_string(key): _any_nested(item, depth - 1) for key, item in value.items()}


def _list_of(element: ParameterType) -> ParameterType:
    convert = element.convert

    def convert_list(value: JsonValue) -> object:
        if not isinstance(value, list):
            raise _refuse(f"list<{element}>", value)
        return [convert(item) for item in value]

    return ParameterType("list", cel.Type.List(element.cel_type), convert_list, is_sized=True, element=element)


def _map_of(element: ParameterType) -> ParameterType:
    convert = element.convert

    def convert_map(value: JsonValue) -> object:
        if not isinstance(value, dict):
            raise _refuse(f"map<{element}>", value)
        return {_string(key): convert(item) for key, item in value.items()}

    cel_type = cel.Type.Map(cel.Type.STRING, element.cel_type)
    return ParameterType("map", cel_type, convert_map, is_sized=True, element=element)


_PLAIN: dict[str, ParameterType] = {
    "TYPE_NAME_ANY": ParameterType("any", cel.Type.DYN, _any, is_sized=True),
    "TYPE_NAME_BOOL": ParameterType("bool", cel.Type.BOOL, _bool, is_sized=False),
    "TYPE_NAME_STRING": ParameterType("string", cel.Type.STRING, _string, is_sized=True),
    "TYPE_NAME_INT": ParameterType("int", cel.Type.INT, _int, is_sized=False),
    "TYPE_NAME_UINT": ParameterType("uint", cel.Type.UINT, _uint, is_sized=False),
    "TYPE_NAME_DOUBLE": ParameterType("double", cel.Type.DOUBLE, _double, is_sized=False),
    "TYPE_NAME_DURATION": ParameterType("duration", cel.Type.DURATION, _duration, is_sized=False),
    "TYPE_NAME_TIMESTAMP": ParameterType("timestamp", cel.Type.TIMESTAMP, _timestamp, is_sized=False),
    "TYPE_NAME_IPADDRESS": ParameterType("ipaddress", ADDRESS_TYPE, _ipaddress, is_sized=False),
}
_GENERIC: dict[str, Callable[[ParameterType], ParameterType]] = {"TYPE_NAME_LIST": _list_of, "TYPE_NAME_MAP": _map_of}


def decode_type(reference: JsonValue) -> ParameterType:
    """The type that a `ConditionParamTypeRef` names, in its JSON form with proto field names.

    Raises:
        InvalidModel: unknown type, or element types that are missing, superfluous or generic themselves.
    """
    name = reference.get("type_name") if isinstance(reference, Mapping) else None
    generics = (reference.get("generic_types") or []) if isinstance(reference, Mapping) else []
    if not isinstance(name, str) or not isinstance(generics, list) or (name not in _PLAIN and name not in _GENERIC):
        raise InvalidModel(f"unknown type {describe(name)}")
    if name in _PLAIN:
        if generics:
            raise InvalidModel(f"type `{_PLAIN[name]}` takes no element type")
        return _PLAIN[name]
    kind = name.removeprefix("TYPE_NAME_").lower()
    if len(generics) != 1:
        raise InvalidModel(f"type `{kind}` takes one element type, found {len(generics)}")
    element = decode_type(generics[0])
    if element.element is not None:
        raise InvalidModel(f"type `{kind}<{element}>` nests too deeply: elements must be plain")
    return _GENERIC[name](element)
