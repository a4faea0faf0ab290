"""What differs between databases, as one protocol. Implemented by `sqlite` and `postgresql`; used by `datastore`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from sqlalchemy import select, tuple_

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Connection, Engine, Executable, FromClause, Select, Table
    from sqlalchemy.types import TypeEngine

    from authz.store.api import WriteMark


class KeyTable(NamedTuple):
    """Any number of bound rows as a table of keys; the text of a statement does not depend on their number."""

    keys: FromClause
    bind: Callable[[Sequence[Sequence[str | int | None]]], dict[str, object]]
    """Rows (values in the order of the columns) to the parameters of the statement."""

    def matches(self, table: Table) -> ColumnElement[bool]:
        """Whether the columns of the same names hold one of the keys."""
        columns = list(self.keys.c)
        # Not a join: SQLite would walk the whole table and look into the keys for each row.
        return tuple_(*(table.c[column.name] for column in columns)).in_(select(*columns))

    def each(self, table: Table) -> list[ColumnElement[bool]]:
        """Conditions that the columns of the same names equal those of one key."""
        return [table.c[column.name] == column for column in self.keys.c]


class ChangeSignal(Protocol):
    """Tells whether somebody may have committed."""

    def may_have_changed(self) -> bool:
        """See `TupleReader.may_have_changed`."""
        ...

    def place(self, connection: Connection) -> int | None:
        """How many changes there were, in a transaction with the right to write; None if nobody counts."""
        ...

    def heard(self, mark: WriteMark) -> None:
        """See `TupleReader.heard`."""
        ...

    def announce(self) -> None:
        """A transaction of this process has committed: tell the other nodes, soon. Called on any thread."""
        ...

    def close(self) -> None:
        """Let go of connections and threads."""
        ...


class Dialect(Protocol):
    """One database: its connections and the few statements that are its own."""

    reader: Engine
    """Every statement is a transaction of its own."""
    writer: Engine
    """Transactions begin with the right to write."""
    reader_threads: int
    writer_threads: int

    @property
    def lineage(self) -> int:
        """See `TupleReader.lineage`."""
        ...

    def key_table(self, columns: Mapping[str, TypeEngine[Any]]) -> KeyTable:
        """A table of bound rows with these columns."""
        ...

    def find(self, keys: KeyTable, wanted: Select[Any], table: Table) -> Select[Any]:
        """The rows of `wanted`, a selection from `table`, that have one of the keys, looked up key by key."""
        ...

    def packed(self, rows: Select[Any]) -> Select[Any] | None:
        """The same rows as one JSON array of arrays, for a driver that is slow to hand over many; None if it is not."""
        ...

    def insert_missing(self, table: Table) -> Executable:
        """Insert one row by parameters named like the columns, unless its primary key is taken."""
        ...

    def replace(self, table: Table) -> Executable:
        """Insert one row by parameters named like the columns, or give the row with its primary key these values."""
        ...

    def signal(self) -> ChangeSignal:
        """Start watching for commits."""
        ...
