"""Notice that another server took the primary's place, by the timeline of its log. Kept by `postgresql`.

A standby that is promoted, or a backup that is restored to a point in time, goes on under a timeline of its own. It may
lack the last commits of the server before, and give their revisions to others: what was read of that one is no ground
for anything that is read of this one. Whoever reads a database takes it over with a new connection.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import psycopg
import structlog

if TYPE_CHECKING:
    from psycopg import Connection

_log = structlog.get_logger(__name__)

# The first part of a log file's name; a standby has none, nor have relatives of PostgreSQL.
_TIMELINE = "SELECT left(pg_walfile_name(pg_current_wal_lsn()), 8)"


class Lineage:
    """Counts how often another server took over. Told of each connection before anything is read by it."""

    def __init__(self) -> None:
        self.number = 0
        self.timeline: str | None = None
        """Of the server that was met last."""
        self._lock = threading.Lock()

    def meet(self, connection: Connection[Any]) -> None:
        """Look at the server behind a new connection, which commits every statement by itself."""
        try:
            row = connection.execute(_TIMELINE).fetchone()
        except (psycopg.errors.SyntaxError, psycopg.errors.UndefinedFunction, psycopg.NotSupportedError):
            return
        except (psycopg.errors.InsufficientPrivilege, psycopg.errors.ObjectNotInPrerequisiteState):
            return
        if row is not None:
            self._is(str(row[0]))

    def _is(self, timeline: str) -> None:
        with self._lock:
            before, self.timeline = self.timeline, timeline
            if before in {None, timeline}:
                return
            self.number += 1
        _log.error("datastore_taken_over", timeline=timeline, before=before)
