"""The embedded database: SQLite in write-ahead-log mode, one writer per process. Built by `opening`."""

from __future__ import annotations

import os
import random
import sqlite3
import time
from contextlib import suppress
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

    from authz.store.api import WriteMark

LOG_BYTES = 64 * 2**20
"""What the file of the write-ahead log shrinks to. One of twice the size is begun anew by force: as long as one reader
follows on the other, SQLite never gets to it by itself."""
_LOG_PATIENCE = 1.0
"""Seconds that a writer waits for readers then, and until it tries again."""

_PRAGMAS = (
    "synchronous=FULL",  # an acknowledged write survives the loss of power, not only of the process
    "foreign_keys=ON",
    f"journal_size_limit={LOG_BYTES}",
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
        event.listen(self.writer, "begin", _Immediate(busy_timeout, _Log(path)))

    @property
    def lineage(self) -> int:
        """Nobody takes the place of a file."""
        return 0

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

    def packed(self, rows: Select[Any]) -> Select[Any]:
        """By `json_group_array`: the driver lets go of the interpreter's lock at every row, and waits for it again."""
        found = rows.subquery("found")
        return select(func.json_group_array(func.json_array(*found.c)))

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
    """SQLite's counter of commits made through other connections: 2 µs a look, and no commit is missed.

    When it has moved, a counter that triggers raise tells whether tuples, models or stores were changed, or only the
    audit trail and the like; and whether by others, or only by writes that were heard of.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection: sqlite3.Connection | None = connection
        self._look = connection.cursor().execute
        self._seen: int | None = None
        self._changes: int | None = None
        # Own writes that were heard of but not met yet: the count before each, and after it.
        self._heard: dict[int, int] = {}

    def may_have_changed(self) -> bool:
        """See `TupleReader.may_have_changed`."""
        if self._connection is None:
            raise Unavailable("the datastore is closed")
        try:
            version: int = self._look("PRAGMA data_version").fetchone()[0]
            if version == self._seen:
                return False
            changes: int = self._look(_CHANGES).fetchone()[0]
        except sqlite3.Error:
            self._seen = self._changes = None
            self._heard.clear()
            return True
        known = self._changes
        while known in self._heard:
            known = self._heard.pop(known)
        self._seen, self._changes = version, changes
        if changes == known:
            return False
        self._heard = {before: after for before, after in self._heard.items() if before >= changes}
        return True

    def place(self, connection: Connection) -> int:
        """See `ChangeSignal`."""
        # INVARIANT: by the connection, which begins the transaction: nobody commits between this and the write, or that
        # commit would pass for our own.
        count: int = connection.exec_driver_sql(_CHANGES).scalar_one()
        return count

    def heard(self, mark: WriteMark) -> None:
        """See `ChangeSignal`."""
        # INVARIANT: what was counted before the last look is news that was told already.
        if self._changes is not None and mark.before >= self._changes:
            self._heard[mark.before] = mark.after

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


class _Log:
    """The write-ahead log of a file."""

    def __init__(self, path: Path) -> None:
        self._file = path.with_name(f"{path.name}-wal")
        self._tried = float("-inf")

    def keep_small(self, connection: sqlite3.Connection) -> None:
        """Begin the log anew if it has become large; waits for readers, but not for long. Needs a writing thread."""
        try:
            size = self._file.stat().st_size
        except OSError:
            return
        now = time.monotonic()
        if size <= 2 * LOG_BYTES or now - self._tried < _LOG_PATIENCE:
            return
        self._tried = now
        with suppress(sqlite3.OperationalError):  # busy: at another time
            connection.execute(f"PRAGMA busy_timeout={int(_LOG_PATIENCE * 1000)}")
            connection.execute("PRAGMA wal_checkpoint(RESTART)").fetchall()


class _Immediate:
    """Begins the transactions of the writer: a transaction that reads first fails at once when another has committed.

    Waits here for the lock of another process, in short steps: SQLite's own waiting grows to steps of 100 ms, which
    starves one of two busy processes.
    """

    def __init__(self, patience: float, log: _Log) -> None:
        self._patience = patience
        self._log = log

    def __call__(self, connection: Connection) -> None:
        driver = connection.connection.driver_connection
        assert isinstance(driver, sqlite3.Connection)
        self._log.keep_small(driver)
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
