"""The migrations of the datastore, as alembic runs them. Called by `migrate`."""
