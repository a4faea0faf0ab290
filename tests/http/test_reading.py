"""Requests read off HTTP: what is taken, what is refused, and that the short way for checks is no other way."""

from __future__ import annotations

import json
from typing import Any

import hypothesis.strategies as st
import orjson
import pytest
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct
from hypothesis import example, given

from authz._proto.authz.v1 import authzen_pb2
from authz._proto.openfga.v1 import openfga_service_pb2 as pb
from authz.errors import InvalidRequest
from authz.http.reading import MAX_PARAMETERS, Target, read_body, read_check, read_query
from tests.wire.support import UNKNOWN_ID

PATH = {"store_id": UNKNOWN_ID}
KEY = {"user": "user:anne", "relation": "viewer", "object": "document:1"}


def outcome(read: Any, payload: bytes) -> Message | str:
    """The message, or what the error says."""
    try:
        found: Message = read(pb.CheckRequest, payload, PATH)
    except InvalidRequest as error:
        return error.message
    return found


def both(payload: bytes) -> Message | str:
    """The outcome, which must be the same both ways."""
    short, general = outcome(read_check, payload), outcome(read_body, payload)
    assert short == general
    return general


texts = st.text(max_size=8) | st.sampled_from(["", "user:anne", "viewer", "é", "\0", "\x7f", '"', "\\", "a\nb", "😀"])
odd: st.SearchStrategy[Any] = (
    st.none() | st.booleans() | st.integers() | st.floats() | texts | st.just([]) | st.just({}) | st.just([""])
)
names = st.sampled_from(["user", "relation", "object", "tuple_key", "authorization_model_id", "store_id", "trace", "x"])
keys = st.fixed_dictionaries({"user": texts, "relation": texts, "object": texts}) | st.dictionaries(names, odd)


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """JSON that is a check, or nearly one: with members twice, in any order, of any kind, and some bytes changed."""
    pairs: list[tuple[str, Any]] = [("tuple_key", draw(keys))]
    pairs += draw(st.lists(st.tuples(names, texts | odd | keys), max_size=2))
    pairs += draw(st.lists(st.just(("authorization_model_id", UNKNOWN_ID)), max_size=1))
    escaped = draw(st.booleans())
    members = [f"{json.dumps(name)}: {_object(draw, value, escaped)}" for name, value in draw(st.permutations(pairs))]
    raw = ("{" + ", ".join(members) + "}").encode("utf-8", "surrogatepass")
    for _ in range(draw(st.integers(0, 2))):
        place = draw(st.integers(0, len(raw)))
        raw = raw[:place] + draw(st.binary(max_size=2) | st.sampled_from([b'"', b"\\", b",", b" "])) + raw[place:]
    return raw


def _object(draw: st.DrawFn, value: Any, escaped: bool) -> str:
    if not isinstance(value, dict) or not draw(st.booleans()):
        return json.dumps(value, ensure_ascii=escaped)
    pairs = [*value.items(), *draw(st.lists(st.tuples(names, texts | odd), max_size=1))]
    return "{" + ",".join(f"{json.dumps(k)}:{json.dumps(v, ensure_ascii=escaped)}" for k, v in pairs) + "}"


@given(bodies())
@example(b'{"tuple_key":{"user":1,"user":"u:a","relation":"r","object":"o"},"authorization_model_id":0}')
@example(b'{"tuple_key":{"user":1,"user":"u:a","relation":"r","object":"o"},"authorization_model_id":[]}')
@example(b'{"tuple_key":{"user":"u:a","relation":"r","object":"o"},"authorization_model_id":null}')
@example(b'{"tuple_key":{"user":"u:a","relation":"r","object":"o"},"tuple_key":null}')
@example(b'{"tuple_key":{"user":"u:a","user":"","relation":"r","object":"o"}}')
@example(b'{"tuple_key":{"user":"\\ud800","relation":"r","object":"o"}}')
@example(b'["tuple_key"]')
@example(b'"tuple_key"')
def test_the_short_way(payload: bytes) -> None:
    """A check that is read the short way is the same message, and one that is refused is refused the same."""
    both(payload)


def test_the_short_way_is_taken() -> None:
    """Plain checks are read without the general reader."""
    request = both(orjson.dumps({"tuple_key": KEY, "authorization_model_id": UNKNOWN_ID}))
    assert isinstance(request, pb.CheckRequest)
    assert (request.store_id, request.tuple_key.user, request.authorization_model_id) == (
        UNKNOWN_ID,
        "user:anne",
        UNKNOWN_ID,
    )


