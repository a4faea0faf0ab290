"""Stores, models and assertions: the statements that neither lock nor version anything. Called by `datastore`."""

from __future__ import annotations

from secrets import token_bytes
from typing import TYPE_CHECKING

from sqlalchemy import insert, select, update

from authz.store.api import ModelRecord, StoreRecord
from authz.store.sql.tables import assertions, models, secrets, stores

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import Connection, Executable

SECRET_BYTES = 32

_living = select(stores.c.id, stores.c.name, stores.c.created_at, stores.c.updated_at, stores.c.deleted_at).where(
    stores.c.deleted_at.is_(None)
)
_model = select(models.c.store_id, models.c.id, models.c.schema_version, models.c.body, models.c.created_at)


def secret(connection: Connection, add: Executable, name: str) -> bytes:
    """A random key, made when it is first asked for; `add` is the dialect's statement for a missing one."""
    connection.execute(add, {"name": name, "value": token_bytes(SECRET_BYTES)})
    value: bytes = connection.execute(select(secrets.c.value).where(secrets.c.name == name)).scalar_one()
    return value


def create_store(connection: Connection, store: StoreRecord) -> None:
    """Add a store."""
    connection.execute(insert(stores), store._asdict())


def get_store(connection: Connection, store_id: str) -> StoreRecord | None:
    """A living store."""
    row = connection.execute(_living.where(stores.c.id == store_id)).first()
    return None if row is None else StoreRecord._make(row)


def rename_store(connection: Connection, store_id: str, name: str, now: datetime) -> StoreRecord | None:
    """Give a living store another name."""
    connection.execute(
        update(stores).where(stores.c.id == store_id, stores.c.deleted_at.is_(None)).values(name=name, updated_at=now)
    )
    return get_store(connection, store_id)


def delete_store(connection: Connection, store_id: str, now: datetime) -> None:
    """Mark a living store as deleted."""
    connection.execute(
        update(stores).where(stores.c.id == store_id, stores.c.deleted_at.is_(None)).values(deleted_at=now)
    )


def list_stores(connection: Connection, name: str, after_id: str, limit: int) -> Sequence[StoreRecord]:
    """Living stores by id."""
    statement = _living.where(stores.c.id > after_id).order_by(stores.c.id).limit(limit)
    if name:
        statement = statement.where(stores.c.name == name)
    return [StoreRecord._make(row) for row in connection.execute(statement)]


def write_model(connection: Connection, model: ModelRecord) -> None:
    """Add a model."""
    connection.execute(insert(models), model._asdict())


def read_model(connection: Connection, store_id: str, model_id: str) -> ModelRecord | None:
    """One model."""
    row = connection.execute(_model.where(models.c.store_id == store_id, models.c.id == model_id)).first()
    return None if row is None else ModelRecord._make(row)


def latest_model_id(connection: Connection, store_id: str) -> str | None:
    """The greatest model id."""
    newest = select(models.c.id).where(models.c.store_id == store_id).order_by(models.c.id.desc()).limit(1)
    return connection.execute(newest).scalar()


def list_models(connection: Connection, store_id: str, before_id: str, limit: int) -> Sequence[ModelRecord]:
    """Models, newest first."""
    statement = _model.where(models.c.store_id == store_id).order_by(models.c.id.desc()).limit(limit)
    if before_id:
        statement = statement.where(models.c.id < before_id)
    return [ModelRecord._make(row) for row in connection.execute(statement)]


def write_assertions(connection: Connection, replace: Executable, store_id: str, model_id: str, body: str) -> None:
    """Replace the assertions of a model; `replace` is the dialect's statement for that table."""
    connection.execute(replace, {"store_id": store_id, "model_id": model_id, "body": body})


def read_assertions(connection: Connection, store_id: str, model_id: str) -> str | None:
    """The assertions of a model."""
    statement = select(assertions.c.body).where(assertions.c.store_id == store_id, assertions.c.model_id == model_id)
    return connection.execute(statement).scalar()
