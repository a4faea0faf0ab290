"""Facts in a SQL database: SQLite beside the program or PostgreSQL. Opened by the program; used as `store.api`."""

from authz.store.sql.datastore import SqlDatastore
from authz.store.sql.migrate import Migration
from authz.store.sql.opening import check_replica, migrate_datastore, migration_status, open_datastore
from authz.store.sql.replica import ReplicaOptions
from authz.store.sql.uri import masked

__all__ = [
    "Migration",
    "ReplicaOptions",
    "SqlDatastore",
    "check_replica",
    "masked",
    "migrate_datastore",
    "migration_status",
    "open_datastore",
]
