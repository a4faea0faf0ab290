"""The serving process: logs, signals, exit codes, the ready line. Called by `cli`."""

from __future__ import annotations

import asyncio
import resource
import signal
import sys

import structlog
import uvloop

from authz.app.serving import serving
from authz.errors import AuthzError
from authz.logs import configure_logs
from authz.rpc.server import GrpcServer
from authz.settings import InvalidSettings, Settings
from authz.settings.show import effective

DONE, FORCED, USAGE, SERVICE_ERROR = 0, 1, 2, 3
"""Exit codes of `run`."""

SWITCH_SECONDS = 0.001
"""How long a question on a thread may keep the event loop from its turn; Python's own 5 ms show in every short call."""

_log = structlog.get_logger(__name__)


def run(settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit code. Blocks, and installs signal handlers.

    The first signal drains: no new calls, running ones end within the grace. A second one ends them at once.
    """
    configure_logs(settings.log_format, settings.log_level)
    _allow_open_files()
    sys.setswitchinterval(SWITCH_SECONDS)
    try:
        return uvloop.run(_serve_until_signal(settings))
    except InvalidSettings as error:
        return _refuse(str(error), USAGE)
    except AuthzError as error:
        return _refuse(error.message, SERVICE_ERROR)


def _allow_open_files() -> None:
    """As many as this process may have: every connection is one, and the usual limit is far below what it may be."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


async def _serve_until_signal(settings: Settings) -> int:
    signals = _Signals()
    async with serving(settings) as service:
        _log.info("settings", **effective(settings))
        _log.info("serving", grpc_addr=service.grpc_address, metrics_addr=service.telemetry.address or "off")
        print(f"ready grpc={service.grpc_address} http=off", file=sys.stderr, flush=True)  # noqa: T201 - a promise to scripts
        await signals.first.wait()
        _log.info("draining", grace_seconds=settings.shutdown_grace)
        forced = asyncio.create_task(_force_at_second(signals, service.server))
    forced.cancel()
    _log.info("stopped", forced=signals.second.is_set())
    if service.trail.recorder.statistics().lost:
        return SERVICE_ERROR
    return FORCED if signals.second.is_set() else DONE


async def _force_at_second(signals: _Signals, server: GrpcServer) -> None:
    await signals.second.wait()
    await server.drain(0)


class _Signals:
    """Two events for SIGTERM and SIGINT: the first such signal, and one more.

    SIGHUP drains too, or whoever closes a terminal, or asks for files to be read again, would lose records that wait to
    be written. It forces nothing, for a terminal that is closed may send it twice.
    """

    def __init__(self) -> None:
        self.first = asyncio.Event()
        self.second = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._arrived)
        loop.add_signal_handler(signal.SIGHUP, self.first.set)

    def _arrived(self) -> None:
        (self.second if self.first.is_set() else self.first).set()


def _refuse(message: str, code: int) -> int:
    print(f"error: {message}", file=sys.stderr)  # noqa: T201 - for the operator, whatever the log level
    return code
