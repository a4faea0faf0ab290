"""One script per migration, in order. Loaded by alembic; never changed once released."""
