"""Choose the database by its URI. Called by the program at start, the CLI's `migrate`, and tests."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from authz.errors import DatastoreBehind, InvalidRequest
from authz.store.sql import migrate
from authz.store.sql.calls import run_once
from authz.store.sql.datastore import SqlDatastore
from authz.store.sql.replica import IDENTITY, Replica, ReplicaOptions
from authz.store.sql.sqlite import SqliteDialect, sqlite_file
from authz.store.sql.stores import secret
from authz.store.sql.tables import secrets
from authz.store.sql.uri import SQLITE, parse_uri

if TYPE_CHECKING:
    from authz.store.sql.dialect import Dialect
    from authz.store.trail import Scribe


def open_datastore(
    uri: str,
    scribe: Scribe | None = None,
    *,
    readers: int = 4,
    writers: int = 4,
    poll_interval: float = 1.0,
    replica: ReplicaOptions | None = None,
) -> SqlDatastore:
    """Open the datastore at a URI: `sqlite:///FILE`, `postgresql://…` (also `postgres://`, `postgresql+psycopg://`).

    Blocks for a moment. With a `scribe`, every change is sealed in the audit trail in the transaction that makes it; a
    change that cannot be sealed is not made. `readers` and `writers` are threads with a connection each (SQLite has one
    writer whatever is asked); `poll_interval` is how many seconds a commit on another node may stay unseen when
    PostgreSQL's notification of it is lost, or when what speaks its protocol sends none. A `replica` of a PostgreSQL
    database answers what it can; it need not be there when the datastore is opened.

    Raises `InvalidRequest` for a URI that cannot be used, `Unavailable` when the database does not answer, and
    `DatastoreBehind` unless its migrations are those of this program.
    """
    if replica is not None:
        check_replica(uri, replica.uri)
    dialect = _dialect(uri, readers, writers, poll_interval)
    if isinstance(dialect, SqliteDialect) and not dialect.path.exists():
        # To look would make an empty one.
        raise DatastoreBehind(f"no file `{dialect.path}`: {migrate.complaint(None)}")
    try:
        migrate.require_head(dialect.reader)
        return SqlDatastore(dialect, scribe, None if replica is None else _replica(dialect, replica))
    except BaseException:
        _dispose(dialect)
        raise


def migrate_datastore(uri: str) -> migrate.Migration:
    """Bring the datastore at a URI to the migrations of this program; returns where it stood before.

    Raises as `open_datastore` does, `DatastoreBehind` only when the datastore is newer.
    """
    dialect = _dialect(uri, 1, 1, 1.0)
    try:
        return migrate.upgrade(dialect.writer)
    finally:
        _dispose(dialect)


def migration_status(uri: str) -> migrate.Migration:
    """Where the datastore at a URI stands. Raises `InvalidRequest` and `Unavailable` as `open_datastore` does."""
    dialect = _dialect(uri, 1, 1, 1.0)
    try:
        return migrate.status(dialect.reader)
    finally:
        _dispose(dialect)


def _dialect(uri: str, readers: int, writers: int, poll_interval: float) -> Dialect:
    database, url = parse_uri(uri)
    if database == SQLITE:
        if url.host or url.username or url.query:
            raise InvalidRequest("an `sqlite` URI has three slashes and no options, as in `sqlite:///authz.db`")
        return SqliteDialect(sqlite_file(url.database), readers=readers, busy_timeout=5.0)
    if find_spec("psycopg") is None:
        raise InvalidRequest("a `postgresql` datastore needs psycopg: install the extra `postgres`")
    from authz.store.sql.postgresql import PostgresDialect

    return PostgresDialect(url, readers=readers, writers=writers, poll_interval=poll_interval)


def check_replica(uri: str, replica_uri: str) -> None:
    """Raise `InvalidRequest` for a replica that a datastore cannot have, as far as the two URIs tell."""
    if SQLITE in (parse_uri(uri)[0], parse_uri(replica_uri)[0]):
        raise InvalidRequest("a replica needs PostgreSQL on both sides")


def _replica(dialect: Dialect, options: ReplicaOptions) -> Replica:
    from authz.store.sql.postgresql import PostgresDialect

    _, url = parse_uri(options.uri)
    assert isinstance(dialect, PostgresDialect)
    add = dialect.insert_missing(secrets)
    identity = run_once(dialect.writer, lambda connection: secret(connection, add, IDENTITY))
    engines = dialect.replica(url, options.readers)
    return Replica(engines, identity, readers=options.readers, max_lag=options.max_lag)


def _dispose(dialect: Dialect) -> None:
    dialect.reader.dispose()
    dialect.writer.dispose()
