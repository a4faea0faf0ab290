"""By how much a replica is behind, measured by one clock. Built by `replica`, which asks before each read.

A mark is the moment before the primary was asked where its log ends. Once the replica has replayed up to there, it has
all that was acknowledged before that moment: its lag is the age of the newest mark that it has reached. An idle primary
does not look like lag so, nor does a replica that has lost its stream look fresh, and no two clocks are compared.

The lag decides whether the replica is worth asking. It is no proof of anything: that is in `replica`. But it is looked
at besides whether the replica has replayed something of the primary's own timeline: one that is ahead of a standby
which took over has commits that were lost, and goes on as if they had not been. It tells so late, some minutes after a
takeover at worst; until then nothing is asked of it.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from typing import TYPE_CHECKING

import structlog
from sqlalchemy import exc, text

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection, Engine

    from authz.store.sql.lineage import Lineage

MOST_SECONDS = 0.5
LEAST_SECONDS = 0.05
"""Bounds of the time between two looks; in between it is a quarter of the allowed lag."""

_log = structlog.get_logger(__name__)

_WRITTEN = text(
    "SELECT left(pg_walfile_name(pg_current_wal_lsn()), 8), CAST(pg_current_wal_flush_lsn() - '0/0' AS bigint)"
)
# The timeline as the first part of a log file's name; what the replica was made of counts as replayed.
_REPLAYED = text(
    "SELECT lpad(upper(to_hex(greatest(timeline_id, min_recovery_end_timeline))), 8, '0'),"
    " CAST(pg_last_wal_replay_lsn() - '0/0' AS bigint) FROM pg_control_checkpoint(), pg_control_recovery()"
)


class Unfit(Exception):
    """The server at the replica's address cannot stand for the primary; says why."""


class LagWatch:
    """Looks at both servers now and then, on a thread of its own."""

    def __init__(
        self,
        primary: Engine,
        replica: Engine,
        lineage: Lineage,
        verify: Callable[[Connection], None],
        max_lag: float,
    ) -> None:
        """`verify` raises `Unfit` for a server that cannot stand for the primary. The engines are closed with it."""
        self._lineage = lineage
        self._primary = primary
        self._replica = replica
        self._verify = verify
        self._max_lag = max_lag
        self._marks: deque[tuple[float, int]] = deque()
        self._timeline = ""
        """Of the primary that the marks are of."""
        self._followed: str | None = None
        """The timeline that both were last seen on."""
        self._replayed = 0
        self._level = -math.inf
        self._told: str | None = None
        self._started = time.monotonic()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="replica-lag", daemon=True)
        self._thread.start()

    @property
    def is_close(self) -> bool:
        """Whether the replica was seen to be no further behind than allowed; false once it was not seen for as long,
        or when another server took over meanwhile."""
        is_of_lineage = self._followed == self._lineage.timeline
        return is_of_lineage and time.monotonic() - self._level <= self._max_lag

    @property
    def seconds(self) -> float:
        """By how many seconds it is behind, or was not heard of."""
        return time.monotonic() - max(self._level, self._started)

    def distrust(self) -> None:
        """Do not call it close before the next look that says so. For those whose read of it failed."""
        self._level = -math.inf

    def close(self) -> None:
        """End the thread and its connections."""
        self._ending.set()
        self._thread.join()
        self._primary.dispose()
        self._replica.dispose()

    def _run(self) -> None:
        pause = min(max(self._max_lag / 4, LEAST_SECONDS), MOST_SECONDS)
        while not self._ending.is_set():
            self._tell(self._look())
            self._ending.wait(pause)

    def _look(self) -> str:
        """Compare the two; why the replica cannot be used, or nothing."""
        before = self._replayed
        try:
            written = self._mark()
        except exc.SQLAlchemyError:
            # The marks that the replica has reached say how fresh it is; they only grow old.
            return "" if self.is_close else "the primary cannot be reached to compare with"
        try:
            with self._replica.connect() as connection:
                self._verify(connection)
                timeline, replayed = connection.execute(_REPLAYED).one()
        except exc.SQLAlchemyError:
            self.distrust()
            return "it cannot be reached"
        except Unfit as unfit:
            self.distrust()
            return str(unfit)
        if replayed is None:
            return "it does not tell how far it is"
        self._replayed = replayed
        if timeline != self._timeline:
            self.distrust()
            return "it was not seen to follow the server that took over"
        self._followed = timeline
        if before > written:
            self.distrust()
            return "it has what the primary never wrote"
        self._reach(replayed)
        return "" if self.is_close else "it is too far behind"

    def _mark(self) -> int:
        asked = time.monotonic()
        with self._primary.connect() as connection:
            timeline, written = connection.execute(_WRITTEN).one()
        if timeline != self._timeline:
            self._timeline = timeline
            self._marks.clear()
        self._marks.append((asked, written))
        while self._marks[0][0] < asked - self._max_lag:
            self._marks.popleft()  # to reach it would not make the replica close
        return int(written)

    def _reach(self, replayed: int) -> None:
        level = -math.inf
        while self._marks and self._marks[0][1] <= replayed:
            level, _ = self._marks.popleft()
        # Of a replica that was distrusted meanwhile, only what is seen now counts.
        self._level = max(self._level, level)

    def _tell(self, why: str) -> None:
        if why == self._told:
            return
        if why:
            _log.warning("replica_not_used", reason=why)
        elif self._told is not None:
            _log.info("replica_used_again")
        else:
            _log.info("replica_used")
        self._told = why
