"""Stores, secrets, models, assertions, versioned tuples and the changelog. Loaded by alembic."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_NAME = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_POSITION = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create everything."""
    _create_stores()
    _create_models()
    _create_tuples()
    _create_changelog()


def _create_stores() -> None:
    op.create_table(
        "stores",
        sa.Column("id", _NAME, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
        sa.Column("deleted_at", sa.BigInteger),
    )
    op.create_index("stores_by_name", "stores", ["name", "id"])
    op.create_table(
        "store_revisions",
        sa.Column("store_id", _NAME, primary_key=True),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("oldest_revision", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "secrets",
        sa.Column("name", _NAME, primary_key=True),
        sa.Column("value", sa.LargeBinary, nullable=False),
    )


def _create_models() -> None:
    op.create_table(
        "authorization_models",
        sa.Column("store_id", _NAME, nullable=False),
        sa.Column("id", _NAME, nullable=False),
        sa.Column("schema_version", sa.Text, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("store_id", "id", name="authorization_models_pkey"),
    )
    op.create_table(
        "assertions",
        sa.Column("store_id", _NAME, nullable=False),
        sa.Column("model_id", _NAME, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("store_id", "model_id", name="assertions_pkey"),
    )


def _tuple_columns() -> list[sa.Column[str]]:
    names = ("object_type", "object_id", "relation", "tuple_user")
    return [
        *(sa.Column(name, _NAME, nullable=False) for name in names),
        sa.Column("condition_name", sa.Text),
        sa.Column("condition_context", sa.Text),
    ]


def _create_tuples() -> None:
    op.create_table(
        "tuples",
        sa.Column("position", _POSITION, primary_key=True, autoincrement=True),
        sa.Column("store_id", _NAME, nullable=False),
        *_tuple_columns(),
        sa.Column("created_revision", sa.BigInteger, nullable=False),
        sa.Column("deleted_revision", sa.BigInteger, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("deleted_at", sa.BigInteger),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "tuples_by_object",
        "tuples",
        ["store_id", "object_type", "object_id", "relation", "tuple_user", "deleted_revision"],
        unique=True,
        **_only("deleted_revision > 0"),
    )
    op.create_index(
        "tuples_by_user",
        "tuples",
        ["store_id", "tuple_user", "object_type", "relation"],
        **_only("created_revision > 0"),
    )
    op.create_index("tuples_by_position", "tuples", ["store_id", "position"], **_only("position > 0"))
    op.create_index("tuples_deleted", "tuples", ["deleted_at"], **_only("deleted_at IS NOT NULL"))


def _only(condition: str) -> dict[str, Any]:
    return {"sqlite_where": sa.text(condition), "postgresql_where": sa.text(condition)}


def _create_changelog() -> None:
    op.create_table(
        "changelog",
        sa.Column("store_id", _NAME, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("ordinal", sa.Integer, nullable=False),
        sa.Column("operation", sa.SmallInteger, nullable=False),
        *_tuple_columns(),
        sa.Column("time", sa.BigInteger, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("store_id", "revision", "ordinal", name="changelog_pkey"),
        sqlite_with_rowid=False,
    )
    op.create_index("changelog_by_type", "changelog", ["store_id", "object_type", "revision", "ordinal"])
