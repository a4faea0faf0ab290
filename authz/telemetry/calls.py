"""Count calls: by method and status, how long they took, what was decided. Filled by `watch`, read by `meter`.

The one record per call: about a microsecond. All tables are bounded by the methods and statuses of the program.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from authz.call import ANONYMOUS
from authz.telemetry.buckets import Distribution
from authz.telemetry.catalogue import CALL_SECONDS

if TYPE_CHECKING:
    from authz.call import Completed
    from authz.telemetry.meter import Meter

OTHER = "_OTHER"
"""Stands for every method that does not exist: callers cannot make series."""
MAX_REASONS = 256

_OUTCOMES = (("allowed", True), ("denied", False), ("failed", None))


class Row:
    """The counts of one method."""

    __slots__ = ("active", "codes", "counts", "decisions", "received", "seconds", "sent")

    def __init__(self) -> None:
        self.active = 0
        self.codes: dict[str, int] = {"OK": 0}
        self.counts = [0] * (len(CALL_SECONDS) + 1)
        self.seconds = 0.0
        self.received = 0
        self.sent = 0
        self.decisions: dict[bool | None, int] = {}


class Calls:
    """The counts of all methods. Used on the event loop; read from any thread."""

    def __init__(self, labels: Iterable[str]) -> None:
        self._rows = {label: Row() for label in (*labels, OTHER)}
        self._authentications: dict[str, int] = {}
        self._errors: dict[tuple[str, str], int] = {}
        self._limited: dict[str, int] = {}
        self._forbidden: dict[str, int] = {}

    def row(self, label: str) -> Row:
        """The counts of a method."""
        return self._rows[label]

    def count(self, row: Row, completed: Completed) -> None:
        """Take in a call that has ended."""
        code = completed.code
        codes = row.codes
        codes[code] = codes.get(code, 0) + 1
        seconds = completed.seconds
        row.counts[bisect_left(CALL_SECONDS, seconds)] += 1
        row.seconds += seconds
        row.received += completed.request_bytes
        row.sent += completed.response_bytes
        decisions = row.decisions
        for decision in completed.decisions:
            decisions[decision] = decisions.get(decision, 0) + 1
        is_ok = code == "OK"
        principal = completed.call.principal
        if is_ok or principal is not ANONYMOUS:
            by = principal.authentication
            self._authentications[by] = self._authentications.get(by, 0) + 1
        if not is_ok:
            self._refuse(completed)

    def register(self, meter: Meter) -> None:
        """Tell the meter how these are read."""
        rows = self._rows
        meter.observe_source(
            "authz.calls", lambda: {(name, code): n for name, row in _seen(rows) for code, n in row.codes.items()}
        )
        meter.observe_source(
            "authz.call.duration",
            lambda: {name: Distribution(tuple(row.counts), row.seconds) for name, row in _seen(rows)},
        )
        meter.observe_source("authz.calls.active", lambda: {name: row.active for name, row in _seen(rows)})
        meter.observe_source("authz.call.received", lambda: {name: row.received for name, row in _seen(rows)})
        meter.observe_source("authz.call.sent", lambda: {name: row.sent for name, row in _seen(rows)})
        meter.observe_source("authz.decisions", self._decisions)
        meter.observe_source("authz.errors", lambda: self._errors)
        meter.observe_source("authz.authentications", lambda: self._authentications)
        meter.observe_source("authz.authentication.failures", self._authentication_failures)
        meter.observe_source("authz.authorization.refused", lambda: self._forbidden)
        meter.observe_source("authz.limits.refused", lambda: self._limited)

    def _refuse(self, completed: Completed) -> None:
        code = completed.code
        reason = code, completed.reason
        if reason not in self._errors and len(self._errors) >= MAX_REASONS:
            reason = code, "other"
        self._errors[reason] = self._errors.get(reason, 0) + 1
        if code == "RESOURCE_EXHAUSTED":
            self._limited[completed.scope] = self._limited.get(completed.scope, 0) + 1
        elif code == "PERMISSION_DENIED":
            self._forbidden[completed.scope] = self._forbidden.get(completed.scope, 0) + 1

    def _decisions(self) -> dict[tuple[str, str], float]:
        return {
            (name, outcome): row.decisions.get(decision, 0)
            for name, row in _seen(self._rows)
            if row.decisions
            for outcome, decision in _OUTCOMES
        }

    def _authentication_failures(self) -> dict[str, float]:
        return {reason: n for (code, reason), n in self._errors.items() if code == "UNAUTHENTICATED"}


def labels_of(paths: Iterable[str]) -> dict[str, str]:
    """The label of each method, by its path: its name, with the service in front when two have one of that name."""
    paths = list(paths)
    names = Counter(path.rpartition("/")[2] for path in paths)
    found = {}
    for path in paths:
        service, _, name = path.removeprefix("/").partition("/")
        found[path] = name if names[name] == 1 else f"{service.rpartition('.')[2]}/{name}"
    return found


def _seen(rows: dict[str, Row]) -> Iterator[tuple[str, Row]]:
    """All methods; the row of unknown ones only once it counted something."""
    return ((name, row) for name, row in rows.items() if name != OTHER or row.active or sum(row.counts))
