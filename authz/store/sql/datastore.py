"""The datastore over SQL: each method hops once to a thread and runs the statements of its neighbours there.

Implements `store.api.Datastore`; built by `opening`; used by `index` and `commands`.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

from sqlalchemy import text

from authz.store.api import Trimmed, WriteMark
from authz.store.sql import changes, directives, models, reading, stores, trail, trimming
from authz.store.sql.calls import Calls
from authz.store.sql.columns import PAGE, Page, column_page
from authz.store.sql.garbage import Collector, find_litter
from authz.store.sql.recording import Recorder
from authz.store.sql.rows import RowReader
from authz.store.sql.tables import assertions, secrets
from authz.store.sql.writing import Writer

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Sequence
    from datetime import datetime

    from sqlalchemy import Connection

    from authz.call import Origin
    from authz.store.api import (
        Change,
        ChangePosition,
        ForwardKey,
        ModelRecord,
        ReverseKey,
        StoredTuple,
        StoreRecord,
        TupleColumns,
        TupleFilter,
        TupleWrite,
        WriteResult,
    )
    from authz.store.directives import Directive
    from authz.store.sql.dialect import Dialect
    from authz.store.sql.replica import Replica
    from authz.store.trail import Head, Scribe, Segment, SegmentPosition
    from authz.tuples import RelationshipTuple

P = ParamSpec("P")
T = TypeVar("T")


_BULK = frozenset({column_page, reading.count_tuples})
"""Reads that take long, of a large store."""


class SqlDatastore:
    """See `store.api.Datastore`. A call that is cancelled while it waits may still be carried out."""

    def __init__(self, dialect: Dialect, scribe: Scribe | None = None, replica: Replica | None = None) -> None:
        self.replica = replica
        self._dialect = dialect
        self._signal = dialect.signal()
        self._calls = Calls(dialect, self._signal.announce)
        self._rows = RowReader(dialect)
        self._trail = trail.Trail(dialect)
        self._recorder = Recorder(self._trail, scribe)
        self._writer = Writer(dialect, self._recorder)
        self._collector = Collector(dialect)
        self._replace_assertions = dialect.replace(assertions)
        self._add_secret = dialect.insert_missing(secrets)

    async def columns(self, store_id: str, revision: int) -> AsyncGenerator[Sequence[TupleColumns], None]:
        """See `TupleReader`. Raises `InvalidConsistencyToken` when the revision is no longer kept, even half-way."""
        after: int | None = 0
        ahead = self._read_ahead(store_id, revision, 0)
        try:
            while after is not None:
                found, after = await ahead
                if after is not None:
                    ahead = self._read_ahead(store_id, revision, after)
                if found:
                    yield found
        finally:
            ahead.cancel()

    def _read_ahead(self, store_id: str, revision: int, after: int) -> asyncio.Task[Page]:
        return asyncio.create_task(self._read_at(column_page, store_id, revision, after, PAGE))

    async def rows(
        self, store_id: str, revision: int, forward: Sequence[ForwardKey], reverse: Sequence[ReverseKey]
    ) -> Sequence[RelationshipTuple]:
        """See `TupleReader`. Raises `InvalidConsistencyToken` when the revision is no longer kept."""
        return await self._read_at(self._rows.rows, store_id, revision, forward, reverse)

    async def count_tuples(self, store_id: str, revision: int, at_most: int) -> int:
        """See `TupleReader`. Raises `InvalidConsistencyToken` when the revision is no longer kept."""
        return await self._read_at(reading.count_tuples, store_id, revision, at_most)

    async def head_revision(self, store_id: str) -> int:
        """See `TupleReader`."""
        return await self._calls.read(reading.head_revision, store_id)

    async def oldest_revision(self, store_id: str) -> int:
        """See `TupleReader`."""
        return await self._calls.read(reading.oldest_revision, store_id)

    async def changes_after(self, store_id: str, revision: int, limit: int) -> Sequence[Change]:
        """See `TupleReader`."""
        return await self._calls.read(changes.changes_after, store_id, revision, limit)

    def may_have_changed(self) -> bool:
        """See `TupleReader`."""
        return self._signal.may_have_changed()

    @property
    def lineage(self) -> int:
        """See `TupleReader`."""
        return self._dialect.lineage

    def heard(self, result: WriteResult) -> None:
        """See `TupleReader`."""
        if result.mark is not None:
            self._signal.heard(result.mark)

    async def secret(self, name: str) -> bytes:
        """See `Datastore`."""
        return await self._calls.write_quietly(stores.secret, self._add_secret, name)

    async def create_store(self, store: StoreRecord, *, by: Origin) -> None:
        """See `Datastore`."""
        await self._calls.write(stores.create_store, self._recorder, store, by)

    async def get_store(self, store_id: str) -> StoreRecord | None:
        """See `Datastore`."""
        return await self._calls.read(stores.get_store, store_id)

    async def rename_store(self, store_id: str, name: str, now: datetime, *, by: Origin) -> StoreRecord | None:
        """See `Datastore`."""
        return await self._calls.write(stores.rename_store, self._recorder, store_id, name, now=now, by=by)

    async def delete_store(self, store_id: str, now: datetime, *, by: Origin) -> None:
        """See `Datastore`."""
        await self._calls.write(stores.delete_store, self._recorder, store_id, now=now, by=by)

    async def list_stores(self, *, name: str, after_id: str, limit: int) -> Sequence[StoreRecord]:
        """See `Datastore`."""
        return await self._calls.read(stores.list_stores, name, after_id, limit)

    async def write_model(self, model: ModelRecord, *, by: Origin) -> None:
        """See `Datastore`."""
        await self._calls.write(models.write_model, self._recorder, model, by)

    async def read_model(self, store_id: str, model_id: str) -> ModelRecord | None:
        """See `Datastore`."""
        return await self._calls.read(models.read_model, store_id, model_id)

    async def latest_model_id(self, store_id: str) -> str | None:
        """See `Datastore`."""
        return await self._calls.read(models.latest_model_id, store_id)

    async def list_models(self, store_id: str, *, before_id: str, limit: int) -> Sequence[ModelRecord]:
        """See `Datastore`."""
        return await self._calls.read(models.list_models, store_id, before_id, limit)

    async def write_assertions(self, store_id: str, model_id: str, body: str, *, now: datetime, by: Origin) -> None:
        """See `Datastore`."""
        await self._calls.write(
            models.write_assertions,
            self._recorder,
            self._replace_assertions,
            store_id=store_id,
            model_id=model_id,
            text=body,
            now=now,
            by=by,
        )

    async def read_assertions(self, store_id: str, model_id: str) -> str | None:
        """See `Datastore`."""
        return await self._calls.read(models.read_assertions, store_id, model_id)

    async def write(self, store_id: str, write: TupleWrite, *, by: Origin, now: datetime) -> WriteResult:
        """See `Datastore`."""
        return await self._calls.write_in_turn(store_id, self._marked_write, store_id, write, by, now)

    def _marked_write(
        self, connection: Connection, store_id: str, write: TupleWrite, by: Origin, now: datetime
    ) -> WriteResult:
        before = self._signal.place(connection)
        result = self._writer.write(connection, store_id, write, by, now)
        after = self._signal.place(connection) if result.changes else None
        return result if before is None or after is None else result._replace(mark=WriteMark(before, after))

    async def read_tuples(
        self, store_id: str, filter_: TupleFilter, *, revision: int, after: int, limit: int
    ) -> Sequence[StoredTuple]:
        """See `Datastore`. Raises `InvalidConsistencyToken` when the revision is no longer kept."""
        return await self._read_at(reading.read_tuples, store_id, revision, filter_, after=after, limit=limit)

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
        """See `Datastore`."""
        page = partial(
            changes.read_changes,
            store_id=store_id,
            object_type=object_type,
            after=after,
            start_time=start_time,
            not_after=not_after,
            limit=limit,
        )
        if self.replica is not None:
            found = await self.replica.read_first(page, lambda changes: len(changes) == limit)
            if found is not None:
                return found.value
        return await self._calls.read(page)

    async def settled_revision(self, store_id: str, not_after: datetime | None) -> int:
        """See `Datastore`."""
        return await self._calls.read(changes.settled_revision, store_id, not_after)

    async def append_segment(self, segment: Segment, head: Head) -> None:
        """See `TrailStore`."""
        await self._calls.write_quietly(self._trail.append_segment, segment, head)

    async def chain_head(self, chain: str) -> Head | None:
        """See `TrailStore`."""
        return await self._calls.read(trail.chain_head, chain)

    async def chain_heads(self, *, after: str, limit: int) -> Sequence[Head]:
        """See `TrailStore`."""
        return await self._calls.read(trail.chain_heads, after, limit)

    async def chain_segments(self, chain: str, *, after: int, limit: int) -> Sequence[Segment]:
        """See `TrailStore`."""
        return await self._calls.read(trail.chain_segments, chain, after, limit)

    async def newest_segments(
        self, *, since: datetime | None, until: datetime | None, before: SegmentPosition | None, limit: int
    ) -> Sequence[Segment]:
        """See `TrailStore`."""
        return await self._calls.read(trail.newest_segments, since=since, until=until, before=before, limit=limit)

    async def segments_after(self, position: SegmentPosition, *, limit: int) -> Sequence[Segment]:
        """See `TrailStore`."""
        return await self._calls.read(trail.segments_after, position, limit)

    async def cut_chain(self, head: Head) -> int:
        """See `TrailStore`."""
        return await self._calls.write_quietly(self._trail.cut_chain, head)

    async def add_directive(self, directive: Directive, *, by: Origin) -> Directive:
        """See `DirectiveStore`."""
        return await self._calls.write_quietly(directives.add_directive, self._recorder, directive, by)

    async def lift_directive(self, directive_id: str, now: datetime, *, by: Origin) -> Directive | None:
        """See `DirectiveStore`."""
        return await self._calls.write_quietly(directives.lift_directive, self._recorder, directive_id, now, by)

    async def directives_after(self, version: int, *, limit: int) -> Sequence[Directive]:
        """See `DirectiveStore`."""
        return await self._calls.read(directives.directives_after, version, limit)

    async def forget_directives(self, ended_before: datetime, *, limit: int) -> int:
        """See `DirectiveStore`."""
        return await self._calls.write_quietly(directives.forget_directives, ended_before, limit)

    async def collect_garbage(self, older_than: datetime, *, limit: int) -> int:
        """See `Datastore`."""
        removed = 0
        for litter in await self._calls.read(find_litter, older_than, limit):
            removed += await self._calls.write_quietly(self._collector.remove, litter)
        return removed

    async def trim_changelog(self, older_than: datetime, *, after_store: str, limit: int) -> Trimmed | None:
        """See `Datastore`."""
        store_id = await self._calls.read(trimming.next_excess, older_than, after_store)
        if store_id is None:
            return None
        return Trimmed(store_id, await self._calls.write_quietly(trimming.trim, store_id, older_than, limit))

    async def ping(self) -> None:
        """See `Datastore`."""
        await self._calls.read(lambda connection: connection.execute(text("SELECT 1")).scalar())

    async def close(self) -> None:
        """See `Datastore`. Waits for calls that are under way."""
        await self._calls.close()
        if self.replica is not None:
            await self.replica.close()
        await asyncio.to_thread(self._signal.close)

    async def _read_at(
        self,
        body: Callable[Concatenate[Connection, str, int, P], T],
        store_id: str,
        revision: int,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Read tuples as of a revision: by the replica if it has the revision, else by the primary."""
        if self.replica is not None:
            found = await self.replica.read_at(
                store_id,
                revision,
                lambda connection: body(connection, store_id, revision, *args, **kwargs),
                is_bulk=body in _BULK,
            )
            if found is not None:
                return found.value
        return await self._calls.read(body, store_id, revision, *args, **kwargs)
