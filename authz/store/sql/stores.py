"""Stores, and the keys that all processes share. Called by `datastore`."""

from __future__ import annotations

from secrets import token_bytes
from typing import TYPE_CHECKING

from sqlalchemy import insert, select, update

from authz.store.api import StoreRecord
from authz.store.sql.tables import secrets, stores
from authz.store.trail import Entry

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import Connection, Executable

    from authz.call import Origin
    from authz.store.sql.recording import Recorder

SECRET_BYTES = 32

_living = select(stores.c.id, stores.c.name, stores.c.created_at, stores.c.updated_at, stores.c.deleted_at).where(
    stores.c.deleted_at.is_(None)
)


def secret(connection: Connection, add: Executable, name: str) -> bytes:
    """A random key, made when it is first asked for; `add` is the dialect's statement for a missing one."""
    connection.execute(add, {"name": name, "value": token_bytes(SECRET_BYTES)})
    value: bytes = connection.execute(select(secrets.c.value).where(secrets.c.name == name)).scalar_one()
    return value


def create_store(connection: Connection, recorder: Recorder, store: StoreRecord, by: Origin) -> None:
    """Add a store."""
    place = recorder.hold(connection, store.id)
    connection.execute(insert(stores), store._asdict())
    entry = Entry("store.create", by, store.created_at, store.id, None, None, {"name": store.name})
    recorder.record(connection, place, entry)


def get_store(connection: Connection, store_id: str) -> StoreRecord | None:
    """A living store."""
    row = connection.execute(_living.where(stores.c.id == store_id)).first()
    return None if row is None else StoreRecord._make(row)


def rename_store(
    connection: Connection, recorder: Recorder, store_id: str, name: str, *, now: datetime, by: Origin
) -> StoreRecord | None:
    """Give a living store another name."""
    place = recorder.hold(connection, store_id)
    former = _lock(connection, store_id)
    if former is None:
        return None
    connection.execute(update(stores).where(stores.c.id == store_id).values(name=name, updated_at=now))
    entry = Entry("store.rename", by, now, store_id, None, {"name": former.name}, {"name": name})
    recorder.record(connection, place, entry)
    return get_store(connection, store_id)


def delete_store(connection: Connection, recorder: Recorder, store_id: str, *, now: datetime, by: Origin) -> None:
    """Mark a living store as deleted."""
    place = recorder.hold(connection, store_id)
    former = _lock(connection, store_id)
    if former is None:
        return
    connection.execute(update(stores).where(stores.c.id == store_id).values(deleted_at=now))
    entry = Entry("store.delete", by, now, store_id, None, {"name": former.name}, None)
    recorder.record(connection, place, entry)


def list_stores(connection: Connection, name: str, after_id: str, limit: int) -> Sequence[StoreRecord]:
    """Living stores by id."""
    statement = _living.where(stores.c.id > after_id).order_by(stores.c.id).limit(limit)
    if name:
        statement = statement.where(stores.c.name == name)
    return [StoreRecord._make(row) for row in connection.execute(statement)]


def _lock(connection: Connection, store_id: str) -> StoreRecord | None:
    row = connection.execute(_living.where(stores.c.id == store_id).with_for_update()).first()
    return None if row is None else StoreRecord._make(row)
