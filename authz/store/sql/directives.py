"""Directives: orders with a version each, in the order of commits. Called by `datastore`.

INVARIANT: a version is given under the lock of one counter row, which is held until the commit: whoever reads version n
reads every lower one as well, and there is no gap.
"""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING

import orjson
from sqlalchemy import BigInteger, String, bindparam, delete, insert, or_, select, update

from authz.errors import Bug
from authz.store.directives import Directive
from authz.store.sql.instants import Instant
from authz.store.sql.tables import counters, directives
from authz.store.trail import Entry

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import Connection

    from authz.call import Origin
    from authz.store.sql.recording import Recorder
    from authz.tuples import JsonValue

_d = directives.c
_columns = [_d[name] for name in Directive._fields]
_counter = counters.c.name == "directives"
_lock_counter = select(counters.c.value).where(_counter).with_for_update()
_raise = update(counters).where(_counter).values(value=bindparam("next", type_=BigInteger()))
_NOW = bindparam("now", type_=Instant())
_holding = select(*_columns).where(
    _d.id == bindparam("id", type_=String()), _d.lifted_at.is_(None), or_(_d.expires_at.is_(None), _d.expires_at > _NOW)
)
_lift = (
    update(directives)
    .where(_d.id == bindparam("lifted", type_=String()))
    .values(lifted_at=_NOW, ends_at=_NOW, version=bindparam("version", type_=BigInteger()))
)


def add_directive(connection: Connection, recorder: Recorder, directive: Directive, by: Origin) -> Directive:
    """Add an order and give it a version."""
    added = directive._replace(version=_lock(connection) + 1)
    place = recorder.hold(connection)
    connection.execute(insert(directives), {**added._asdict(), "ends_at": added.lifted_at or added.expires_at})
    connection.execute(_raise, {"next": added.version})
    after = _described(added)
    recorder.record(connection, place, Entry("directive.add", by, added.created_at, "", None, None, after))
    return added


def lift_directive(
    connection: Connection, recorder: Recorder, directive_id: str, now: datetime, by: Origin
) -> Directive | None:
    """End an order that has not ended yet, and give it a new version."""
    version = _lock(connection) + 1
    row = connection.execute(_holding, {"id": directive_id, "now": now}).first()
    if row is None:
        return None
    place = recorder.hold(connection)
    lifted = Directive._make(row)._replace(lifted_at=now, version=version)
    connection.execute(_lift, {"lifted": directive_id, "now": now, "version": version})
    connection.execute(_raise, {"next": version})
    before = _described(lifted)
    recorder.record(connection, place, Entry("directive.lift", by, now, "", None, before, None))
    return lifted


def directives_after(connection: Connection, version: int, limit: int) -> Sequence[Directive]:
    """Orders by version."""
    statement = select(*_columns).where(_d.version > version).order_by(_d.version).limit(limit)
    return [Directive._make(row) for row in connection.execute(statement)]


def forget_directives(connection: Connection, ended_before: datetime, limit: int) -> int:
    """Remove orders that ended before a time, the longest ended first."""
    ended = select(_d.id).where(_d.ends_at < ended_before, _d.ends_at.is_not(None)).order_by(_d.ends_at).limit(limit)
    return connection.execute(delete(directives).where(_d.id.in_(ended))).rowcount


def _lock(connection: Connection) -> int:
    version: int | None = connection.execute(_lock_counter).scalar()
    if version is None:
        raise Bug("the counter of directives is missing")
    return version


def _described(directive: Directive) -> JsonValue:
    ends = directive.expires_at
    return {
        "id": directive.id,
        "kind": directive.kind,
        "body": orjson.loads(directive.body),
        "reason": directive.reason,
        "expires_at": None if ends is None else ends.astimezone(UTC).isoformat(),
    }
