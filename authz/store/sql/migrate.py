"""Bring the tables of a datastore to what this program needs, or tell that they are not. Called by `opening`.

The scripts are alembic's, in `migrations/versions`, and ship with the package.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import Column, MetaData, String, Table, exc, inspect, select

from authz.errors import DatastoreBehind
from authz.store.sql.calls import run_once
from authz.store.sql.uri import COCKROACHDB

if TYPE_CHECKING:
    from alembic.config import Config
    from sqlalchemy import Connection, Engine

HEAD = "0002"
"""The migration that this program is written for: the last script."""

_UNKNOWN_TO_IT = frozenset({"0A000", "42883"})
"""Codes of what a database does not support, and of functions that it does not have."""

_LOCK = 0x617574687A  # "authz": the advisory lock that two migrating programs meet at

version = Table("alembic_version", MetaData(), Column("version_num", String(32), primary_key=True))
"""Where the datastore stands: one row, kept by alembic."""


class Migration(NamedTuple):
    """Where a datastore stands, and where this program needs it; `current` is None for an empty database."""

    current: str | None
    head: str


def upgrade(engine: Engine) -> Migration:
    """Apply what is missing, in one transaction where the database can; returns where the datastore stood before.

    Raises `DatastoreBehind` when the datastore is newer than this program.
    """
    if engine.dialect.name == COCKROACHDB:
        engine = engine.execution_options(isolation_level="AUTOCOMMIT")
    return run_once(engine, _upgrade)


def status(engine: Engine) -> Migration:
    """Where the datastore stands."""
    return run_once(engine, lambda connection: Migration(_current(connection), HEAD))


def require_head(engine: Engine) -> None:
    """Raise `DatastoreBehind` unless the datastore stands where this program needs it."""
    current = status(engine).current
    if current != HEAD:
        raise DatastoreBehind(complaint(current))


def _upgrade(connection: Connection) -> Migration:
    from alembic import command

    if connection.dialect.name == "postgresql":
        # The change of a large table takes long, and so does waiting for another program that makes it.
        connection.exec_driver_sql("SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0")
        _take_turn(connection)
    current = _current(connection)
    if _is_unknown(current):
        raise DatastoreBehind(complaint(current))
    if current != HEAD:
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, HEAD)
    return Migration(current, HEAD)


def _take_turn(connection: Connection) -> None:
    """Wait for another program that migrates, where the database knows advisory locks: relatives may not."""
    try:
        with connection.begin_nested():
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
    except exc.DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) not in _UNKNOWN_TO_IT:
            raise


def _current(connection: Connection) -> str | None:
    if not inspect(connection).has_table(version.name):
        return None
    return connection.execute(select(version.c.version_num)).scalar()


def _is_unknown(current: str | None) -> bool:
    from alembic.script import ScriptDirectory

    if current is None:
        return False
    return all(script.revision != current for script in ScriptDirectory.from_config(_config()).walk_revisions())


def complaint(current: str | None) -> str:
    """Why a datastore that stands at a migration cannot be used; None stands for an empty one."""
    if _is_unknown(current):
        return (
            f"the datastore is at migration `{current}`, newer than `{HEAD}`, the last one that this program knows: "
            f"run the program that made it (`authz migrate` of this one goes no further)"
        )
    stand = f"at migration `{current}`" if current else "empty, without any migration"
    return f"the datastore is {stand}, but this program needs `{HEAD}`: run `authz migrate`"


def _config() -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")).replace("%", "%%"))
    return config
