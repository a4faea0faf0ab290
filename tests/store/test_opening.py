"""A datastore URI opens what it says, or the message says what is wrong without telling a secret."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from authz import errors
from authz.store.sql import masked, migrate_datastore, open_datastore

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.anyio

SECRET = "hunter2"


@pytest.mark.parametrize(
    ("uri", "complaint"),
    [
        ("authz.db", "has no scheme"),
        (f"mysql://root:{SECRET}@localhost/authz", "scheme `mysql` is not supported"),
        (f"postgresql+asyncpg://root:{SECRET}@localhost/authz", r"scheme `postgresql\+asyncpg` is not supported"),
        (f"postgresql://root:{SECRET}@localhost:port/authz", "`postgresql` datastore URI is malformed"),
        ("sqlite://", "needs a file"),
        ("sqlite:///:memory:", "needs a file"),
        ("sqlite:///file:x?mode=memory", "no options"),
        ("sqlite://authz.db", "three slashes"),
        ("sqlite:///missing/authz.db", "folder `missing` of the SQLite file does not exist"),
    ],
)
def test_a_uri_that_cannot_be_used_is_explained(
    uri: str, complaint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message never holds a password."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(errors.InvalidRequest, match=complaint) as raised:
        open_datastore(uri)
    assert SECRET not in str(raised.value)


async def test_a_path_may_be_relative_or_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three slashes and a relative path, or four."""
    monkeypatch.chdir(tmp_path)
    migrate_datastore("sqlite:///authz.db")
    store = open_datastore(f"sqlite:///{tmp_path}/authz.db")
    await store.ping()
    await store.close()


def test_a_folder_is_no_database(tmp_path: Path) -> None:
    """A folder in the place of the file is named."""
    with pytest.raises(errors.InvalidRequest, match="is not a file"):
        migrate_datastore(f"sqlite:///{tmp_path}")


def test_a_file_that_is_no_database_is_left_alone(tmp_path: Path) -> None:
    """It is not overwritten."""
    path = tmp_path / "notes.txt"
    path.write_text("not a database, but something of worth" * 100)
    before = path.read_bytes()
    with pytest.raises(errors.InvalidRequest, match=r"notes.txt` is not an SQLite database"):
        migrate_datastore(f"sqlite:///{path}")
    assert before == path.read_bytes()


@pytest.mark.parametrize("protected", ["folder", "file"])
def test_a_file_that_cannot_be_written_is_named(protected: str) -> None:
    """The folder must be writable, too: SQLite keeps its log there."""
    with tempfile.TemporaryDirectory() as folder, _unprivileged():
        path = Path(folder) / "authz.db"
        with _privileged():
            path.touch(mode=0o666 if protected == "folder" else 0o444)
            Path(folder).chmod(0o555 if protected == "folder" else 0o777)
        with pytest.raises(errors.InvalidRequest, match=rf"`{path}` cannot be written: no permission"):
            migrate_datastore(f"sqlite:///{path}")


@contextlib.contextmanager
def _unprivileged() -> Iterator[None]:
    """As nobody, when the tests run as root, whom no permission stops."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@contextlib.contextmanager
def _privileged() -> Iterator[None]:
    """As root again, when the tests run as root."""
    user = os.geteuid()
    with contextlib.suppress(PermissionError):
        os.seteuid(0)
    try:
        yield
    finally:
        os.seteuid(user)


async def test_opening_twice_leaves_the_locks_of_the_first(sqlite_uri: str) -> None:
    """A second opening in the process does not let another process take the log away from under the first."""
    first = open_datastore(sqlite_uri)
    await first.ping()
    await open_datastore(sqlite_uri).close()
    assert _log_outlives_another_process(sqlite_uri.removeprefix("sqlite:///"))
    await first.close()


def _log_outlives_another_process(path: str) -> bool:
    # Whoever believes to be the last one removes the log when it closes.
    code = f"import sqlite3; c = sqlite3.connect({path!r}); c.execute('SELECT * FROM stores'); c.close()"
    subprocess.run([sys.executable, "-c", code], check=True)
    return Path(f"{path}-wal").exists()


@pytest.mark.postgres
def test_a_server_that_is_not_there_is_unavailable() -> None:
    """The password is not in the message, nor is the driver's text."""
    with pytest.raises(errors.Unavailable) as raised:
        open_datastore(f"postgres://anne:{SECRET}@127.0.0.1:1/authz?connect_timeout=1")
    assert raised.value.message == "the datastore cannot be reached"


def test_a_uri_is_masked_for_logs() -> None:
    """User, password and options go; host and database stay."""
    uri = f"postgresql://anne:{SECRET}@db.example:5433/authz?password={SECRET}&sslmode=require"
    assert masked(uri) == "postgresql://db.example:5433/authz"
    assert masked("sqlite:///authz.db") == "sqlite:///authz.db"
