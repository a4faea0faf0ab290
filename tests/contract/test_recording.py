"""Every change is recorded in the transaction that makes it, or it is not made."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from authz import errors
from authz.store.api import ModelRecord, OnExisting, StoreRecord, TupleWrite
from authz.store.directives import Directive
from authz.store.sql import SqlDatastore, open_datastore
from authz.tuples import RelationshipCondition, RelationshipTuple, TupleKey
from tests.support.origins import ANNE, BOB
from tests.support.scribe import PlainScribe, told, verified

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from authz.store.trail import Entry, Head, Segment

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
LATER = NOW + timedelta(seconds=1)
STORE = "01J00000000000000000000001"
CHAIN = f"store/{STORE}"
PLAIN = RelationshipTuple("doc:1", "viewer", "user:anne")
CONDITIONAL = RelationshipTuple("doc:2", "viewer", "user:*", RelationshipCondition("c", {"x": [1, None, "ü"]}))
PLAIN_JSON = {"object": "doc:1", "relation": "viewer", "user": "user:anne"}
CONDITIONAL_JSON = {
    "object": "doc:2",
    "relation": "viewer",
    "user": "user:*",
    "condition": {"name": "c", "context": {"x": [1, None, "ü"]}},
}
IGNORING: Any = {"on_missing": OnExisting.IGNORE, "on_duplicate": OnExisting.IGNORE}


class TroubledScribe(PlainScribe):
    """Fails as long as it is told to."""

    def __init__(self) -> None:
        self.trouble: Exception | None = None
        self.calls = 0

    def seal(self, chain: str, head: Head | None, entries: Sequence[Entry]) -> tuple[Segment, Head]:
        self.calls += 1
        if self.trouble is not None:
            raise self.trouble
        return super().seal(chain, head, entries)


@pytest.fixture
async def troubled(datastore_uri: str) -> AsyncIterator[tuple[SqlDatastore, TroubledScribe]]:
    scribe = TroubledScribe()
    store = open_datastore(datastore_uri, scribe)
    yield store, scribe
    await store.close()


def model(name: str, body: str, store: str = STORE) -> ModelRecord:
    return ModelRecord(store, name, "1.1", body, NOW)


def directive(name: str, expires_at: datetime | None = None) -> Directive:
    return Directive(name, "suspension", '{"principal":"eve","n":[1,null]}', "too many", "anne", NOW, expires_at)


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


async def test_a_write_records_what_it_deleted_and_what_it_wrote(trailed: SqlDatastore) -> None:
    """With the condition that a deleted tuple had, the revision, and who did it from where."""
    await trailed.write(STORE, TupleWrite(writes=[PLAIN, CONDITIONAL]), by=ANNE, now=NOW)
    await trailed.write(STORE, TupleWrite(deletes=[CONDITIONAL.key, PLAIN.key]), by=BOB, now=LATER)
    first, second = await verified(trailed, CHAIN)
    assert (first.store_id, first.by, first.time) == (STORE, ANNE, NOW)
    assert told(first) == ("tuples.write", 1, [], [PLAIN_JSON, CONDITIONAL_JSON])
    assert (second.store_id, second.by, second.time) == (STORE, BOB, LATER)
    assert told(second) == ("tuples.write", 2, [CONDITIONAL_JSON, PLAIN_JSON], [])


async def test_the_life_of_a_store_is_recorded(trailed: SqlDatastore) -> None:
    """Its names before and after; a store that is not there is neither renamed nor deleted."""
    await trailed.create_store(StoreRecord(STORE, "one", NOW, NOW), by=ANNE)
    await trailed.rename_store(STORE, "two", LATER, by=BOB)
    for _ in range(2):
        await trailed.delete_store(STORE, LATER, by=ANNE)
    await trailed.rename_store(STORE, "three", LATER, by=ANNE)
    await trailed.delete_store("unknown", LATER, by=ANNE)
    entries = await verified(trailed, CHAIN)
    assert [told(entry) for entry in entries] == [
        ("store.create", None, None, {"name": "one"}),
        ("store.rename", None, {"name": "one"}, {"name": "two"}),
        ("store.delete", None, {"name": "two"}, None),
    ]
    assert [(entry.by, entry.time) for entry in entries] == [(ANNE, NOW), (BOB, LATER), (ANNE, LATER)]
    assert [head.chain for head in await trailed.chain_heads(after="", limit=10)] == [CHAIN]


async def test_a_model_is_recorded_by_its_digest(trailed: SqlDatastore) -> None:
    """Beside the newest one before it."""
    await trailed.write_model(model("M1", '{"n":1}'), by=ANNE)
    await trailed.write_model(model("M2", '{"n":"ü"}'), by=ANNE)
    one, two = (
        {"id": f"M{number}", "schema_version": "1.1", "sha256": digest(body)}
        for number, body in ((1, '{"n":1}'), (2, '{"n":"ü"}'))
    )
    assert [told(entry) for entry in await verified(trailed, CHAIN)] == [
        ("model.write", None, None, one),
        ("model.write", None, one, two),
    ]


async def test_assertions_are_recorded_by_their_number_and_digest(trailed: SqlDatastore) -> None:
    """Beside those of the same model before."""
    await trailed.write_assertions(STORE, "M1", "[]", now=NOW, by=ANNE)
    await trailed.write_assertions(STORE, "M2", "[1,2]", now=NOW, by=ANNE)
    await trailed.write_assertions(STORE, "M1", "[3]", now=LATER, by=BOB)
    none, two, one = (
        {"model_id": name, "count": count, "sha256": digest(body)}
        for name, count, body in (("M1", 0, "[]"), ("M2", 2, "[1,2]"), ("M1", 1, "[3]"))
    )
    entries = await verified(trailed, CHAIN)
    assert [told(entry)[2:] for entry in entries] == [(None, none), (None, two), (none, one)]
    assert (entries[2].by, entries[2].time) == (BOB, LATER)


async def test_directives_are_recorded_in_the_chain_of_the_service(trailed: SqlDatastore) -> None:
    """Their bodies as JSON; lifting what cannot be lifted records nothing."""
    added = await trailed.add_directive(directive("D1", LATER), by=ANNE)
    await trailed.lift_directive(added.id, NOW, by=BOB)
    assert await trailed.lift_directive(added.id, NOW, by=BOB) is None
    assert await trailed.lift_directive("unknown", NOW, by=BOB) is None
    described = {
        "id": "D1",
        "kind": "suspension",
        "body": {"principal": "eve", "n": [1, None]},
        "reason": "too many",
        "expires_at": LATER.isoformat(),
    }
    entries = await verified(trailed, "service")
    assert [(*told(entry), entry.store_id, entry.by) for entry in entries] == [
        ("directive.add", None, None, described, "", ANNE),
        ("directive.lift", None, described, None, "", BOB),
    ]


async def test_what_changes_nothing_is_not_recorded(trailed: SqlDatastore) -> None:
    """Neither a write that ignores everything, nor one that is refused."""
    await trailed.write(STORE, TupleWrite(writes=[PLAIN]), by=ANNE, now=NOW)
    nothing = TupleWrite(deletes=[CONDITIONAL.key], writes=[PLAIN], **IGNORING)
    assert (await trailed.write(STORE, nothing, by=ANNE, now=NOW)).changes == ()
    with pytest.raises(errors.InvalidWrite):
        await trailed.write(STORE, TupleWrite(writes=[CONDITIONAL, PLAIN]), by=ANNE, now=NOW)
    await trailed.create_store(StoreRecord(STORE, "one", NOW, NOW), by=ANNE)
    with pytest.raises(errors.WriteConflict):
        await trailed.create_store(StoreRecord(STORE, "two", NOW, NOW), by=ANNE)
    await trailed.write_model(model("M1", "{}"), by=ANNE)
    with pytest.raises(errors.WriteConflict):
        await trailed.write_model(model("M1", "{}"), by=ANNE)
    assert [entry.action for entry in await verified(trailed, CHAIN)] == ["tuples.write", "store.create", "model.write"]


async def test_without_a_scribe_nothing_is_recorded(datastore: SqlDatastore) -> None:
    """The same changes are made."""
    await datastore.create_store(StoreRecord(STORE, "one", NOW, NOW), by=ANNE)
    assert (await datastore.write(STORE, TupleWrite(writes=[PLAIN]), by=ANNE, now=NOW)).revision == 1
    await datastore.add_directive(directive("D1"), by=ANNE)
    assert await datastore.chain_heads(after="", limit=10) == []


@pytest.mark.parametrize("trouble", [errors.Unavailable("the sink is full"), ValueError("a bug"), KeyError("key")])
async def test_a_change_that_cannot_be_sealed_is_not_made(
    troubled: tuple[SqlDatastore, TroubledScribe], trouble: Exception
) -> None:
    """Of no kind; and once sealing works again, nothing is missing in the chain."""
    store, scribe = troubled
    await store.create_store(StoreRecord(STORE, "one", NOW, NOW), by=ANNE)
    await store.write(STORE, TupleWrite(writes=[PLAIN]), by=ANNE, now=NOW)
    kept = await store.add_directive(directive("D1"), by=ANNE)
    scribe.trouble = trouble
    for change in (
        lambda: store.create_store(StoreRecord("other", "two", NOW, NOW), by=ANNE),
        lambda: store.rename_store(STORE, "two", NOW, by=ANNE),
        lambda: store.delete_store(STORE, NOW, by=ANNE),
        lambda: store.write_model(model("M1", "{}"), by=ANNE),
        lambda: store.write_assertions(STORE, "M1", "[]", now=NOW, by=ANNE),
        lambda: store.write(STORE, TupleWrite(deletes=[PLAIN.key], writes=[CONDITIONAL]), by=ANNE, now=NOW),
        lambda: store.write("other", TupleWrite(writes=[CONDITIONAL]), by=ANNE, now=NOW),
        lambda: store.add_directive(directive("D2"), by=ANNE),
        lambda: store.lift_directive("D1", NOW, by=ANNE),
    ):
        with pytest.raises(type(trouble)):
            await change()
    scribe.trouble = None
    assert await store.list_stores(name="", after_id="", limit=9) == [StoreRecord(STORE, "one", NOW, NOW)]
    assert await store.latest_model_id(STORE) is None
    assert await store.read_assertions(STORE, "M1") is None
    assert (await store.head_revision(STORE), await store.head_revision("other")) == (1, 0)
    assert [kept] == await store.directives_after(0, limit=9)
    assert len(await verified(store, CHAIN)) == 2
    assert [head.chain for head in await store.chain_heads(after="", limit=9)] == ["service", CHAIN]
    assert (await store.write(STORE, TupleWrite(writes=[CONDITIONAL]), by=ANNE, now=NOW)).revision == 2
    assert (await store.add_directive(directive("D2"), by=ANNE)).version == 2
    assert len(await verified(store, CHAIN)) == 3


async def test_two_nodes_that_write_to_one_store_make_one_chain(
    trailed: SqlDatastore, other_trailed: SqlDatastore
) -> None:
    """From the first write on, without a gap, in the order of revisions; each record goes on from the one before."""

    async def keep_writing(node: SqlDatastore, name: str) -> None:
        for number in range(4):
            item = RelationshipTuple(f"doc:{name}-{number}", "viewer", "user:anne")
            await node.write(STORE, TupleWrite(writes=[item]), by=ANNE, now=NOW)
            await node.write_assertions(STORE, "M", f"[{number}]", now=NOW, by=ANNE)
            await node.write_model(model(f"{number}{name}", f'"{number}{name}"'), by=ANNE)

    nodes = [(trailed, "a"), (other_trailed, "b"), (trailed, "c"), (other_trailed, "d")]
    await asyncio.gather(*(keep_writing(node, name) for node, name in nodes))
    entries = await verified(other_trailed, CHAIN)
    assert len(entries) == 4 * 4 * 3
    revisions = [entry.revision for entry in entries if entry.action == "tuples.write"]
    assert revisions == list(range(1, 17))
    assert _follow_on([entry for entry in entries if entry.action == "assertions.write"])
    written: list[Any] = [entry for entry in entries if entry.action == "model.write"]
    newest: dict[str, Any] | None = None
    for entry in written:
        assert entry.before == newest
        newest = max((each for each in (newest, entry.after) if each), key=lambda each: str(each["id"]))


def _follow_on(entries: list[Entry]) -> bool:
    return all(before.after == after.before for before, after in itertools.pairwise(entries))


async def test_a_chain_is_begun_once(trailed: SqlDatastore, other_trailed: SqlDatastore) -> None:
    """Those that come second start over and go on from the first; what they read before is not believed."""
    for run in range(5):
        store = f"S{run}"
        bodies = [str([0] * count) for count in range(8)]
        nodes = itertools.cycle((trailed, other_trailed))
        await asyncio.gather(*(next(nodes).write_assertions(store, "M", body, now=NOW, by=ANNE) for body in bodies))
        entries = await verified(trailed, f"store/{store}")
        assert len(entries) == len(bodies)
        assert entries[0].before is None
        assert _follow_on(entries)


async def test_renames_and_deletions_at_once_tell_one_story(trailed: SqlDatastore, other_trailed: SqlDatastore) -> None:
    """Each name before is the name after of the former record, and a store is deleted once."""
    await trailed.create_store(StoreRecord(STORE, "0", NOW, NOW), by=ANNE)
    nodes = itertools.cycle((trailed, other_trailed))
    renames = [next(nodes).rename_store(STORE, str(number), NOW, by=ANNE) for number in range(1, 9)]
    await asyncio.gather(*renames)
    await asyncio.gather(*(next(nodes).delete_store(STORE, NOW, by=ANNE) for _ in range(4)))
    entries = await verified(trailed, CHAIN)
    assert [entry.action for entry in entries] == ["store.create", *["store.rename"] * 8, "store.delete"]
    assert _follow_on(entries)


async def test_all_kinds_of_changes_at_once_come_to_an_end(trailed: SqlDatastore, other_trailed: SqlDatastore) -> None:
    """Whatever locks what: nobody is refused, and all is recorded."""
    stores = [f"S{number}" for number in range(3)]

    async def live(node: SqlDatastore, store: str, name: str) -> None:
        await node.create_store(StoreRecord(f"{store}{name}", name, NOW, NOW), by=ANNE)
        for step in range(3):
            item = RelationshipTuple(f"doc:{name}-{step}", "viewer", "user:anne")
            await node.write(store, TupleWrite(writes=[item]), by=ANNE, now=NOW)
            added = await node.add_directive(directive(f"{store}{name}{step}"), by=ANNE)
            await node.write_model(model(f"{name}{step}", "{}", store), by=ANNE)
            await node.lift_directive(added.id, NOW, by=ANNE)
            await node.write_assertions(store, "M", "[]", now=NOW, by=ANNE)

    names = ((node, store, name) for store in stores for node, name in ((trailed, "a"), (other_trailed, "b")))
    await asyncio.gather(*(live(*each) for each in names))
    for store in stores:
        assert len(await verified(trailed, f"store/{store}")) == 2 * 3 * 3
    assert len(await verified(trailed, "service")) == 6 * 3 * 2


KEYS = [TupleKey(f"doc:{number}", "viewer", user) for number in (1, 2) for user in ("user:a", "user:*")]
NAMES = st.sampled_from(("one", "two", "three"))
writes = st.builds(
    lambda keys, cut: TupleWrite(keys[:cut], [RelationshipTuple(*key) for key in keys[cut:]], **IGNORING),
    st.lists(st.sampled_from(KEYS), min_size=1, max_size=4, unique=True),
    st.integers(0, 4),
)
steps = st.one_of(
    st.tuples(st.just("write"), writes),
    st.tuples(st.just("rename"), NAMES),
    st.tuples(st.just("assert"), st.integers(0, 3).map(lambda count: str([0] * count))),
    st.tuples(st.just("delete"), st.none()),
)


class NaiveTrail:
    """What a history of one store should leave in its chain."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = [("store.create", None, None, {"name": "zero"})]
        self._name: str | None = "zero"
        self._alive: set[TupleKey] = set()
        self._assertions: dict[str, Any] | None = None
        self._revision = 0

    def write(self, write: TupleWrite) -> None:
        deleted = [key for key in write.deletes if key in self._alive]
        written = [item.key for item in write.writes if item.key not in self._alive]
        if deleted or written:
            self._revision += 1
            self._alive = (self._alive - set(deleted)) | set(written)
            before, after = ([key._asdict() for key in keys] for keys in (deleted, written))
            self.told.append(("tuples.write", self._revision, before, after))

    def rename(self, name: str) -> None:
        if self._name is not None:
            self.told.append(("store.rename", None, {"name": self._name}, {"name": name}))
            self._name = name

    def delete(self, _: None) -> None:
        if self._name is not None:
            self.told.append(("store.delete", None, {"name": self._name}, None))
            self._name = None

    def replace(self, text: str) -> None:
        after = {"model_id": "M", "count": text.count("0"), "sha256": digest(text)}
        self.told.append(("assertions.write", None, self._assertions, after))
        self._assertions = after


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(history=st.lists(steps, max_size=12))
async def test_a_chain_tells_the_history_of_its_store(
    trailed: SqlDatastore, other_trailed: SqlDatastore, history: list[tuple[str, Any]]
) -> None:
    """Whatever is done, on whichever node."""
    store, naive = f"store-{uuid.uuid4()}", NaiveTrail()
    await trailed.create_store(StoreRecord(store, "zero", NOW, NOW), by=ANNE)
    for (kind, value), node in zip(history, itertools.cycle((trailed, other_trailed)), strict=False):
        match kind:
            case "write":
                naive.write(value)
                await node.write(store, value, by=ANNE, now=NOW)
            case "rename":
                naive.rename(value)
                await node.rename_store(store, value, NOW, by=ANNE)
            case "assert":
                naive.replace(value)
                await node.write_assertions(store, "M", value, now=NOW, by=ANNE)
            case _:
                naive.delete(value)
                await node.delete_store(store, NOW, by=ANNE)
    assert naive.told == [told(entry) for entry in await verified(trailed, f"store/{store}")]
