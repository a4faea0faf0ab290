"""A worker: `python -m authz.app.worker DESCRIPTOR`. Started by `supervisor` alone, which says the rest on a socket."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys

import structlog

from authz.app.codes import DONE, FORCED, SERVICE_ERROR, USAGE
from authz.app.framing import Assignment, News, Word
from authz.app.lifeline import Lifeline
from authz.app.stopping import Stopping
from authz.errors import AuthzError
from authz.logs import configure_logs
from authz.settings import InvalidSettings

WAITED_FOR = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Blocked by the supervisor while it starts a worker, until there is somebody to hear them."""
ORPHAN_GRACE = 2.0
"""Seconds for running calls when the supervisor is gone: somebody may be about to start the service anew."""

_log = structlog.get_logger(__name__)


def main() -> int:
    """Serve as the supervisor says; returns the exit code."""
    lifeline = Lifeline(socket.socket(fileno=int(sys.argv[1])))
    try:
        assignment = lifeline.assignment()
    except (EOFError, OSError):
        return FORCED
    settings = assignment.settings
    configure_logs(settings.log_format, settings.log_level, bound={"worker": assignment.number})
    import uvloop

    return uvloop.run(_work(assignment, lifeline))


async def _work(assignment: Assignment, lifeline: Lifeline) -> int:
    stopping, words = Stopping(is_worker=True), asyncio.Queue[str]()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, WAITED_FOR)
    loop = asyncio.get_running_loop()

    def obey(word: str) -> None:
        if word == Word.DRAIN:
            stopping.drain()
        elif word == Word.FORCE:
            stopping.force()
        else:
            words.put_nowait(word)

    def end_alone() -> None:
        _log.error("supervisor_gone", why="the process that started this worker has ended: it drains and ends")
        stopping.drain()
        loop.call_later(ORPHAN_GRACE, stopping.force)

    lifeline.start(
        lambda word: loop.call_soon_threadsafe(obey, word),
        lambda: loop.call_soon_threadsafe(end_alone),
    )
    try:
        return await _serve(assignment, lifeline, stopping, words)
    except InvalidSettings as error:
        return _failed(lifeline, USAGE, str(error))
    except AuthzError as error:
        return _failed(lifeline, SERVICE_ERROR, error.message)
    except Exception as error:
        # Whoever looks for the bug wants its traceback; an operator never sees one.
        if assignment.settings.raise_bugs:
            raise
        return _failed(lifeline, SERVICE_ERROR, f"internal error: {type(error).__name__}: {error}")
    finally:
        await asyncio.to_thread(lifeline.close)


async def _serve(assignment: Assignment, lifeline: Lifeline, stopping: Stopping, words: asyncio.Queue[str]) -> int:
    from authz.app.alone import SWITCH_SECONDS, serve_until
    from authz.app.place import Place
    from authz.app.preparing import prepare
    from authz.app.service import Serving
    from authz.audit.sinks.turns import OutputTurns
    from authz.index.signal import SharedCounters

    sys.setswitchinterval(SWITCH_SECONDS)
    settings, number = assignment.settings, assignment.number
    ending = asyncio.create_task(stopping.first.wait())
    while True:
        hearing = asyncio.create_task(words.get())
        await asyncio.wait({hearing, ending}, return_when=asyncio.FIRST_COMPLETED)
        if not hearing.done():
            hearing.cancel()
            return DONE
        if hearing.result() == Word.SERVE:
            break
        await prepare(settings)
        lifeline.tell(News.PREPARED)

    def ready(service: Serving) -> None:
        _log.info("serving", grpc_addr=service.grpc_address, http_addr=service.http_address or "off")
        lifeline.serve_pages(service.telemetry.pages)
        lifeline.tell(News.READY)

    counters = SharedCounters(assignment.signal, number - 1, settings.workers)
    output = None if assignment.output is None else OutputTurns(assignment.output)
    return await serve_until(stopping, settings, ready, Place(number, counters, output))


def _failed(lifeline: Lifeline, code: int, why: str) -> int:
    lifeline.tell(News.FAILED, code=code, why=why)
    return code


if __name__ == "__main__":
    sys.exit(main())
