"""Rules of fields as JSON Schema: they allow what the service takes, and mean the same to every reader."""

from __future__ import annotations

import re
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from authz._proto.authz.v1 import authzen_pb2
from authz._proto.openfga.v1 import authzmodel_pb2, openfga_pb2
from authz._proto.openfga.v1 import openfga_service_pb2 as pb
from authz.http.openapi_rules import portable
from authz.http.openapi_schemas import Form, Schemas


def schema(message: Any, form: Form = Form.ASKED) -> Any:
    """The schema of a message."""
    schemas = Schemas()
    schemas.refer(message.DESCRIPTOR, form)
    return schemas.found[f"{message.DESCRIPTOR.full_name}{form.value}"]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        (r"^[^:#@\s]{1,254}$", r"^[^:#@\t\n\f\r ]{1,254}$"),
        (r"^[\w\d-]{1,36}$", "^[0-9A-Za-z_0-9-]{1,36}$"),
        (r"\s+[\s]", r"[\t\n\f\r ]+[\t\n\f\r ]"),
        (r"a\.b\[\s\]", r"a\.b\[[\t\n\f\r ]\]"),
        (r"\\s", r"\\s"),
    ],
)
def test_patterns(pattern: str, expected: str) -> None:
    """Classes that readers take for different characters are written out."""
    assert portable(pattern) == expected


@given(st.text(max_size=6))
def test_patterns_mean_the_same(text: str) -> None:
    """Where ASCII is all there is, the portable pattern matches what the other one matches."""
    for pattern in (r"^[^:#@\s]{1,4}\Z", r"^[\w\d-]{1,36}\Z", r"^\s*\Z"):
        # RE2 has no vertical tab among its white space.
        if "\x0b" not in text and not re.search("[\x1c-\x1f]", text):
            assert bool(re.search(pattern, text, re.ASCII)) == bool(re.search(portable(pattern), text))


def test_what_must_be_there() -> None:
    """What is refused when it is absent is required; all else may be absent, and null is as good."""
    asked = schema(pb.CheckRequest)
    assert asked["required"] == ["store_id", "tuple_key"]
    assert asked["properties"]["tuple_key"] == {"$ref": "#/components/schemas/openfga.v1.CheckRequestTupleKey"}
    assert {"type": "null"} in asked["properties"]["contextual_tuples"]["anyOf"]
    assert schema(pb.CheckRequestTupleKey)["required"] == ["user", "relation", "object"]
    assert schema(pb.ListUsersRequest)["required"] == ["store_id", "object", "relation", "user_filters"]


def test_bounds() -> None:
    """Numbers, lengths and counts."""
    asked = schema(pb.ReadRequest)["properties"]
    assert asked["page_size"] == {"type": ["integer", "null"], "format": "int32", "minimum": 1, "maximum": 100}
    assert asked["continuation_token"]["maxLength"] == 5120
    filters = schema(pb.ListUsersRequest)["properties"]["user_filters"]
    assert (filters["minItems"], filters["maxItems"]) == (1, 1)
    user = schema(pb.ListObjectsRequest)["properties"]["user"]
    assert (user["minLength"], user["maxLength"]) == (1, 512)


def test_choices() -> None:
    """One member of a choice at most, and exactly one where the interface says so."""
    answered = schema(pb.BatchCheckSingleResult, Form.ANSWERED_WHOLE)["oneOf"]
    assert answered[:2] == [{"required": ["allowed"]}, {"required": ["error"]}]
    assert answered[2] == {"properties": {"allowed": False, "error": False}}
    assert schema(openfga_pb2.Tuple, Form.ANSWERED_WHOLE)["required"] == ["key", "timestamp"]
    assert "oneOf" in schema(authzmodel_pb2.Userset)


def test_fields_that_are_not_checked() -> None:
    """Where no rule is looked at, none is told; `optional` is no choice."""
    asked = schema(authzen_pb2.EvaluationsRequest)["properties"]
    assert asked["subject"]["anyOf"][0] == {"$ref": "#/components/schemas/authz.v1.Subject.unchecked"}
    assert "required" not in schema(authzen_pb2.Subject, Form.UNCHECKED)
    answered = schema(authzen_pb2.EvaluationsResponse, Form.ANSWERED)
    assert "oneOf" not in answered
    assert "required" not in answered
