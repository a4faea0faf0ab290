"""Serve with several worker processes on one port. Called by `process`.

The supervisor holds the port, starts the workers, starts them again when they end, and ends them when it is to end. It
serves the operator's pages, and nothing else: it imports neither gRPC nor a database, and is small.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import structlog

from authz import __version__
from authz.app.codes import DONE
from authz.app.crew import Crew
from authz.app.framing import Assignment
from authz.app.link import NotStarted
from authz.app.port import HeldPort
from authz.app.process import announce, refuse
from authz.app.servable import check_servable
from authz.app.stopping import CLOSING_SECONDS, Stopping
from authz.app.web import do_without
from authz.audit.sinks.turns import OutputTurns
from authz.clock import SystemClock
from authz.errors import Unavailable
from authz.index.signal import SharedCounters
from authz.settings import Settings
from authz.settings.show import effective
from authz.telemetry.checking import check_telemetry

_STDOUT = "stdout"

_log = structlog.get_logger(__name__)


def supervise(settings: Settings) -> int:
    """Serve until a signal says otherwise; returns the exit code.

    Raises:
        InvalidSettings: settings that must not be served with.
        Unavailable: an address cannot be opened.

    """
    check_servable(settings)
    check_telemetry(settings.telemetry, insecure=settings.insecure)
    with HeldPort(settings.grpc_addr) as port, _held_http(settings) as http, _shared(settings) as (signal, output):
        served = settings.model_copy(update={"grpc_addr": port.address, "http_addr": http})
        assignments = [
            Assignment(worker_settings(served, number), number, signal, output)
            for number in range(1, settings.workers + 1)
        ]
        return asyncio.run(_supervise(served, Crew(assignments)))


def worker_settings(settings: Settings, number: int) -> Settings:
    """The settings of one worker: those of the service, but for what only one process can have."""
    audit = settings.audit.model_copy(update={"file": worker_file(settings.audit.file, number)})
    return settings.model_copy(update={"audit": audit})


def worker_file(path: Path, number: int) -> Path:
    """The file of one worker: `audit-1.jsonl` for `audit.jsonl`."""
    return path.with_name(f"{path.stem}-{number}{path.suffix}")


@contextmanager
def _held_http(settings: Settings) -> Iterator[str]:
    """The address of HTTP, held; empty when it is not served."""
    with ExitStack() as stack:
        address = ""
        if settings.http_addr:
            try:
                address = stack.enter_context(HeldPort(settings.http_addr)).address
            except Unavailable as error:
                do_without(settings, error)
        yield address


@contextmanager
def _shared(settings: Settings) -> Iterator[tuple[int, int | None]]:
    """Descriptors of what the workers share: the signal, and the turns at standard output."""
    with ExitStack() as stack:
        signal = SharedCounters.create(settings.workers)
        stack.callback(os.close, signal)
        output = OutputTurns.create() if _STDOUT in settings.audit.sinks else None
        if output is not None:
            stack.callback(os.close, output)
        yield signal, output


async def _supervise(settings: Settings, crew: Crew) -> int:
    stopping = Stopping()
    with ExitStack() as stack:
        pages = _serve_pages(settings, crew, stack)
        try:
            if not await _started(crew, stopping):
                return await crew.end(settings.shutdown_grace + CLOSING_SECONDS, stopping.second)
            _log.info("settings", **effective(settings))
            addresses = {"grpc_addr": settings.grpc_addr, "http_addr": settings.http_addr or "off"}
            _log.info("serving", **addresses, metrics_addr=pages or "off", workers=settings.workers)
            announce(settings.grpc_addr, settings.http_addr)
            crew.keep()
            await stopping.first.wait()
            _log.info("draining", grace_seconds=settings.shutdown_grace)
            code = await crew.end(settings.shutdown_grace + CLOSING_SECONDS, stopping.second)
            _log.info("stopped", forced=code != DONE)
        except NotStarted as error:
            await crew.end(CLOSING_SECONDS, stopping.second)
            return refuse(error.why, error.code)
    return code


async def _started(crew: Crew, stopping: Stopping) -> bool:
    """Whether all workers are ready, and nobody has asked for the end meanwhile."""
    starting = asyncio.create_task(crew.start())
    ending = asyncio.create_task(stopping.first.wait())
    await asyncio.wait({starting, ending}, return_when=asyncio.FIRST_COMPLETED)
    ending.cancel()
    if starting.done():
        starting.result()
        return True
    starting.cancel()
    await asyncio.gather(starting, return_exceptions=True)
    return False


def _serve_pages(settings: Settings, crew: Crew, stack: ExitStack) -> str:
    """Serve the operator's pages, if they are wanted; returns where.

    Raises:
        Unavailable: the address cannot be opened.

    """
    if not settings.telemetry.metrics_addr:
        return ""
    from authz.app.overview import Overview
    from authz.telemetry.listener import Listener
    from authz.telemetry.meter import Meter
    from authz.telemetry.process import observe_process

    meter = Meter()
    observe_process(meter, SystemClock(), __version__)
    listener = Listener(settings.telemetry.metrics_addr, Overview(crew, meter).pages())
    address = listener.open()
    stack.callback(listener.close)
    return address
