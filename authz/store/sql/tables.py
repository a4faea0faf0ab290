"""The tables of the datastore. Used by every statement of `store.sql`; the migrations create them.

`tests/store/test_migrate.py` holds the migrations to these definitions.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    TextClause,
    text,
)

from authz.store.sql.instants import Instant

NAME = Text().with_variant(Text(collation="C"), "postgresql")
"""Text that compares by bytes: as in SQLite, and on PostgreSQL an order that no upgrade of a library changes."""

POSITION = BigInteger().with_variant(Integer(), "sqlite")
"""A growing number given by the database; SQLite grows only a column that says `INTEGER`."""

# A planner that knows little of the data yet (PostgreSQL in the minutes after an import) takes every index that begins
# with the store for equally good, and may walk a whole store for each key. Hence each index of `tuples` is partial,
# under a condition that is always true: only a statement that states the condition can use the index.
BY_OBJECT = text("deleted_revision > 0")
BY_USER = text("created_revision > 0")
BY_POSITION = text("position > 0")

LONG_SEGMENT = 60_000_000
"""Microseconds. Segments that span more are rare: a clock has jumped."""
IS_LONG = text(f"ended_at - started_at > {LONG_SEGMENT}")

metadata = MetaData()


def _only(condition: TextClause) -> dict[str, Any]:
    """The options of a partial index."""
    return {"sqlite_where": condition, "postgresql_where": condition}


stores = Table(
    "stores",
    metadata,
    Column("id", NAME, primary_key=True),
    Column("name", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
    Column("deleted_at", Instant),
    Index("stores_by_name", "name", "id"),
)

revisions = Table(
    "store_revisions",
    metadata,
    Column("store_id", NAME, primary_key=True),
    Column("revision", BigInteger, nullable=False),
    Column("oldest_revision", BigInteger, nullable=False),
)
"""Apart from `stores`, since calls work for store ids never created. A row is the lock of its store's writes."""

secrets = Table(
    "secrets",
    metadata,
    Column("name", NAME, primary_key=True),
    Column("value", LargeBinary, nullable=False),
)
"""Random keys that all processes of one datastore share, such as the one that signs tokens."""

models = Table(
    "authorization_models",
    metadata,
    Column("store_id", NAME, nullable=False),
    Column("id", NAME, nullable=False),
    Column("schema_version", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    PrimaryKeyConstraint("store_id", "id", name="authorization_models_pkey"),
)

assertions = Table(
    "assertions",
    metadata,
    Column("store_id", NAME, nullable=False),
    Column("model_id", NAME, nullable=False),
    Column("body", Text, nullable=False),
    PrimaryKeyConstraint("store_id", "model_id", name="assertions_pkey"),
)

tuples = Table(
    "tuples",
    metadata,
    Column("position", POSITION, primary_key=True, autoincrement=True),
    Column("store_id", NAME, nullable=False),
    Column("object_type", NAME, nullable=False),
    Column("object_id", NAME, nullable=False),
    Column("relation", NAME, nullable=False),
    Column("tuple_user", NAME, nullable=False),
    Column("condition_name", Text),
    Column("condition_context", Text),
    Column("created_revision", BigInteger, nullable=False),
    Column("deleted_revision", BigInteger, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("deleted_at", Instant),
    # INVARIANT: one living row per key; it also serves point lookups and the forward rows of the index.
    Index(
        "tuples_by_object",
        "store_id",
        "object_type",
        "object_id",
        "relation",
        "tuple_user",
        "deleted_revision",
        unique=True,
        **_only(BY_OBJECT),
    ),
    Index("tuples_by_user", "store_id", "tuple_user", "object_type", "relation", **_only(BY_USER)),
    Index("tuples_by_position", "store_id", "position", **_only(BY_POSITION)),
    Index("tuples_deleted", "deleted_at", **_only(text("deleted_at IS NOT NULL"))),
    sqlite_autoincrement=True,  # a position is never given twice, even after its row was collected
)
"""Every version of every tuple; `deleted_revision` is `MAX_REVISION` while it is alive."""

changelog = Table(
    "changelog",
    metadata,
    Column("store_id", NAME, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("ordinal", Integer, nullable=False),
    Column("operation", SmallInteger, nullable=False),
    Column("object_type", NAME, nullable=False),
    Column("object_id", NAME, nullable=False),
    Column("relation", NAME, nullable=False),
    Column("tuple_user", NAME, nullable=False),
    Column("condition_name", Text),
    Column("condition_context", Text),
    Column("time", Instant, nullable=False),
    Column("actor", Text, nullable=False),
    PrimaryKeyConstraint("store_id", "revision", "ordinal", name="changelog_pkey"),
    Index("changelog_by_type", "store_id", "object_type", "revision", "ordinal"),
    sqlite_with_rowid=False,
)
"""Every change of every tuple; `operation` is the value of `Operation`."""

chains = Table(
    "audit_chains",
    metadata,
    Column("chain", NAME, primary_key=True),
    Column("sequence", BigInteger, nullable=False),
    Column("mac", LargeBinary, nullable=False),
    Column("base_sequence", BigInteger, nullable=False),
    Column("base_mac", LargeBinary, nullable=False),
    Column("key_id", Text, nullable=False),
    Column("seal", LargeBinary, nullable=False),
)
"""Where each chain of the audit trail ends. A row is the lock of its chain."""

segments = Table(
    "audit_segments",
    metadata,
    Column("chain", NAME, nullable=False),
    Column("first", BigInteger, nullable=False),
    Column("last", BigInteger, nullable=False),
    Column("started_at", Instant, nullable=False),
    Column("ended_at", Instant, nullable=False),
    Column("body", LargeBinary, nullable=False),
    # INVARIANT: segments of a chain follow on each other without gap or overlap, so that `last` orders like `first`.
    PrimaryKeyConstraint("chain", "last", name="audit_segments_pkey"),
    # `started_at` stands in it only to be compared without a look at the row.
    Index("audit_segments_by_end", "ended_at", "chain", "first", "started_at"),
    Index("audit_segments_long", "ended_at", "chain", "first", "started_at", **_only(IS_LONG)),
)
"""The records of the audit trail, some at a time."""

counters = Table(
    "counters",
    metadata,
    Column("name", NAME, primary_key=True),
    Column("value", BigInteger, nullable=False),
)
"""Numbers that grow, by name; the migrations add the rows. A row is the lock of what it counts."""

directives = Table(
    "directives",
    metadata,
    Column("id", NAME, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant),
    Column("lifted_at", Instant),
    Column("version", BigInteger, nullable=False),
    Column("ends_at", Instant),
    Index("directives_by_version", "version", unique=True),
    Index("directives_ended", "ends_at", **_only(text("ends_at IS NOT NULL"))),
)
"""Orders of operators and of the detection; `ends_at` is when one was lifted, else when it expires."""
