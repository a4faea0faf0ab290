"""The server database: PostgreSQL through psycopg 3, and what speaks its protocol. Built by `opening`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import URL, Engine, bindparam, column, create_engine, event, func, select, true
from sqlalchemy.dialects.postgresql import ARRAY, insert

from authz.store.sql.cockroach import DRIVER
from authz.store.sql.dialect import KeyTable
from authz.store.sql.lineage import Lineage
from authz.store.sql.listening import Listener
from authz.store.sql.replica import Engines
from authz.store.sql.uri import COCKROACHDB

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from psycopg import Connection as PsycopgConnection
    from sqlalchemy import Executable, Select, Table
    from sqlalchemy.types import TypeEngine

_CONNECTING = {
    "connect_timeout": "5",  # seconds
    "keepalives_idle": "5",  # seconds
    "keepalives_interval": "2",  # seconds
    "keepalives_count": "3",
    "tcp_user_timeout": "10000",  # milliseconds
    "application_name": "authz",
}
"""A dead network is noticed in seconds; the options of the URI win."""
_COMPARING = {**_CONNECTING, "connect_timeout": "2", "tcp_user_timeout": "3000"}
"""Of a replica sooner: nobody has to wait for it."""

_PATIENCE = "SET statement_timeout = '30s'"
# A node that hangs inside a transaction must not hold a store's lock for ever, nor wait for it for ever.
_WRITER_PATIENCE = f"{_PATIENCE}; SET lock_timeout = '5s'; SET idle_in_transaction_session_timeout = '10s'"
_WATCH_PATIENCE = "SET statement_timeout = '2s'"
# Each statement has its index; a planner with stale statistics must not take a walk over the table for cheaper.
_BY_INDEX = "; SET enable_seqscan = off"


class PostgresDialect:
    """PostgreSQL at a URI. `readers` and `writers` are numbers of connections."""

    def __init__(self, url: URL, *, readers: int, writers: int, poll_interval: float) -> None:
        self._url = _completed(url, _CONNECTING)
        self._poll_interval = poll_interval
        self._lineage = Lineage()
        self.reader_threads = readers
        self.writer_threads = writers
        is_cockroach = url.drivername == COCKROACHDB
        by_index = "" if is_cockroach else _BY_INDEX
        self.reader = _engine(self._url, readers, "AUTOCOMMIT", _PATIENCE + by_index, self._lineage)
        isolation = "SERIALIZABLE" if is_cockroach else "READ COMMITTED"
        self.writer = _engine(self._url, writers, isolation, _WRITER_PATIENCE + by_index, self._lineage)

    @property
    def lineage(self) -> int:
        """See `TupleReader.lineage`."""
        return self._lineage.number

    def key_table(self, columns: Mapping[str, TypeEngine[Any]]) -> KeyTable:
        """One array per column, side by side through `unnest`."""
        arrays = [bindparam(f"keys_{name}", type_=ARRAY(kind)) for name, kind in columns.items()]
        members = [column(name, kind) for name, kind in columns.items()]
        table = func.unnest(*arrays).table_valued(*members, name="keys").render_derived()

        def bind(rows: Sequence[Sequence[str | int | None]]) -> dict[str, object]:
            return {f"keys_{name}": [row[place] for row in rows] for place, name in enumerate(columns)}

        return KeyTable(table, bind)

    def find(self, keys: KeyTable, wanted: Select[Any], table: Table) -> Select[Any]:
        """By a lateral subquery per key, which `OFFSET` keeps the planner from turning into a walk over all rows."""
        per_key = wanted.where(*keys.each(table)).correlate(keys.keys).offset(0).lateral("found")
        return select(per_key).select_from(keys.keys.join(per_key, true()))

    def packed(self, rows: Select[Any]) -> None:
        """Not needed: the driver takes all rows of an answer at once."""

    def insert_missing(self, table: Table) -> Executable:
        """`INSERT … ON CONFLICT DO NOTHING`."""
        return insert(table).on_conflict_do_nothing()

    def replace(self, table: Table) -> Executable:
        """`INSERT … ON CONFLICT DO UPDATE`."""
        statement = insert(table)
        values = {column.name: statement.excluded[column.name] for column in table.c if not column.primary_key}
        return statement.on_conflict_do_update(index_elements=list(table.primary_key), set_=values)

    def signal(self) -> Listener:
        """Listen for notifications, and poll for those that are lost."""
        return Listener(
            self._url.set(drivername="postgresql").render_as_string(hide_password=False),
            self._poll_interval,
            self._lineage,
        )

    def replica(self, url: URL, readers: int) -> Engines:
        """Connections to a replica of this database; none is made yet."""
        there = _completed(url, _COMPARING)
        return Engines(
            _engine(there, readers, "AUTOCOMMIT", _PATIENCE + _BY_INDEX),
            _engine(there, 1, "AUTOCOMMIT", _WATCH_PATIENCE),
            _engine(self._url, 1, "AUTOCOMMIT", _WATCH_PATIENCE, self._lineage),
            self._lineage,
        )


def _completed(url: URL, options: Mapping[str, str]) -> URL:
    missing = {name: value for name, value in options.items() if name not in url.query}
    driver = DRIVER if url.drivername == COCKROACHDB else "postgresql+psycopg"
    return url.set(drivername=driver).update_query_dict(missing)


def _engine(url: URL, size: int, isolation: str, settings: str, lineage: Lineage | None = None) -> Engine:
    engine = create_engine(url, isolation_level=isolation, pool_size=size, max_overflow=0, pool_timeout=10)

    def prepare(connection: PsycopgConnection[Any], _record: object) -> None:
        mode = connection.autocommit
        connection.autocommit = True
        connection.execute(settings)
        if lineage is not None:
            lineage.meet(connection)
        connection.autocommit = mode

    event.listen(engine, "connect", prepare)
    return engine
