"""Assertions. Called by the handlers."""

from __future__ import annotations

from authz._proto.openfga.v1 import openfga_service_pb2 as pb
from authz.commands.assertions import Assertion
from authz.rpc.convert.tuples import tuple_key_message, tuples_of
from authz.rpc.convert.values import context_of, struct_of
from authz.tuples import TupleKey


def assertion_of(message: pb.Assertion) -> Assertion:
    """An assertion.

    Raises:
        InvalidRequest: see `context_of`.

    """
    key = message.tuple_key
    return Assertion(
        TupleKey(key.object, key.relation, key.user),
        message.expectation,
        tuples_of(message.contextual_tuples),
        context_of(message.context) if message.HasField("context") else None,
    )


def assertion_message(assertion: Assertion) -> pb.Assertion:
    """An assertion as it was written."""
    object_, relation, user = assertion.key
    return pb.Assertion(
        tuple_key=pb.AssertionTupleKey(object=object_, relation=relation, user=user),
        expectation=assertion.expectation,
        contextual_tuples=[tuple_key_message(tuple_) for tuple_ in assertion.contextual_tuples],
        context=None if assertion.context is None else struct_of(assertion.context),
    )
