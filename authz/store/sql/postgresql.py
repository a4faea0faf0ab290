"""The server database: PostgreSQL through psycopg 3, and what speaks its protocol. Built by `opening`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import URL, Engine, bindparam, column, create_engine, event, func, select, true
from sqlalchemy.dialects.postgresql import ARRAY, insert

from authz.store.sql.dialect import KeyTable
from authz.store.sql.listening import Listener

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

# Each statement has its index; a planner with stale statistics must not take a walk over the table for cheaper.
_READER_SETTINGS = "SET statement_timeout = '30s'; SET enable_seqscan = off"
# A node that hangs inside a transaction must not hold a store's lock for ever, nor wait for it for ever.
_WRITER_SETTINGS = f"{_READER_SETTINGS}; SET lock_timeout = '5s'; SET idle_in_transaction_session_timeout = '10s'"


class PostgresDialect:
    """PostgreSQL at a URI. `readers` and `writers` are numbers of connections."""

    def __init__(self, url: URL, *, readers: int, writers: int, poll_interval: float) -> None:
        options = {name: value for name, value in _CONNECTING.items() if name not in url.query}
        self._url = url.set(drivername="postgresql+psycopg").update_query_dict(options)
        self._poll_interval = poll_interval
        self.reader_threads = readers
        self.writer_threads = writers
        self.reader = self._engine(readers, "AUTOCOMMIT", _READER_SETTINGS)
        self.writer = self._engine(writers, "READ COMMITTED", _WRITER_SETTINGS)

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
            self._url.set(drivername="postgresql").render_as_string(hide_password=False), self._poll_interval
        )

    def _engine(self, size: int, isolation: str, settings: str) -> Engine:
        engine = create_engine(self._url, isolation_level=isolation, pool_size=size, max_overflow=0, pool_timeout=10)

        def prepare(connection: PsycopgConnection[Any], _record: object) -> None:
            mode = connection.autocommit
            connection.autocommit = True
            connection.execute(settings)
            connection.autocommit = mode

        event.listen(engine, "connect", prepare)
        return engine
