"""The documents themselves, in SQLite. Knows nothing of who may do what; used by `app`.

Ids are small numbers that anybody can guess, on purpose. They are never used twice: what authz knows of a deleted
document must not become true for another one.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_TABLE = """
CREATE TABLE IF NOT EXISTS documents (
    id INTEGER PRIMARY KEY AUTOINCREMENT, title TEXT NOT NULL, text TEXT NOT NULL, has_owner INTEGER NOT NULL DEFAULT 0
)
"""


class Document(NamedTuple):
    """A document."""

    id: int
    title: str
    text: str


class Database:
    """One file. A connection for each use keeps it safe to use from several threads."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with closing(self._connect()) as connection, connection:
            connection.execute(_TABLE)

    def add(self, title: str, text: str) -> int:
        """A new document; it cannot be seen until `publish`, when authz knows its owner."""
        with closing(self._connect()) as connection, connection:
            added = connection.execute("INSERT INTO documents (title, text) VALUES (?, ?)", (title, text))
            return int(added.lastrowid or 0)

    def publish(self, number: int) -> None:
        """Let a document be seen."""
        with closing(self._connect()) as connection, connection:
            connection.execute("UPDATE documents SET has_owner = 1 WHERE id = ?", (number,))

    def get(self, number: int) -> Document | None:
        """A document."""
        return next(iter(self.some([number])), None)

    def some(self, numbers: Iterable[int]) -> list[Document]:
        """Those of the given documents that exist."""
        chosen = sorted(numbers)
        marks = ",".join("?" * len(chosen))
        query = f"SELECT id, title, text FROM documents WHERE has_owner AND id IN ({marks}) ORDER BY id"  # noqa: S608
        with closing(self._connect()) as connection:
            return [Document(*row) for row in connection.execute(query, chosen)]

    def update(self, number: int, title: str, text: str) -> bool:
        """Change a document; returns whether it exists."""
        with closing(self._connect()) as connection, connection:
            query = "UPDATE documents SET title = ?, text = ? WHERE has_owner AND id = ?"
            return connection.execute(query, (title, text, number)).rowcount == 1

    def delete(self, number: int) -> None:
        """Delete a document."""
        with closing(self._connect()) as connection, connection:
            connection.execute("DELETE FROM documents WHERE id = ?", (number,))

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self._path, timeout=10)
