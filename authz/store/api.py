"""What the service asks of a datastore: facts at a revision.

Implemented by `store.sql`; called by `index` and `commands`.

Methods are coroutines; an implementation runs its blocking work on its own threads. Every method raises
`errors.Unavailable` when the database cannot be reached, and nothing of the driver's own.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import NamedTuple, Protocol

from authz.call import Origin
from authz.store.directives import DirectiveStore
from authz.store.trail import TrailStore
from authz.tuples import RelationshipTuple, TupleKey

MAX_REVISION = 2**63 - 1
"""`deleted_revision` of a tuple that is alive."""


class StoreRecord(NamedTuple):
    """A store; `deleted_at` is set once it is deleted (its tuples and models are left)."""

    id: str
    name: str
    created_at: datetime
    updated_at: datetime
    deleted_at: datetime | None = None


class ModelRecord(NamedTuple):
    """An authorization model as it was written: `body` is its JSON form as text, without the id."""

    store_id: str
    id: str
    schema_version: str
    body: str
    created_at: datetime


class StoredTuple(NamedTuple):
    """A tuple as it stands in the store, with when it was written."""

    tuple: RelationshipTuple
    created_at: datetime
    position: int
    """Order of insertion, unique in the datastore; the place of this tuple in a listing."""


class Operation(Enum):
    """What a change did to a tuple."""

    WRITE = 0
    DELETE = 1


class Change(NamedTuple):
    """One entry of the changelog. A deletion keeps the condition that the tuple had."""

    revision: int
    ordinal: int
    operation: Operation
    tuple: RelationshipTuple
    time: datetime
    actor: str


class ChangePosition(NamedTuple):
    """A place in the changelog; changes after it are those with a greater (revision, ordinal)."""

    revision: int
    ordinal: int


class Trimmed(NamedTuple):
    """How many of the oldest changes of a store were removed."""

    store_id: str
    removed: int


class TupleFilter(NamedTuple):
    """Which tuples to read. Empty members match everything; `object` may be `type:` (a type) or `type:id`."""

    object: str = ""
    relation: str = ""
    user: str = ""


class OnExisting(Enum):
    """What to do with a tuple to write that exists (or one to delete that does not)."""

    ERROR = "error"
    IGNORE = "ignore"


@dataclass(frozen=True, slots=True)
class TupleWrite:
    """One write transaction: deletes apply first, all or nothing. Keys are unique across both lists (checked before)"""

    deletes: Sequence[TupleKey] = ()
    writes: Sequence[RelationshipTuple] = ()
    on_missing: OnExisting = OnExisting.ERROR
    on_duplicate: OnExisting = OnExisting.ERROR


class WriteMark(NamedTuple):
    """What the datastore's count of changes was before and after a write, with nobody else's changes between."""

    before: int
    after: int


class WriteResult(NamedTuple):
    """Where a write ended: the store's revision after it, and the changes it made (none when all were ignored)."""

    revision: int
    changes: tuple[Change, ...]
    mark: WriteMark | None = None
    """What to give back to `TupleReader.heard`, where the datastore can tell its own commits from others'."""


class ForwardKey(NamedTuple):
    """A row of the index by its left side: all tuples of an object's relation."""

    object: str
    relation: str


class ReverseKey(NamedTuple):
    """A row of the index by its right side: all tuples with this user on a relation of an object type."""

    user: str
    object_type: str
    relation: str


class TupleColumns(NamedTuple):
    """Some tuples of one object type, relation and condition, in columns of equal length."""

    object_type: str
    relation: str
    condition: str
    """The name of the condition; empty without one."""
    objects: list[str]
    """`type:id` each."""
    users: list[str]
    contexts: list[str]
    """JSON text each, possibly empty; no entry at all without a condition."""


class TupleReader(Protocol):
    """Tuples as of a revision, for the index."""

    def columns(self, store_id: str, revision: int) -> AsyncGenerator[Sequence[TupleColumns], None]:
        """All tuples alive at `revision`, in batches, read in one consistent pass however long it takes; no order.

        While a batch is used the next one is read. Close the iterator (`contextlib.aclosing`) to stop early.
        """
        ...

    async def rows(
        self, store_id: str, revision: int, forward: Sequence[ForwardKey], reverse: Sequence[ReverseKey]
    ) -> Sequence[RelationshipTuple]:
        """All tuples of the given rows alive at `revision`, in one round trip (a few statements); no order."""
        ...

    async def count_tuples(self, store_id: str, revision: int, at_most: int) -> int:
        """How many tuples are alive at `revision`, counted no further than `at_most`; about 0.3 s per million."""
        ...

    async def head_revision(self, store_id: str) -> int:
        """The newest committed revision; 0 for a store without writes."""
        ...

    async def oldest_revision(self, store_id: str) -> int:
        """The oldest revision that can still be read: rows deleted before it may be collected."""
        ...

    async def changes_after(self, store_id: str, revision: int, limit: int) -> Sequence[Change]:
        """Changes with a revision greater than the given one, in order; whole revisions only, about `limit` entries.

        A first change that is not of the next revision tells that older ones are no longer kept; the newest revision
        always is.
        """
        ...

    def may_have_changed(self) -> bool:
        """Whether another connection or node may have changed a tuple, model or store since the last call that said so.

        So may a write of this process, until `heard` is told of it. Cheap (microseconds), called on the event loop
        before a question is answered: SQLite compares `data_version`, PostgreSQL looks at a flag that its listener
        sets. True on the first call. Never misses a commit of another process on SQLite.
        """
        ...

    @property
    def lineage(self) -> int:
        """Grows when another server took over that may lack commits of the one before, before anything is read there.

        A failover to a standby that lagged, or a backup that was restored. What was known at a revision of the server
        before does not hold at that revision here.
        """
        ...

    def heard(self, result: WriteResult) -> None:
        """Whoever asks `may_have_changed` knows of this write of its own process, and need not be told of it."""
        ...


