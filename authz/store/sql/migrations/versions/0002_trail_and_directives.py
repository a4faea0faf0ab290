"""The audit trail, counters and directives. Loaded by alembic."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_NAME = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Create the tables, and the counters at zero."""
    _create_trail()
    _create_counters()
    if op.get_bind().dialect.name == "sqlite":
        _count_changes()
    _create_directives()


def _create_trail() -> None:
    op.create_table(
        "audit_chains",
        sa.Column("chain", _NAME, primary_key=True),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        sa.Column("mac", sa.LargeBinary, nullable=False),
        sa.Column("base_sequence", sa.BigInteger, nullable=False),
        sa.Column("base_mac", sa.LargeBinary, nullable=False),
        sa.Column("key_id", sa.Text, nullable=False),
        sa.Column("seal", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "audit_segments",
        sa.Column("chain", _NAME, nullable=False),
        sa.Column("first", sa.BigInteger, nullable=False),
        sa.Column("last", sa.BigInteger, nullable=False),
        sa.Column("started_at", sa.BigInteger, nullable=False),
        sa.Column("ended_at", sa.BigInteger, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("chain", "last", name="audit_segments_pkey"),
    )
    by_end = ["ended_at", "chain", "first", "started_at"]
    op.create_index("audit_segments_by_end", "audit_segments", by_end)
    op.create_index("audit_segments_long", "audit_segments", by_end, **_only("ended_at - started_at > 60000000"))


def _create_counters() -> None:
    counters = op.create_table(
        "counters",
        sa.Column("name", _NAME, primary_key=True),
        sa.Column("value", sa.BigInteger, nullable=False),
    )
    op.bulk_insert(counters, [{"name": "changes", "value": 0}, {"name": "directives", "value": 0}])


def _count_changes() -> None:
    # By the database itself, so that programs of before this migration, if some still run, are counted as well.
    for name, event, table in (
        ("revision_added", "INSERT", "store_revisions"),
        ("revision_raised", "UPDATE", "store_revisions"),
        ("model_added", "INSERT", "authorization_models"),
        ("store_added", "INSERT", "stores"),
        ("store_changed", "UPDATE", "stores"),
    ):
        count = "UPDATE counters SET value = value + 1 WHERE name = 'changes'"
        op.execute(f"CREATE TRIGGER {name} AFTER {event} ON {table} BEGIN {count}; END")


def _create_directives() -> None:
    op.create_table(
        "directives",
        sa.Column("id", _NAME, primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("created_by", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger),
        sa.Column("lifted_at", sa.BigInteger),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("ends_at", sa.BigInteger),
    )
    op.create_index("directives_by_version", "directives", ["version"], unique=True)
    op.create_index("directives_ended", "directives", ["ends_at"], **_only("ends_at IS NOT NULL"))


def _only(condition: str) -> dict[str, Any]:
    return {"sqlite_where": sa.text(condition), "postgresql_where": sa.text(condition)}
