"""Read a datastore URI, and show one without its secrets. Called by `opening`."""

from __future__ import annotations

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from authz.errors import InvalidRequest

SQLITE = "sqlite"
POSTGRESQL = "postgresql"
COCKROACHDB = "cockroachdb"
"""A scheme of its own for what else speaks PostgreSQL's protocol."""
_DATABASES = {
    "sqlite": SQLITE,
    "postgres": POSTGRESQL,
    "postgresql": POSTGRESQL,
    "postgresql+psycopg": POSTGRESQL,
    COCKROACHDB: POSTGRESQL,
}


def parse_uri(uri: str) -> tuple[str, URL]:
    """The database that a URI asks for, and its parts.

    Raises `InvalidRequest`; the message names the scheme at most, since the rest may hold a password.
    """
    scheme, mark, _ = uri.partition("://")
    if not mark:
        raise InvalidRequest("the datastore URI has no scheme: use `sqlite:///FILE` or `postgresql://HOST/DATABASE`")
    database = _DATABASES.get(scheme)
    if database is None:
        raise InvalidRequest(f"the datastore scheme `{scheme}` is not supported: use `sqlite` or `postgresql`")
    try:
        return database, make_url(uri)
    except (ArgumentError, ValueError) as error:
        raise InvalidRequest(f"the `{scheme}` datastore URI is malformed") from error


def masked(uri: str) -> str:
    """The URI for logs: without user name, password and options."""
    _, url = parse_uri(uri)
    bare = URL.create(url.drivername, host=url.host, port=url.port, database=url.database)
    return bare.render_as_string(hide_password=True)
