"""Every datastore agrees with the naive one about every revision, whatever was written and removed."""

from __future__ import annotations

import itertools
import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from authz.errors import AuthzError, InvalidConsistencyToken, InvalidWrite, WriteConflict
from authz.store.api import ForwardKey, OnExisting, Operation, ReverseKey, TupleFilter, TupleWrite
from authz.tuples import RelationshipCondition, RelationshipTuple, TupleKey
from tests.contract.naive_store import Entry, NaiveStore
from tests.support.columns import read_all
from tests.support.origins import ANNE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from authz.store.api import Change
    from authz.store.sql import SqlDatastore

pytestmark = pytest.mark.anyio

START = datetime(2026, 1, 1, tzinfo=UTC)
OBJECTS = ("doc:1", "doc:\x1e2\x1f", "folder:1")
RELATIONS = ("viewer", "owner")
USERS = ("user:a", "user:*", "group:g#member")
CONDITIONS = (
    None,
    RelationshipCondition("c", {}),
    RelationshipCondition("c", {"x": 1}),
    RelationshipCondition("c", {"x": 1.0}),
    RelationshipCondition("c", {"x": True}),
    RelationshipCondition("d", {"x": [1, {"y": None, "z": "ü\u2028"}]}),
    RelationshipCondition("d", {"x": [1, {"z": "ü\u2028", "y": None}]}),
)
KEYS = [TupleKey(*parts) for parts in itertools.product(OBJECTS, RELATIONS, USERS)]
FILTERS = [
    TupleFilter(*parts)
    for parts in itertools.product(("", "doc:", "doc:1", "folder:1"), ("", "viewer"), ("", "user:a"))
]


@st.composite
def tuple_writes(draw: st.DrawFn) -> TupleWrite:
    """A write whose keys are unique; often it deletes what may exist."""
    keys = draw(st.lists(st.sampled_from(KEYS), min_size=1, max_size=6, unique=True))
    cut = draw(st.integers(0, len(keys)))
    options = st.sampled_from((OnExisting.IGNORE, OnExisting.IGNORE, OnExisting.ERROR))
    return TupleWrite(
        deletes=keys[:cut],
        writes=[RelationshipTuple(*key, draw(st.sampled_from(CONDITIONS))) for key in keys[cut:]],
        on_missing=draw(options),
        on_duplicate=draw(options),
    )


histories = st.lists(tuple_writes(), min_size=1, max_size=20)
bounded = settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@bounded
@given(history=histories)
async def test_every_revision_reads_like_the_naive_store(datastore: SqlDatastore, history: list[TupleWrite]) -> None:
    """Snapshots, rows, listings and the changelog hold at each revision; an error changes nothing."""
    store_id, naive = f"store-{uuid.uuid4()}", NaiveStore()
    for step, write in enumerate(history):
        await _write_both(datastore, store_id, naive, write, START + timedelta(seconds=step))
    assert naive.head == await datastore.head_revision(store_id)
    for revision in range(naive.head + 1):
        await _compare(datastore, store_id, naive, revision)


@bounded
@given(history=histories, kept=st.integers(0, 20))
async def test_garbage_collection_keeps_what_can_be_read(
    datastore: SqlDatastore, history: list[TupleWrite], kept: int
) -> None:
    """Readable revisions read as before, older ones say so, the changelog stays whole."""
    store_id, naive = f"store-{uuid.uuid4()}", NaiveStore()
    times = [START]
    for step, write in enumerate(history):
        now = START + timedelta(seconds=step)
        if await _write_both(datastore, store_id, naive, write, now):
            times.append(now)
    cutoff = START + timedelta(seconds=kept)
    await datastore.collect_garbage(cutoff, limit=10_000)

    deletions = [revision for revision, _, operation, _ in naive.entries if operation is Operation.DELETE]
    oldest = max((revision for revision in deletions if times[revision] < cutoff), default=0)
    assert oldest == await datastore.oldest_revision(store_id)
    assert await datastore.collect_garbage(cutoff, limit=10_000) == 0
    for revision in range(oldest):
        with pytest.raises(InvalidConsistencyToken, match=f"`{revision}`"):
            await datastore.rows(store_id, revision, [], [])
        with pytest.raises(InvalidConsistencyToken, match=f"`{revision}`"):
            await read_all(datastore, store_id, revision)
        with pytest.raises(InvalidConsistencyToken, match=f"`{revision}`"):
            await datastore.count_tuples(store_id, revision, 1)
        with pytest.raises(InvalidConsistencyToken, match=f"`{revision}`"):
            await datastore.read_tuples(store_id, TupleFilter(), revision=revision, after=0, limit=10)
    for revision in range(oldest, naive.head + 1):
        await _compare(datastore, store_id, naive, revision)


async def _write_both(
    datastore: SqlDatastore, store_id: str, naive: NaiveStore, write: TupleWrite, now: datetime
) -> bool:
    expected, refusal = _outcome(naive, write)
    if refusal is not None:
        with pytest.raises(type(refusal)) as raised:
            await datastore.write(store_id, write, by=ANNE, now=now)
        assert f"`{refusal.message}`" in raised.value.message
        return False
    result = await datastore.write(store_id, write, by=ANNE, now=now)
    assert naive.head == result.revision
    assert expected == _entries(result.changes)
    assert all((change.time, change.actor) == (now, "anne") for change in result.changes)
    return bool(expected)


def _outcome(naive: NaiveStore, write: TupleWrite) -> tuple[list[Entry], AuthzError | None]:
    try:
        return naive.write(write), None
    except (InvalidWrite, WriteConflict) as error:
        return [], error


async def _compare(datastore: SqlDatastore, store_id: str, naive: NaiveStore, revision: int) -> None:
    assert _spelled(naive.at(revision)) == _spelled(await read_all(datastore, store_id, revision))
    for most in (0, 3, 100):
        assert min(len(naive.at(revision)), most) == await datastore.count_tuples(store_id, revision, most)

    forward = [ForwardKey("doc:1", "viewer"), ForwardKey("doc:1", "viewer"), ForwardKey("none:1", "viewer")]
    reverse = [ReverseKey("user:a", "doc", "viewer"), ReverseKey("group:g#member", "folder", "owner")]
    found = await datastore.rows(store_id, revision, forward, reverse)
    assert _spelled(naive.rows(revision, forward, reverse)) == _spelled(found)

    for filter_ in FILTERS:
        assert _spelled(naive.matching(revision, filter_)) == _spelled(
            await _pages(datastore, store_id, filter_, revision)
        )
    later = [entry for entry in naive.entries if entry[0] > revision]
    fed = await datastore.changes_after(store_id, revision, 3)
    assert later[: len(fed)] == _entries(fed)
    assert fed or not later
    assert len(fed) == len(later) or later[len(fed)][0] > fed[-1].revision


async def _pages(
    datastore: SqlDatastore, store_id: str, filter_: TupleFilter, revision: int
) -> list[RelationshipTuple]:
    found: list[RelationshipTuple] = []
    after = 0
    while page := await datastore.read_tuples(store_id, filter_, revision=revision, after=after, limit=4):
        positions = [item.position for item in page]
        assert positions == sorted(set(positions))
        assert positions[0] > after
        after = positions[-1]
        found.extend(item.tuple for item in page)
    return found


def _entries(changes: Iterable[Change]) -> list[tuple[int, int, Operation, RelationshipTuple]]:
    return [(change.revision, change.ordinal, change.operation, change.tuple) for change in changes]


def _spelled(items: Iterable[RelationshipTuple]) -> list[str]:
    return sorted(repr(item) for item in items)
