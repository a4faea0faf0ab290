"""Everything that records, put together: keys, scribe, recorder, sinks, checkpoints, retention. Built by `app`.

The scribe is needed to open the datastore, and the rest needs the datastore; so there are two steps: `Sealing` first,
`AuditTrail` then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import NamedTuple

import structlog

from authz import __version__
from authz.audit.captures import Captures
from authz.audit.chain import Payload
from authz.audit.checkpointer import Checkpointer
from authz.audit.forwarder import Forwarder
from authz.audit.keys import FileKeys, FixedKeys, Keys, parse_keys, stored_key
from authz.audit.payloads import note_payload
from authz.audit.recorder import Policy, Recorder
from authz.audit.redaction import Redaction
from authz.audit.retention import Pruner
from authz.audit.scribe import AuditScribe
from authz.audit.sinks.database import DatabaseSink
from authz.audit.sinks.sink import Sink, SinkProblem
from authz.audit.sinks.turns import OutputTurns
from authz.clock import Clock
from authz.errors import AuthzError
from authz.settings.audit import AuditSettings
from authz.settings.types import InvalidSettings
from authz.store.trail import Head, TrailStore

CLOSING_SECONDS = 5.0
"""How long the last records may take to be written."""

_log = structlog.get_logger(__name__)


class Sealing(NamedTuple):
    """What is needed to open the datastore."""

    keys: Keys
    redaction: Redaction
    scribe: AuditScribe


def open_keys(settings: AuditSettings, monotonic: Callable[[], float]) -> Keys | None:
    """The keys that the settings name; None when they name none, and one of the datastore has to do.

    Raises:
        InvalidSettings: they cannot be read, or both a file and keys themselves are given.

    """
    if settings.key_file is not None and settings.key is not None:
        raise InvalidSettings("setting `audit.key`: the keys come from `audit.key_file` already")
    try:
        if settings.key_file is not None:
            return FileKeys(settings.key_file, monotonic)
        if settings.key is not None:
            return FixedKeys(parse_keys(settings.key.get_secret_value().encode("utf-8", "replace")))
    except OSError as error:
        why = (error.strerror or "unreadable").lower()
        raise InvalidSettings(f"setting `audit.key_file`: cannot read `{settings.key_file}`: {why}") from None
    except ValueError as error:
        name = "audit.key" if settings.key_file is None else "audit.key_file"
        raise InvalidSettings(f"setting `{name}`: {error}") from None
    return None


def keys_of_datastore(secret: bytes) -> Keys:
    """A key that the datastore keeps, after a warning: it protects against everybody but those who can write there."""
    _log.warning(
        "audit_key_in_datastore", why="whoever can write the database can forge the trail: set `audit.key_file`"
    )
    return FixedKeys(stored_key(secret))


def open_sealing(settings: AuditSettings, keys: Keys) -> Sealing:
    """The scribe for a datastore, and what goes with it."""
    redaction = Redaction(settings.redact, keys)
    is_copying = any(name != "database" for name in settings.sinks)
    return Sealing(keys, redaction, AuditScribe(keys, redaction, is_copying=is_copying))


class AuditTrail:
    """The trail of one process: `start` it before calls come, `close` it after the last one, before the datastore.

    `turns` are those at a standard output that is shared with other workers.

    Raises:
        InvalidSettings: a sink cannot be opened.

    """

    def __init__(
        self,
        settings: AuditSettings,
        sealing: Sealing,
        store: TrailStore,
        clock: Clock,
        turns: OutputTurns | None = None,
    ) -> None:
        keys = sealing.keys
        self._settings = settings
        self._clock = clock
        self._store = store
        self.redaction = sealing.redaction
        self.captures = Captures(clock)
        self._sinks = [_sink(name, settings, keys, store, clock, turns=turns) for name in settings.sinks]
        policy = Policy(
            on_failure=settings.on_failure,
            flush_interval=settings.flush_interval,
            queue=settings.queue,
            failure_grace=settings.failure_grace,
            capture_bytes=settings.capture_bytes,
        )
        self.recorder = Recorder(self._sinks, policy, self.redaction, self.captures, clock)
        self.checkpointer = Checkpointer(store, keys, clock, tell=self._tell, outside=self._outside)
        self._forwarder = Forwarder(store, sealing.scribe, clock, tell=self._tell)
        own = [self.checkpointer.writer, *(sink.writer for sink in self._sinks if isinstance(sink, DatabaseSink))]
        self._pruner = Pruner(store, keys, clock, keep=timedelta(days=settings.retention), own=own)
        self._is_outside = any(sink.name != "database" for sink in self._sinks)
        self._tasks: list[asyncio.Task[None]] = []
        self._is_closed = False

    async def start(self) -> None:
        """Begin: the first records and the first checkpoint are written when this returns.

        Raises:
            Unavailable: they cannot be.

        """
        self.recorder.start()
        self.recorder.tell(note_payload("start", self._clock.now(), version=__version__))
        try:
            await self.recorder.durable()
            await self.checkpointer.link()
        except AuthzError:
            self._is_closed = True
            await self.recorder.close(within=0.01)
            raise
        self._run(self.checkpointer.link_forever(self._settings.checkpoint_interval))
        if self._is_outside:
            self._run(self._forwarder.forward_forever())
        if self._settings.retention:
            self._run(self._pruner.prune_forever())

    async def close(self, within: float = CLOSING_SECONDS) -> int:
        """Write what waits and the last checkpoint, for about `within` seconds; returns how many records are lost."""
        if self._is_closed:
            return self.recorder.statistics().lost
        self._is_closed = True
        began = self._clock.monotonic()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.recorder.tell(note_payload("stop", self._clock.now()))
        try:
            await asyncio.wait_for(self._link_last(), within)
        except (TimeoutError, AuthzError) as error:
            _log.error("audit_checkpoint_failed", why=type(error).__name__)
        return await self.recorder.close(max(began + within - self._clock.monotonic(), 0.01))

    async def _link_last(self) -> None:
        if self._is_outside:
            await self._forwarder.forward()
        await self.recorder.flush()
        await self.checkpointer.link()

    def _run(self, work: Coroutine[object, object, None]) -> None:
        self._tasks.append(asyncio.create_task(work))

    def _tell(self, payload: Payload) -> None:
        if self._is_outside or not payload.is_stored:
            self.recorder.tell(payload)

    def _outside(self) -> list[Head]:
        return [sink.outside for sink in self._sinks if sink.outside is not None]


def _sink(
    name: str, settings: AuditSettings, keys: Keys, store: TrailStore, clock: Clock, *, turns: OutputTurns | None
) -> Sink:
    try:
        if name == "file":
            return _file_sink(settings, keys, clock)
        if name == "stdout":
            from authz.audit.sinks.stdout import StdoutSink

            return StdoutSink(keys, clock, turns=turns)
        if name == "otlp":
            from authz.audit.sinks.otlp import OtlpSink, otlp_exporter

            return OtlpSink(otlp_exporter(settings.otlp_protocol, settings.otlp_endpoint), keys, clock)
    except ModuleNotFoundError:
        raise InvalidSettings(
            f"setting `audit.sinks`: `{name}` needs a package that is not installed: the extra `otlp`"
        ) from None
    except SinkProblem as error:
        raise InvalidSettings(f"setting `audit.sinks`: {error}") from None
    except OSError as error:
        why = (error.strerror or "unusable").lower()
        raise InvalidSettings(f"setting `audit.file`: cannot use `{settings.file}`: {why}") from None
    return DatabaseSink(store, keys, clock)


def _file_sink(settings: AuditSettings, keys: Keys, clock: Clock) -> Sink:
    from authz.audit.sinks.file import FileRules, FileSink

    rules = FileRules(
        settings.file,
        settings.file_bytes,
        timedelta(hours=settings.file_hours),
        settings.file_keep,
        timedelta(days=settings.file_days),
        settings.file_sync,
    )
    return FileSink(rules, keys, clock)
