"""Every metric of the service: its name, meaning and labels. Read by `meter`; documentation and tests are made from it.

A metric has one name here, `authz.call.duration`. Collectors get it as it is; Prometheus gets what a collector would
make of it, `authz_call_duration_seconds`. No label ever holds a store, a principal or an address: the number of series
is bounded by the program and its configuration.
"""

from __future__ import annotations

from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple

CALL_SECONDS = (
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0,
)  # fmt: skip
"""Upper bounds of the buckets for whole calls: from a check out of memory to a list at its deadline."""
DATASTORE_SECONDS = (0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
LAG_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)


class Kind(StrEnum):
    """What the numbers of a metric mean."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Metric(NamedTuple):
    """One metric. `unit` is that of UCUM: `s`, `By`, or nothing for a plain count."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    unit: str = ""
    bounds: tuple[float, ...] = ()

    @property
    def prometheus(self) -> str:
        """The name on Prometheus: without dots, with the unit, and `_total` behind a counter."""
        name = self.name.replace(".", "_")
        unit = _UNIT_NAMES[self.unit]
        if unit and not name.endswith(unit):
            name += f"_{unit}"
        return f"{name}_total" if self.kind is Kind.COUNTER else name


_UNIT_NAMES = {"": "", "s": "seconds", "By": "bytes"}
_C, _G, _H = Kind.COUNTER, Kind.GAUGE, Kind.HISTOGRAM

