"""Conversion between messages and plain values loses nothing."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.json_format import ParseDict
from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from authz._proto.openfga.v1 import openfga_pb2
from authz._proto.openfga.v1 import openfga_service_pb2 as pb
from authz._proto.openfga.v1.authzmodel_pb2 import AuthorizationModel
from authz.errors import EntityLimitExceeded, InvalidRequest
from authz.rpc.convert.answers import batch_result, user_message
from authz.rpc.convert.models import body_of, model_message
from authz.rpc.convert.tuples import change_message, tuple_key_message, tuple_of
from authz.rpc.convert.values import MAX_DEPTH, context_of, moment_of, struct_of, timestamp_of
from authz.store.api import Change, ModelRecord, Operation
from authz.tuples import JsonValue, RelationshipCondition, RelationshipTuple
from tests.rpc.support import UNKNOWN_ID
from tests.support.conformance import conformance_dir

_TEXT = st.text(st.characters(codec="utf-8"))
_JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | _TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXT, inner, max_size=4),
    max_leaves=12,
)
_FOLDER = conformance_dir()
_MODELS = sorted(_FOLDER.glob("dsl/transformer*/*/authorization-model.json")) if _FOLDER else []


@given(st.dictionaries(_TEXT, _JSON, max_size=4))
def test_contexts_survive(context: dict[str, JsonValue]) -> None:
    """
    A context is the same after the way through a message.
    """
    assert context == context_of(Struct.FromString(struct_of(context).SerializeToString()))


def test_a_value_without_a_kind_is_null() -> None:
    """
    A value that says nothing is null.
    """
    struct = Struct()
    struct.fields["empty"].SetInParent()
    assert context_of(struct) == {"empty": None}


def test_levels_are_bounded() -> None:
    """
    As many levels as allowed pass, one more is refused with its path.
    """
    for levels in (MAX_DEPTH, MAX_DEPTH + 1):
        value: JsonValue = True
        for _ in range(levels):
            value = {"k": value}
        struct = struct_of({"top": value})
        if levels == MAX_DEPTH:
            assert {"top": value} == context_of(struct)
            continue
        with pytest.raises(InvalidRequest, match=r"context\.top\.k\.k"):
            context_of(struct)


def test_the_deepest_context_fits_everywhere() -> None:
    """
    Every request and answer that can hold a context can be read with the deepest one in it.
    """
    value: JsonValue = True
    for _ in range(MAX_DEPTH):
        value = {"k": value}
    deepest = struct_of({"top": value})
    batch, read, changes, assertions = (
        pb.BatchCheckRequest(),
        pb.ReadResponse(),
        pb.ReadChangesResponse(),
        pb.ReadAssertionsResponse(),
    )
    batch.checks.add().contextual_tuples.tuple_keys.add().condition.context.CopyFrom(deepest)
    read.tuples.add().key.condition.context.CopyFrom(deepest)
    changes.changes.add().tuple_key.condition.context.CopyFrom(deepest)
    assertions.assertions.add().contextual_tuples.add().condition.context.CopyFrom(deepest)
    for message in (batch, read, changes, assertions):
        assert type(message).FromString(message.SerializeToString()) == message


@given(st.datetimes(timezones=st.just(UTC)))
def test_times_survive(moment: datetime) -> None:
    """
    Times are kept to the microsecond.
    """
    assert moment == moment_of(timestamp_of(moment))


@pytest.mark.parametrize("seconds", [10**15, -(10**15)])
def test_times_out_of_range_are_refused(seconds: int) -> None:
    """
    A time that no calendar knows is a clear error.
    """
    with pytest.raises(InvalidRequest, match="start_time"):
        moment_of(Timestamp(seconds=seconds))


@given(_TEXT, _TEXT, _TEXT, st.none() | st.builds(RelationshipCondition, _TEXT.filter(bool), st.just({"a": [1.5]})))
def test_tuples_survive(object_: str, relation: str, user: str, condition: RelationshipCondition | None) -> None:
    """
    A tuple is the same after the way through a message.
    """
    tuple_ = RelationshipTuple(object_, relation, user, condition)
    assert tuple_ == tuple_of(openfga_pb2.TupleKey.FromString(tuple_key_message(tuple_).SerializeToString()))


def test_a_condition_without_a_name_is_none() -> None:
    """
    Clients send an empty condition for tuples that have none.
    """
    key = openfga_pb2.TupleKey(object="d:1", condition=openfga_pb2.RelationshipCondition())
    assert tuple_of(key).condition is None


def test_a_deletion_hides_the_condition() -> None:
    """
    The changelog keeps the condition of a deleted tuple; the interface does not show it.
    """
    tuple_ = RelationshipTuple("d:1", "viewer", "u:1", RelationshipCondition("c", {}))
    for operation in Operation:
        shown = change_message(Change(1, 0, operation, tuple_, datetime(2026, 1, 1, tzinfo=UTC), "me"))
        assert (operation is Operation.WRITE) == shown.tuple_key.HasField("condition")
        assert operation.value == shown.operation


@pytest.mark.skipif(not _MODELS, reason="the conformance data is not here; set AUTHZ_CONFORMANCE_DIR")
@pytest.mark.parametrize("path", _MODELS, ids=lambda path: path.parent.name)
def test_models_survive(path: Path) -> None:
    """
    A model is the same after the way into its stored form and back, and its JSON form names what the language names.
    """
    given_body = json.loads(path.read_text())
    given_body.pop("id", None)
    request = ParseDict({"store_id": UNKNOWN_ID, **given_body}, pb.WriteAuthorizationModelRequest())
    body, size = body_of(request)
    record = ModelRecord(UNKNOWN_ID, UNKNOWN_ID, "1.1", json.dumps(body), datetime.now(UTC))
    expected = ParseDict(given_body, AuthorizationModel(id=UNKNOWN_ID))
    assert expected == model_message(record)
    assert size == expected.ByteSize() - 28
    assert _pruned(given_body) == _pruned(body)


def _pruned(value: Any) -> Any:
    """Without members that say nothing; `this: {}` and `wildcard: {}` say something."""
    if isinstance(value, dict):
        kept = {key: _pruned(member) for key, member in value.items()}
        return {k: v for k, v in kept.items() if k in {"this", "wildcard"} or v not in ("", None, [], {})}
    return [_pruned(member) for member in value] if isinstance(value, list) else value


def test_users_are_told_apart() -> None:
    """
    Objects, usersets and wildcards have their own kinds.
    """
    for text, kind in (("user:anne", "object"), ("group:eng#member", "userset"), ("user:*", "wildcard")):
        assert user_message(text).WhichOneof("user") == kind
    assert user_message("user:a@b.c").object.id == "a@b.c"


def test_a_batch_result_tells_who_is_to_blame() -> None:
    """
    Errors of the request are input errors, all others internal ones.
    """
    assert batch_result(outcome=False).WhichOneof("check_result") == "allowed"
    blamed = batch_result(EntityLimitExceeded("too many")).error
    assert (blamed.WhichOneof("code"), blamed.input_error, blamed.message) == ("input_error", 2053, "too many")
