"""Both clients against a real service."""

from __future__ import annotations

import asyncio
import inspect
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from authz.client import (
    FULLY_CONSISTENT,
    AsyncClient,
    Check,
    Client,
    Condition,
    Decision,
    Listing,
    Tuple,
    errors,
    exact_snapshot,
)
from authz.client.aio_calls import AsyncCalls
from authz.client.sync_calls import Calls
from tests.client.support import MODEL, STORE

if TYPE_CHECKING:
    from tests.support.server import RunningServer

ANNE = Tuple("user:anne", "owner", "document:1")
GROUP = Tuple("group:eng#member", "viewer", "document:1")
BOB = Tuple("user:bob", "member", "group:eng")
HOURS = Tuple("user:carol", "viewer", "document:2", Condition("in_hours", {"from": 9}))


def test_write_check_read(docs: Calls) -> None:
    """What is written is there at once: for checks, lists, reads and the changelog."""
    written = docs.write([ANNE, GROUP, BOB, HOURS])
    assert docs.token == written.token
    decision = docs.check("user:bob", "viewer", "document:1")
    assert decision
    assert decision.model_id == written.model_id
    assert not docs.check("user:mallory", "viewer", "document:1")
    docs.require("user:anne", "viewer", "document:1")
    with pytest.raises(errors.Denied):
        docs.require("user:mallory", "viewer", "document:1")
    assert docs.list_objects("user:bob", "viewer", "document").names == ("document:1",)
    assert list(docs.stream_objects("user:bob", "viewer", "document")) == ["document:1"]
    assert docs.allowed_ids("user:bob", "viewer", "document") == {"1"}
    assert set(docs.list_users("document:1", "viewer", "user").names) == {"user:anne", "user:bob"}
    assert docs.list_users("document:1", "viewer", "group", user_relation="member").names == ("group:eng#member",)
    found = [each.tuple for each in docs.read()]
    assert len(found) == 4
    assert all(each in found for each in (ANNE, GROUP, BOB, HOURS))
    assert [each.tuple for each in docs.read(object="document:", user="user:anne")] == [ANNE]
    docs.write(deletes=[BOB])
    assert not docs.check("user:bob", "viewer", "document:1")
    changes = docs.read_changes()
    assert [(each.tuple, each.is_deletion) for each in changes.changes][-1] == (BOB, True)
    assert docs.read_changes(continuation_token=changes.continuation_token).changes == ()
    hour_ago = datetime.now(UTC) - timedelta(hours=1)
    assert len(docs.read_changes(type="group", since=hour_ago).changes) == 2


def test_conditions(docs: Calls) -> None:
    """Values for conditions come with the question or with a contextual tuple; without them there is no answer."""
    docs.write([HOURS])
    assert docs.check("user:carol", "viewer", "document:2", context={"hour": 10})
    assert not docs.check("user:carol", "viewer", "document:2", context={"hour": 8})
    with pytest.raises(errors.InvalidRequest, match="hour"):
        docs.check("user:carol", "viewer", "document:2")
    assert docs.check(
        "user:dave", "viewer", "document:2", contextual_tuples=[Tuple("user:dave", "owner", "document:2")]
    )
    assert not docs.check("user:dave", "viewer", "document:2")
    for context in ({"hour": float("nan")}, {"hour": object()}, {"hour": 10**400}, {1: 2}):
        with pytest.raises(errors.InvalidRequest):
            docs.check("user:carol", "viewer", "document:2", context=context)  # type: ignore[arg-type]


def test_batches(docs: Calls) -> None:
    """A batch of any size keeps its order; one question that cannot be answered is not allowed, and fails alone."""
    docs.write([ANNE, HOURS])
    asked = [Check("user:anne" if number % 3 else "user:bob", "viewer", "document:1") for number in range(130)]
    assert [bool(each) for each in docs.batch_check(asked)] == [bool(number % 3) for number in range(130)]
    found = docs.batch_check(
        [
            Check("user:carol", "viewer", "document:2"),
            Check("user:anne", "nothing", "document:1"),
            Check("user:carol", "viewer", "document:2", {"hour": 9}),
            Check("user:bob", "viewer", "document:1", contextual_tuples=(Tuple("user:bob", "owner", "document:1"),)),
        ]
    )
    assert [bool(each) for each in found] == [False, False, True, True]
    assert [each.error is not None for each in found] == [True, True, False, False]
    assert docs.batch_check([]) == []


def test_consistency(docs: Calls) -> None:
    """A snapshot stays what it was; a session elsewhere sees what its token says."""
    before = docs.write([ANNE]).token
    docs.write(deletes=[ANNE])
    assert not docs.check("user:anne", "viewer", "document:1")
    assert docs.check("user:anne", "viewer", "document:1", consistency=exact_snapshot(before))
    assert not docs.check("user:anne", "viewer", "document:1", consistency=FULLY_CONSISTENT)
    assert not docs.session(docs.token).check("user:anne", "viewer", "document:1")
    with pytest.raises(errors.UnknownToken):
        docs.session("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA").check("user:anne", "viewer", "document:1")


