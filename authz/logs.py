"""How the service writes its log: one JSON object a line, or readable lines on a terminal. Set up once by `app`."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping
from contextlib import suppress
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TextIO

import orjson
import structlog

if TYPE_CHECKING:
    from structlog.typing import EventDict, Processor, WrappedLogger

FORMATS = ("auto", "json", "console")
LEVELS = ("debug", "info", "warning", "error")


def configure_logs(
    format_: str, level: str, stream: TextIO | None = None, *, bound: Mapping[str, object] = MappingProxyType({})
) -> None:
    """Send our own records and those of libraries to `stream` (standard error), from `level` upwards; each carries what
    is `bound`."""
    chosen = stream or sys.stderr
    target: Any = _Enduring(chosen)
    is_json = format_ == "json" or (format_ == "auto" and not chosen.isatty())
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
    ]
    if bound:
        # Not by context variables, which threads of a pool do not inherit.
        shared.append(lambda _logger, _method, event: {**bound, **event})
    number = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[*shared, *_render(is_json=is_json)],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(target),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(target)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_render(is_json=is_json)],
        )
    )
    logging.basicConfig(handlers=[handler], level=max(number, logging.WARNING), force=True)


class _Enduring:
    """A stream that is full or gone, and tells nobody: a call must not fail for want of its log line, nor whoever
    writes the audit trail end over it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        """Write, if that can be."""
        with suppress(OSError, ValueError):
            self._stream.write(text)

    def flush(self) -> None:
        """Flush, if that can be."""
        with suppress(OSError, ValueError):
            self._stream.flush()


def _render(*, is_json: bool) -> list[Processor]:
    # Never a traceback that shows the values of variables: a token may be one of them.
    if is_json:
        return [structlog.processors.format_exc_info, _json_line]
    return [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]


def _json_line(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    try:
        return orjson.dumps(event, default=repr).decode()
    except orjson.JSONEncodeError:  # a lone surrogate in a text: escape everything
        return json.dumps(event, default=repr)
