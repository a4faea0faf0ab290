"""Run migrations on the connection that `migrate` gives, inside its transaction. Loaded by alembic."""

from __future__ import annotations

from alembic import context

from authz.store.sql.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, transactional_ddl=True)
with context.begin_transaction():
    context.run_migrations()
