"""Run migrations on the connection that `migrate` gives, inside its transaction. Loaded by alembic."""

from __future__ import annotations

from alembic import context
from alembic.ddl.postgresql import PostgresqlImpl

from authz.store.sql.tables import metadata
from authz.store.sql.uri import COCKROACHDB


class CockroachImpl(PostgresqlImpl):
    """Found by alembic by the name of the dialect."""

    __dialect__ = COCKROACHDB


connection = context.config.attributes["connection"]
can_undo = connection.dialect.name != COCKROACHDB
context.configure(connection=connection, target_metadata=metadata, transactional_ddl=can_undo)
with context.begin_transaction():
    context.run_migrations()