GROUPS: tuple[tuple[str, tuple[Metric, ...]], ...] = (
    (
        "Calls",
        (
            Metric("authz.calls", _C, "Calls that have ended, by the status that the caller got.", ("method", "code")),
            Metric("authz.call.duration", _H, "How long calls took.", ("method",), "s", CALL_SECONDS),
            Metric("authz.calls.active", _G, "Calls that run now.", ("method",)),
            Metric("authz.call.received", _C, "Size of the requests.", ("method",), "By"),
            Metric("authz.call.sent", _C, "Size of the answers.", ("method",), "By"),
            Metric("authz.decisions", _C, "Answers to checks: allowed, denied, failed.", ("method", "outcome")),
            Metric("authz.errors", _C, "Calls that were refused or failed, by why.", ("code", "reason")),
        ),
    ),
    (
        "Access",
        (
            Metric("authz.authentications", _C, "Calls whose caller was known, by how it proved itself.", ("by",)),
            Metric("authz.authentication.failures", _C, "Calls whose caller proved nothing, by why.", ("reason",)),
            Metric("authz.authorization.refused", _C, "Calls that their principal may not make.", ("class",)),
            Metric("authz.limits.refused", _C, "Calls held back by a limit, by the class of the call.", ("class",)),
            Metric("authz.limits.turned.away", _C, "Calls not let in: too many of one address, or no request came."),
            Metric("authz.http.turned.away", _C, "The same over HTTP, and connections that were cut or not taken."),
            Metric("authz.limits.failures", _C, "Times that the shared limits could not be asked."),
            Metric("authz.keys.age", _G, "Time since the keys of an issuer were read.", ("issuer",), "s"),
            Metric("authz.certificate.expiry.time", _G, "When a certificate of ours ends, since 1970.", ("use",), "s"),
            Metric("authz.directives.active", _G, "Orders that hold: revocation, suspension, capture.", ("kind",)),
            Metric("authz.directives.age", _G, "Time since the datastore told which orders hold.", (), "s"),
        ),
    ),
    (
        "Audit",
        (
            Metric("authz.audit.queued", _G, "Records that wait to be written."),
            Metric("authz.audit.capacity", _G, "Records that may wait before calls are held back or refused."),
            Metric("authz.audit.oldest.age", _G, "Age of the oldest record that waits.", (), "s"),
            Metric("authz.audit.written", _C, "Records written.", ("sink",)),
            Metric("authz.audit.failures", _C, "Times that records could not be written.", ("sink",)),
            Metric("authz.audit.refused", _C, "Calls refused because there was no room for their record."),
            Metric("authz.audit.blocked", _C, "Calls that waited for room for their record."),
            Metric("authz.audit.summed", _C, "Refusals recorded in sums, because there were so many."),
            Metric("authz.audit.lost", _C, "Records that could not be written before the end."),
        ),
    ),
    (
        "Detection",
        (
            Metric("authz.detection.events", _C, "Unusual behaviour that was noticed.", ("kind", "severity")),
            Metric("authz.detection.tracked", _G, "Callers whose behaviour is known."),
            Metric("authz.alerts.sent", _C, "Alerts; those that were only counted with another are left out."),
            Metric("authz.alerts.delivered", _C, "Alerts that a receiver took."),
            Metric("authz.alerts.lost", _C, "Alerts that were given up."),
        ),
    ),
    (
        "Index and caches",
        (
            Metric("authz.index.stores", _G, "Stores that are answered from memory, whole or in part."),
            Metric("authz.index.partial", _G, "Stores of which only the rows in use are in memory."),
            Metric("authz.index.tuples", _G, "Tuples of stores that are in memory whole."),
            Metric("authz.index.rows", _G, "Rows of the other stores that are in memory."),
            Metric("authz.index.rows.read", _C, "Rows of these that were read on demand and kept."),
            Metric("authz.index.size", _G, "What all of it takes, as estimated.", (), "By"),
            Metric("authz.index.budget", _G, "What it may take.", (), "By"),
            Metric("authz.index.lag", _G, "Revisions by which the index that is furthest behind is behind."),
            Metric("authz.index.loads", _C, "Times that an index was read anew from the datastore."),
            Metric("authz.index.revisions", _C, "Revisions that indexes have taken in."),
            Metric("authz.cache.hits", _C, "Questions that a cache answered.", ("cache",)),
            Metric("authz.cache.misses", _C, "Questions that it could not answer.", ("cache",)),
        ),
    ),
    (
        "Datastore",
        (
            Metric("authz.datastore.duration", _H, "How long calls took.", ("operation",), "s", DATASTORE_SECONDS),
            Metric("authz.datastore.errors", _C, "Calls that failed, by why.", ("operation", "reason")),
            Metric("authz.replica.reads", _C, "Reads that a replica might answer, by what became.", ("outcome",)),
            Metric("authz.replica.lag", _G, "Time by which the replica is behind, or was not heard of.", (), "s"),
        ),
    ),
    (
        "Process",
        (
            Metric("authz.build.info", _G, "1; which program runs.", ("version", "python")),
            Metric("authz.event.loop.lag", _H, "How late the event loop came to its turn.", (), "s", LAG_SECONDS),
            Metric("authz.telemetry.exports", _C, "Deliveries to the collector.", ("signal", "outcome")),
            Metric("authz.telemetry.spans", _C, "Spans made."),
            Metric("authz.telemetry.failures", _C, "Times that a metric could not be read.", ("metric",)),
            Metric("process.cpu", _C, "Processor time.", (), "s"),
            Metric("process.resident.memory", _G, "Memory in use.", (), "By"),
            Metric("process.open.fds", _G, "Open file descriptors."),
            Metric("process.max.fds", _G, "How many may be open."),
            Metric("process.start.time", _G, "When the process began, since 1970.", (), "s"),
        ),
    ),
    (
        "Workers",
        (
            Metric("authz.worker.ready", _G, "1 while a worker answers; only of services of several.", ("worker",)),
            Metric("authz.worker.restarts", _C, "Times that a worker ended and was started again.", ("worker",)),
        ),
    ),
)
"""Every metric, by what it tells of."""

METRICS = MappingProxyType({metric.name: metric for _, group in GROUPS for metric in group})
"""Every metric by its name."""


def table() -> str:
    """The documentation of every metric, in Markdown."""
    lines: list[str] = []
    for group, metrics in GROUPS:
        lines += [f"### {group}", "", "| on Prometheus | kind | labels | meaning |", "| --- | --- | --- | --- |"]
        for metric in metrics:
            labels = ", ".join(f"`{label}`" for label in metric.labels) or "-"
            lines.append(f"| `{metric.prometheus}` | {metric.kind} | {labels} | {metric.help} |")
        lines.append("")
    return "\n".join(lines)
