"""Read a request off HTTP: its path, its query, and its body. Used by `calls` once the caller is known.

JSON is held to RFC 8259 and I-JSON: a name that stands twice in an object is refused, for two readers could make two
different requests of it; so are numbers that JSON lacks. Unknown fields are ignored, as OpenFGA ignores them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn
from urllib.parse import parse_qsl

import orjson

from authz._proto.openfga.v1 import openfga_service_pb2 as pb
from authz.errors import InvalidRequest
from authz.http.filling import fill
from authz.rpc.validate import shown

if TYPE_CHECKING:
    from google.protobuf.message import Message

MAX_PARAMETERS = 100
"""How many parameters a query may have."""

_MOST_DIGITS = 300
"""So many fit into a float."""
_WRAPPERS = frozenset(f"google.protobuf.{name}Value" for name in ("Bool", "Int32", "Int64", "String", "UInt32"))
_SCALARS = frozenset({"google.protobuf.Timestamp", "google.protobuf.Duration", *_WRAPPERS})
_PLAIN_KEY = {"user", "relation", "object"}


class Target(NamedTuple):
    """What the URL of a request says."""

    fields: Mapping[str, str]
    query: bytes


def read_body(type_: type[Message], payload: bytes, fields: Mapping[str, str]) -> Message:
    """A message whose members are in the body, but for those that the path gives.

    Raises:
        InvalidRequest: the body is no such message.

    """
    return _filled(type_, _loads(payload, type_.DESCRIPTOR.name), fields)


def read_query(type_: type[Message], target: Target) -> Message:
    """A message whose members are in the query, but for those that the path gives.

    Raises:
        InvalidRequest: the query is no such message.

    """
    try:
        pairs = parse_qsl(
            target.query.decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=MAX_PARAMETERS,
        )
    except ValueError:  # UnicodeDecodeError among them
        raise InvalidRequest(f"the query is not UTF-8, or has more than {MAX_PARAMETERS} parameters") from None
    members: dict[str, Any] = {}
    for name, value in pairs:
        _put(type_.DESCRIPTOR, members, name, value)
    return _filled(type_, members, target.fields)


def read_check(type_: type[Message], payload: bytes, fields: Mapping[str, str]) -> Message:
    """A check, by a shorter way when it is a plain one: a tuple key, perhaps a model, and nothing else.

    Raises:
        InvalidRequest: as `read_body`.

    """
    plain = _plain_check(payload)
    if plain is None:
        return read_body(type_, payload, fields)
    key, model = plain
    return pb.CheckRequest(
        store_id=fields["store_id"], tuple_key=pb.CheckRequestTupleKey(**key), authorization_model_id=model
    )


def _plain_check(payload: bytes) -> tuple[dict[str, str], str] | None:
    try:
        found = orjson.loads(payload)
        key = found.pop("tuple_key")
        model = found.pop("authorization_model_id", None)
        texts = [*key.values()] if model is None else [*key.values(), model]
        if found or key.keys() != _PLAIN_KEY or not all(type(each) is str for each in texts):
            return None
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
    # A name that stood twice would have left more quotation marks behind than these texts have.
    names = 4 if model is None else 5
    if payload.count(b'"') != 2 * (names + len(texts)) or b"\\" in payload:
        return None
    return key, model or ""


def _loads(payload: bytes, name: str) -> dict[str, Any]:
    try:
        found = json.loads(
            payload.decode(), object_pairs_hook=_object, parse_constant=_no_constant, parse_float=_float, parse_int=_int
        )
    except UnicodeDecodeError:
        raise InvalidRequest("the body is not UTF-8") from None
    except RecursionError:
        raise InvalidRequest("the body is nested too deeply") from None
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise InvalidRequest(f"the body is not JSON: {error.msg.lower()} at {place}") from None
    if not isinstance(found, dict):
        raise InvalidRequest(f"the body is not a `{name}`: it is no JSON object")
    return found


def _object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise InvalidRequest(f"the body has the name `{shown(twice)}` twice in one object")
    return found


def _float(text: str) -> float:
    found = float(text)
    if math.isinf(found):
        raise InvalidRequest("the body has a number that is too large")
    return found


def _int(text: str) -> int:
    if len(text) > _MOST_DIGITS:
        raise InvalidRequest("the body has a number that is too large")
    return int(text)


def _no_constant(text: str) -> NoReturn:
    raise InvalidRequest(f"the body is not JSON: there is no number `{text}`")


def _filled(type_: type[Message], members: dict[str, Any], fields: Mapping[str, str]) -> Message:
    request = type_()
    for name in fields:
        members.pop(name, None)
    fill(request, members)
    for name, value in fields.items():
        setattr(request, name, value)
    return request


def _put(descriptor: Any, members: dict[str, Any], name: str, value: str) -> None:
    """Put a parameter into the members of a message: `a.b=1` is the member `b` of the member `a`."""
    first, dot, rest = name.partition(".")
    field = descriptor.fields_by_name.get(first)
    if field is None:
        return
    inner = field.message_type
    if dot:
        if inner is None or field.is_repeated or inner.full_name in _SCALARS:
            raise InvalidRequest(f"there is no parameter `{shown(name)}`")
        _put(inner, members.setdefault(first, {}), rest, value)
        return
    if inner is not None and inner.full_name not in _SCALARS:
        raise InvalidRequest(f"the parameter `{shown(name)}` has no form as a text")
    read = _reader(field)
    if field.is_repeated:
        members.setdefault(first, []).append(read(value))
    elif first in members:
        raise InvalidRequest(f"the parameter `{shown(name)}` is given twice")
    else:
        members[first] = read(value)


def _reader(field: Any) -> Callable[[str], Any]:
    is_bool = field.message_type is None and field.type == field.TYPE_BOOL
    if is_bool or (field.message_type is not None and field.message_type.full_name == "google.protobuf.BoolValue"):
        return lambda text: {"true": True, "false": False}.get(text, text)
    # `filling` reads numbers and names of enums from texts.
    return lambda text: text