CHECK = b'{"tuple_key":{"user":"user:anne","relation":"viewer","object":"document:1"}'


@pytest.mark.parametrize(
    ("payload", "why"),
    [
        (b"", "not JSON"),
        (b" ", "not JSON"),
        (b"null", "no JSON object"),
        (b"[]", "no JSON object"),
        (b'"text"', "no JSON object"),
        (b"1", "no JSON object"),
        (b"\xef\xbb\xbf" + CHECK + b"}", "not JSON"),
        ((CHECK + b"}").decode().encode("utf-16"), "not UTF-8"),
        ((CHECK + b"}").decode().encode("utf-16-le"), "not JSON"),
        (CHECK + b"}}", "not JSON"),
        (CHECK + b"} {}", "not JSON"),
        (CHECK + b",}", "not JSON"),
        (CHECK + b"}\0", "not JSON"),
        (CHECK, "not JSON"),
        (CHECK.replace(b'"', b"'") + b"}", "not JSON"),
        (b"// text\n" + CHECK + b"}", "not JSON"),
        (CHECK + b',"x":"a\nb"}', "not JSON"),
        (CHECK + b',"x":"\xff"}', "not UTF-8"),
        (CHECK + b',"context":{"x":NaN}}', "no number `NaN`"),
        (CHECK + b',"context":{"x":-Infinity}}', "no number `-Infinity`"),
        (CHECK + b',"x":' + b"9" * 5000 + b"}", "too large"),
        (CHECK + b',"context":{"x":1' + b"0" * 400 + b"}}", "too large"),
        (CHECK + b',"context":{"x":[1e400]}}', "too large"),
        (CHECK + b',"consistency":1e400}', "too large"),
        (CHECK + b',"x":' + b"[" * 100_000 + b"}", "nested too deeply"),
        (CHECK + b',"context":{"x":' + b"[" * 200 + b"]" * 200 + b"}}", "too deep"),
        (CHECK + b',"tuple_key":null}', "`tuple_key` twice"),
        (CHECK + b',"tuple\\u005fkey":null}', "`tuple_key` twice"),
        (CHECK.replace(b'"relation"', b'"user":"user:bob","relation"') + b"}", "`user` twice"),
        (CHECK.replace(b'"relation"', b'"\\u0075ser":"user:bob","relation"') + b"}", "`user` twice"),
        (CHECK + b',"context":{"a":{"b":1,"b":2}}}', "`b` twice"),
        (CHECK + b',"x":{"y":1,"y":2}}', "`y` twice"),
        (b'{"tuple_key":{"user":1}}', "`tuple_key.user` must be a text"),
        (b'{"tuple_key":[]}', "`tuple_key` must be an object"),
        (b'{"tuple_key":"x"}', "`tuple_key` must be an object"),
        (b'{"tuple_key":1}', "`tuple_key` must be an object"),
        (b'{"tuple_key":{"user":"\\ud800","relation":"viewer","object":"document:1"}}', "half of a character"),
        (CHECK + b',"context":{"x":"\\udfff"}}', "half of a character"),
        (CHECK + b',"context":{"\\udfff":1}}', "half of a character"),
        (CHECK + b',"context":[]}', "context"),
        (CHECK + b',"contextual_tuples":[]}', "`contextual_tuples` must be an object"),
        (CHECK + b',"contextual_tuples":{"tuple_keys":{}}}', "`contextual_tuples.tuple_keys` must be a list"),
        (CHECK + b',"contextual_tuples":{"tuple_keys":["x"]}}', "`contextual_tuples.tuple_keys[0]` must be an object"),
        (CHECK + b',"contextual_tuples":{"tuple_keys":[null]}}', "must not be null"),
        (CHECK + b',"trace":"true"}', "`trace` must be true or false"),
        (CHECK + b',"trace":1}', "`trace` must be true or false"),
        (CHECK + b',"consistency":"HIGHER"}', "`consistency` has no value `HIGHER`"),
        (CHECK + b',"consistency":"higher_consistency"}', "`consistency` has no value"),
        (CHECK + b',"consistency":true}', "`consistency` has no value"),
        (CHECK + b',"consistency":100.5}', "`consistency` has no value"),
        (CHECK + b',"consistency":7}', "`consistency` has no value"),
    ],
)
def test_a_body_that_is_no_check(payload: bytes, why: str) -> None:
    """It is refused in words of bounded length that can be shown, and the same both ways."""
    message = both(payload)
    assert isinstance(message, str)
    assert why in message
    assert len(message) < 300
    assert message.isprintable()
    assert "google" not in message


