"""The datastore over SQL: each method hops once to a thread and runs the statements of its neighbours there.

Implements `store.api.Datastore`; built by `opening`; used by `index` and `commands`.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

from sqlalchemy import text

from authz.store.sql import changes, directives, models, reading, stores, trail
from authz.store.sql.calls import Calls
from authz.store.sql.garbage import Collector, find_litter
from authz.store.sql.recording import Recorder
from authz.store.sql.tables import assertions, secrets
from authz.store.sql.writing import Writer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from datetime import datetime

    from authz.call import Origin
    from authz.store.api import (
        Change,
        ChangePosition,
        ForwardKey,
        ModelRecord,
        ReverseKey,
        StoredTuple,
        StoreRecord,
        TupleFilter,
        TupleWrite,
        WriteResult,
    )
    from authz.store.directives import Directive
    from authz.store.sql.dialect import Dialect
    from authz.store.trail import Head, Scribe, Segment, SegmentPosition
    from authz.tuples import RelationshipTuple

SNAPSHOT_BATCH = 5_000
"""Tuples per batch of a snapshot: some ms of work, about 2 MB."""


class SqlDatastore:
    """See `store.api.Datastore`. A call that is cancelled while it waits may still be carried out."""

    def __init__(self, dialect: Dialect, scribe: Scribe | None = None) -> None:
        self._signal = dialect.signal()
        self._calls = Calls(dialect, self._signal.announce)
        self._rows = reading.RowReader(dialect)
        self._trail = trail.Trail(dialect)
        self._recorder = Recorder(self._trail, scribe)
        self._writer = Writer(dialect, self._recorder)
        self._collector = Collector(dialect)
        self._replace_assertions = dialect.replace(assertions)
        self._add_secret = dialect.insert_missing(secrets)

    async def snapshot(self, store_id: str, revision: int) -> AsyncIterator[Sequence[RelationshipTuple]]:
        """See `TupleReader`. Raises `InvalidConsistencyToken` when the revision is no longer kept, even half-way."""
        after: int | None = 0
        while after is not None:
            batch, after = await self._calls.read(reading.snapshot_page, store_id, revision, after, SNAPSHOT_BATCH)
            if batch:
                yield batch

    async def rows(
        self, store_id: str, revision: int, forward: Sequence[ForwardKey], reverse: Sequence[ReverseKey]
    ) -> Sequence[RelationshipTuple]:
        """See `TupleReader`. Raises `InvalidConsistencyToken` when the revision is no longer kept."""
        return await self._calls.read(self._rows.rows, store_id, revision, forward, reverse)

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
        return await self._calls.write_in_turn(store_id, self._writer.write, store_id, write, by, now)

    async def read_tuples(
        self, store_id: str, filter_: TupleFilter, *, revision: int, after: int, limit: int
    ) -> Sequence[StoredTuple]:
        """See `Datastore`. Raises `InvalidConsistencyToken` when the revision is no longer kept."""
        read = partial(reading.read_tuples, revision=revision, after=after, limit=limit)
        return await self._calls.read(read, store_id, filter_)

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
        return await self._calls.read(
            changes.read_changes,
            store_id,
            object_type=object_type,
            after=after,
            start_time=start_time,
            not_after=not_after,
            limit=limit,
        )

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
            removed += await self._calls.write(self._collector.remove, litter)
        return removed

    async def ping(self) -> None:
        """See `Datastore`."""
        await self._calls.read(lambda connection: connection.execute(text("SELECT 1")).scalar())

    async def close(self) -> None:
        """See `Datastore`. Waits for calls that are under way."""
        await self._calls.close()
        await asyncio.to_thread(self._signal.close)
