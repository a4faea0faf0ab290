"""Answers as JSON, held against the library's own printer."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import orjson
import pytest
from google.protobuf import descriptor_pool, json_format, message_factory
from google.protobuf.descriptor import FieldDescriptor as Field
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import ListValue, Struct, Value
from hypothesis import given

from authz._proto.authz.v1 import authzen_pb2
from authz._proto.openfga.v1 import openfga_service_pb2 as pb
from authz.errors import Bug
from authz.http.printing import printer_of
from authz.http.routes import routes_of
from authz.rpc.methods import METHODS

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
numbers = st.floats(allow_nan=False, allow_infinity=False)
values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
SCALARS: dict[int, st.SearchStrategy[Any]] = {
    Field.CPPTYPE_STRING: texts,
    Field.CPPTYPE_BOOL: st.booleans(),
    Field.CPPTYPE_INT32: st.integers(-(2**31), 2**31 - 1),
    Field.CPPTYPE_UINT32: st.integers(0, 2**32 - 1),
    Field.CPPTYPE_INT64: st.integers(-(2**63), 2**63 - 1),
    Field.CPPTYPE_UINT64: st.integers(0, 2**64 - 1),
    Field.CPPTYPE_DOUBLE: numbers,
}
DEEPEST = 4


def _answers() -> list[Any]:
    pool = descriptor_pool.Default()
    methods = {route.method.path: route.method for route in routes_of(METHODS)}.values()
    return [pool.FindServiceByName(each.service).FindMethodByName(each.name).output_type for each in methods]


@st.composite
def messages(draw: st.DrawFn, descriptor: Any, depth: int = 0) -> Message:
    """A message of a type, with any of its fields set."""
    message: Any = message_factory.GetMessageClass(descriptor)()
    if descriptor.full_name == "google.protobuf.Struct":
        json_format.ParseDict(draw(st.dictionaries(texts, values, max_size=3)), message)
    elif descriptor.full_name == "google.protobuf.ListValue":
        json_format.ParseDict(draw(st.lists(values, max_size=3)), message)  # type: ignore[arg-type]
    elif descriptor.full_name == "google.protobuf.Timestamp":
        message.FromNanoseconds(draw(st.integers(0, 4_000_000_000 * 10**9)))
    else:
        for field in descriptor.fields:
            if depth < DEEPEST and draw(st.booleans()):
                draw(_filling(message, field, depth + 1))
    filled: Message = message
    return filled


@st.composite
def _filling(draw: st.DrawFn, message: Any, field: Any, depth: int) -> None:
    held = field.message_type
    if held is not None and held.GetOptions().map_entry:
        kind = held.fields_by_name["value"]
        for key in draw(st.lists(texts, max_size=2)):
            if kind.message_type is None:
                getattr(message, field.name)[key] = draw(_scalar(kind))
            else:
                getattr(message, field.name)[key].CopyFrom(draw(messages(kind.message_type, depth)))
    elif field.is_repeated:
        one = _scalar(field) if held is None else messages(held, depth)
        getattr(message, field.name).extend(draw(st.lists(one, max_size=2)))
    elif held is None:
        setattr(message, field.name, draw(_scalar(field)))
    else:
        getattr(message, field.name).CopyFrom(draw(messages(held, depth)))


def _scalar(field: Any) -> st.SearchStrategy[Any]:
    if field.enum_type is not None:
        return st.sampled_from([value.number for value in field.enum_type.values])
    return SCALARS[field.cpp_type]


def printed(message: Message, *, shows_unset: bool) -> Any:
    """What our printer makes of a message."""
    return orjson.loads(printer_of(message.DESCRIPTOR, shows_unset=shows_unset)(message))  # type: ignore[arg-type]


def without_unset(descriptor: Any, found: Any) -> Any:
    """JSON without the messages that are shown as null because they are not set."""
    if descriptor.full_name.startswith("google.protobuf."):
        return found
    kept = {}
    for field in descriptor.fields:
        key, held = field.json_name, field.message_type
        if key not in found:
            continue
        value = found[key]
        is_single = held is not None and not field.is_repeated
        if is_single and value is None and field.containing_oneof is None:
            continue
        if held is None:
            kept[key] = value
        elif held.GetOptions().map_entry:
            inner = held.fields_by_name["value"].message_type
            kept[key] = {name: without_unset(inner, each) if inner else each for name, each in value.items()}
        elif field.is_repeated:
            kept[key] = [without_unset(held, each) for each in value]
        else:
            kept[key] = without_unset(held, value)
    return kept


@pytest.mark.parametrize("descriptor", _answers(), ids=lambda each: each.full_name)
def test_as_the_library_prints(descriptor: Any) -> None:
    """With zero values and without null, every answer is printed as protobuf's own JSON."""

    @given(messages(descriptor))
    def hold(message: Message) -> None:
        expected = json_format.MessageToDict(message, always_print_fields_with_no_presence=True)
        assert printed(message, shows_unset=False) == expected
        shown = printed(message, shows_unset=True)
        assert set(shown) >= set(expected)
        assert without_unset(descriptor, shown) == expected

    hold()


def test_what_is_not_set() -> None:
    """Scalars and lists are there, messages are null or absent, members of a choice are absent."""
    store = pb.GetStoreResponse(id="1")
    assert printed(store, shows_unset=True) == {
        "id": "1",
        "name": "",
        "created_at": None,
        "updated_at": None,
        "deleted_at": None,
    }
    assert printed(store, shows_unset=False) == {"id": "1", "name": ""}
    assert printed(pb.ListObjectsResponse(), shows_unset=True) == {"objects": []}
    assert printed(pb.BatchCheckResponse(), shows_unset=True) == {"result": {}}
    single = pb.BatchCheckResponse(result={"a": pb.BatchCheckSingleResult()})
    assert printed(single, shows_unset=True) == {"result": {"a": {}}}
    assert printed(authzen_pb2.EvaluationsResponse(), shows_unset=False) == {}
    assert printed(authzen_pb2.EvaluationResponse(), shows_unset=False) == {"decision": False}


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (1.0, b"1"),
        (-0.0, b"0"),
        (0.1, b"0.1"),
        (2.0**53, b"9007199254740992.0"),
        (1e300, b"1e+300"),
        (float("nan"), b'"NaN"'),
        (float("inf"), b'"Infinity"'),
        (float("-inf"), b'"-Infinity"'),
    ],
)
def test_numbers(number: float, expected: bytes) -> None:
    """Whole numbers are printed as such; what JSON lacks is printed as a text; nothing loses its value."""
    message = Struct(fields={"x": Value(number_value=number)})
    assert printer_of(Struct.DESCRIPTOR, shows_unset=True)(message) == b'{"x":' + expected + b"}"


def test_values_of_no_kind() -> None:
    """A value that says nothing is null, also within lists."""
    message = Struct(fields={"x": Value(list_value=ListValue(values=[Value()]))})
    assert printer_of(Struct.DESCRIPTOR, shows_unset=True)(message) == b'{"x":[null]}'


def test_what_has_no_form() -> None:
    """A type whose JSON form is not known here is found when the service starts, not when it answers."""
    with pytest.raises(Bug, match="no JSON form"):
        printer_of(descriptor_pool.Default().FindMessageTypeByName("google.protobuf.Any"), shows_unset=True)