def test_nested_objects_of_one_kind() -> None:
    """A model that is nested without end is refused as a whole."""
    rewrite = b'{"union":{"child":[' * 400 + b'{"this":{}}' + b"]}}" * 400
    body = b'{"type_definitions":[{"type":"a","relations":{"b":' + rewrite + b"}}]}"
    with pytest.raises(InvalidRequest, match="nested too deeply"):
        read_body(pb.WriteAuthorizationModelRequest, body, PATH)


def test_a_field_under_both_names() -> None:
    """A field is there once, under either of its names."""
    rewrite = (
        '{"tupleToUserset":{"tupleset":{},"computedUserset":{"relation":"a"},"computed_userset":{"relation":"b"}}}'
    )
    body = '{"type_definitions":[{"type":"a","relations":{"b":%s}}]}'
    with pytest.raises(InvalidRequest, match=r"`type_definitions\[0\].relations\[b\].*` is there under two names"):
        read_body(pb.WriteAuthorizationModelRequest, (body % rewrite).encode(), PATH)


def test_what_is_ignored() -> None:
    """Members that the message lacks are ignored, null is as good as nothing, and the path wins over the body."""
    body = {"tuple_key": {**KEY, "x": 1}, "storeId": "no", "store_id": "no", "y": [{"z": None}], "context": None}
    request = both(orjson.dumps(body))
    assert request == pb.CheckRequest(store_id=UNKNOWN_ID, tuple_key=pb.CheckRequestTupleKey(**KEY))


def test_both_names_of_a_field() -> None:
    """A message takes the names that the interface declares, and no others."""
    body = orjson.dumps({"tupleKey": {**KEY, "user": "user:bob"}, "tuple_key": KEY})
    request = both(body)
    assert isinstance(request, pb.CheckRequest)
    assert request.tuple_key.user == "user:anne"


def query(type_: type[Message], text: bytes, **fields: str) -> Any:
    """The message that a query means."""
    return read_query(type_, Target(fields, text))


def test_a_query() -> None:
    """Parameters are members by their names, texts become what the member is, and unknown ones are ignored."""
    request = query(
        pb.ReadChangesRequest,
        b"page_size=7&type=a%26b+c&start_time=2024-01-01T00:00:00Z&continuation_token=&x=1&x.y=2&store_id=no",
        **PATH,
    )
    assert (request.page_size.value, request.type, request.continuation_token) == (7, "a&b c", "")
    assert (request.store_id, request.start_time.seconds) == (UNKNOWN_ID, 1_704_067_200)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"page_size=x", "page_size"),
        (b"page_size=1.5", "page_size"),
        (b"page_size=", "page_size"),
        (b"page_size=99999999999", "page_size"),
        (b"page_size=1e400", "page_size"),
        (b"page_size=1&page_size=2", "given twice"),
        (b"page_size=1&page%5Fsize=2", "given twice"),
        (b"page_size.value=1", "no parameter"),
        (b"start_time.seconds=1", "no parameter"),
        (b"start_time=yesterday", "start_time"),
        (b"type.x=1", "no parameter"),
        (b"type=%ff", "not UTF-8"),
        (b"type=\xff", "not UTF-8"),
        (b"&".join([b"a=1"] * (MAX_PARAMETERS + 1)), "more than 100 parameters"),
    ],
)
def test_a_query_that_is_refused(text: bytes, why: str) -> None:
    """It is refused in words that can be shown."""
    with pytest.raises(InvalidRequest, match=why) as caught:
        query(pb.ReadChangesRequest, text, **PATH)
    assert caught.value.message.isprintable()


def test_messages_have_no_form_as_a_text() -> None:
    """Members that are messages are named by their own members."""
    with pytest.raises(InvalidRequest, match="no form as a text"):
        query(authzen_pb2.EvaluationRequest, b"subject=x")
    request = query(authzen_pb2.EvaluationRequest, b"subject.id=anne&subject.type=user&options.reasons=true")
    assert (request.subject.id, request.subject.type, request.options.reasons) == ("anne", "user", True)
    assert query(authzen_pb2.EvaluationRequest, b"subject.properties.a=1").subject.properties == Struct()
