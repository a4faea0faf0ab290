"""What CockroachDB does otherwise than PostgreSQL, whose protocol it speaks. Used by `postgresql` and `migrate`.

From its documentation and issue tracker, for version 22.2 and later; nothing here has met a CockroachDB. Its tests run
the very same statements on PostgreSQL.

- It names no version of PostgreSQL where SQLAlchemy looks for one, and has no `hstore`.
- Text compares by bytes; a column cannot be given a collation that says so.
- It plans by statistics and hints of its own: there is no sequential scan to turn off.
- A transaction is serializable unless the operator allows less, and is refused with 40001 where PostgreSQL would wait:
  `calls` tries it again. A commit that it lost sight of is refused with 40003: `calls` says so.
- Changes of tables are no part of a transaction, and there are no advisory locks before 2026: migrations run statement
  by statement, by one program at a time. One that fails half-way must be completed by hand, or begun anew when the
  database is still empty.
- There is no LISTEN: commits of other nodes are noticed by the poll alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy.dialects import registry
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg

from authz.store.sql.uri import COCKROACHDB

if TYPE_CHECKING:
    from sqlalchemy import Connection

DRIVER = f"{COCKROACHDB}+authz"

_LIKE = (14, 0)
"""The version of PostgreSQL whose syntax it knows at least."""


class CockroachDialect(PGDialect_psycopg):
    """SQLAlchemy's dialect for it; a name of its own keeps what is said of PostgreSQL alone away from it."""

    name = COCKROACHDB
    supports_statement_cache = True

    def __init__(self, **options: Any) -> None:
        super().__init__(use_native_hstore=False, **options)  # type: ignore[no-untyped-call]

    def _get_server_version_info(self, connection: Connection) -> tuple[int, ...]:  # noqa: ARG002 - SQLAlchemy's own
        return _LIKE


registry.register(DRIVER.replace("+", "."), __name__, "CockroachDialect")
