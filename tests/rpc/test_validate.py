"""Validation messages: which field, which rule, which value; safe to show."""

from __future__ import annotations

import contextlib

import pytest
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st
from protovalidate import Validator

from authz._proto.openfga.v1 import authzmodel_pb2, openfga_pb2
from authz._proto.openfga.v1 import openfga_service_pb2 as pb
from authz.errors import InvalidRequest
from authz.rpc.reading import parse
from authz.rpc.validate import InvalidField, invalid_field, shown
from tests.rpc.support import UNKNOWN_ID

_ULID = "`^[ABCDEFGHJKMNPQRSTVWXYZ0-9]{26}$`"


def problem(message: Message) -> InvalidField | None:
    """The first broken rule of a message."""
    broken = Validator().collect_violations(message, fail_fast=True)
    return invalid_field(broken[0]) if broken else None


def check(**parts: str) -> pb.CheckRequest:
    """A check with one part changed."""
    key = {"user": "user:anne", "relation": "viewer", "object": "document:1"} | parts
    return pb.CheckRequest(store_id=UNKNOWN_ID, tuple_key=pb.CheckRequestTupleKey(**key))


def batch(correlation_id: str) -> pb.BatchCheckRequest:
    """A batch of one check."""
    item = pb.BatchCheckItem(tuple_key=check().tuple_key, correlation_id=correlation_id)
    return pb.BatchCheckRequest(store_id=UNKNOWN_ID, checks=[item])


def conditions(**condition: str) -> pb.WriteAuthorizationModelRequest:
    """A model with one condition."""
    return pb.WriteAuthorizationModelRequest(
        store_id=UNKNOWN_ID,
        type_definitions=[authzmodel_pb2.TypeDefinition(type="user")],
        conditions={"c": authzmodel_pb2.Condition(**condition)},
    )


@pytest.mark.parametrize(
    ("message", "text", "reason"),
    [
        (pb.GetStoreRequest(store_id="x y"), f"`store_id` does not match regex pattern {_ULID}: got `x y`", ""),
        (pb.GetStoreRequest(store_id="a`\n"), "got `a'\\n`", ""),
        (pb.CheckRequest(store_id=UNKNOWN_ID), "`tuple_key` is required", "tuple_key_value_not_specified"),
        (check(user=""), "`tuple_key.user`", ""),
        (check(object="document 1"), "`tuple_key.object`", "object_invalid_pattern"),
        (batch("ä"), "`checks[0].correlation_id`", ""),
        (batch("a" * 37), "`checks[0].correlation_id`", ""),
        (batch(""), "`checks[0].correlation_id`", ""),
        (conditions(name="c", expression="é" * 257), "`conditions[c].expression`", ""),
        (pb.CreateStoreRequest(name="a\u00a0b"), "`name`", ""),
        (
            pb.ListObjectsRequest(store_id=UNKNOWN_ID, type="a:b", relation="r", user="u:1"),
            "`type`",
            "type_invalid_pattern",
        ),
    ],
)
def test_a_broken_rule_is_explained(message: Message, text: str, reason: str) -> None:
    """
    The message names path, rule and value; the reason is OpenFGA's code for it.
    """
    found = problem(message)
    assert found is not None
    assert text in found.message
    assert (reason or "validation_error") == found.field_reason


@pytest.mark.parametrize(
    "message",
    [
        check(user="user:a\u00a0b"),
        check(user="é" * 512),
        check(object="é" * 256),
        batch("a-1_B"),
        conditions(name="c", expression="é" * 256),
        pb.ReadRequest(store_id=UNKNOWN_ID, continuation_token="YWJj=="),
        pb.WriteRequest(
            store_id=UNKNOWN_ID,
            writes=pb.WriteRequestWrites(tuple_keys=[openfga_pb2.TupleKey(user="é" * 256)]),
        ),
    ],
)
def test_patterns_count_characters_and_sizes_count_bytes(message: Message) -> None:
    r"""
    `\s` and `\w` are ASCII as in RE2, lengths in patterns are characters, sizes are bytes of UTF-8.
    """
    assert problem(message) is None


@given(st.text())
def test_shown_text_is_safe(text: str) -> None:
    """
    Whatever a caller sends, what is shown is short and printable, and cannot end the quotation.
    """
    safe = shown(text)
    assert safe.isprintable()
    assert "`" not in safe
    assert len(safe) <= 64 * 10 + 1


@given(st.binary(max_size=200))
def test_any_bytes_parse_or_are_refused(payload: bytes) -> None:
    """
    Bytes that are not the message are a clear error.
    """
    with contextlib.suppress(InvalidRequest):
        assert isinstance(parse(pb.CheckRequest, payload), pb.CheckRequest)
