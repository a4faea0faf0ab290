"""The migrations make the tables that the statements expect, once, and the program knows where a datastore stands."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, inspect, make_url, text

from authz import errors
from authz.store.sql import Migration, migrate, migrate_datastore, migration_status, open_datastore
from authz.store.sql.tables import metadata

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy import Engine


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def empty_uri(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/authz.db"
    return str(request.getfixturevalue("postgres_database"))


@pytest.fixture
def engine(empty_uri: str) -> Iterator[Engine]:
    """A plain connection to it."""
    url = make_url(empty_uri)
    made = create_engine(url if url.drivername == "sqlite" else url.set(drivername="postgresql+psycopg"))
    yield made
    made.dispose()


def test_the_program_needs_the_last_script() -> None:
    """`HEAD` names it, and there is one line of scripts."""
    assert ScriptDirectory.from_config(migrate._config()).get_heads() == [migrate.HEAD]


def test_the_migrations_make_the_tables(empty_uri: str, engine: Engine) -> None:
    """No difference in tables, columns or indexes."""
    migrate_datastore(empty_uri)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
        found = {index["name"] for index in inspect(connection).get_indexes("tuples")}
        assert {index.name for index in metadata.tables["tuples"].indexes} == found


def test_migrating_is_idempotent(empty_uri: str) -> None:
    """The second time there is nothing to do."""
    assert Migration(None, migrate.HEAD) == migration_status(empty_uri)
    assert Migration(None, migrate.HEAD) == migrate_datastore(empty_uri)
    assert Migration(migrate.HEAD, migrate.HEAD) == migrate_datastore(empty_uri)
    assert Migration(migrate.HEAD, migrate.HEAD) == migration_status(empty_uri)


def test_programs_that_migrate_at_once_do_not_meet(empty_uri: str) -> None:
    """One does it, the others find it done."""
    with ThreadPoolExecutor(4) as threads:
        before = list(threads.map(migrate_datastore, [empty_uri] * 4))
    assert [stand.current for stand in before if stand.current != migrate.HEAD] == [None]


def test_an_empty_datastore_is_not_opened(empty_uri: str) -> None:
    """The message names what is needed and the command."""
    with pytest.raises(errors.DatastoreBehind, match=rf"empty.*`{migrate.HEAD}`.*`authz migrate`"):
        open_datastore(empty_uri)


def test_a_newer_datastore_is_neither_opened_nor_migrated(empty_uri: str, engine: Engine) -> None:
    """The message names both migrations, and asks for a newer program."""
    migrate_datastore(empty_uri)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = 'ffff'"))
    for call in (open_datastore, migrate_datastore):
        with pytest.raises(errors.DatastoreBehind, match=rf"`ffff`, newer than `{migrate.HEAD}`.*`authz migrate`"):
            call(empty_uri)
