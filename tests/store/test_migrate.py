"""The migrations make the tables that the statements expect, once, and the program knows where a datastore stands."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, inspect, make_url, text

from authz import errors
from authz.store.api import TupleWrite
from authz.store.directives import Directive
from authz.store.sql import Migration, migrate, migrate_datastore, migration_status, open_datastore
from authz.store.sql.tables import metadata
from authz.tuples import RelationshipTuple
from tests.support.origins import ANNE
from tests.support.scribe import PlainScribe, verified

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy import Engine

pytestmark = pytest.mark.anyio


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
        for table in metadata.tables.values():
            found = {index["name"] for index in inspect(connection).get_indexes(table.name)}
            assert {index.name for index in table.indexes} == found


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


async def test_an_upgrade_keeps_what_is_there(empty_uri: str, engine: Engine) -> None:
    """A datastore of the first migration is read, written and recorded by this program after the upgrade."""
    _upgrade_to(engine, "0001")
    with engine.begin() as connection:
        for statement in _FIRST_DATA:
            connection.execute(text(statement))
    with pytest.raises(errors.DatastoreBehind, match=r"at migration `0001`.*`authz migrate`"):
        open_datastore(empty_uri)
    assert Migration("0001", migrate.HEAD) == migrate_datastore(empty_uri)
    store = open_datastore(empty_uri, PlainScribe())
    assert store.may_have_changed()
    found = await store.get_store("S")
    assert found is not None
    assert found.name == "shop"
    assert await store.read_model("S", "M1") is not None
    write = TupleWrite(deletes=[KEPT.key], writes=[KEPT._replace(object="doc:2")])
    assert (await store.write("S", write, by=ANNE, now=NOW)).revision == 8
    (entry,) = await verified(store, "store/S")
    assert entry.before == [{"object": "doc:1", "relation": "viewer", "user": "user:anne"}]
    assert (await store.add_directive(Directive("D", "capture", "{}", "", "anne", NOW), by=ANNE)).version == 1
    await store.close()


async def test_a_program_of_before_the_upgrade_is_noticed(tmp_path: Path) -> None:
    """On SQLite, one that was running on through the migration writes as it did, and no index overlooks it."""
    uri = f"sqlite:///{tmp_path}/authz.db"
    engine = create_engine(uri)
    _upgrade_to(engine, "0001")
    with engine.connect() as running:
        running.execute(text("SELECT count(*) FROM stores"))
        running.rollback()
        migrate_datastore(uri)
        store = open_datastore(uri)
        for statement in _FIRST_DATA:
            running.execute(text(statement))
        assert store.may_have_changed()
        assert not store.may_have_changed()
        for statement in (
            "UPDATE store_revisions SET revision = revision + 1",
            "INSERT INTO authorization_models VALUES ('S', 'M2', '1.1', '{}', 0)",
            "UPDATE stores SET name = 'depot'",
            "INSERT INTO stores VALUES ('T', 'other', 0, 0, NULL)",
        ):
            running.execute(text(statement))
            running.commit()
            assert store.may_have_changed()
            assert not store.may_have_changed()
        await store.close()
    engine.dispose()


NOW = datetime(2026, 1, 1, tzinfo=UTC)
KEPT = RelationshipTuple("doc:1", "viewer", "user:anne")
_FIRST_DATA = (
    "INSERT INTO stores VALUES ('S', 'shop', 1000000, 1000000, NULL)",
    "INSERT INTO store_revisions VALUES ('S', 7, 0)",
    "INSERT INTO authorization_models VALUES ('S', 'M1', '1.1', '{}', 1000000)",
    "INSERT INTO tuples (store_id, object_type, object_id, relation, tuple_user, created_revision, deleted_revision, "
    "created_at) VALUES ('S', 'doc', '1', 'viewer', 'user:anne', 7, 9223372036854775807, 1000000)",
    "INSERT INTO changelog (store_id, revision, ordinal, operation, object_type, object_id, relation, tuple_user, "
    "time, actor) VALUES ('S', 7, 0, 0, 'doc', '1', 'viewer', 'user:anne', 1000000, 'anne')",
)


def _upgrade_to(engine: Engine, revision: str) -> None:
    config = migrate._config()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


def test_an_empty_datastore_is_not_opened(empty_uri: str) -> None:
    """The message names what is needed and the command."""
    with pytest.raises(errors.DatastoreBehind, match=rf"empty.*`{migrate.HEAD}`.*`authz migrate`"):
        open_datastore(empty_uri)


def test_to_open_makes_no_file(tmp_path: Path) -> None:
    """A path that was mistyped is told, and nothing is left there."""
    with pytest.raises(errors.DatastoreBehind, match="no file"):
        open_datastore(f"sqlite:///{tmp_path}/other.db")
    assert list(tmp_path.iterdir()) == []


def test_a_newer_datastore_is_neither_opened_nor_migrated(empty_uri: str, engine: Engine) -> None:
    """The message names both migrations, and asks for a newer program."""
    migrate_datastore(empty_uri)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = 'ffff'"))
    for call in (open_datastore, migrate_datastore):
        with pytest.raises(errors.DatastoreBehind, match=rf"`ffff`, newer than `{migrate.HEAD}`.*`authz migrate`"):
            call(empty_uri)
