"""What an error of the driver means: try again, unavailable, a bad value, or a bug. Used by `calls`.

No text of the driver passes: it may quote the connection's URI. The cause stays chained for the log.
"""

from __future__ import annotations

import sqlite3
from enum import Enum

from sqlalchemy import exc

from authz import errors


class Failure(Enum):
    """What to do about an error of the driver."""

    CONFLICT = "conflict"
    """Another transaction won; this one was rolled back and may be tried again."""
    BUSY = "busy"
    """A lock was not free in time; nothing happened."""
    DISCONNECTED = "disconnected"
    """The connection broke."""
    UNAVAILABLE = "unavailable"
    """The database cannot do it now."""
    UNDECIDED = "undecided"
    """The database does not know whether a commit happened, as CockroachDB says when it lost a node meanwhile."""
    BAD_VALUE = "bad value"
    """A value cannot be stored."""
    TAKEN = "taken"
    """A row with this key exists."""
    BUG = "bug"
    """Nothing of the above: a broken invariant of ours."""


class Raced(Exception):
    """Another transaction has made what this one found missing; it is rolled back and tried again."""


_SQLSTATES = {
    "40001": Failure.CONFLICT,  # whatever a relative of PostgreSQL asks to be restarted has this code as well
    "40P01": Failure.CONFLICT,
    "40003": Failure.UNDECIDED,
    "08007": Failure.UNDECIDED,
    "55P03": Failure.BUSY,
    "25006": Failure.UNAVAILABLE,
}
_SQLSTATE_CLASSES = {
    "08": Failure.DISCONNECTED,
    "22": Failure.BAD_VALUE,
    "23": Failure.TAKEN,
    "28": Failure.UNAVAILABLE,  # refused credentials: the database may change its mind, the program has no bug
    "53": Failure.UNAVAILABLE,
    "54": Failure.BAD_VALUE,
    "57": Failure.UNAVAILABLE,
    "58": Failure.UNAVAILABLE,
}
_SQLITE_CODES = {
    sqlite3.SQLITE_BUSY: Failure.BUSY,
    sqlite3.SQLITE_LOCKED: Failure.BUSY,
    sqlite3.SQLITE_CONSTRAINT: Failure.TAKEN,
    sqlite3.SQLITE_TOOBIG: Failure.BAD_VALUE,
    sqlite3.SQLITE_ERROR: Failure.BUG,
    sqlite3.SQLITE_MISUSE: Failure.BUG,
}


def failure_of(error: Exception) -> Failure:
    """Judge an error raised while a statement ran."""
    if isinstance(error, exc.TimeoutError):
        return Failure.UNAVAILABLE
    if isinstance(error, Raced):
        return Failure.CONFLICT
    if isinstance(error, UnicodeEncodeError):
        return Failure.BAD_VALUE
    if not isinstance(error, exc.DBAPIError):
        return Failure.BUG
    if error.connection_invalidated:
        return Failure.DISCONNECTED
    return _failure_of_driver(error)


def _failure_of_driver(error: exc.DBAPIError) -> Failure:
    cause = error.orig
    state = getattr(cause, "sqlstate", None)
    if isinstance(state, str):
        return _SQLSTATES.get(state) or _SQLSTATE_CLASSES.get(state[:2], Failure.BUG)
    code = getattr(cause, "sqlite_errorcode", None)
    if isinstance(code, int):
        return _SQLITE_CODES.get(code & 0xFF, Failure.UNAVAILABLE)
    if isinstance(error, exc.DataError):
        return Failure.BAD_VALUE
    return Failure.DISCONNECTED if isinstance(error, exc.OperationalError) else Failure.BUG


def to_domain(failure: Failure) -> errors.AuthzError:
    """The error of the tree for a failure that stands."""
    match failure:
        case Failure.CONFLICT:
            return errors.WriteConflict("a concurrent transaction changed the same tuples: try again")
        case Failure.BUSY:
            return errors.Unavailable("the datastore is busy")
        case Failure.DISCONNECTED:
            return errors.Unavailable("the datastore cannot be reached")
        case Failure.UNDECIDED:
            return errors.Unavailable("whether the transaction was committed is not known: it may or may not be done")
        case Failure.UNAVAILABLE:
            return errors.Unavailable("the datastore cannot answer now")
        case Failure.BAD_VALUE:
            return errors.InvalidRequest("a value is too long or holds a character that cannot be stored")
        case Failure.TAKEN:
            return errors.WriteConflict("a concurrent transaction wrote the same key: try again")
        case Failure.BUG:
            return errors.Bug("the datastore refused a statement")
