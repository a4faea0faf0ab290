"""One write transaction: lock the store, find what exists, apply deletes and writes, log them, raise the revision.

Called by `datastore` inside a transaction with the right to write.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import BigInteger, String, bindparam, insert, select, update

from authz.errors import Bug, InvalidWrite, WriteConflict
from authz.store.api import MAX_REVISION, Change, OnExisting, Operation, TupleWrite, WriteResult
from authz.store.sql.encoding import key_values, read_condition, same_condition, tuple_values
from authz.store.sql.instants import Instant
from authz.store.sql.tables import BY_OBJECT, changelog, revisions, tuples
from authz.store.trail import Entry
from authz.tuples import JsonValue, RelationshipCondition, RelationshipTuple, TupleKey

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection, Update

    from authz.call import Origin
    from authz.store.sql.dialect import Dialect, KeyTable
    from authz.store.sql.recording import Recorder


class Living(NamedTuple):
    """A tuple that is alive: where its row is, and its condition."""

    position: int
    condition: RelationshipCondition | None


class Plan(NamedTuple):
    """What a write comes to, given what is alive."""

    deleted: list[tuple[TupleKey, Living]]
    written: list[RelationshipTuple]


class Writer:
    """The statements of a write."""

    def __init__(self, dialect: Dialect, recorder: Recorder) -> None:
        self._recorder = recorder
        name = String()
        self._keys = dialect.key_table({"object_type": name, "object_id": name, "relation": name, "tuple_user": name})
        self._places = dialect.key_table({"position": BigInteger()})
        self._find = dialect.find(self._keys, _living, tuples)
        self._bury = _bury(self._places)
        self._add_revision = dialect.insert_missing(revisions)

    def write(self, connection: Connection, store_id: str, write: TupleWrite, by: Origin, now: datetime) -> WriteResult:
        """Apply a write; raises as `Datastore.write` does."""
        head = self._lock(connection, store_id)
        plan = decide(write, self._living(connection, store_id, write))
        if not plan.deleted and not plan.written:
            return WriteResult(head, ())
        place = self._recorder.hold(connection, store_id)
        revision = head + 1
        changes = _changes(plan, revision, now.astimezone(UTC), by.principal)
        self._apply(connection, store_id, plan, revision, now)
        _log(connection, store_id, changes)
        connection.execute(_raise_revision, {"store": store_id, "next": revision})
        if place is not None:
            before, after = _described(changes, Operation.DELETE), _described(changes, Operation.WRITE)
            entry = Entry("tuples.write", by, now, store_id, revision, before, after)
            self._recorder.record(connection, place, entry)
        return WriteResult(revision, changes)

    def _lock(self, connection: Connection, store_id: str) -> int:
        head: int | None = connection.execute(_lock_store, {"store": store_id}).scalar()
        if head is None:
            connection.execute(self._add_revision, {"store_id": store_id, "revision": 0, "oldest_revision": 0})
            head = connection.execute(_lock_store, {"store": store_id}).scalar()
        if head is None:
            raise Bug("the revision row of a store is missing after it was added")
        return head

    def _living(self, connection: Connection, store_id: str, write: TupleWrite) -> dict[TupleKey, Living]:
        keys = [*write.deletes, *(item.key for item in write.writes)]
        bound = self._keys.bind([key_values(key) for key in dict.fromkeys(keys)])
        found = connection.execute(self._find, {"store": store_id, **bound})
        return {
            TupleKey(f"{kind}:{name}", relation, user): Living(position, read_condition(condition, context))
            for position, kind, name, relation, user, condition, context in found
        }

    def _apply(self, connection: Connection, store_id: str, plan: Plan, revision: int, now: datetime) -> None:
        if plan.deleted:
            places = self._places.bind([(living.position,) for _, living in plan.deleted])
            connection.execute(self._bury, {"revision": revision, "now": now, **places})
        if plan.written:
            connection.execute(_add_tuples, [_tuple_row(store_id, item, revision, now) for item in plan.written])


def decide(write: TupleWrite, living: dict[TupleKey, Living]) -> Plan:
    """What to delete and what to write, or the error that the options ask for. Consumes `living`."""
    plan = Plan([], [])
    for key in write.deletes:
        found = living.pop(key, None)
        if found is not None:
            plan.deleted.append((key, found))
        elif write.on_missing is OnExisting.ERROR:
            raise InvalidWrite(f"cannot delete tuple `{key}`: it does not exist")
    for item in write.writes:
        found = living.get(item.key)
        if found is None:
            plan.written.append(item)
        elif write.on_duplicate is OnExisting.ERROR:
            raise InvalidWrite(f"cannot write tuple `{item.key}`: it exists already")
        elif not same_condition(found.condition, item.condition):
            raise WriteConflict(f"cannot write tuple `{item.key}`: it exists already with another condition")
    return plan


_STORE = bindparam("store", type_=String())

_c = tuples.c
_living = select(
    _c.position, _c.object_type, _c.object_id, _c.relation, _c.tuple_user, _c.condition_name, _c.condition_context
).where(_c.store_id == _STORE, _c.deleted_revision == MAX_REVISION, BY_OBJECT)
_lock_store = select(revisions.c.revision).where(revisions.c.store_id == _STORE).with_for_update()
_raise_revision = (
    update(revisions).where(revisions.c.store_id == _STORE).values(revision=bindparam("next", type_=BigInteger()))
)
_add_tuples = insert(tuples)
_add_changes = insert(changelog)


def _bury(places: KeyTable) -> Update:
    values = {
        "deleted_revision": bindparam("revision", type_=BigInteger()),
        "deleted_at": bindparam("now", type_=Instant()),
    }
    return update(tuples).where(places.matches(tuples)).values(values)


def _tuple_row(store_id: str, item: RelationshipTuple, revision: int, now: datetime) -> dict[str, object]:
    return {
        "store_id": store_id,
        **tuple_values(item),
        "created_revision": revision,
        "deleted_revision": MAX_REVISION,
        "created_at": now,
    }


def _changes(plan: Plan, revision: int, time: datetime, actor: str) -> tuple[Change, ...]:
    deleted = [(Operation.DELETE, RelationshipTuple(*key, living.condition)) for key, living in plan.deleted]
    written = [(Operation.WRITE, item) for item in plan.written]
    return tuple(
        Change(revision, ordinal, operation, item, time, actor)
        for ordinal, (operation, item) in enumerate(deleted + written)
    )


def _log(connection: Connection, store_id: str, changes: Sequence[Change]) -> None:
    rows: list[dict[str, object]] = [
        {
            "store_id": store_id,
            "revision": change.revision,
            "ordinal": change.ordinal,
            "operation": change.operation.value,
            **tuple_values(change.tuple),
            "time": change.time,
            "actor": change.actor,
        }
        for change in changes
    ]
    connection.execute(_add_changes, rows)


def _described(changes: Sequence[Change], operation: Operation) -> list[JsonValue]:
    return [_json(change.tuple) for change in changes if change.operation is operation]


def _json(item: RelationshipTuple) -> JsonValue:
    found: dict[str, JsonValue] = {"object": item.object, "relation": item.relation, "user": item.user}
    if item.condition is not None:
        found["condition"] = {"name": item.condition.name, "context": item.condition.context}
    return found
