"""What surrounds a check at the edge: messages, tokens, records. What each step of the chain costs: `chain`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from authz._proto.openfga.v1 import openfga_pb2 as model_pb
from authz._proto.openfga.v1 import openfga_service_pb2 as pb
from authz.audit.chain import Payload, extend
from authz.audit.keys import FixedKeys, Key, KeyRing
from authz.audit.payloads import call_payload
from authz.audit.redaction import Redaction
from authz.call import Call, Completed, Principal, Scope
from authz.commands.continuation import decode_place, encode_place
from authz.commands.tokens import TokenCodec
from authz.rpc.convert.questions import check_query
from authz.rpc.convert.tuples import tuple_key_message, tuples_of
from authz.rpc.convert.values import struct_of
from authz.rpc.exchange import Exchange
from authz.rpc.methods import METHODS
from authz.tuples import RelationshipTuple, TupleKey

_STORE, _MODEL = "01HZZZZZZZZZZZZZZZZZZZZZZZ", "01J00000000000000000000000"
_CHECK = next(method for method in METHODS if method.name == "Check")
_KEYS = KeyRing([Key("bench", b"k" * 32)])


def _request(*, with_context: bool = False) -> bytes:
    key = pb.CheckRequestTupleKey(user="user:anne", relation="viewer", object="document:1001")
    request = pb.CheckRequest(store_id=_STORE, authorization_model_id=_MODEL, tuple_key=key)
    if with_context:
        tuple_ = tuple_key_message(RelationshipTuple("document:1001", "viewer", "user:anne"))
        request.contextual_tuples.CopyFrom(model_pb.ContextualTupleKeys(tuple_keys=[tuple_]))
        request.context.CopyFrom(struct_of({"region": "eu", "level": 3, "tags": ["a", "b"]}))
    return request.SerializeToString()


def _exchange(payload: bytes) -> Exchange:
    return Exchange(_CHECK, Call(), (), payload, 3.0)


@pytest.mark.parametrize("with_context", [False, True])
def test_request_to_query(benchmark: BenchmarkFixture, with_context: bool) -> None:  # noqa: FBT001 - a case
    """The bytes of a check, read and converted; with a contextual tuple and a context, or without."""
    payload = _request(with_context=with_context)
    exchange = _exchange(payload)

    def read() -> str:
        return check_query(exchange, pb.CheckRequest.FromString(payload)).object

    assert benchmark(read) == "document:1001"


def test_answer_to_bytes(benchmark: BenchmarkFixture) -> None:
    """An answer, made and serialized."""

    def answer() -> bytes:
        return pb.CheckResponse(allowed=True).SerializeToString()

    assert benchmark(answer)


def test_tuples_of_a_write(benchmark: BenchmarkFixture) -> None:
    """A hundred tuples of a write, converted."""
    keys = [tuple_key_message(RelationshipTuple(f"document:{n}", "viewer", f"user:{n}")) for n in range(100)]
    assert len(benchmark(tuples_of, keys)) == 100


def test_token_made(benchmark: BenchmarkFixture) -> None:
    """The consistency token of a revision that had none yet."""
    codec = TokenCodec(b"k" * 32)
    revisions = iter(range(1, 10**9)).__next__
    assert benchmark(lambda: codec.encode(_STORE, revisions()))


def test_token_made_again(benchmark: BenchmarkFixture) -> None:
    """The consistency token of a revision that has one."""
    codec = TokenCodec(b"k" * 32)
    assert benchmark(codec.encode, _STORE, 7) == codec.encode(_STORE, 7)


def test_token_read(benchmark: BenchmarkFixture) -> None:
    """A consistency token, opened."""
    codec = TokenCodec(b"k" * 32)
    assert benchmark(codec.decode, codec.encode(_STORE, 7), _STORE) == 7


def test_continuation(benchmark: BenchmarkFixture) -> None:
    """A continuation token, made and opened."""
    codec = TokenCodec(b"k" * 32)

    def both() -> list[str | int] | None:
        token = encode_place(codec, "Read", _STORE, ["document:1", "viewer", 17])
        return decode_place(codec, "Read", _STORE, token)

    assert benchmark(both) == ["document:1", "viewer", 17]


def _completed() -> Completed:
    call = Call("0123456789abcdef", Principal("issuer/orders"), trace_id="0af7651916cd43dd8448eb211c80319c")
    call.peer, call.method = "192.0.2.7", _CHECK.path
    return Completed(
        call,
        Scope.CHECK,
        datetime(2025, 1, 1, tzinfo=UTC),
        0.0007,
        "OK",
        "",
        _STORE,
        _MODEL,
        (TupleKey("document:1001", "viewer", "user:anne"),),
        (True,),
        revision=12_345,
        request_bytes=120,
        response_bytes=2,
        user_agent="grpc-python/1.85.1",
    )


@pytest.mark.parametrize("redacted", [(), ("object", "user")])
def test_record(benchmark: BenchmarkFixture, redacted: Sequence[str]) -> None:
    """What is recorded of a check, rendered; with two members redacted, or none."""
    redaction = Redaction(redacted, FixedKeys(_KEYS))
    completed = _completed()
    assert benchmark(call_payload, completed, redaction).members


def test_records_sealed(benchmark: BenchmarkFixture) -> None:
    """A hundred records, sealed into a chain."""
    records: list[Payload] = [call_payload(_completed(), Redaction((), FixedKeys(_KEYS)))] * 100
    segment, _ = benchmark(extend, "bench", None, records, _KEYS)
    assert segment.body.count(b"\n") == 100