def test_errors_have_their_reasons(docs: Calls) -> None:
    """Errors carry the names of the public interface."""
    docs.write([ANNE])
    with pytest.raises(errors.InvalidRequest) as raised:
        docs.write([ANNE])
    assert raised.value.reason == "write_failed_due_to_invalid_input"
    assert not raised.value.may_have_applied
    docs.write([ANNE], on_duplicate="ignore")
    with pytest.raises(errors.InvalidRequest) as raised:
        docs.check("user:anne", "nothing", "document:1")
    assert raised.value.reason in ("relation_not_found", "validation_error")
    with pytest.raises(errors.InvalidRequest) as raised:
        docs.on(STORE).check("user:anne", "viewer", "document:1")
    assert raised.value.reason == "latest_authorization_model_not_found"
    with pytest.raises(errors.InvalidRequest) as raised:
        docs.write_model("model\n  schema 1.1\ntype user\n  nonsense")
    assert raised.value.reason == "invalid_authorization_model"
    with pytest.raises(errors.Unusable):
        docs.on("").check("user:anne", "viewer", "document:1")


def test_stores_and_models(docs: Calls) -> None:
    """A program can bring its own model, written either way."""
    latest = docs.latest_model()
    assert latest is not None
    assert docs.read_model(latest.id) == latest
    again = docs.write_model({"id": "ignored", **latest.body})
    assert again != latest.id
    newest = docs.latest_model()
    assert newest is not None
    assert newest.body == latest.body
    made = docs.create_store("another one")
    assert made.id in {each.id for each in docs.list_stores("another one")}
    other = docs.on(made.id)
    assert other.latest_model() is None
    other.delete_store()
    other.delete_store()
    pinned = docs.on(docs.store, model=latest.id)
    docs.write_model("model\n  schema 1.1\ntype user")
    assert not pinned.check("user:anne", "viewer", "document:1")


def test_threads(docs: Calls) -> None:
    """Many threads share a client: each sees what it wrote itself, and what others had been told."""

    def work(number: int) -> bool:
        mine = Tuple(f"user:u{number}", "viewer", f"document:d{number}")
        docs.write([mine])
        seen = docs.check(mine.user, mine.relation, mine.object)
        docs.write(deletes=[mine])
        return bool(seen) and not docs.check(mine.user, mine.relation, mine.object)

    with ThreadPoolExecutor(12) as pool:
        assert all(pool.map(work, range(60)))


@pytest.mark.anyio
async def test_tasks(server: RunningServer) -> None:
    """The asynchronous client does the same, from many tasks."""
    async with AsyncClient(server.address, timeout=30) as client:
        docs = client.on((await client.create_store("tasks")).id)
        await docs.write_model(MODEL)

        async def work(number: int) -> bool:
            mine = Tuple(f"user:u{number}", "viewer", f"document:d{number}")
            await docs.write([mine])
            seen = await docs.check(mine.user, mine.relation, mine.object)
            return bool(seen) and [each async for each in docs.stream_objects(mine.user, "viewer", "document")] == [
                mine.object
            ]

        assert all(await asyncio.gather(*[work(number) for number in range(40)]))
        assert len([each async for each in docs.read()]) == 40
        assert await docs.allowed_ids("user:u1", "viewer", "document") == {"d1"}
        assert (await docs.list_users("document:d1", "viewer", "user")).names == ("user:u1",)
        found = await docs.batch_check([Check(f"user:u{number}", "viewer", "document:d7") for number in range(60)])
        assert [number for number, each in enumerate(found) if each] == [7]
        assert len((await docs.read_changes()).changes) == 40
        assert (await docs.latest_model()) is not None
        assert [each.id async for each in client.list_stores("tasks")]
        with pytest.raises(errors.Denied):
            await docs.require("user:u1", "viewer", "document:d2")
        await docs.delete_store()


@pytest.mark.anyio
async def test_a_question_is_no_answer() -> None:
    """Whoever forgets to await a check gets an error, not a yes; an empty list and a no count as false."""
    async with AsyncClient("127.0.0.1:1", store=STORE) as client:
        question = client.check("user:anne", "viewer", "document:1")
        with pytest.raises(TypeError, match="await"):
            assert question
        question.close()
        with pytest.raises(errors.Unavailable):
            await asyncio.create_task(client.check("user:anne", "viewer", "document:1", timeout=1))
    assert not Listing(())
    assert not Decision(allowed=False)
    assert not Decision(allowed=True, error=errors.InvalidRequest("no"))


def test_both_clients_offer_the_same() -> None:
    """Methods, parameters and defaults are alike."""
    for one, other in ((Calls, AsyncCalls), (Client, AsyncClient)):
        names = {name for name in vars(one) if not name.startswith("_")}
        assert names == {name for name in vars(other) if not name.startswith("_")}
        for name in names:
            first, second = vars(one)[name], vars(other)[name]
            if inspect.isfunction(first):
                assert _shape(first) == _shape(second), name
                assert inspect.getdoc(first) == inspect.getdoc(second), name


def _shape(function: object) -> list[tuple[str, object, object]]:
    parameters = inspect.signature(function).parameters.values()  # type: ignore[arg-type]
    return [(each.name, each.kind, each.default) for each in parameters]
