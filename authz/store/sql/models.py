"""Models and their assertions. Called by `datastore`."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import orjson
from sqlalchemy import insert, select

from authz.store.api import ModelRecord
from authz.store.sql.tables import assertions, models
from authz.store.trail import Entry

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import Connection, Executable

    from authz.call import Origin
    from authz.store.sql.recording import Recorder
    from authz.tuples import JsonValue

_model = select(models.c.store_id, models.c.id, models.c.schema_version, models.c.body, models.c.created_at)


def write_model(connection: Connection, recorder: Recorder, model: ModelRecord, by: Origin) -> None:
    """Add a model."""
    place = recorder.hold(connection, model.store_id)
    former = None if place is None else _newest(connection, model.store_id)
    connection.execute(insert(models), model._asdict())
    before = None if former is None else _described(former)
    entry = Entry("model.write", by, model.created_at, model.store_id, None, before, _described(model))
    recorder.record(connection, place, entry)


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


def write_assertions(
    connection: Connection,
    recorder: Recorder,
    replace: Executable,
    *,
    store_id: str,
    model_id: str,
    text: str,
    now: datetime,
    by: Origin,
) -> None:
    """Replace the assertions of a model by a JSON list; `replace` is the dialect's statement for that table."""
    place = recorder.hold(connection, store_id)
    former = None if place is None else read_assertions(connection, store_id, model_id)
    connection.execute(replace, {"store_id": store_id, "model_id": model_id, "body": text})
    if place is None:
        return
    before = None if former is None else _summed(model_id, former)
    entry = Entry("assertions.write", by, now, store_id, None, before, _summed(model_id, text))
    recorder.record(connection, place, entry)


def read_assertions(connection: Connection, store_id: str, model_id: str) -> str | None:
    """The assertions of a model."""
    statement = select(assertions.c.body).where(assertions.c.store_id == store_id, assertions.c.model_id == model_id)
    return connection.execute(statement).scalar()


def _newest(connection: Connection, store_id: str) -> ModelRecord | None:
    row = connection.execute(_model.where(models.c.store_id == store_id).order_by(models.c.id.desc()).limit(1)).first()
    return None if row is None else ModelRecord._make(row)


def _described(model: ModelRecord) -> JsonValue:
    return {"id": model.id, "schema_version": model.schema_version, "sha256": _digest(model.body)}


def _summed(model_id: str, text: str) -> JsonValue:
    return {"model_id": model_id, "count": len(orjson.loads(text)), "sha256": _digest(text)}


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