class Datastore(TupleReader, TrailStore, DirectiveStore, Protocol):
    """The whole store: tuples, changelog, stores, models, assertions, audit trail, directives.

    Whatever changes something takes `by`, and is recorded in the audit trail in the same transaction.
    """

    async def secret(self, name: str) -> bytes:
        """A random key of 32 bytes by its name, the same for every process; made when it is first asked for."""
        ...

    async def create_store(self, store: StoreRecord, *, by: Origin) -> None:
        """Add a store; its id is new."""
        ...

    async def get_store(self, store_id: str) -> StoreRecord | None:
        """The store, unless it never was or is deleted."""
        ...

    async def rename_store(self, store_id: str, name: str, now: datetime, *, by: Origin) -> StoreRecord | None:
        """Give a store another name; None when there is no such store."""
        ...

    async def delete_store(self, store_id: str, now: datetime, *, by: Origin) -> None:
        """Mark a store as deleted; no error when there is none."""
        ...

    async def list_stores(self, *, name: str, after_id: str, limit: int) -> Sequence[StoreRecord]:
        """Living stores by id, beginning behind `after_id` (empty: from the start), with exactly this name if given."""
        ...

    async def write_model(self, model: ModelRecord, *, by: Origin) -> None:
        """Add an immutable model; its id is new and greater than those before (ULID)."""
        ...

    async def read_model(self, store_id: str, model_id: str) -> ModelRecord | None:
        """One model."""
        ...

    async def latest_model_id(self, store_id: str) -> str | None:
        """The id of the newest model."""
        ...

    async def list_models(self, store_id: str, *, before_id: str, limit: int) -> Sequence[ModelRecord]:
        """Models, newest first, beginning below `before_id` (empty: from the newest)."""
        ...

    async def write_assertions(self, store_id: str, model_id: str, body: str, *, now: datetime, by: Origin) -> None:
        """Replace the assertions (JSON text) of a model."""
        ...

    async def read_assertions(self, store_id: str, model_id: str) -> str | None:
        """The assertions of a model as they were written."""
        ...

    async def write(self, store_id: str, write: TupleWrite, *, by: Origin, now: datetime) -> WriteResult:
        """Apply one write transaction under the lock of the store's revision row.

        Raises `InvalidWrite` (a tuple exists or is missing under `OnExisting.ERROR`; the message names it) and
        `WriteConflict` (a tuple to write exists with another condition under `OnExisting.IGNORE`, or a concurrent
        transaction won).
        """
        ...

    async def read_tuples(
        self, store_id: str, filter_: TupleFilter, *, revision: int, after: int, limit: int
    ) -> Sequence[StoredTuple]:
        """Tuples alive at `revision` that match, by position, beginning behind position `after`."""
        ...

    async def read_changes(
        self,
        store_id: str,
        *,
        object_type: str,
        after: ChangePosition,
        start_time: datetime | None,
        not_after: datetime | None,
        limit: int,
    ) -> Sequence[Change]:
        """Changes behind a position, in order, of one object type if given, within a window of time if given.

        Raises `InvalidContinuationToken` when changes behind a position, other than the beginning, may be gone.
        """
        ...

    async def settled_revision(self, store_id: str, not_after: datetime | None) -> int:
        """A revision up to which all changes are from before a time, if given: as new as can be told cheaply."""
        ...

    async def trim_changelog(self, older_than: datetime, *, after_store: str, limit: int) -> Trimmed | None:
        """Remove changes older than a time, about `limit`, of the first store by id behind `after_store` with any.

        The newest revision of a store stays. None when no store has any.
        """
        ...

    async def collect_garbage(self, older_than: datetime, *, limit: int) -> int:
        """Remove up to `limit` tuple rows deleted before a time and raise `oldest_revision`; returns how many went."""
        ...

    async def ping(self) -> None:
        """Return when the database answers."""
        ...

    async def close(self) -> None:
        """Let go of all connections and threads."""
        ...
