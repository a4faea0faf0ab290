"""Write the tuples of a file to a store: in batches, several at once, resumable. Called by the command `tuple import`.

A batch is acknowledged in the journal when the service has answered. A batch whose answer never came is written again
when the import is continued, with duplicates ignored, so that the store ends with the same tuples as without the break.
"""

from __future__ import annotations

import time
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from authz._proto.openfga.v1.openfga_service_pb2 import WriteRequest, WriteRequestWrites
from authz.cli.errors import ServiceProblem
from authz.rpc.convert.tuples import tuple_key_message

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from authz.cli.session import Session
    from authz.cli.transfer.journal import Journal
    from authz.cli.transfer.pace import Pace
    from authz.cli.transfer.reading import Row

IGNORE = "ignore"
_PAUSES = (0.1, 0.4, 1.5, 3.0, 5.0)
"""Seconds to wait before each further attempt to reach the service."""
_RACES = 2
"""How often a tuple is written again that lost to another transaction, or that the store has with another condition."""
_FATAL = frozenset({"authorization_model_not_found", "latest_authorization_model_not_found"})
"""Refusals that every other tuple would meet too."""


class Refused(NamedTuple):
    """A row that is not in the store, and why."""

    row: Row
    reason: str


@dataclass(slots=True)
class Totals:
    """Rows by what became of them; `skipped` were acknowledged by an earlier run."""

    imported: int = 0
    refused: int = 0
    skipped: int = 0


class Importer:
    """One run of an import."""

    def __init__(self, session: Session, journal: Journal, pace: Pace, *, on_duplicate: str) -> None:
        self._session = session
        self._journal = journal
        self._pace = pace
        # What an interrupted run has written without hearing of it must not count as a duplicate.
        self._on_duplicate = IGNORE if journal.is_continued else on_duplicate
        self._is_stopping = False
        self.totals = Totals()

    def run(self, rows: Iterable[Row], *, batch_size: int, parallel: int, tell: Callable[[int], None]) -> None:
        """Import all rows; `tell` hears how many are settled so far.

        Raises:
            ServiceProblem: the service cannot be reached or refuses everything; continue later.
            UsageProblem: the file turns out to be malformed.

        """
        running: dict[Future[list[Refused]], tuple[int, list[Row]]] = {}
        pool = ThreadPoolExecutor(parallel)
        try:
            for number, batch in enumerate(_batches(rows, batch_size)):
                if number in self._journal.done:
                    self.totals.skipped += len(batch)
                    tell(self._settled())
                    continue
                if len(running) >= parallel:
                    self._settle(running, tell)
                running[pool.submit(self._write_batch, batch)] = (number, batch)
            while running:
                self._settle(running, tell)
        finally:
            self._is_stopping = True
            pool.shutdown(wait=True, cancel_futures=True)
            self._settle_rest(running)

    def _settled(self) -> int:
        return self.totals.imported + self.totals.refused + self.totals.skipped

    def _settle(self, running: dict[Future[list[Refused]], tuple[int, list[Row]]], tell: Callable[[int], None]) -> None:
        """Wait for a batch, and note all that are done; failures are raised when the others are noted."""
        finished, _ = wait(running, return_when=FIRST_COMPLETED)
        for future in sorted(finished, key=lambda one: one.exception() is not None):
            number, batch = running.pop(future)
            self._acknowledge(number, batch, future.result())
        tell(self._settled())

    def _settle_rest(self, running: dict[Future[list[Refused]], tuple[int, list[Row]]]) -> None:
        """Note what was answered while the import came to a stop."""
        for future, (number, batch) in running.items():
            if future.done() and not future.cancelled() and future.exception() is None:
                self._acknowledge(number, batch, future.result())

    def _acknowledge(self, number: int, batch: list[Row], refused: list[Refused]) -> None:
        self._journal.acknowledge(number, [_report(one) for one in refused])
        self.totals.imported += len(batch) - len(refused)
        self.totals.refused += len(refused)

    def _write_batch(self, batch: list[Row]) -> list[Refused]:
        refused = [Refused(row, row.problem) for row in batch if row.tuple is None]
        return refused + self._write([row for row in batch if row.tuple is not None])

    def _write(self, rows: list[Row]) -> list[Refused]:
        """Write rows in one transaction; when the service refuses it, in halves, down to those that are to blame."""
        if not rows:
            return []
        try:
            self._send(rows)
        except ServiceProblem as error:
            if not error.is_refusal or error.reason in _FATAL:
                raise
            if len(rows) == 1:
                return [Refused(rows[0], error.message)]
        else:
            return []
        half = len(rows) // 2
        return self._write(rows[:half]) + self._write(rows[half:])

    def _send(self, rows: list[Row]) -> None:
        """Write, and try again while that may help."""
        keys = [tuple_key_message(row.tuple) for row in rows if row.tuple is not None]
        request = WriteRequest(
            store_id=self._session.store,
            authorization_model_id=self._session.model,
            writes=WriteRequestWrites(tuple_keys=keys, on_duplicate=self._on_duplicate),
        )
        for attempt, pause in enumerate((*_PAUSES, None), 1):
            self._pace.wait()
            try:
                self._session.call("Write", request)
            except ServiceProblem as error:
                is_lost = error.is_refusal and (len(rows) > 1 or attempt > _RACES)
                if is_lost or not error.is_transient or pause is None or self._is_stopping:
                    raise
                if not error.is_refusal:
                    # Nobody knows whether it was written.
                    request.writes.on_duplicate = IGNORE
                time.sleep(pause)
            else:
                return


def _batches(rows: Iterable[Row], size: int) -> Iterator[list[Row]]:
    iterator = iter(rows)
    while batch := list(islice(iterator, size)):
        yield batch


def _report(refused: Refused) -> dict[str, Any]:
    """A refused row as it is reported: its tuple, where it stands, and why it was refused."""
    row = refused.row
    value: dict[str, Any] = {}
    if row.tuple is not None:
        value = {"user": row.tuple.user, "relation": row.tuple.relation, "object": row.tuple.object}
        if row.tuple.condition is not None:
            value["condition"] = {"name": row.tuple.condition.name, "context": row.tuple.condition.context}
    return value | {"line": row.line, "reason": refused.reason}
