"""The embedded database: SQLite in write-ahead-log mode, one writer per process. Built by `opening`."""

from __future__ import annotations

import os
import random
import sqlite3
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
from sqlalchemy import Engine, QueuePool, String, bindparam, create_engine, event, func, literal_column, select
from sqlalchemy import type_coerce as typed
from sqlalchemy.dialects.sqlite import insert

from authz.errors import InvalidRequest, Unavailable
from authz.store.sql.dialect import KeyTable
from authz.store.sql.failures import Failure, to_domain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Connection, Executable, Select, Table
    from sqlalchemy.types import TypeEngine

_PRAGMAS = (
    "synchronous=FULL",  # an acknowledged write survives the loss of power, not only of the process
    "foreign_keys=ON",
    "journal_size_limit=67108864",
    "temp_store=MEMORY",
)

_CHANGES = "SELECT value FROM counters WHERE name = 'changes'"

_STEP = (0.0003, 0.002)
"""Seconds between two tries to get the lock of another process, at random in this range."""


class SqliteDialect:
    """SQLite on a file. `busy_timeout`: seconds to wait for the writer of another process."""

    writer_threads = 1

    def __init__(self, path: Path, *, readers: int, busy_timeout: float) -> None:
        self.path = path
        self._busy_timeout = busy_timeout
        self.reader_threads = readers
        self.reader = self._engine(readers, isolation_level="AUTOCOMMIT")
        self.writer = self._engine(1)
        event.listen(self.writer, "begin", _Immediate(busy_timeout))

    def key_table(self, columns: Mapping[str, TypeEngine[Any]]) -> KeyTable:
        """A JSON array of arrays, taken apart by `json_each`."""
        rows = func.json_each(bindparam("keys", type_=String())).table_valued("value", name="bound")
        members = [
            typed(func.json_extract(rows.c.value, literal_column(f"'$[{place}]'")), kind).label(name)
            for place, (name, kind) in enumerate(columns.items())
        ]
        return KeyTable(select(*members).select_from(rows).subquery("keys"), _bind)

    def find(self, keys: KeyTable, wanted: Select[Any], table: Table) -> Select[Any]:
        """By `IN`, for which SQLite looks into the index."""
        return wanted.where(keys.matches(table))

    def insert_missing(self, table: Table) -> Executable:
        """`INSERT … ON CONFLICT DO NOTHING`."""
        return insert(table).on_conflict_do_nothing()

    def replace(self, table: Table) -> Executable:
        """`INSERT … ON CONFLICT DO UPDATE`."""
        statement = insert(table)
        values = {column.name: statement.excluded[column.name] for column in table.c if not column.primary_key}
        return statement.on_conflict_do_update(index_elements=list(table.primary_key), set_=values)

    def signal(self) -> DataVersion:
        """Compare `data_version` on a connection of its own."""
        return DataVersion(self._connect())

    def _engine(self, size: int, **options: Any) -> Engine:
        return create_engine(
            "sqlite+pysqlite://",
            creator=self._connect,
            poolclass=QueuePool,
            pool_size=size,
            max_overflow=0,
            **options,
        )

    def _connect(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = None
        try:
            connection = sqlite3.connect(
                self.path, timeout=self._busy_timeout, isolation_level=None, check_same_thread=False
            )
            _prepare(connection, self.path)
        except BaseException as error:
            if connection is not None:
                connection.close()
            unusable = _unusable(error, self.path) if isinstance(error, sqlite3.Error) else None
            if unusable is not None:
                raise unusable from error
            raise
        return connection


class DataVersion:
    """SQLite's counter of commits made through other connections: 3 µs a look, and no commit is missed.

    When it has moved, a counter that triggers raise tells whether tuples, models or stores were changed, or only the
    audit trail and the like.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection: sqlite3.Connection | None = connection
        self._seen: int | None = None
        self._changes: int | None = None

    def may_have_changed(self) -> bool:
        """See `TupleReader.may_have_changed`."""
        if self._connection is None:
            raise Unavailable("the datastore is closed")
        try:
            version: int = self._connection.execute("PRAGMA data_version").fetchone()[0]
            if version == self._seen:
                return False
            changes: int = self._connection.execute(_CHANGES).fetchone()[0]
        except sqlite3.Error:
            self._seen = self._changes = None
            return True
        changed = changes != self._changes
        self._seen, self._changes = version, changes
        return changed

    def announce(self) -> None:
        """Nothing to do: the other processes look at the same counter."""

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def sqlite_file(database: str | None) -> Path:
    """The file that a URI names.

    Raises `InvalidRequest` when it names none, its folder is missing, or it cannot be written.
    """
    if not database or database == ":memory:" or database.startswith("file:"):
        raise InvalidRequest(
            "an SQLite datastore needs a file, as in `sqlite:///authz.db`: in memory, each connection sees its own"
        )
    path = Path(database)
    if not path.parent.is_dir():
        raise InvalidRequest(f"the folder `{path.parent}` of the SQLite file does not exist")
    if path.exists() and not path.is_file():
        raise InvalidRequest(f"`{path}` is not a file")
    # INVARIANT: nobody but SQLite opens the file: closing it again would drop the locks that connections of this
    # process hold on it (https://www.sqlite.org/howtocorrupt.html, section 2.2).
    for needed in (path.parent, path):  # the log lies beside the file
        if needed.exists() and not os.access(needed, os.W_OK, effective_ids=os.access in os.supports_effective_ids):
            raise InvalidRequest(f"the SQLite file `{path}` cannot be written: no permission for `{needed}`")
    return path


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    mode = connection.execute("PRAGMA journal_mode=WAL").fetchone()[0]
    if mode != "wal":
        raise Unavailable(f"the file system of `{path}` does not support SQLite's write-ahead log")
    for pragma in _PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")


def _unusable(error: sqlite3.Error, path: Path) -> InvalidRequest | None:
    """What is wrong with the file itself, if that is why it cannot be opened."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    if code == sqlite3.SQLITE_NOTADB:
        return InvalidRequest(f"`{path}` is not an SQLite database")
    if code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM):
        return InvalidRequest(f"the SQLite file `{path}` cannot be opened for writing")
    return None


class _Immediate:
    """Begins the transactions of the writer: a transaction that reads first fails at once when another has committed.

    Waits here for the lock of another process, in short steps: SQLite's own waiting grows to steps of 100 ms, which
    starves one of two busy processes.
    """

    def __init__(self, patience: float) -> None:
        self._patience = patience

    def __call__(self, connection: Connection) -> None:
        driver = connection.connection.driver_connection
        assert isinstance(driver, sqlite3.Connection)
        ends = time.monotonic() + self._patience
        while time.monotonic() < ends:
            try:
                driver.execute("PRAGMA busy_timeout=0")
                driver.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                    break
                time.sleep(random.uniform(*_STEP))  # noqa: S311 - spreads those who wait
            else:
                return
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def _bind(rows: Sequence[Sequence[str | int | None]]) -> dict[str, object]:
    try:
        return {"keys": orjson.dumps(rows).decode()}
    except orjson.JSONEncodeError as error:
        raise to_domain(Failure.BAD_VALUE) from error
