"""What must not be seen is nowhere in the trail; what never belongs there cannot get there."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import orjson
import pytest

from authz.audit.captures import Captures
from authz.audit.chain import NODE
from authz.audit.redaction import Redaction
from authz.call import Principal
from authz.commands.directives import CAPTURE, Directives
from authz.store.api import TupleWrite
from authz.store.directives import Directive
from authz.store.sql import SqlDatastore
from authz.tuples import RelationshipCondition, RelationshipTuple, TupleKey
from tests.audit.conftest import BY
from tests.audit.support import CHECK, START, STORE, Clock, completed, keys, lines, opened, records, ring, trailing

pytestmark = pytest.mark.anyio


async def test_members_are_hashed_in_calls_changes_and_bodies(sqlite_uri: str) -> None:
    """Equal values have equal hashes, wherever they stand; nothing of them is in clear."""
    hidden = {"redact": ("user", "object", "peer", "context.ssn")}
    async with opened(sqlite_uri, **hidden) as store, trailing(store, Clock(), **hidden) as trail:
        trail.captures.apply(_capture({"call": "Check"}))
        body = {"tuple_key": {"user": "user:anne", "relation": "viewer"}, "context": {"ssn": "078-05-1120", "age": 3}}
        trail.recorder.record(completed(1, body=lambda: body))
        asked = (TupleKey("document:1", "viewer", "user:anne"), TupleKey("document:2", "viewer", "user:anne"))
        trail.recorder.record(completed(2, keys=asked, decisions=(True, False)))
        for number in range(20):
            trail.recorder.record(completed(number, code="UNAUTHENTICATED", reason="x"))
        condition = RelationshipCondition("when", {"ssn": "078-05-1120"})
        write = TupleWrite(writes=[RelationshipTuple("document:1", "viewer", "user:anne", condition)])
        await store.write(STORE, write, by=BY, now=START)
        await trail.recorder.durable()
        everything = b"\n".join(await lines(store))
        calls = [each for each in await records(store, NODE) if each["kind"] == "call"]
        (change,) = await records(store, f"store/{STORE}")
    for secret in (b"user:anne", b"078-05-1120", b"document:1", b"10.0.0.1"):
        assert secret not in everything
    code = ring().active.redaction
    anne = f"hmac:{code(b'user:anne')[:16].hex()}"
    assert calls[0]["user"] == anne
    assert calls[0]["relation"] == "viewer"
    assert calls[0]["body"]["tuple_key"] == {"user": anne, "relation": "viewer"}
    assert calls[0]["body"]["context"] == {"ssn": f"hmac:{code(b'078-05-1120')[:16].hex()}", "age": 3}
    assert [item["user"] for item in calls[1]["items"]] == [anne, anne]
    assert calls[1]["items"][0]["object"] == calls[0]["object"]
    assert anne in orjson.dumps(change["after"]).decode()


def test_a_record_stays_readable() -> None:
    """Kind and time cannot be hidden; values that are no texts can."""
    hidden = Redaction(("kind", "time", "latency", "inner"), keys())
    record = hidden.apply({"kind": "call", "time": START, "latency": 5, "inner": {"a": [1]}, "list": [{"inner": None}]})
    assert (record["kind"], record["time"]) == ("call", START)
    assert record["latency"].startswith("hmac:")
    assert record["inner"].startswith("hmac:")
    assert record["list"] == [{"inner": None}]


async def test_no_secret_of_a_call_is_recorded(sqlite_datastore: SqlDatastore) -> None:
    """Metadata is not part of what is recorded, and a body that nobody captures is never even looked at."""
    looked: list[int] = []

    def body() -> Any:
        looked.append(1)
        return {"context": {"token": "secret-in-body"}}

    principal = Principal("idp/alice", client="secret-client", acr="secret-acr", amr=frozenset({"secret-amr"}))
    async with trailing(sqlite_datastore, Clock()) as trail:
        call = completed(1, body=body, principal=principal)
        trail.recorder.record(call)
        assert call.body is None
        await trail.recorder.durable()
        everything = b"\n".join(await lines(sqlite_datastore))
    assert b"secret" not in everything
    assert not looked


def _capture(body: dict[str, str], *, id_: str = "capture-1", **more: Any) -> Directive:
    given = {"created_at": START, "expires_at": START + timedelta(hours=1)} | more
    return Directive(id_, CAPTURE, orjson.dumps(body).decode(), "why", "idp/root", version=1, **given)


@pytest.mark.parametrize(
    ("wanted", "matches"),
    [
        ({"principal": "idp/alice"}, True),
        ({"principal": "idp/bob"}, False),
        ({"store_id": STORE}, True),
        ({"store_id": STORE[:-1] + "A"}, False),
        ({"call": "Check"}, True),
        ({"call": CHECK}, True),
        ({"call": "Chec"}, False),
        ({"call": "Check", "principal": "idp/alice", "store_id": STORE}, True),
        ({"call": "Check", "principal": "idp/bob", "store_id": STORE}, False),
        ({}, False),
        ({"call": ""}, False),
        ({"color": "red", "call": "Check"}, False),
    ],
)
def test_what_a_capture_matches(wanted: dict[str, str], matches: bool) -> None:
    """All that is named must match; a capture of nothing in particular, or of something unknown, matches nothing."""
    captures = Captures(Clock())
    captures.apply(_capture(wanted))
    assert captures.matches(completed()) is matches


@pytest.mark.parametrize("body", ["", "[]", "null", "{", '"x"', "7"])
def test_captures_that_nobody_understands(body: str) -> None:
    """They capture nothing."""
    captures = Captures(Clock())
    captures.apply(_capture({})._replace(body=body))
    assert not captures.is_active


def test_a_capture_ends_by_itself_and_when_it_is_lifted() -> None:
    """Not a body is recorded after its time."""
    clock = Clock()
    captures = Captures(clock)
    captures.apply(_capture({"call": "Check"}))
    captures.apply(_capture({"principal": "idp/alice"}, id_="capture-2"))
    assert captures.matches(completed())
    captures.apply(_capture({"call": "Check"}, lifted_at=clock.now()))
    assert captures.matches(completed())
    clock.move(3601)
    assert not captures.matches(completed())
    assert not captures.is_active


async def test_captures_come_with_the_directives(sqlite_datastore: SqlDatastore) -> None:
    """An order that is issued holds for the next call."""
    clock = Clock()
    captures = Captures(clock)
    directives = Directives(sqlite_datastore, clock)
    captures.follow(directives)
    issued = await directives.issue(CAPTURE, {"call": "Check"}, by=BY, expires_at=clock.now() + timedelta(hours=1))
    assert captures.matches(completed())
    await directives.lift(issued.id, by=BY)
    assert not captures.matches(completed())


@pytest.mark.parametrize(("size", "is_cut"), [(100, False), (100_000, True)])
async def test_a_captured_body_is_bounded(sqlite_datastore: SqlDatastore, size: int, is_cut: bool) -> None:
    """The beginning of a large body is recorded, with its size."""
    given: Callable[[], Any] = lambda: {"name": "ä" * size}  # noqa: E731
    async with trailing(sqlite_datastore, Clock(), capture_bytes=1000) as trail:
        trail.captures.apply(_capture({"call": "Check"}))
        trail.recorder.record(completed(1, body=given))
        await trail.recorder.durable()
        (record,) = [each for each in await records(sqlite_datastore, NODE) if each["kind"] == "call"]
    if is_cut:
        assert record["body"]["bytes"] == 2 * size + len('{"name":""}')
        assert record["body"]["beginning"].startswith('{"name":"ä')
        assert len(orjson.dumps(record["body"])) < 1200
    else:
        assert record["body"] == {"name": "ä" * size}
