"""What every datastore promises about stores, models, assertions, writes and the changelog."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from authz import errors
from authz.store.api import (
    Change,
    ChangePosition,
    ForwardKey,
    ModelRecord,
    OnExisting,
    Operation,
    ReverseKey,
    StoreRecord,
    TupleFilter,
    TupleWrite,
)
from authz.tuples import RelationshipCondition, RelationshipTuple
from tests.support.columns import read_all
from tests.support.origins import ANNE, BOB

if TYPE_CHECKING:
    from authz.store.sql import SqlDatastore

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
LATER = NOW + timedelta(microseconds=1)
STORE = "01J00000000000000000000001"
OTHER = "01J00000000000000000000002"


def item(number: int, condition: RelationshipCondition | None = None, kind: str = "doc") -> RelationshipTuple:
    return RelationshipTuple(f"{kind}:{number}", "viewer", "user:anne", condition)


async def put(datastore: SqlDatastore, *writes: RelationshipTuple, store: str = STORE, now: datetime = NOW) -> int:
    return (await datastore.write(store, TupleWrite(writes=writes), by=ANNE, now=now)).revision


def _spelled(items: list[RelationshipTuple]) -> list[str]:
    return sorted(map(repr, items))


async def changes(
    datastore: SqlDatastore,
    *,
    object_type: str = "",
    after: tuple[int, int] = (0, -1),
    start: datetime | None = None,
    end: datetime | None = None,
    limit: int = 100,
) -> list[Change]:
    return list(
        await datastore.read_changes(
            STORE,
            object_type=object_type,
            after=ChangePosition(*after),
            start_time=start,
            not_after=end,
            limit=limit,
        )
    )


async def test_a_store_is_kept_as_it_was_created(datastore: SqlDatastore) -> None:
    """Times come back in UTC to the microsecond, whatever their zone was."""
    from zoneinfo import ZoneInfo

    await datastore.create_store(StoreRecord(STORE, "naïve ☃", NOW.astimezone(ZoneInfo("Asia/Tokyo")), LATER), by=ANNE)
    found = await datastore.get_store(STORE)
    assert StoreRecord(STORE, "naïve ☃", NOW, LATER) == found
    assert found.created_at.tzinfo is UTC
    assert await datastore.get_store(OTHER) is None


async def test_a_store_id_is_taken_once(datastore: SqlDatastore) -> None:
    """A second store with the id of another is refused, and the first stays."""
    await datastore.create_store(StoreRecord(STORE, "one", NOW, NOW), by=ANNE)
    with pytest.raises(errors.WriteConflict):
        await datastore.create_store(StoreRecord(STORE, "two", NOW, NOW), by=ANNE)
    found = await datastore.get_store(STORE)
    assert found is not None
    assert found.name == "one"


async def test_renaming_a_store(datastore: SqlDatastore) -> None:
    """The name and the time of the update change; a store that is not there is None."""
    await datastore.create_store(StoreRecord(STORE, "one", NOW, NOW), by=ANNE)
    assert StoreRecord(STORE, "two", NOW, LATER) == await datastore.rename_store(STORE, "two", LATER, by=ANNE)
    assert await datastore.rename_store(OTHER, "two", LATER, by=ANNE) is None


async def test_a_deleted_store_is_gone_but_its_tuples_are_left(datastore: SqlDatastore) -> None:
    """Deleting is idempotent, and no error for a store that never was."""
    await datastore.create_store(StoreRecord(STORE, "one", NOW, NOW), by=ANNE)
    revision = await put(datastore, item(1))
    for store in (STORE, STORE, OTHER):
        await datastore.delete_store(store, LATER, by=ANNE)
    assert await datastore.get_store(STORE) is None
    assert await datastore.rename_store(STORE, "two", LATER, by=ANNE) is None
    assert await datastore.list_stores(name="", after_id="", limit=10) == []
    assert [item(1)] == await datastore.rows(STORE, revision, [ForwardKey("doc:1", "viewer")], [])


async def test_stores_are_listed_by_id_in_pages(datastore: SqlDatastore) -> None:
    """Pages follow on each other; a name selects exactly."""
    for number in (3, 1, 2, 4):
        await datastore.create_store(StoreRecord(f"S{number}", "even" if number % 2 == 0 else "odd", NOW, NOW), by=ANNE)
    first = await datastore.list_stores(name="", after_id="", limit=3)
    assert [store.id for store in first] == ["S1", "S2", "S3"]
    assert [store.id for store in await datastore.list_stores(name="", after_id="S3", limit=3)] == ["S4"]
    assert [store.id for store in await datastore.list_stores(name="even", after_id="", limit=3)] == ["S2", "S4"]
    assert await datastore.list_stores(name="eve", after_id="", limit=3) == []


async def test_models_are_listed_newest_first(datastore: SqlDatastore) -> None:
    """The newest is the greatest id; models of other stores do not show."""
    written = [ModelRecord(STORE, f"M{number}", "1.1", f'{{"n":{number}}}', NOW) for number in (1, 2, 3)]
    assert await datastore.latest_model_id(STORE) is None
    for model in [*written, ModelRecord(OTHER, "M9", "1.2", "{}", NOW)]:
        await datastore.write_model(model, by=ANNE)
    assert await datastore.latest_model_id(STORE) == "M3"
    assert written[1] == await datastore.read_model(STORE, "M2")
    assert await datastore.read_model(STORE, "M9") is None
    assert [written[2], written[1]] == await datastore.list_models(STORE, before_id="", limit=2)
    assert [written[0]] == await datastore.list_models(STORE, before_id="M2", limit=2)
    with pytest.raises(errors.WriteConflict):
        await datastore.write_model(written[0], by=ANNE)


async def test_assertions_are_replaced_as_a_whole(datastore: SqlDatastore) -> None:
    """The last ones written are read."""
    assert await datastore.read_assertions(STORE, "M1") is None
    for body in ("[1]", "[2]"):
        await datastore.write_assertions(STORE, "M1", body, now=NOW, by=ANNE)
    assert await datastore.read_assertions(STORE, "M1") == "[2]"
    assert await datastore.read_assertions(OTHER, "M1") is None


async def test_a_store_without_writes_is_at_revision_zero(datastore: SqlDatastore) -> None:
    """Reading a store that was never created finds nothing."""
    assert (await datastore.head_revision(STORE), await datastore.oldest_revision(STORE)) == (0, 0)
    assert await read_all(datastore, STORE, 0) == []
    assert await datastore.count_tuples(STORE, 0, 10) == 0
    assert await datastore.rows(STORE, 0, [ForwardKey("doc:1", "viewer")], [ReverseKey("u:1", "doc", "viewer")]) == []
    assert await datastore.changes_after(STORE, 0, 10) == []
    assert await datastore.read_tuples(STORE, TupleFilter(), revision=0, after=0, limit=10) == []
    assert await changes(datastore) == []


async def test_revisions_count_the_writes_of_each_store(datastore: SqlDatastore) -> None:
    """A write that changes nothing takes no revision."""
    assert [await put(datastore, item(number)) for number in (1, 2)] == [1, 2]
    assert await put(datastore, item(1), store=OTHER) == 1
    ignored = TupleWrite(deletes=[item(9).key], writes=[item(1)], **_ignoring)
    result = await datastore.write(STORE, ignored, by=ANNE, now=NOW)
    assert (result.revision, result.changes) == (2, ())
    assert await datastore.head_revision(STORE) == 2
    assert tuple(await datastore.write(OTHER, TupleWrite(), by=ANNE, now=NOW)) == (1, (), None)


_ignoring: Any = {"on_missing": OnExisting.IGNORE, "on_duplicate": OnExisting.IGNORE}


async def test_a_refused_write_changes_nothing(datastore: SqlDatastore) -> None:
    """The error names the tuple; neither what came before nor after it is applied."""
    await put(datastore, item(1), item(2))
    with pytest.raises(errors.InvalidWrite, match=r"`doc:1#viewer@user:anne`: it exists already"):
        await datastore.write(STORE, TupleWrite(deletes=[item(2).key], writes=[item(3), item(1)]), by=ANNE, now=NOW)
    with pytest.raises(errors.InvalidWrite, match=r"`doc:9#viewer@user:anne`: it does not exist"):
        await datastore.write(STORE, TupleWrite(deletes=[item(2).key, item(9).key], writes=[item(3)]), by=ANNE, now=NOW)
    assert await datastore.head_revision(STORE) == 1
    assert [item(1), item(2)] == [change.tuple for change in await datastore.changes_after(STORE, 0, 10)]


@pytest.mark.parametrize(
    ("stored", "again", "same"),
    [
        ({"x": 1}, {"x": 1.0}, True),
        ({"x": [{"b": 1, "a": None}]}, {"x": [{"a": None, "b": 1}]}, True),
        ({"x": 1}, {"x": True}, False),
        ({"x": 0}, {"x": False}, False),
        ({"x": [1]}, {"x": [1, 1]}, False),
        ({"x": None}, {}, False),
        ({"x": "1"}, {"x": 1}, False),
        ({"x": 10**300}, {"x": 1e300}, True),
    ],
)
async def test_a_duplicate_is_ignored_only_with_the_same_condition(
    datastore: SqlDatastore, stored: dict[str, object], again: dict[str, object], *, same: bool
) -> None:
    """Contexts are compared as JSON values."""
    await put(datastore, item(1, RelationshipCondition("c", stored)))  # type: ignore[arg-type]
    write = TupleWrite(writes=[item(1, RelationshipCondition("c", again))], **_ignoring)  # type: ignore[arg-type]
    if same:
        assert (await datastore.write(STORE, write, by=ANNE, now=NOW)).revision == 1
    else:
        with pytest.raises(errors.WriteConflict, match="with another condition"):
            await datastore.write(STORE, write, by=ANNE, now=NOW)


async def test_another_condition_name_is_another_condition(datastore: SqlDatastore) -> None:
    """No condition differs from any."""
    await put(datastore, item(1), item(2, RelationshipCondition("c", {})))
    for again in (item(1, RelationshipCondition("c", {})), item(2), item(2, RelationshipCondition("d", {}))):
        with pytest.raises(errors.WriteConflict):
            await datastore.write(STORE, TupleWrite(writes=[again], **_ignoring), by=ANNE, now=NOW)


async def test_a_context_that_is_no_json_is_refused(datastore: SqlDatastore) -> None:
    """NaN and broken text are an error of the caller."""
    for value in (float("nan"), "\ud800"):
        with pytest.raises(errors.InvalidRequest):
            await put(datastore, item(1, RelationshipCondition("c", {"x": value})))
    assert await datastore.head_revision(STORE) == 0


async def test_text_is_kept_letter_by_letter(datastore: SqlDatastore) -> None:
    """Case, accents, quotes and digits distinguish; nothing is folded or turned into a number."""
    users = ["user:a", "user:A", "user:ä", "user:a\u0308", "user:'\"%_\\", "user:007", "user:7", "user:🦀", "user:null"]
    await put(datastore, *(RelationshipTuple("doc:1", "viewer", user) for user in users))
    for user in users:
        found = await datastore.rows(STORE, 1, [], [ReverseKey(user, "doc", "viewer")])
        assert [user] == [one.user for one in found]
        page = await datastore.read_tuples(STORE, TupleFilter("doc:", "", user), revision=1, after=0, limit=9)
        assert [user] == [one.tuple.user for one in page]


async def test_broken_text_in_a_key_is_an_error_of_the_caller(datastore: SqlDatastore) -> None:
    """A lone surrogate cannot be stored anywhere."""
    with pytest.raises(errors.InvalidRequest):
        await put(datastore, RelationshipTuple("doc:1", "viewer", "user:\ud800"))
    with pytest.raises(errors.InvalidRequest):
        await datastore.rows(STORE, 0, [ForwardKey("doc:\ud800", "viewer")], [])


async def test_a_large_write_is_one_transaction(datastore: SqlDatastore) -> None:
    """Ten thousand tuples, more than a statement may have parameters."""
    many = [item(number, RelationshipCondition("c", {"n": number})) for number in range(10_000)]
    assert await put(datastore, *many) == 1
    result = await datastore.write(
        STORE, TupleWrite(deletes=[one.key for one in many[1:]], writes=[item(-1)]), by=ANNE, now=NOW
    )
    assert (result.revision, len(result.changes)) == (2, 10_000)
    assert _spelled([many[0], item(-1)]) == _spelled(await read_all(datastore, STORE, 2))
    assert _spelled(many) == _spelled(await read_all(datastore, STORE, 1))
    keys = [ForwardKey(one.object, "viewer") for one in many]
    assert len(await datastore.rows(STORE, 1, keys, [])) == 10_000
    assert len(await datastore.changes_after(STORE, 0, 10_001)) == 20_000


async def test_positions_follow_the_order_of_writing(datastore: SqlDatastore) -> None:
    """Also within one write, and none is given twice."""
    await put(datastore, *(item(number) for number in (5, 3, 4)))
    await datastore.write(STORE, TupleWrite(deletes=[item(4).key]), by=ANNE, now=NOW)
    await datastore.collect_garbage(LATER, limit=10)
    await put(datastore, item(4))
    page = await datastore.read_tuples(STORE, TupleFilter(), revision=3, after=0, limit=10)
    assert [one.tuple.object for one in page] == ["doc:5", "doc:3", "doc:4"]
    assert [one.position - page[0].position for one in page] == [0, 1, 3]
    assert {NOW} == {one.created_at for one in page}


async def test_changes_are_listed_behind_a_position(datastore: SqlDatastore) -> None:
    """In order, of one type, within a window; a deletion keeps the condition that the tuple had."""
    conditional = item(2, RelationshipCondition("c", {"x": 1}))
    await put(datastore, item(1), conditional, item(1, kind="folder"))
    await datastore.write(
        STORE, TupleWrite(deletes=[conditional.key], writes=[item(3)]), by=BOB, now=NOW + timedelta(seconds=5)
    )
    first, second, third, fourth, fifth = await changes(datastore)
    assert Change(1, 1, Operation.WRITE, conditional, NOW, "anne") == second
    assert Change(2, 0, Operation.DELETE, conditional, NOW + timedelta(seconds=5), "bob") == fourth
    assert [third, fourth] == await changes(datastore, after=(1, 1), limit=2)
    assert await changes(datastore, after=(2, 1)) == []
    assert [third] == await changes(datastore, object_type="folder")
    assert [fourth, fifth] == await changes(datastore, object_type="doc", after=(1, 2))
    assert [fourth, fifth] == await changes(datastore, start=NOW + timedelta(seconds=5))
    assert [first, second, third] == await changes(datastore, end=NOW + timedelta(seconds=4))
    assert await changes(datastore, start=LATER, end=LATER) == []


@pytest.mark.parametrize("skew", [0, 540])
async def test_a_start_time_finds_its_place_in_a_long_log(datastore: SqlDatastore, skew: int) -> None:
    """No change at or after it is left out, though clocks differ by minutes; in order of revisions."""
    times = [NOW + timedelta(minutes=number, seconds=skew if number % 3 == 0 else 0) for number in range(60)]
    for number, time in enumerate(times):
        await put(datastore, item(number), now=time)
    for start in (NOW - timedelta(days=1), NOW, times[25], times[30], times[59], NOW + timedelta(days=1)):
        expected = [number for number, time in enumerate(times) if time >= start]
        assert [item(number) for number in expected] == [one.tuple for one in await changes(datastore, start=start)]
        later = [item(number) for number in expected if number >= 40]
        assert later == [one.tuple for one in await changes(datastore, start=start, after=(40, 0))]


async def test_garbage_is_collected_in_bits(datastore: SqlDatastore) -> None:
    """At most `limit` rows at a time, of all stores, the longest deleted first; the changelog stays."""
    for store in (STORE, OTHER):
        await put(datastore, *(item(number) for number in range(5)), store=store)
        for number in range(4):
            await datastore.write(
                store, TupleWrite(deletes=[item(number).key]), by=ANNE, now=NOW + timedelta(seconds=number)
            )
    cutoff = NOW + timedelta(seconds=3)
    assert [await datastore.collect_garbage(cutoff, limit=4) for _ in range(3)] == [4, 2, 0]
    for store in (STORE, OTHER):
        assert await datastore.oldest_revision(store) == 4
        assert [item(3), item(4)] == await read_all(datastore, store, 4)
        assert [item(4)] == await read_all(datastore, store, 5)
        assert len(await datastore.changes_after(store, 0, 100)) == 9


async def test_a_closed_datastore_says_so(datastore: SqlDatastore) -> None:
    """Closing twice is fine; calling is an error."""
    await datastore.ping()
    await datastore.close()
    await datastore.close()
    with pytest.raises(errors.Unavailable, match="closed"):
        await datastore.ping()
    with pytest.raises(errors.Unavailable, match="closed"):
        datastore.may_have_changed()
