"""The sink `otlp`: each record as a log record of OpenTelemetry, its sealed line as the body. Built by `trail`.

At least once: a batch whose answer was lost is sent again, line for line the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Literal, NamedTuple

from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk._logs.export import LogRecordExporter, LogRecordExportResult
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from ulid import ULID

from authz.audit.chain import OTLP, Payload, extend
from authz.audit.keys import Keys
from authz.audit.sinks.sink import SinkProblem
from authz.clock import Clock
from authz.store.trail import Head

TIMEOUT = 10
"""Seconds of one attempt to send."""
EVENT = "authz.audit.record"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class _Attempt(NamedTuple):
    payloads: Sequence[Payload]
    records: list[ReadableLogRecord]
    head: Head


class OtlpSink:
    """See `Sink`."""

    name = "otlp"

    def __init__(self, exporter: LogRecordExporter, keys: Keys, clock: Clock) -> None:
        self._exporter = exporter
        self._keys = keys
        self._clock = clock
        self._chain = f"{OTLP}{ULID.from_datetime(clock.now())}"
        self._resource = Resource.create({"service.name": "authz"})
        self._scope = InstrumentationScope("authz.audit")
        self.outside: Head | None = None
        self._attempt: _Attempt | None = None

    async def write(self, payloads: Sequence[Payload]) -> None:
        """See `Sink`."""
        attempt = self._attempt
        if attempt is None or attempt.payloads is not payloads:
            attempt = await asyncio.to_thread(self._prepared, payloads)
            self._attempt = attempt
        if await asyncio.to_thread(self._exporter.export, attempt.records) is not LogRecordExportResult.SUCCESS:
            raise SinkProblem("the receiver of OTLP logs did not take the records")
        self.outside, self._attempt = attempt.head, None

    async def close(self) -> None:
        """See `Sink`."""
        await asyncio.to_thread(self._exporter.shutdown)

    def _prepared(self, payloads: Sequence[Payload]) -> _Attempt:
        segment, head = extend(self._chain, self.outside, payloads, self._keys.ring)
        lines = segment.body.decode().splitlines()
        # A change of the key puts a record of its own before the others.
        times = [payloads[0].time] * (len(lines) - len(payloads)) + [each.time for each in payloads]
        now = _nanoseconds(self._clock.now())
        records = [self._record(line, _nanoseconds(time), now) for line, time in zip(lines, times, strict=True)]
        return _Attempt(payloads, records, head)

    def _record(self, line: str, time: int, now: int) -> ReadableLogRecord:
        record = LogRecord(
            timestamp=time,
            observed_timestamp=now,
            severity_text="INFO",
            severity_number=SeverityNumber.INFO,
            body=line,
            event_name=EVENT,
        )
        return ReadableLogRecord(record, self._resource, self._scope)


def otlp_exporter(protocol: Literal["http", "grpc"], endpoint: str) -> LogRecordExporter:
    """What sends to a receiver; without an endpoint, to where OTEL_EXPORTER_OTLP_… says."""
    if protocol == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as GrpcExporter

        return GrpcExporter(endpoint=endpoint or None, timeout=TIMEOUT)
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter as HttpExporter

    return HttpExporter(endpoint=endpoint or None, timeout=TIMEOUT)


def _nanoseconds(time: datetime) -> int:
    return (time - _EPOCH) // timedelta(microseconds=1) * 1000
