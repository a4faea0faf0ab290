"""A server of grpcio that no path of a call can end. Used by `grpcio_server`.

The server that comes with grpcio 1.85 decodes the path of every call in the one task that takes calls in, and does not
expect bytes that are not UTF-8: a single such request, from anybody, ends the task, closes the port, and leaves a
process that serves nobody. So that task gets nothing to do here. Every method is registered with grpc's core, which
compares paths as bytes, and has a task of its own that waits for its calls; what is none of our methods is answered by
one handler, which is not told the path.
"""

# ruff: noqa: SLF001 - what grpcio has for this is not public; tests/rpc/test_intake.py shows when it changes
from __future__ import annotations

import asyncio
import signal
from functools import partial
from typing import TYPE_CHECKING, Any

import grpc
import structlog
from grpc._cython import cygrpc
from grpc.aio._server import Server

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    Handler = grpc.RpcMethodHandler[Any, Any]

UNKNOWN = "unknown"
_HANDLERS = {
    (False, False): cygrpc._handle_unary_unary_rpc,
    (False, True): cygrpc._handle_unary_stream_rpc,
    (True, False): cygrpc._handle_stream_unary_rpc,
    (True, True): cygrpc._handle_stream_stream_rpc,
}
"""What runs a handler, by whether it streams requests and answers."""

_log = structlog.get_logger(__name__)


class Intake(Server):
    """A server: register methods, open ports, start, stop, as of grpcio.

    Args:
        options: those of the channel.
        most: how many calls may be open at a time.
        unknown: answers calls of methods that are not registered.

    """

    def __init__(self, options: Sequence[tuple[str, Any]], most: int, unknown: Handler) -> None:
        self._loop = cygrpc.get_working_loop()
        self._server = _Core(self._loop, tuple(options), most, unknown)

    def add_generic_rpc_handlers(self, generic_rpc_handlers: Sequence[grpc.GenericRpcHandler]) -> None:
        """Nothing: what generated code adds so it registers as well."""


class _Core(cygrpc.AioServer):  # type: ignore[misc] # compiled, without types
    def __init__(self, loop: asyncio.AbstractEventLoop, options: tuple[Any, ...], most: int, unknown: Handler) -> None:
        super().__init__(loop, None, (), None, options, None)
        self._handlers: dict[str, Handler] = {}
        self._unknown = unknown
        self._most = most
        self._tasks: set[asyncio.Task[None]] = set()
        self._open = 0
        self._idle: asyncio.Future[None] | None = None

    def add_registered_method_handlers(self, method_handlers: dict[str, Handler]) -> None:
        super().add_registered_method_handlers(method_handlers)
        self._handlers.update(method_handlers)

    def _make_request_call_future(self, method: bytes | None) -> asyncio.Future[None]:
        """What the task of grpcio waits for: one future for all methods, done when no more calls are taken in."""
        if self._idle is None:
            self._idle = asyncio.get_running_loop().create_future()
        ask: Callable[[], Awaitable[Any]] = super()._request_call
        handler, name = self._unknown, UNKNOWN
        if method is not None:
            name = method.decode()
            handler = self._handlers[name]
            ask = partial(super()._request_registered_call, method)
        self._begin(self._take(ask, handler, name), self._end)
        return self._idle

    async def _take(self, ask: Callable[[], Awaitable[Any]], handler: Handler, name: str) -> None:
        """Take in the calls of one method."""
        loop = asyncio.get_running_loop()
        run = _HANDLERS[handler.request_streaming, handler.response_streaming]
        while True:
            state = await ask()
            if self._open < self._most:
                self._open += 1
                self._begin(cygrpc._schedule_rpc_coro(run(handler, state, loop), state, loop, name), self._leave)
            else:
                refusing = cygrpc._handle_stream_unary_rpc(_TOO_MANY, state, loop)
                self._begin(cygrpc._schedule_rpc_coro(refusing, state, loop, name), self._tasks.discard)

    def _begin(self, work: Any, done: Callable[[asyncio.Task[None]], None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)  # the loop itself holds on to no task
        task.add_done_callback(done)

    def _leave(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._open -= 1

    def _end(self, task: asyncio.Task[None]) -> None:
        """No more calls are taken in: so ends whoever waits for one when the server stops."""
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if self.is_running():
            _end_process(error)
        elif self._idle is not None and not self._idle.done():
            self._idle.set_exception(cygrpc._RequestCallError())


def _end_process(error: BaseException | None) -> None:
    """Nothing may go on that looks alive and answers no more: let it drain and end, and be started anew."""
    _log.critical("no_more_calls_taken", exc_info=error)
    signal.raise_signal(signal.SIGTERM)


async def _refuse(_requests: object, context: grpc.aio.ServicerContext[Any, Any]) -> None:
    await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "too many open calls")


_TOO_MANY: Handler = grpc.stream_unary_rpc_method_handler(_refuse)
