"""Messages out of JSON, held against the library's own reader."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import pytest
from google.protobuf import json_format
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct, Value
from hypothesis import given

from authz._proto.authz.v1 import authzen_pb2
from authz._proto.openfga.v1 import authzmodel_pb2
from authz._proto.openfga.v1 import openfga_service_pb2 as pb
from authz.errors import Bug, InvalidRequest
from authz.http.filling import MAX_DEPTH, fill
from authz.http.routes import routes_of
from authz.rpc.methods import METHODS
from tests.http.test_printing import messages, values

REQUESTS: dict[str, Any] = {route.method.request.DESCRIPTOR.name: route.method.request for route in routes_of(METHODS)}


def filled(type_: type[Message], members: Any) -> Any:
    """The message that an object means."""
    message = type_()
    fill(message, members)
    return message


@pytest.mark.parametrize("name", REQUESTS)
def test_as_the_library_reads(name: str) -> None:
    """Every request that the library prints is read as it was, by either names of its fields."""
    type_ = REQUESTS[name]

    @given(messages(type_.DESCRIPTOR), st.booleans(), st.booleans())
    def hold(message: Message, keeps_names: bool, shows_zero: bool) -> None:
        members = json_format.MessageToDict(
            message, preserving_proto_field_name=keeps_names, always_print_fields_with_no_presence=shows_zero
        )
        assert filled(type_, members) == message
        members |= {
            "": None,
            "no_such_member": [{}],
            **dict.fromkeys(set(message.DESCRIPTOR.fields_by_name) - set(members)),
        }
        assert filled(type_, members) == json_format.ParseDict(members, type_(), ignore_unknown_fields=True)

    hold()


@given(st.dictionaries(st.text(max_size=3), values, max_size=4), st.lists(values, max_size=4))
def test_values_of_any_kind(members: dict[str, Any], listed: list[Any]) -> None:
    """What is JSON is kept as it is; whole numbers and others are the same kind."""
    body = {"context": members, "evaluations": listed}
    expected = json_format.ParseDict(body, authzen_pb2.EvaluationsRequest())
    assert filled(authzen_pb2.EvaluationsRequest, body) == expected


def test_kinds_of_numbers() -> None:
    """Whole numbers may come as such, as decimals without a fraction, or as texts."""
    wrong: tuple[Any, ...] = (7.5, "7.0", "x", "", " 7", "\uff17", True, [7], {}, 2**31, -(2**31) - 1, "9" * 20, 1e300)
    for number in (7, 7.0, "7"):
        assert filled(authzen_pb2.PageRequest, {"limit": number}).limit == 7
    for number in wrong:
        with pytest.raises(InvalidRequest, match="`limit`"):
            filled(authzen_pb2.PageRequest, {"limit": number})


def test_null() -> None:
    """It is as good as nothing, but a value of its own where any value may stand, and no member of a list or map."""
    assert filled(pb.CheckRequest, dict.fromkeys(pb.CheckRequest.DESCRIPTOR.fields_by_name)) == pb.CheckRequest()
    assert filled(Struct, {}) == Struct()
    body: dict[str, Any] = {"evaluations": [None, {"a": None}]}
    found = filled(authzen_pb2.EvaluationsRequest, body)
    assert json_format.MessageToDict(found) == body
    for wrong in ({"type_definitions": [None]}, {"conditions": {"a": None}}):
        with pytest.raises(InvalidRequest, match="must not be null"):
            filled(pb.WriteAuthorizationModelRequest, wrong)


def test_members_of_a_choice() -> None:
    """Two exclude each other, unless one is null."""
    with pytest.raises(InvalidRequest, match="exclude each other"):
        filled(authzmodel_pb2.Userset, {"this": {}, "union": {}})
    assert filled(authzmodel_pb2.Userset, {"this": {}, "union": None}).WhichOneof("userset") == "this"


@pytest.mark.parametrize("kind", [dict, list])
def test_how_deep(kind: type) -> None:
    """Levels are counted in a message and in its values together."""
    for depth, is_fine in ((MAX_DEPTH - 3, True), (MAX_DEPTH + 1, False), (MAX_DEPTH * 8, False)):
        nested: Any = 1
        for _ in range(depth):
            nested = {"a": nested} if kind is dict else [nested]
        if is_fine:
            assert filled(pb.CheckRequest, {"context": {"x": nested}}).context.fields
            continue
        with pytest.raises(InvalidRequest, match="nested too deeply"):
            filled(pb.CheckRequest, {"context": {"x": nested}})


def test_what_is_taken_in_comes_out_again() -> None:
    """The deepest model that is read from JSON can be read by every client of the binary interface."""
    rewrite: dict[str, Any] = {"this": {}}
    model = None
    for levels in range(MAX_DEPTH):
        members = {"type_definitions": [{"type": "doc", "relations": {"viewer": rewrite}}]}
        try:
            model = filled(pb.WriteAuthorizationModelRequest, members)
        except InvalidRequest:
            assert levels > 40
            break
        rewrite = {"union": {"child": [rewrite]}}
    assert model is not None
    answer = pb.ReadAuthorizationModelsResponse()
    answer.authorization_models.add().type_definitions.extend(model.type_definitions)
    assert type(answer).FromString(answer.SerializeToString()) == answer


def test_what_has_no_form() -> None:
    """A kind of field that is not read here is a mistake of ours."""
    with pytest.raises(Bug, match="no JSON form"):
        filled(Value, {"number_value": 1.0})
